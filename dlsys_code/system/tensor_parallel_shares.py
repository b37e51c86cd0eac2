"""Which part of each matrix a rank holds under tensor parallelism.

A matrix is cut into p equal parts, in rank order.  In the order y = x A of the formulas
a cut by columns shares the outputs, a cut by rows the inputs; `torch.nn.Linear` stores
A transposed, so that the first cuts dimension 0 of its weight::

    by columns   query, key, value     outputs are heads: each rank has a / p and g / p
                 gate, up              outputs are hidden units: f / p
                 embed, head           rows are words: V / p
    by rows      out, down             inputs are what this rank's heads or units give
    not cut      the gains of norms    alike on every rank

The query heads of a rank are those that use its key-value heads.  Where there are fewer
of these than ranks, each is on p / g neighbours: `tensor_parallel_copies`.
Cutting sends nothing; putting a matrix together again is one all-gather of its bytes.

Source: M. Shoeybi et al., "Megatron-LM: training multi-billion parameter language
models using model parallelism", arXiv:1909.08053 (2019), section 3.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.primitive import ring
from dlsys_code.primitive.adjoint import Collective

COLUMNS, ROWS = 0, 1  # which dimension of a torch weight they are
CUT = dict.fromkeys(("query", "key", "value", "gate", "up", "embed", "head"), COLUMNS)
CUT |= dict.fromkeys(("out", "down"), ROWS)


def check(config: GPTConfig, p: int, *, sequence: int = 0) -> None:
    """Raise one ValueError that names every size which p ranks cannot share.

    sequence: tokens T, where they are shared too.
    """
    shared_heads = config.key_value_heads
    sizes = {
        "heads": config.heads,
        "key-value heads": 0 if p % shared_heads == 0 else shared_heads,  # 0: by copies
        "hidden units": config.hidden,
        "words": config.vocabulary,
        "tokens": sequence,
    }
    uneven = [f"{size} {name}" for name, size in sizes.items() if size % p]
    if uneven:
        raise ValueError(f"{p} ranks cannot share {', '.join(uneven)} evenly")


def cut_dimension(name: str) -> int | None:
    """Return along which dimension a parameter is cut, None where it is not.

    name: as in `named_parameters`, such as "blocks.0.attention.query.weight".
    """
    return CUT.get(name.split(".")[-2])


def different_parts(name: str, config: GPTConfig, p: int) -> int:
    """Return into how many parts n a parameter is cut, each on p / n neighbours."""
    if cut_dimension(name) is None:
        return 1
    of_heads = name.endswith(("key.weight", "value.weight"))
    return min(p, config.key_value_heads) if of_heads else p


def share(name: str, model: GPT, tp: ProcessGroup) -> Tensor:
    """Return this rank's part of a parameter of the whole model, as a view."""
    n = different_parts(name, model.config, tp.size())
    parts = model.get_parameter(name).chunk(n, cut_dimension(name) or 0)
    return parts[tp.rank() * n // tp.size()]


@torch.no_grad()
def cut(model: GPT, tp: ProcessGroup) -> GPT:
    """Return a copy of a model with this rank's part of every matrix.

    Errors: ValueError when the ranks cannot share the sizes of the model.
    """
    check(model.config, tp.size())
    mine = deepcopy(model)  # tied weights stay tied
    mine.zero_grad()
    for name, weight in mine.named_parameters():
        weight.data = share(name, model, tp).clone()
    return mine


def whole(
    name: str,
    part: Tensor,
    tp: ProcessGroup,
    *,
    config: GPTConfig,
    all_gather: Collective = ring.all_gather,
) -> Tensor:
    """Return a parameter, or its gradient, put together from the parts of all ranks."""
    n = different_parts(name, config, tp.size())
    if n == 1:
        return part
    parts = all_gather(part.flatten(), tp)[:: tp.size() // n]  # (n, k)
    return torch.cat([x.view(part.shape) for x in parts], cut_dimension(name))


@torch.no_grad()
def whole_weights(model: nn.Module, tp: ProcessGroup) -> dict[str, Tensor]:
    """Return all parameters of the model that was cut, by name."""
    return {
        name: whole(name, x, tp, config=model.config)
        for name, x in model.named_parameters()
    }


def whole_gradients(model: nn.Module, tp: ProcessGroup) -> dict[str, Tensor]:
    """Return the gradients of the parameters of the model that was cut, by name.

    Those that have none, as they are frozen or not used, are left out.
    """
    return {
        name: whole(name, x.grad, tp, config=model.config)
        for name, x in model.named_parameters()
        if x.grad is not None
    }
