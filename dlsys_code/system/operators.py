"""Operators: which layouts of their inputs and weights give which layout of the output.

Every rank runs an operator on the parts that it holds, as if they were all, and sends
nothing.  A rule says on one axis of a mesh when that is right::

    linear   x (b, T, k)   w (n, k)   y = x w^T (b, T, n)
             S0            R       -> S0      samples: data parallel
             S2            S1      -> P       w by rows: terms of the sums over k

Axes do not know of each other, so on a mesh each has a rule of its own.  A rule holds
backward too, where each layout gives way to its dual: under the first, gradients of y
come in S0 and those of w leave in P, to be added up.

Cost: none on the wire.  A rank saves work and memory wherever a rule has an S.

Sources: Z. Jia, M. Zaharia and A. Aiken, "Beyond data and model parallelism for deep
neural networks", MLSys 2019; Y. Xu et al., "GSPMD: general and scalable parallelization
for ML computation graphs", arXiv:2105.04663 (2021).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributed.tensor import Shard
from torch.distributed.tensor.placement_types import Placement
from torch.nn import functional as F

from dlsys_code.introduction.gpt import GPTConfig, fused_attention, rotate, rotations
from dlsys_code.system.layouts import layout
from dlsys_code.system.tensor_parallel_vocabulary import check_words

Run = Callable[[Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor]]


class Rule(NamedTuple):
    """Layouts on one axis: of all inputs, of all weights, and of all outputs."""

    inputs: Placement
    weights: Placement
    out: Placement

    @property
    def shares(self) -> bool:
        """Whether the ranks share the work, and do not all do all of it."""
        return any(isinstance(place, Shard) for place in self)


def rules(*texts: str) -> tuple[Rule, ...]:
    """Return the rules with these names, such as 'S0, R -> S0' or 'S0 -> S0'."""
    found = []
    for text in texts:
        left, out = text.split(" -> ")
        inputs, _, weights = left.partition(", ")
        found.append(Rule(*layout(f"{inputs} {weights or 'R'} {out}")))
    return tuple(found)


EMBED = rules("S0, R -> S0", "S1, R -> S1", "R, S0 -> P", "R, R -> R")
NORM = rules("S0, R -> S0", "S1, R -> S1", "R, R -> R")  # its sums run over the width
LINEAR = rules(
    "S0, R -> S0",  # samples
    "S1, R -> S1",  # tokens
    "S2, S1 -> P",  # w by rows
    "R, S0 -> S2",  # w by columns
    "P, R -> P",  # a sum goes through term by term
    "R, R -> R",  # all do all of it
)
ATTENTION = rules("S0 -> S0", "S2 -> S2", "R -> R")  # S2: heads; a query needs all keys
SWIGLU = rules("S0 -> S0", "S1 -> S1", "S2 -> S2", "R -> R")  # not linear: no P
ADD = rules("S0 -> S0", "S1 -> S1", "S2 -> S2", "P -> P", "R -> R")
LOSS = rules("S0 -> P", "S1 -> P", "R -> R")  # its sums run over the words


def embed(
    inputs: Sequence[Tensor], weights: Sequence[Tensor], *, vocabulary: int
) -> list[Tensor]:
    """Look words up.  inputs: tokens.  weights: rows, and the word of each.

    vocabulary: words of all ranks together.
    Errors: ValueError for a token that is none of them.
    """
    (tokens,), (table, words) = inputs, weights
    check_words(tokens, vocabulary)
    rows = tokens - words[0]
    absent = (rows < 0) | (rows >= len(words))
    found = F.embedding(rows.masked_fill(absent, 0), table)
    return [found.masked_fill(absent.unsqueeze(-1), 0)]  # (b, T, h)


def norm(
    inputs: Sequence[Tensor], weights: Sequence[Tensor], *, epsilon: float
) -> list[Tensor]:
    """Bring every token to size 1, then scale by the gain."""
    (x,), (gain,) = inputs, weights
    return [F.rms_norm(x, gain.shape, gain, epsilon)]


def linear(inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """Multiply one input, heads side by side if it has any, by each weight."""
    (x,) = inputs
    return [F.linear(x.flatten(2), weight) for weight in weights]  # (b, T, n) each


def heads(
    inputs: Sequence[Tensor], weights: Sequence[Tensor], *, d: int
) -> list[Tensor]:
    """Do as `linear`, and cut the outputs into heads of width d."""
    return [y.unflatten(-1, (-1, d)) for y in linear(inputs, weights)]  # (b, T, a, d)


def attention(
    inputs: Sequence[Tensor], _: Sequence[Tensor], *, config: GPTConfig
) -> list[Tensor]:
    """Collect from earlier tokens.  inputs: q (b, T, a, d), k and v (b, T, g, d)."""
    q, k, v = (x.transpose(1, 2) for x in inputs)
    turns = rotations(q.size(2), config, q)
    y = fused_attention(rotate(q, *turns), rotate(k, *turns), v)
    return [y.transpose(1, 2)]  # (b, T, a, d)


def swiglu(inputs: Sequence[Tensor], _: Sequence[Tensor]) -> list[Tensor]:
    """Gate one input by the other."""
    gate, up = inputs
    return [F.silu(gate) * up]


def add(inputs: Sequence[Tensor], _: Sequence[Tensor]) -> list[Tensor]:
    """Add the inputs up."""
    return [torch.stack(list(inputs)).sum(0)]


def loss(inputs: Sequence[Tensor], _: Sequence[Tensor], *, tokens: int) -> list[Tensor]:
    """Return the cross-entropy of the words at hand, divided by how many there are.

    inputs: logits (b, T, V) and targets (b, T).  tokens: on all ranks together.
    """
    logits, targets = inputs
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    return [losses / tokens]  # ()
