"""Local SGD: take H steps alone, then average the weights.

Where talk is slow, talk less.  Every worker steps along its own gradients; after H
steps the weights of all are averaged, and all go on from the mean::

    H steps alone   w_r = inner(w_r, g_r)              nothing is sent
    meet            w   = outer(w, w - mean of w_r)    one all-reduce of n bytes

With outer steps of rate 1 the new w is the mean.  With H = 1 and plain SGD inside as
well, that is data parallelism in step, for the mean of (w - rate g_r) is w - rate times
the mean gradient.  PostLocalSGD walks in step first and alone later; DiLoCo puts AdamW
inside and SGD with Nesterov's momentum (rate 0.7, momentum 0.9) outside.

Over K steps K/H n bytes are reduced instead of K n.  The price: w_r drift apart in
between (`noting` measures it), so for H > 1 the result is another one, and worse if H
is too large.  Where the ranks' data differ, even the end does: in step the descent
stops where the mean slope is 0, after many steps alone at the mean of their own ends.

Sources: T. Lin et al., "Don't use large mini-batches, use local SGD", ICLR 2020; A.
Douillard et al., "DiLoCo: distributed low-communication training of language models",
arXiv:2311.08105 (2023).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count, islice

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.architecture import plain_sgd
from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import AllReduce, share, torch_sum
from dlsys_code.world import compute

Inner = Callable[[nn.Module, serial.Recipe], torch.optim.Optimizer]
Outer = Callable[[list[Tensor]], torch.optim.Optimizer]


def sgd(model: nn.Module, recipe: serial.Recipe) -> torch.optim.Optimizer:
    """Return plain SGD with the recipe's rate."""
    return torch.optim.SGD(model.parameters(), lr=recipe.learning_rate)


to_the_mean: Outer = partial(torch.optim.SGD, lr=1.0)
nesterov: Outer = partial(torch.optim.SGD, lr=0.7, momentum=0.9, nesterov=True)


def rounds(steps: int, *, alone: int, first: int = 0) -> list[int]:
    """Return after how many steps each meeting comes: 1 for the first, then H.

    alone: H.  first: steps in step, as in PostLocalSGD.  The last round is shorter
    where H does not divide the steps.
    Errors: ValueError when H is below 1, or `first` is not within the steps.
    """
    if alone < 1:
        raise ValueError(f"a worker takes at least 1 step alone, not {alone}")
    if not 0 <= first <= steps:
        raise ValueError(f"{first} of {steps} steps cannot be in step")
    whole, rest = divmod(steps - first, alone)
    return [1] * first + [alone] * whole + [rest] * (rest > 0)


def noting(apart: list[float], all_reduce: AllReduce = torch_sum) -> AllReduce:
    """Return an all-reduce that notes how far from the mean each argument was.

    apart: gets the distance, as a Euclidean norm; before a meeting that is the drift.
    """

    def noted(x: Tensor, group: ProcessGroup) -> Tensor:
        total = all_reduce(x, group)
        apart.append((x - total / group.size()).norm().item())
        return total

    return noted


def train(
    recipe: serial.Recipe,
    text: Tensor,
    group: ProcessGroup,
    *,
    lengths: Sequence[int],
    inner: Inner = sgd,
    outer: Outer = to_the_mean,
    all_reduce: AllReduce = torch_sum,
) -> Iterator[float]:
    """Yield the loss of this rank's samples of each step.

    lengths: of the rounds, alike on every rank; see `rounds`.
    Errors: ValueError, before any message, for a round below 1 step, or when the ranks
    do not divide the batch.
    """
    if min(lengths, default=1) < 1:
        raise ValueError(f"a round has at least 1 step, not {min(lengths)}")
    mine, steps = share(recipe, group), count()
    model = serial.fresh_model(recipe)
    inside, common = inner(model, recipe), plain_sgd.weights_of(model)
    outside = outer([common])
    for length in lengths:
        for step in islice(steps, length):
            loss, _ = plain_sgd.gradient(model, recipe, text, step, mine)
            with compute("optimizer"):
                inside.step()
            yield loss
        mean = all_reduce(plain_sgd.weights_of(model), group) / group.size()
        common.grad = common - mean
        outside.step()
        plain_sgd.write_(model, common)
