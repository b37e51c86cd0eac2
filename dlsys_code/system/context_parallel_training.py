"""A step of context parallelism: the first parallel step, along the other axis.

Under data parallelism a rank reads its samples of a batch, here its tokens of every
sample.  The model is whole on every rank, a token needs its position for the rotations,
and attention is one that joins the ranks.  The rest of a step does not change::

    loss       a rank's is the mean over its tokens; the batch's is their mean
    gradient   the mean over the ranks: one all-reduce for all weights

So what the attention of a rank adds to a gradient through another rank's keys and
values comes home in its backward pass, and everything else by that all-reduce.  Costs
what attention sends (`context_parallel_costs`) and 2 (p - 1)/p n for n bytes of
weights.  A rank keeps activations of T/p tokens; its model states do not shrink.

Source: A. Dubey et al., "The Llama 3 herd of models", arXiv:2407.21783 (2024), section
3.3.2.
"""

from collections.abc import Callable, Iterator
from functools import partial

from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import Average, average_at_once
from dlsys_code.introduction.gpt import GPT
from dlsys_code.system.context_parallel import Layout, zigzag
from dlsys_code.system.ring_attention import ring_attention
from dlsys_code.world import compute

SharedAttention = Callable[..., Tensor]


def fresh_model(
    recipe: serial.Recipe,
    cp: ProcessGroup,
    *,
    attention: SharedAttention = ring_attention,
    layout: Layout = zigzag,
) -> GPT:
    """Return the model that the recipe starts from, its attention shared by ranks."""
    here = partial(attention, group=cp, layout=layout)
    return GPT(recipe.model, seed=recipe.seed, attention=here).to(recipe.dtype)


def train(
    recipe: serial.Recipe,
    text: Tensor,
    cp: ProcessGroup,
    *,
    steps: int,
    attention: SharedAttention = ring_attention,
    layout: Layout = zigzag,
    average: Average = average_at_once,
) -> Iterator[float]:
    """Yield the loss of this rank's tokens of each step; the batch's is their mean.

    attention: `ring_attention`, `ulysses_attention` or `gathered_attention`.  layout:
    which tokens a rank has.
    Errors: ValueError, before any message, for tokens or heads that the ranks cannot
    share.
    """
    mine = layout(recipe.sequence, cp.size(), cp.rank())
    model = fresh_model(recipe, cp, attention=attention, layout=layout)
    optimizer = serial.adamw(model, recipe)
    here = partial(model, positions=mine)
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, range(recipe.batch))
        with compute("forward"):
            loss = serial.mean_loss(here, inputs[:, mine], targets[:, mine])
        value = serial.finite(loss, step)
        with compute("backward"):
            loss.backward()
        average(model, cp)
        with compute("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        yield value
