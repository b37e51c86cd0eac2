"""Correct programs of every kind; each returns a number that proves it ran right."""

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel


def ring_neighbours():
    """The ranks after and before this one."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    return (rank + 1) % ranks, (rank - 1) % ranks


def messages_async():
    """Each rank's number goes round by isend and irecv."""
    after, before = ring_neighbours()
    got = torch.empty(3)
    receiving = dist.irecv(got, before)
    sending = dist.isend(torch.full((3,), float(dist.get_rank())), after)
    receiving.wait()
    sending.wait()
    return got.sum().item() / 3 - before


def messages_tagged():
    """Two messages to one rank arrive by tag, not by order."""
    after, before = ring_neighbours()
    one, two = torch.empty(1), torch.empty(1)
    sends = [dist.isend(torch.tensor([float(t)]), after, tag=t) for t in (1, 2)]
    second = dist.irecv(two, before, tag=2)
    first = dist.irecv(one, before, tag=1)
    for work in (*sends, second, first):
        work.wait()
    return (one - 1).item() + (two - 2).item()


def messages_batched():
    """batch_isend_irecv shifts round the ring."""
    after, before = ring_neighbours()
    got = torch.empty(1)
    x = torch.tensor([float(dist.get_rank())])
    for work in dist.batch_isend_irecv(
        [dist.P2POp(dist.isend, x, after), dist.P2POp(dist.irecv, got, before)]
    ):
        work.wait()
    return got.item() - before


def messages_from_any():
    """Rank 0 receives from whoever comes first."""
    if dist.get_rank() != 0:
        dist.send(torch.tensor([float(dist.get_rank())]), 0)
        return 0.0
    got, total, ranks = torch.empty(1), 0.0, dist.get_world_size()
    for _ in range(ranks - 1):
        source = dist.recv(got)
        total += got.item() - source
    return total


def send_without_wait():
    """A message that arrives though its sender never waits for that."""
    after, before = ring_neighbours()
    got = torch.empty(1)
    dist.isend(torch.tensor([float(dist.get_rank())]), after)
    dist.recv(got, before)
    return got.item() - before


def collectives():
    """One of each collective of dist.*, old names and new."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    x = torch.full((2,), float(rank))
    total = x.clone()
    dist.all_reduce(total)
    dist.broadcast(x, src=0)
    dist.reduce(x.clone(), dst=1)
    parts = [torch.empty(2) for _ in range(ranks)]
    dist.all_gather(parts, x)
    dist.all_gather_single(torch.empty(2 * ranks), x)
    dist.gather(x, parts if rank == 0 else None, dst=0)
    dist.scatter(torch.empty(2), parts if rank == 0 else None, src=0)
    dist.reduce_scatter(torch.empty(2), parts)
    dist.reduce_scatter_single(torch.empty(2), torch.ones(2 * ranks))
    dist.all_to_all([torch.empty(2) for _ in range(ranks)], parts)
    dist.all_to_all_single(torch.empty(ranks), torch.ones(ranks))
    dist.barrier()
    return total[0].item() - sum(range(ranks))


def uneven_all_to_all():
    """Rank r sends q + 1 numbers to rank q."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    send = [q + 1 for q in range(ranks)]
    receive = [rank + 1] * ranks
    got = torch.empty(sum(receive))
    dist.all_to_all_single(got, torch.ones(sum(send)), receive, send)
    return got.sum().item() - ranks * (rank + 1)


def objects():
    """Object collectives, of different sizes."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    mine, found = "x" * (rank + 1), [None] * ranks
    dist.all_gather_object(found, mine)
    shared = [mine if rank == 0 else None]
    dist.broadcast_object_list(shared, src=0)
    dist.gather_object(mine, found if rank == 0 else None, dst=0)
    return len(found[-1]) - ranks + len(shared[0]) - 1


def subgroups():
    """Pairs of ranks add up among themselves, twice as often in the first pair."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    halves = [list(range(ranks // 2)), list(range(ranks // 2, ranks))]
    groups = [dist.new_group(half) for half in halves]
    mine = 0 if rank in halves[0] else 1
    x = torch.ones(1)
    for _ in range(2 - mine):
        x = torch.ones(1)
        dist.all_reduce(x, group=groups[mine])
    return x.item() - len(halves[mine])


def handles():
    """Asynchronous collectives, waited for in another order."""
    x, y = torch.ones(1), torch.ones(2)
    first = dist.all_reduce(x, async_op=True)
    second = dist.all_reduce(y, async_op=True)
    second.wait()
    first.wait()
    return x.item() - y[0].item()


def functionals():
    """Functional collectives."""
    total = functional.all_reduce(torch.ones(2), "sum", dist.group.WORLD)
    parts = functional.all_gather_single(torch.ones(2), 0, dist.group.WORLD)
    own = functional.reduce_scatter_single(parts, "sum", 0, dist.group.WORLD)
    return total[0].item() - own[0].item()


def small_model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def loss_after_two_steps(model):
    data = torch.arange(8.0).view(2, 4)
    steps = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        loss = model(data).square().mean()
        steps.zero_grad()
        loss.backward()
        steps.step()
    return loss.item()


def more_than_serial(model):
    """How much the loss of a parallel model differs from that of one process."""
    return round(loss_after_two_steps(model) - loss_after_two_steps(small_model()), 4)


def data_parallel():
    """DDP on equal data does what one process does."""
    return more_than_serial(DistributedDataParallel(small_model()))


def fully_sharded():
    """FSDP2 on equal data does what one process does."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    model = small_model()
    for layer in model:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return more_than_serial(model)


PROGRAMS = [
    messages_async,
    messages_tagged,
    messages_batched,
    messages_from_any,
    collectives,
    uneven_all_to_all,
    objects,
    subgroups,
    handles,
    functionals,
    data_parallel,
    fully_sharded,
    send_without_wait,  # the last, since the next call then starts new ranks
]
