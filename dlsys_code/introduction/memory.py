"""Live tensor bytes, measured: what fills the memory during a training step.

A watch sees every tensor that torch makes and every tensor that autograd keeps.  Bytes
belong to a storage, counted once however many views share it, from when it is first
seen until it dies::

    weights        parameters and buffers of the model
    gradients      what parameters hold in .grad
    optimizer      tensors in the state of the optimizer
    activations    anything else that is kept for the backward pass
    other          temporaries, and what was there before the watch, such as the batch

Only the model's device counts.  The scratch that a kernel makes and drops inside is not
seen, nor how an allocator rounds sizes up: compare `allocated_peak` on a GPU.  Of two
hooks for saved tensors autograd asks only the inner one; so what
`torch.utils.checkpoint`, or a watch inside this one, keeps in its own way is `other`
here, with the right total.

Cost: a call into Python per operation; a step of the small GPT takes about half as long
again.

Sources: PyTorch documentation, `torch.utils._python_dispatch.TorchDispatchMode` and
"Hooks for autograd saved tensors".
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from weakref import finalize

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True, kw_only=True)
class Bytes:
    """Live bytes by kind at one moment."""

    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """The sum over the kinds [bytes]."""
        return sum(asdict(self).values())


@dataclass(eq=False)
class _Storage:
    """A live storage: its role if it has one, and how often autograd keeps it."""

    nbytes: int
    role: str | None
    kept: int = 0


class Memory(TorchDispatchMode):
    """The live storages of one device, as `watch` sees them come and go."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer | None):
        super().__init__()
        self._model, self._optimizer = model, optimizer
        self._device = next(model.parameters()).device
        self._live: dict[int, _Storage] = {}
        self._finalizers: dict[int, finalize] = {}
        self._total = self._peak_total = 0
        self._at_peak: list[tuple[_Storage, int, bool]] = []
        self._last: Bytes | None = None
        self._assign_roles()

    @property
    def now(self) -> Bytes:
        """The live bytes at this moment; once the watch is over, those at its end."""
        if self._last is not None:
            return self._last
        self._assign_roles()
        return _by_kind(self._snapshot())

    @property
    def peak(self) -> Bytes:
        """The live bytes at the moment, up to now, of the largest total."""
        if self._last is None:
            self._assign_roles()
            self._remember_peak()
        return _by_kind(self._at_peak)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        """Run one operation; what it makes is new, what it is given is not."""
        for x in tree_leaves((args, kwargs)):
            self._meet(x, "other")
        made = operation(*args, **(kwargs or {}))
        for x in tree_leaves(made):
            self._meet(x, None)
        return made

    def _meet(self, x: object, role: str | None) -> _Storage | None:
        if not isinstance(x, Tensor) or x.device != self._device or x.is_sparse:
            return None
        storage = x.untyped_storage()
        key, nbytes = id(storage), storage.nbytes()
        if key not in self._live:
            self._live[key] = _Storage(0, role)
            self._finalizers[key] = finalize(storage, self._forget, key)
        met = self._live[key]
        if nbytes < met.nbytes:
            self._remember_peak()
        self._total += nbytes - met.nbytes  # new, or resized
        met.nbytes = nbytes
        return met

    def _name(self, x: object, role: str) -> None:
        """Say what a storage is for, from its birth on, also in the peak before."""
        met = self._meet(x, role)
        if met is not None:
            met.role = role

    def _forget(self, key: int) -> None:
        self._remember_peak()
        del self._finalizers[key]
        died = self._live.pop(key)
        self._total -= died.nbytes

    def _keep(self, x: Tensor) -> Tensor:
        kept = x.detach()  # x itself could close a cycle: its node would own it
        met = self._meet(x, "other")
        if met is not None:
            met.kept += 1
            finalize(kept, self._release, met)
        return kept

    def _release(self, met: _Storage) -> None:
        self._remember_peak()
        met.kept -= 1

    def _remember_peak(self) -> None:
        """Before anything shrinks: a total that only grows need not be looked at."""
        if self._last is not None or self._total <= self._peak_total:
            return
        live = self._snapshot()
        if self._total > self._peak_total:  # still: collected garbage may have died
            self._peak_total, self._at_peak = self._total, live

    def _snapshot(self) -> list[tuple[_Storage, int, bool]]:
        return [(s, s.nbytes, s.kept > 0) for s in list(self._live.values())]

    def _assign_roles(self, *_: object) -> None:
        states = self._optimizer.state.values() if self._optimizer else ()
        for x in tree_leaves([dict(state) for state in states]):
            self._name(x, "optimizer")
        for x in self._model.buffers():
            self._name(x, "weights")
        for parameter in self._model.parameters():
            self._name(parameter, "weights")
            self._name_gradient(parameter)

    def _name_gradient(self, parameter: Tensor) -> None:
        self._name(parameter.grad, "gradients")

    def _close(self) -> None:
        self._last, _ = self.now, self.peak
        for finalizer in self._finalizers.values():
            finalizer.detach()


@contextmanager
def watch(
    model: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> Iterator[Memory]:
    """Measure the live bytes of what runs inside; results stay the same, bit by bit.

    Read `now` whenever you like, for example after the forward pass, and `peak`.
    Make the batch before: tokens read inside and kept count as activations.
    Errors: ValueError for a model without parameters.
    """
    if not any(True for _ in model.parameters()):
        raise ValueError("a model without parameters has no device to watch")
    memory = Memory(model, optimizer)
    with ExitStack() as stack:
        stack.callback(memory._close)
        for parameter in filter(lambda p: p.requires_grad, model.parameters()):
            hook = parameter.register_post_accumulate_grad_hook(memory._name_gradient)
            stack.callback(hook.remove)
        if optimizer is not None:
            hook = optimizer.register_step_post_hook(memory._assign_roles)
            stack.callback(hook.remove)
        stack.enter_context(saved_tensors_hooks(memory._keep, lambda kept: kept))
        stack.enter_context(memory)
        yield memory


def peak_of(
    step: Callable[[], object],
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
) -> Bytes:
    """Return the peak of the second step(): the first makes the optimizer's states.

    optimizer: None where another rank updates the weights.
    """
    step()
    with watch(model, optimizer) as memory:
        step()
    return memory.peak


def saved_for_backward(model: nn.Module, run: Callable[[], object]) -> list[Tensor]:
    """Return what autograd keeps of run() beside the model's weights, in order.

    One tensor for each storage, shaped as it was kept first.
    """
    weights = [*model.parameters(), *model.buffers()]
    seen = {id(x.untyped_storage()) for x in weights}
    kept: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        if id(x.untyped_storage()) not in seen:
            seen.add(id(x.untyped_storage()))
            kept.append(x.detach())
        return x.detach()

    with saved_tensors_hooks(keep, lambda x: x):
        run()
    return kept


def allocated_peak(run: Callable[[], object]) -> int:
    """Return how far run() raises the bytes that torch's allocator holds on the GPU.

    With the scratch of kernels and sizes rounded up, unlike `watch`.
    """
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _by_kind(storages: Iterable[tuple[_Storage, int, bool]]) -> Bytes:
    sums: Counter[str] = Counter()
    for storage, nbytes, kept in storages:
        sums[storage.role or ("activations" if kept else "other")] += nbytes
    return Bytes(**sums)
