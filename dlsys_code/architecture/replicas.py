"""Keys held by two servers: no update that a worker was told of is lost.

A push is acknowledged when both servers have it::

    workers --push--> primary --the mean--> backup        every worker's push is there
    workers <--done-- primary <--done------ backup        both have made the update

The backup makes the same updates in the same order, so its weights and the state of its
optimizer are those of the primary, bit for bit.  It serves nobody while the primary
lives; when that is gone, it finishes what the primary has sent and takes its place.  A
worker that got no answer asks again there, with the number of the step, so that no
update is made twice::

    killed             survives                      lost
    primary            every acknowledged update     nothing: pushes come again
    backup             everything                    the spare: the next death counts
    the only server    the weights last pulled       the optimizer's state, the run
    worker             everything else               its samples from that step on

The second copy costs memory for the weights and the optimizer, and n bytes a step from
the primary, however many workers there are.  Keys sharded over servers need a second
server for each shard: a neighbour will do.

Source: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014, section 4.4 (replication after aggregation).
"""

from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from dlsys_code.architecture.client import DONE, PULL, Answer, Push, hear, say
from dlsys_code.architecture.keys import Values, check
from dlsys_code.architecture.parameter_server import Shard

Watch = Callable[[str, int], None]  # is told what has just happened, and in which step


class Replica:
    """A server's shard, and how many updates it has made."""

    def __init__(self, shard: Shard, watch: Watch):
        self.shard, self.watch, self.updates = shard, watch, 0
        weights = shard.values()
        self.keys = {key: range(len(weight)) for key, weight in weights.items()}
        self.dtype = next(iter(weights.values())).dtype

    def update_(self, push: Push) -> None:
        """Make the update of a step."""
        self.shard.update_(push.gradients)
        self.updates += 1
        self.watch("updated", push.step)

    def complaint(self, push: Push) -> str:
        """Return what is wrong with a push, nothing if it can be used."""
        if push.step > self.updates:
            return f"step {push.step} cannot be pushed before step {self.updates}"
        if push.step < max(self.updates - 1, 0):  # only the last can come again
            return f"step {push.step} cannot be pushed, the next is {self.updates}"
        try:
            check(push.gradients, self.keys, self.dtype)
        except ValueError as error:
            return str(error)
        return ""


def follow(replica: Replica, primary: Connection) -> None:
    """Make the updates that a primary sends, until it is gone."""
    while (push := hear(primary)) is not None:
        replica.update_(push)
        say(primary, DONE)


def lead(replica: Replica, workers: dict[int, Connection], backup: Connection) -> None:
    """Serve the workers until all are gone.

    An update is made when every worker that lives has pushed, with the mean over all
    that did.  backup: nobody has to be there.
    """
    living, pushed = dict(workers), {}
    while living:
        number = {pipe: worker for worker, pipe in living.items()}
        for pipe in wait(list(number)):
            worker, request = number[pipe], hear(pipe)
            if request is None:
                del living[worker]
            elif answer := answer_at_once(replica, request):
                say(pipe, answer)
            else:
                pushed[worker] = request
        if pushed and living.keys() <= pushed.keys():
            commit(replica, pushed, backup)
            for worker in sorted(pushed):
                say(workers[worker], DONE)
                replica.watch("acknowledged", replica.updates - 1)
            pushed = {}


def answer_at_once(replica: Replica, request: object) -> Answer | None:
    """Return the answer to a request, None to a push that waits for the others."""
    if request == PULL:
        return Answer(weights=replica.shard.values())
    if not isinstance(request, Push):
        return Answer(complaint=f"a server is asked to push or pull, not {request!r}")
    if complaint := replica.complaint(request):
        return Answer(complaint=complaint)
    # An update is known here and the push comes again: who made it first is gone.
    return DONE if request.step < replica.updates else None


def commit(replica: Replica, pushed: dict[int, Push], backup: Connection) -> None:
    """Make an update here and, if it lives, on the backup."""
    mean = Push(replica.updates, mean_of([pushed[n].gradients for n in sorted(pushed)]))
    replica.watch("pushed", mean.step)
    replica.update_(mean)
    say(backup, mean)
    hear(backup)  # that it has made the update too, or that it is gone
    replica.watch("copied", mean.step)


def mean_of(every: list[Values]) -> Values:
    """Return the mean of some gradients, added up in their order."""
    return {key: sum(own[key] for own in every) / len(every) for key in every[0]}
