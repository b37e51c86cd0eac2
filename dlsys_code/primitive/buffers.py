"""Memory that the caller gives, and receives that are begun ahead.

A message over sockets is sent at once if the receive has begun; otherwise the sender
asks, waits for the answer and then sends.  So a program that knows what will arrive
begins its receives early, each into a place of its own::

    step        0         1         2         3
    place       A         B         A         B        free again two steps later
    begun       A B       A         B

Used by `in_place` and `in_place_core`.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor
from torch.distributed import ProcessGroup, Work

from dlsys_code.world.board import Note
from dlsys_code.world.control import alike
from dlsys_code.world.point_to_point import start_receive_

AHEAD = 2  # receives that have begun: the one waited for, and the next


def in_order(
    expected: Sequence[tuple[Tensor, int]], group: ProcessGroup, *, ahead: int = AHEAD
) -> Iterator[Tensor]:
    """Receive tensors one after the other, the next ones begun ahead; yield each.

    expected: for each where to write it and which rank sends it.  A place can be given
    again `ahead` later: it counts as free when the next tensor is asked for.
    """
    begun = [start_receive_(out, group, source=q) for out, q in expected[:ahead]]
    for i, (out, _) in enumerate(expected):
        begun[i].wait()
        yield out
        for later, q in expected[i + ahead : i + ahead + 1]:
            begun.append(start_receive_(later, group, source=q))


def changed(
    x: Tensor, group: ProcessGroup, *, root: int = 0, scratch: Tensor | None = None
) -> Note:
    """Say that x has one shape and dtype everywhere, and the root is one."""
    return alike(x, group, root=root)


def filled(
    out: Tensor, x: Tensor, group: ProcessGroup, *, scratch: Tensor | None = None
) -> Note:
    """Say that x has one shape and dtype everywhere."""
    return alike(x, group)


def wait_for(works: Sequence[Work]) -> None:
    """Return when all of the messages have come to their ends."""
    for work in works:
        work.wait()


def flat(x: Tensor) -> Tensor:
    """Return `x` as one line of its elements, in the same memory.

    Errors: ValueError for a tensor that is not contiguous or not on the CPU.
    """
    if not x.is_contiguous() or x.device.type != "cpu":
        raise ValueError(
            f"a tensor to send from and write to must be contiguous and on the CPU, "
            f"not {tuple(x.shape)} with strides {x.stride()} on {x.device}"
        )
    return x.view(x.numel())


def cut(values: Tensor, p: int, k: int) -> list[Tensor]:
    """Return p chunks of k elements each, in the same memory; the last have fewer."""
    return [values[i * k : (i + 1) * k] for i in range(p)]


def chunk_of(whole: Tensor, part: Tensor, p: int) -> int:
    """Return how many elements `part` has, a p-th of the whole.

    Errors: ValueError when it is another part or dtype.
    """
    if whole.numel() != p * part.numel() or whole.dtype != part.dtype:
        raise ValueError(
            f"{whole.numel()} elements of {whole.dtype} are not {p} chunks of "
            f"{part.numel()} of {part.dtype}"
        )
    return part.numel()


def room(scratch: Tensor | None, count: int, x: Tensor) -> Tensor:
    """Return `count` elements of `scratch`, or new ones where there is none.

    Errors: ValueError when the scratch is too small or of another dtype than `x`.
    """
    if scratch is None:
        return x.new_empty(count)
    if scratch.numel() < count or scratch.dtype != x.dtype:
        raise ValueError(
            f"{count} elements of {x.dtype} are needed as scratch, "
            f"not {scratch.numel()} of {scratch.dtype}"
        )
    return flat(scratch)[:count]
