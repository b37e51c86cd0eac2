"""The GPT as a list of operators, with shapes and work: what a planner needs to know.

A branch leaves the stream and comes back to it, so the list is not a chain; every
operator names those whose outputs it takes, and they stand before it::

    embed   (norm  query_key_value  attention  out  add   norm  gate_up  swiglu  down
    add) x L   norm   head   loss

Work is counted as in module `budget`, in matrix products only.  Embedding and head have
a weight each here: a tied one would have to lie alike for two operators.

Source: Z. Jia, M. Zaharia and A. Aiken, "Beyond data and model parallelism for deep
neural networks", MLSys 2019, section 4 (the operator graph).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.system import operators
from dlsys_code.system.operators import Rule, Run

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator.

    inputs: names of operators or data.  weights: names, as in the model, and shapes.
    buffers: the same of what does not learn.  outs: shapes.  flops: forward.
    """

    name: str
    rules: tuple[Rule, ...]
    run: Run
    inputs: tuple[str, ...]
    outs: tuple[Shape, ...]
    weights: Mapping[str, Shape] = field(default_factory=dict)
    buffers: Mapping[str, Shape] = field(default_factory=dict)
    flops: int = 0


product = partial(Operator, rules=operators.LINEAR, run=operators.linear)
added = partial(Operator, rules=operators.ADD, run=operators.add)


def normed(name: str, before: str, stream: Shape, config: GPTConfig) -> Operator:
    """Return a norm of the stream."""
    return Operator(
        name=name,
        rules=operators.NORM,
        run=partial(operators.norm, epsilon=config.epsilon),
        inputs=(before,),
        outs=(stream,),
        weights={f"{name}.weight": stream[-1:]},
    )


def attention_branch(
    config: GPTConfig, stream: Shape, prefix: str, before: str
) -> Iterator[Operator]:
    """Yield what stands between the stream and what attention adds to it."""
    (b, T, h), d = stream, config.head_width
    a, g = config.heads, config.key_value_heads
    part, q, k = f"{prefix}attention.", (b, T, a, d), (b, T, g, d)
    widths = {"query": a * d, "key": g * d, "value": g * d}
    yield normed(f"{prefix}norm_1", before, stream, config)
    yield Operator(
        name=f"{prefix}query_key_value",
        rules=operators.LINEAR,
        run=partial(operators.heads, d=d),
        inputs=(f"{prefix}norm_1",),
        outs=(q, k, k),
        weights={f"{part}{name}.weight": (n, h) for name, n in widths.items()},
        flops=2 * b * T * h * (a + 2 * g) * d,
    )
    yield Operator(
        name=f"{prefix}attention",
        rules=operators.ATTENTION,
        run=partial(operators.attention, config=config),
        inputs=(f"{prefix}query_key_value",),
        outs=(q,),
        flops=4 * b * T * T * a * d,
    )
    yield product(
        name=f"{prefix}out",
        inputs=(f"{prefix}attention",),
        outs=(stream,),
        weights={f"{part}out.weight": (h, a * d)},
        flops=2 * b * T * h * a * d,
    )


def feed_forward_branch(
    config: GPTConfig, stream: Shape, prefix: str, before: str
) -> Iterator[Operator]:
    """Yield what stands between the stream and what the feed-forward adds to it."""
    (b, T, h), f = stream, config.hidden
    part, inner, flops = f"{prefix}feed_forward.", (b, T, f), 2 * b * T * h * f
    yield normed(f"{prefix}norm_2", before, stream, config)
    yield product(
        name=f"{prefix}gate_up",
        inputs=(f"{prefix}norm_2",),
        outs=(inner, inner),
        weights={f"{part}{name}.weight": (f, h) for name in ("gate", "up")},
        flops=2 * flops,
    )
    yield Operator(
        name=f"{prefix}swiglu",
        rules=operators.SWIGLU,
        run=operators.swiglu,
        inputs=(f"{prefix}gate_up",),
        outs=(inner,),
    )
    yield product(
        name=f"{prefix}down",
        inputs=(f"{prefix}swiglu",),
        outs=(stream,),
        weights={f"{part}down.weight": (h, f)},
        flops=flops,
    )


def block(
    config: GPTConfig, stream: Shape, prefix: str, before: str
) -> Iterator[Operator]:
    """Yield the operators of one block.  before: whose output is the stream."""
    first, second = f"{prefix}add_1", f"{prefix}add_2"
    yield from attention_branch(config, stream, prefix, before)
    yield added(name=first, inputs=(before, f"{prefix}out"), outs=(stream,))
    yield from feed_forward_branch(config, stream, prefix, first)
    yield added(name=second, inputs=(first, f"{prefix}down"), outs=(stream,))


def gpt(config: GPTConfig, *, batch: int, sequence: int) -> list[Operator]:
    """Return the operators of a GPT and its loss, for b samples of T tokens.

    Errors: ValueError for tied weights.
    """
    if config.tied:
        raise ValueError("1 tied weight has 2 operators: plan for tied=False")
    b, T, h, V = batch, sequence, config.width, config.vocabulary
    embed = Operator(
        name="embed",
        rules=operators.EMBED,
        run=partial(operators.embed, vocabulary=V),
        inputs=("tokens",),
        outs=((b, T, h),),
        weights={"embed.weight": (V, h)},
        buffers={"words": (V,)},
    )
    graph = [embed]
    for layer in range(config.layers):
        graph += block(config, (b, T, h), f"blocks.{layer}.", graph[-1].name)
    graph.append(normed("norm", graph[-1].name, (b, T, h), config))
    head = product(
        name="head",
        inputs=("norm",),
        outs=((b, T, V),),
        weights={"head.weight": (V, h)},
        flops=2 * b * T * h * V,
    )
    mean_loss = Operator(
        name="loss",
        rules=operators.LOSS,
        run=partial(operators.loss, tokens=b * T),
        inputs=("head", "targets"),
        outs=((),),
    )
    return [*graph, head, mean_loss]
