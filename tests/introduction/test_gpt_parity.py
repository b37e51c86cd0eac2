"""The small GPT is the Llama of Hugging Face: same weights, logits and gradients.

What is built here comes from a configuration alone: nothing is downloaded.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlsys_code.introduction import gpt
from dlsys_code.introduction.gpt import GPT, GPTConfig

pytestmark = pytest.mark.filterwarnings("error")

THEIRS = {
    "embed": "model.embed_tokens",
    "blocks": "model.layers",
    "norm_1": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.out": "self_attn.o_proj",
    "norm_2": "post_attention_layernorm",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.up": "mlp.up_proj",
    "feed_forward.down": "mlp.down_proj",
    "head": "lm_head",
}

SHAPES = {
    "every head its own key": GPTConfig(
        vocabulary=61, width=48, layers=2, heads=6, key_value_heads=6, hidden=40
    ),
    "pairs of heads, untied": GPTConfig(
        vocabulary=53, width=32, layers=3, heads=4, key_value_heads=2, hidden=84,
        tied=False,
    ),
    "one key for all heads": GPTConfig(
        vocabulary=17, width=30, layers=1, heads=5, key_value_heads=1, hidden=7,
        rotary_base=100.0, epsilon=1e-3,
    ),
    "one head, untied": GPTConfig(
        vocabulary=2, width=6, layers=2, heads=1, key_value_heads=1, hidden=3,
        tied=False,
    ),
    "the small GPT": GPTConfig(),
}  # fmt: skip


@pytest.fixture(scope="module")
def llama() -> Iterator[type]:
    """Hugging Face's model; two seconds to import, so no other test waits for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        from transformers import LlamaForCausalLM

        yield LlamaForCausalLM


def their_name(name: str) -> str:
    """'blocks.0.attention.out.weight' -> 'model.layers.0.self_attn.o_proj.weight'."""
    if name == "norm.weight":
        return "model.norm.weight"
    for ours, theirs in THEIRS.items():
        name = name.replace(ours + ".", theirs + ".")
    return name


def counterpart(model: GPT, llama: type, attention: str) -> nn.Module:
    """A Llama of the model's sizes, with copies of its weights."""
    config = model.config
    theirs = llama(
        llama.config_class(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.key_value_heads,
            rms_norm_eps=config.epsilon,
            rope_parameters={"rope_type": "default", "rope_theta": config.rotary_base},
            tie_word_embeddings=config.tied,
            bos_token_id=None,
            eos_token_id=None,
            attn_implementation=attention,
        )
    ).to(model.embed.weight.dtype)
    weights = {their_name(name): x for name, x in model.state_dict().items()}
    theirs.load_state_dict(weights, strict=True)
    return theirs


class Turns(nn.Module):
    """Angles that are not rounded to float32 on the way."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config

    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        cosine, sine = gpt.rotations(position_ids.size(-1), self.config, x)
        return cosine[None], sine[None]


def without_float32(theirs: nn.Module, config: GPTConfig) -> nn.Module:
    """Replace what Llama computes in float32 whatever the dtype: norms and angles."""
    theirs.model.rotary_emb = Turns(config)
    for parent in (theirs.model, *theirs.model.layers):
        for name, norm in list(parent.named_children()):
            if name.endswith("norm"):
                exact = nn.RMSNorm(config.width, config.epsilon).double()
                exact.weight = norm.weight
                setattr(parent, name, exact)
    return theirs


def a_model(
    name: str, attention: gpt.Attention, dtype: torch.dtype
) -> tuple[GPT, Tensor, Tensor]:
    """A model far from its start, where all gradients are large; inputs and targets."""
    model = GPT(SHAPES[name], seed=3, attention=attention).to(dtype)
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=draw, dtype=torch.float64)
            weight += model.config.width**-0.5 * noise
    tokens = torch.randint(SHAPES[name].vocabulary, (3, 38), generator=draw)
    return model, tokens[:, :-1], tokens[:, 1:]  # T = 37


def gradients(model: nn.Module, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
    return {name: x.grad for name, x in model.named_parameters()}


def compare(model: GPT, theirs: nn.Module, inputs: Tensor, targets: Tensor, **limits):
    ours, other = model(inputs), theirs(inputs, use_cache=False).logits
    torch.testing.assert_close(ours, other, **limits)
    mine = {their_name(name): g for name, g in gradients(model, ours, targets).items()}
    torch.testing.assert_close(mine, gradients(theirs, other, targets), **limits)
    assert all(g.abs().max() > 1e-3 for g in mine.values())  # far above the limit


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("attention", [gpt.fused_attention, gpt.explicit_attention])
@pytest.mark.parametrize("their_attention", ["eager", "sdpa"])
def test_logits_and_gradients_are_llamas(llama, name, attention, their_attention):
    model, inputs, targets = a_model(name, attention, torch.float32)
    theirs = counterpart(model, llama, their_attention)
    compare(model, theirs, inputs, targets, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("attention", [gpt.fused_attention, gpt.explicit_attention])
def test_in_float64_they_agree_to_its_rounding(llama, name, attention):
    model, inputs, targets = a_model(name, attention, torch.float64)
    theirs = without_float32(counterpart(model, llama, "sdpa"), model.config)
    compare(model, theirs, inputs, targets, rtol=1e-12, atol=1e-13)


def test_a_longer_text_turns_by_the_same_angles(llama):
    config = GPTConfig(width=64, layers=1, heads=1, key_value_heads=1)
    model = GPT(config)
    positions = torch.arange(1000)[None]
    x = model.embed.weight[None]
    theirs = counterpart(model, llama, "sdpa").model.rotary_emb(x, positions)
    ours = gpt.rotations(1000, config, x)
    for mine, other in zip(ours, theirs, strict=True):
        # float32 knows an angle of 1000 rad to 1000 x 2^-24, twice rounded.
        torch.testing.assert_close(mine, other[0], rtol=0, atol=2 * 1000 * 2**-24)
