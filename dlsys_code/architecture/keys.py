"""Keys: the names under which a parameter server holds the weights of a model.

All weights of a model, end to end, are one vector.  A key names a contiguous range of
it: that of a parameter, or any other, so that there are as many ranges as servers and
all of one size::

    {"embed.weight": range(0, 6144), "blocks.0.norm_1.weight": range(6144, 6168), ...}
    {"0": range(0, 5001), "1": range(5001, 10001), "2": range(10001, 15001)}

Ranges differ by one element at most.  A message carries the values of several keys end
to end and not their names, which both sides know.

Source: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014, sections 3.1 and 3.2.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Keys = Mapping[str, range]  # name -> which elements of the vector
Values = dict[str, Tensor]  # name -> (len(range),)


def parameter_keys(model: nn.Module) -> Keys:
    """Return one key for each parameter of a model, in its order."""
    keys, start = {}, 0
    for name, weight in model.named_parameters():
        keys[name] = range(start, start + weight.numel())
        start += weight.numel()
    return keys


def range_keys(count: int, pieces: int) -> Keys:
    """Return `pieces` keys for a vector of `count` elements, the longer ones first.

    Errors: ValueError when there is not one element for each.
    """
    if not 1 <= pieces <= count:
        raise ValueError(f"{count} elements cannot be cut into {pieces} ranges")
    size, longer = divmod(count, pieces)
    starts = [i * size + min(i, longer) for i in range(pieces + 1)]
    return {str(i): range(starts[i], starts[i + 1]) for i in range(pieces)}


def elements(keys: Keys) -> int:
    """Return how many elements some keys have together."""
    return sum(map(len, keys.values()))


def split(vector: Tensor, keys: Keys) -> Values:
    """Cut what `join` made into views, one for each key.  vector: (elements(keys),)."""
    parts = vector.split([len(key) for key in keys.values()])
    return dict(zip(keys, parts, strict=True))


def join(values: Values, keys: Keys, dtype: torch.dtype) -> Tensor:
    """Return the values of some keys end to end: (elements(keys),), a new tensor."""
    return torch.cat([torch.empty(0, dtype=dtype), *(values[key] for key in keys)])


def check(values: Values, keys: Keys, dtype: torch.dtype) -> None:
    """Raise ValueError unless there is a value of the right form for every key."""
    for key, value in values.items():
        if key not in keys:
            raise ValueError(f"{key!r} is none of the {len(keys)} keys")
        if not isinstance(value, Tensor):
            raise ValueError(f"key {key!r} takes a tensor, not {type(value).__name__}")
        if value.shape != (len(keys[key]),) or value.dtype != dtype:
            raise ValueError(
                f"key {key!r} takes ({len(keys[key])},) of {dtype}, "
                f"not {tuple(value.shape)} of {value.dtype}"
            )
    if missing := [key for key in keys if key not in values]:
        raise ValueError(
            f"{len(missing)} of {len(keys)} keys are missing: {missing[0]!r} first"
        )
