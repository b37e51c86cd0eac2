"""Values as bytes: functions of a notebook's cell, and tensors without their baggage.

A tensor that is a small view of a large one travels without the rest, a tensor of a GPU
arrives on the CPU, and one of a gigabyte is written once, where torch's own pickling
copies it six times.
"""

import io
import pickle
from importlib import import_module
from types import ModuleType

import cloudpickle
import numpy as np
import torch
from torch import Tensor


def pack(value: object) -> bytes:
    """Return a value as bytes.

    Errors: whatever the value raises, mostly TypeError, when it cannot be pickled.
    """
    out = io.BytesIO()
    _Pickler(out, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return out.getvalue()


def unpack(body: bytes) -> object:
    """Return the value that `pack` made into bytes."""
    return pickle.loads(body)


class _Pickler(cloudpickle.Pickler):
    def reducer_override(self, value: object) -> object:
        if type(value) is Tensor and is_plain(value):
            flat = value.detach().cpu().contiguous().view(-1)
            numbers = flat.view(torch.uint8).numpy()
            shape, needs_grad = tuple(value.shape), value.requires_grad
            return rebuild, (numbers, value.dtype, shape, needs_grad)
        if isinstance(value, ModuleType) and type(value) is not ModuleType:
            return import_module, (value.__name__,)  # torch.ops is such a module
        return super().reducer_override(value)


def is_plain(x: Tensor) -> bool:
    """Return whether a tensor is no more than its numbers."""
    special = x.is_quantized or x.is_meta or x.is_conj() or x.is_neg()
    return x.layout == torch.strided and not special


def rebuild(
    numbers: np.ndarray, dtype: torch.dtype, shape: tuple[int, ...], needs_grad: bool
) -> Tensor:
    """Return a tensor from the bytes of its numbers."""
    x = torch.from_numpy(numbers).view(dtype).view(shape)
    return x.requires_grad_(needs_grad)
