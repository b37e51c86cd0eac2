"""A step of tensor or sequence parallelism, ours and torch's, ready for a race.

Both start from the weights of one recipe, read the same words and update by the same
AdamW.  Ours has its collectives in the forward pass; torch's model is the serial one
with a plan over it::

    gradients    our_loss, torchs_loss    forward, backward, what the gradients lack
    step         ours, torchs             gradients, AdamW, gradients forgotten

The optimizer's work falls by p in both.  torch's pays for DTensor's dispatch at every
operation, which the width of a model hides and its depth does not.

Source: module `tensor_parallel_plan`.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.introduction import gpt, serial
from dlsys_code.system import sequence_parallel as sequence
from dlsys_code.system import tensor_parallel as tensor
from dlsys_code.system.beside import Contender, Step
from dlsys_code.system.tensor_parallel_copies import sum_copies
from dlsys_code.system.tensor_parallel_plan import torchs_loss, torchs_model


def our_model(
    whole: gpt.GPT, tp: ProcessGroup, *, tokens_shared: bool
) -> tensor.TensorParallelGPT:
    """Return this rank's share of a model."""
    ends = sequence.sharded if tokens_shared else tensor.replicated
    return tensor.TensorParallelGPT(whole, tp, ends=ends)


def our_loss(
    model: tensor.TensorParallelGPT,
    inputs: Tensor,
    targets: Tensor,
    *,
    tokens_shared: bool,
) -> Tensor:
    """Return the mean loss after a backward pass through our model."""
    loss = tensor.mean_loss(model, inputs, targets)
    loss.backward()
    complete = sequence.sum_gains if tokens_shared else sum_copies
    complete(model, model.tp)
    return loss.detach()


def samples(recipe: serial.Recipe) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of random words, (b, T) each."""
    draw = torch.Generator().manual_seed(recipe.seed)
    shape = (2, recipe.batch, recipe.sequence)
    inputs, targets = torch.randint(recipe.model.vocabulary, shape, generator=draw)
    device = torch.get_default_device()
    return inputs.to(device), targets.to(device)


def ours(tp: ProcessGroup, *, recipe: serial.Recipe, tokens_shared: bool) -> Step:
    """Return a step of ours."""
    model = our_model(serial.fresh_model(recipe), tp, tokens_shared=tokens_shared)
    loss = partial(our_loss, model, *samples(recipe), tokens_shared=tokens_shared)
    return step_of(loss, serial.adamw(model, recipe))


def torchs(tp: ProcessGroup, *, recipe: serial.Recipe, tokens_shared: bool) -> Step:
    """Return a step of torch's."""
    model = torchs_model(serial.fresh_model(recipe), tp, tokens_shared=tokens_shared)
    loss = partial(torchs_loss, model, *samples(recipe))
    return step_of(loss, serial.adamw(model, recipe))


def step_of(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> Step:
    """Return what makes gradients, updates the weights and forgets the gradients."""

    def step() -> None:
        loss()
        optimizer.step()
        optimizer.zero_grad()

    return step


def contenders(recipe: serial.Recipe, *, tokens_shared: bool) -> dict[str, Contender]:
    """Return both, for `beside.race`."""
    same = {"recipe": recipe, "tokens_shared": tokens_shared}
    return {"ours": partial(ours, **same), "torch": partial(torchs, **same)}
