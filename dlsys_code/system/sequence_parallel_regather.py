"""Keep a share of the gathered tokens, and gather them again when they are needed.

Sequence parallelism leaves one thing whole: what a branch's first matrices read, all T
tokens, which their gradients need again.  A rank has T / p of them anyway.  So autograd
keeps these alone, and before the matrices' gradients comes one more all-gather::

    kept        b T h / p elements in place of b T h, twice in a block
    sent        one more all-gather of b T h elements, twice in a block

A branch has several first matrices (query, key, value; gate, up).  They read the same
tokens, which are gathered for the first and let go after the last.  If backward does
not reach the last they stay as long as its graph; one who has read them gets new ones.

Source: V. Korthikanti et al., "Reducing activation recomputation in large transformer
models", MLSys 2023, section 4.2.2.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from weakref import finalize

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.distributed import ProcessGroup

from dlsys_code.primitive.adjoint import Collective
from dlsys_code.system.sequence_parallel import gather_tokens


@dataclass(eq=False)
class Again:
    """All tokens, made anew for the first of their readers, kept up to the last."""

    gather: Callable[[], Tensor]
    readers: int = 0
    waiting: set[int] = field(default_factory=set)
    tokens: Tensor | None = None

    def read(self, reader: int) -> Tensor:
        """Return all tokens to one reader, once in a backward pass."""
        if reader not in self.waiting:
            self.tokens, self.waiting = self.gather(), set(range(self.readers))
        self.waiting.remove(reader)
        tokens = self.tokens
        if not self.waiting:
            self.tokens = None
        return tokens


class Regather:
    """An all-gather of tokens that knows how to make its results again.

    Pass it to `sequence_parallel.sharded`, and run forward inside `with it.keeping():`.
    All ranks run backward through the same graph, so they gather in the same order.
    """

    def __init__(self, all_gather: Collective = gather_tokens):
        self._all_gather = all_gather
        self._made: dict[int, Again] = {}  # by storage, while it lives

    def __call__(self, x: Tensor, group: ProcessGroup) -> Tensor:
        """Return the tokens of all ranks, (b, T, h).  x: (b, T / p, h)."""
        tokens = self._all_gather(x, group)
        storage = tokens.untyped_storage()
        self._made[id(storage)] = Again(partial(self._all_gather, x.detach(), group))
        finalize(storage, self._made.pop, id(storage))
        return tokens

    def keeping(self) -> AbstractContextManager:
        """Let autograd keep, of what was gathered, this rank's share."""
        return saved_tensors_hooks(self._pack, self._unpack)

    def _pack(self, x: Tensor) -> Callable[[], Tensor]:
        again = self._made.get(id(x.untyped_storage()))
        if again is None:
            return x.detach
        reader, again.readers = again.readers, again.readers + 1
        layout = x.shape, x.stride(), x.storage_offset()
        return lambda: again.read(reader).as_strided(*layout)

    def _unpack(self, kept: Callable[[], Tensor]) -> Tensor:
        return kept()
