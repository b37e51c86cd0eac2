"""What a rank really holds of the model states, beside what the formula says.

Between the backward pass and the update all three kinds live.  A watch counts them;
masters are the optimizer's, as in the formula::

    weights      of the model, and shards with memory of their own
    gradients    of either
    optimizer    its states, and what it updates that is neither

Source: module `introduction.memory`, which measures, and `introduction.model_states`,
which predicts.
"""

from collections.abc import Callable

import torch
from torch import nn

from dlsys_code.introduction.memory import watch
from dlsys_code.introduction.model_states import States
from dlsys_code.system.zero_clipping import updated


def states_held(
    backward: Callable[[], object],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    shards: nn.Module | None = None,
) -> States:
    """Return the bytes of the states of this rank, right after backward().

    optimizer: has made at least one step.  shards: parameters outside of the model that
    take its gradients; None where nothing is shared out.
    """
    held = nn.ModuleList([model, shards or nn.Module()])
    with watch(held, optimizer) as memory:
        backward()
        now = memory.now
    inside = {id(weight) for weight in held.parameters()}
    masters = [w for w in updated(optimizer) if id(w) not in inside]
    return States(
        weights=now.weights,
        gradients=now.gradients,
        optimizer=now.optimizer + sum(master.nbytes for master in masters),
    )
