"""All weights of a unit as one vector, cut into one shard for each rank.

What ranks share out evenly has no regard for where one weight ends and the next begins,
so the weights of a unit, a block for example, are laid in line.  Zeros at the end make
the length a multiple of p; they have no gradient and stay zeros::

    weights   | w_0        | w_1 | w_2      | w_3     | 0 |
    rows      | rank 0      | rank 1      | rank 2      |      (p, k)

The weights become views of the rows: whoever writes a row changes the model.  A shard
is a parameter too, for an optimizer that never learns where in the model it is.

Cost: the padding, less than p elements for each unit.

Source: Y. Zhao et al., "PyTorch FSDP: experiences on scaling fully sharded data
parallel", PVLDB 16 (2023) 3848-3860, section 3.2 (FlatParameter).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup


def joined(parts: Sequence[Tensor], p: int) -> Tensor:
    """Return all elements in line, then zeros, as p equal rows: (p, k)."""
    padding = -sum(x.numel() for x in parts) % p
    line = [x.detach().flatten() for x in parts]
    return torch.cat([*line, line[0].new_zeros(padding)]).view(p, -1)


class Flat:
    """The learning weights of one unit of a model, laid in line.

    unit: the module; the model, for weights that are in no unit.  name: in traces.
    rows: the memory of the weights, (p, k).  shard: row r, in the same memory; this
    rank updates it.
    """

    def __init__(
        self,
        unit: nn.Module,
        weights: Sequence[Tensor],
        group: ProcessGroup,
        *,
        name: str = "unit",
    ):
        dtypes = sorted({str(weight.dtype) for weight in weights})
        if len(dtypes) > 1:
            raise ValueError(
                f"{len(weights)} weights of {' and '.join(dtypes)} in one unit "
                "cannot be laid in one line"
            )
        self.unit, self.weights, self.name = unit, list(weights), name
        self.shapes = [weight.shape for weight in weights]
        self.rows = joined(self.weights, group.size())
        self.shard = nn.Parameter(self.rows[group.rank()])  # (k,)
        self.lend()

    def lend(self) -> None:
        """Make the weights views of the rows, which get memory if they have none."""
        self.rows.untyped_storage().resize_(self.rows.nbytes)
        sizes = [shape.numel() for shape in self.shapes]
        parts = self.rows.view(-1)[: sum(sizes)].split(sizes)
        for weight, part, shape in zip(self.weights, parts, self.shapes, strict=True):
            weight.data = part.view(shape)

    def free(self) -> None:
        """Take the memory from the rows; the weights are empty until they are lent.

        What autograd keeps of them has the same memory, and it again when it is back.
        """
        self.rows.untyped_storage().resize_(0)
        for weight in self.weights:
            weight.data = self.rows.new_empty(0)

    def take_gradients(self) -> Tensor:
        """Move the gradients out of the weights, into rows; (p, k).

        A weight that got none counts as zero, so that all ranks make the same calls.
        """
        parts = []
        for weight, shape in zip(self.weights, self.shapes, strict=True):
            missing = weight.grad is None
            parts.append(self.rows.new_zeros(shape) if missing else weight.grad)
            weight.grad = None
        return joined(parts, len(self.rows))


def flats_of(
    model: nn.Module, units: Sequence[nn.Module], group: ProcessGroup
) -> list[Flat]:
    """Return the flat weights of each unit, after those that are in no unit.

    Frozen weights are left out, and so is who has no others.
    Errors: ValueError when a weight is in two units, when those of one have several
    dtypes, or when a unit is not a part of the model.
    """
    parts = list(model.modules())
    strangers = [i for i, unit in enumerate(units) if unit not in parts]
    if strangers:
        raise ValueError(
            f"of {len(units)} units, {strangers} are not parts of the model"
        )
    inside = [learning(unit) for unit in units]
    named = [id(weight) for weights in inside for weight in weights]
    if len(set(named)) < len(named):
        raise ValueError(
            f"{len(units)} units name {len(named)} weights, but only "
            f"{len(set(named))} different ones: each belongs to one unit"
        )
    outside = [weight for weight in learning(model) if id(weight) not in named]
    owners = zip([model, *units], [outside, *inside], strict=True)
    return [
        Flat(unit, weights, group, name=f"unit {number}")
        for number, (unit, weights) in enumerate(owners)
        if weights
    ]


def learning(module: nn.Module) -> list[Tensor]:
    """Return the weights of a module that are not frozen, tied ones once."""
    return [weight for weight in module.parameters() if weight.requires_grad]
