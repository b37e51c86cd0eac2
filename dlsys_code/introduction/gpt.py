"""The small GPT that every later chapter splits: a decoder in today's form.

Each block adds to the stream of its tokens twice, first what attention collects from
earlier tokens, then what a feed-forward layer makes of each token alone::

    x = x + attention(norm(x))        causal, rotary positions, grouped-query heads
    x = x + feed_forward(norm(x))     SwiGLU: down(silu(gate(x)) * up(x))

Nothing here knows of ranks.  Shapes trail the lines: b sequences of T tokens, h the
width, a heads of width d, g key-value heads, f the width of the feed-forward layer, V
the vocabulary.  Cost: module `budget`.

Sources: A. Vaswani et al., "Attention is all you need", NeurIPS 2017; B. Zhang and R.
Sennrich, "Root mean square layer normalization", NeurIPS 2019; J. Su et al., "RoFormer:
enhanced transformer with rotary position embedding", Neurocomputing 568 (2024) 127063;
N. Shazeer, "GLU variants improve transformer", arXiv:2002.05202 (2020); J. Ainslie et
al., "GQA: training generalized multi-query transformer models from multi-head
checkpoints", EMNLP 2023.  Weights and rotations are laid out as in Hugging Face's
Llama.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """The sizes of a GPT; the defaults make the small one of this book.

    hidden: width f of the feed-forward layer.  tied: the head shares the embedding.
    Errors: ValueError for sizes that do not fit together.
    """

    vocabulary: int = 256
    width: int = 128
    layers: int = 4
    heads: int = 8
    key_value_heads: int = 4
    hidden: int = 352
    tied: bool = True
    rotary_base: float = 10_000.0
    epsilon: float = 1e-5

    def __post_init__(self):
        for name, size in vars(self).items():
            if size <= 0 and name != "tied":
                raise ValueError(f"{name} must be positive, not {size}")
        if self.width % self.heads or self.head_width % 2:
            raise ValueError(
                f"width {self.width} cannot be cut into {self.heads} heads of even "
                "width"
            )
        if self.heads % self.key_value_heads:
            raise ValueError(
                f"{self.heads} heads cannot share {self.key_value_heads} key-value "
                "heads evenly"
            )

    @property
    def head_width(self) -> int:
        """The width d of one head."""
        return self.width // self.heads


def fused_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return causal attention by torch's fused kernel, which keeps no (T, T) matrix.

    q: (b, a, T, d).  k, v: (b, g, T, d).  Returns (b, a, T, d).
    """
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def explicit_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the same as `fused_attention`, with every matrix written out."""
    T, d = q.shape[-2:]
    k, v = (x.repeat_interleave(q.size(1) // x.size(1), 1) for x in (k, v))
    scores = q @ k.transpose(-2, -1) * d**-0.5  # (b, a, T, T)
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)
    weights = scores.masked_fill(future, float("-inf")).softmax(-1)
    return weights @ v  # (b, a, T, d)


def rotations(
    T: int, config: GPTConfig, like: Tensor, *, positions: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the angle by which position t turns each pair.

    positions: (T,), where they are not 0 to T - 1.
    Both have shape (T, d), in the dtype and on the device of `like`.
    """
    d = config.head_width
    rates = config.rotary_base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    if positions is None:
        positions = torch.arange(T)
    angles = torch.outer(positions.double(), rates)  # (T, d/2)
    angles = torch.cat((angles, angles), dim=-1)  # (T, d)
    return angles.cos().to(like), angles.sin().to(like)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair (x_i, x_{i + d/2}) by its position's angle.  x: (..., T, d)."""
    left, right = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-right, left), dim=-1) * sine


class SelfAttention(nn.Module):
    """Causal self-attention: a query heads share g key-value heads."""

    def __init__(self, config: GPTConfig, attention: Attention):
        super().__init__()
        h, d = config.width, config.head_width
        self.head_width, self.attention = d, attention
        self.query = nn.Linear(h, config.heads * d, bias=False)
        self.key = nn.Linear(h, config.key_value_heads * d, bias=False)
        self.value = nn.Linear(h, config.key_value_heads * d, bias=False)
        self.out = nn.Linear(config.heads * d, h, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Return what every token collects.  x: (b, T, h)."""
        b, T, _ = x.shape
        heads = (b, T, -1, self.head_width)
        q = self.query(x).view(heads).transpose(1, 2)  # (b, a, T, d)
        k = self.key(x).view(heads).transpose(1, 2)  # (b, g, T, d)
        v = self.value(x).view(heads).transpose(1, 2)  # (b, g, T, d)
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        y = self.attention(q, k, v)  # (b, a, T, d)
        return self.out(y.transpose(1, 2).reshape(b, T, -1))  # (b, T, h)


class FeedForward(nn.Module):
    """SwiGLU: one projection gates another."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.gate = nn.Linear(config.width, config.hidden, bias=False)
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's addition to every token.  x: (b, T, h)."""
        return self.down(F.silu(self.gate(x)) * self.up(x))  # (b, T, f) -> (b, T, h)


class Block(nn.Module):
    """One layer of the transformer."""

    def __init__(self, config: GPTConfig, attention: Attention):
        super().__init__()
        self.norm_1 = nn.RMSNorm(config.width, config.epsilon)
        self.attention = SelfAttention(config, attention)
        self.norm_2 = nn.RMSNorm(config.width, config.epsilon)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Return the stream after this layer.  x: (b, T, h)."""
        x = x + self.attention(self.norm_1(x), cosine, sine)
        return x + self.feed_forward(self.norm_2(x))


class GPT(nn.Module):
    """A decoder-only transformer.

    seed: of the initial weights, the same on every rank and device, in float32 and 64;
    torch's own random numbers stay where they are.  attention: `fused_attention` or
    `explicit_attention`.
    """

    def __init__(
        self,
        config: GPTConfig,
        *,
        seed: int = 0,
        attention: Attention = fused_attention,
    ):
        super().__init__()
        self.config = config
        with untouched_random_numbers():  # torch's layers draw weights of their own
            self.embed = nn.Embedding(config.vocabulary, config.width)
            self.blocks = nn.ModuleList(
                Block(config, attention) for _ in range(config.layers)
            )
            self.norm = nn.RMSNorm(config.width, config.epsilon)
            self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        if config.tied:
            self.head.weight = self.embed.weight
        initialise_(self, seed)

    def forward(self, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
        """Return the logits of every next token, (b, T, V).  tokens: (b, T).

        positions: (T,), of the tokens in their sequence, where not 0 to T - 1.
        """
        x = self.embed(tokens)  # (b, T, h)
        cosine, sine = rotations(tokens.size(1), self.config, x, positions=positions)
        for block in self.blocks:
            x = block(x, cosine, sine)
        return self.head(self.norm(x))  # (b, T, V)


@torch.no_grad()
def initialise_(model: GPT, seed: int) -> None:
    """Draw the weights anew: 0.02 wide, and narrower where a layer adds to the stream.

    Each of the 2 L additions has its share of the width, so that the stream's size does
    not grow with the depth (Radford et al., "Language models are unsupervised multitask
    learners", OpenAI 2019).  Gains of the norms are left at 1.  Values are rounded to
    float32 first, so a model in float64 starts from the same ones.
    """
    draw = torch.Generator().manual_seed(seed)
    narrower = (2 * model.config.layers) ** -0.5
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            adds = name.endswith(("attention.out.weight", "feed_forward.down.weight"))
            values = torch.randn(
                weight.shape, generator=draw, dtype=torch.float64, device="cpu"
            )
            weight.copy_((0.02 * (narrower if adds else 1.0) * values).float())


def untouched_random_numbers() -> AbstractContextManager:
    """Put torch's generators back, of the CPU and of the default device, at the end."""
    device = torch.get_default_device()
    return torch.random.fork_rng([device] if device.type == "cuda" else [])
