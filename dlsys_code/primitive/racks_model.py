"""What an all-reduce on racks should take: its plan simulated, and two corrections.

The plan runs in `timeline`, on the network as ping-pongs have measured it.  What the
simulation cannot know belongs to the machine that emulates the cluster: all ranks share
its cores, and a bucket that has filled up lets the first bytes pass at once::

    time = simulated + sum over the steps of (crowding - what a full bucket spares)

Sources: the model is that of `timeline`, the bucket that of `shaping`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import inf

from dlsys_code.communication.shaping import burst
from dlsys_code.communication.timeline import simulate
from dlsys_code.communication.wiring import Measured, Plan
from dlsys_code.primitive.racks import ITEM, RACERS
from dlsys_code.world import Message


def predict(name: str, plan: Plan, measured: Measured, size: int) -> float:
    """Return what one all-reduce of `size` bytes should take [s].

    The network's part is simulated; the machine's, see `corrections`, is added.
    """
    messages = RACERS[name].messages(plan, size // ITEM)
    network_s = simulate(messages, plan.graph(measured)).finish_s
    return network_s + sum(corrections(messages, plan, measured))


def corrections(
    messages: Sequence[Message], plan: Plan, measured: Measured
) -> Iterator[float]:
    """Yield for every step what crowding adds, less what a full bucket spares [s].

    All ranks share the cores of this machine, and the ping-pong saw two of them: with
    all of them sending a step takes `crowd_s` longer, and `crowd_s_per_byte` for each
    byte of a rank; with fewer, a part of it.  And the spine gathers tokens while it
    rests, so that the first bytes pass at once; a pause of the time that it takes to
    fill the bucket is the most that can be made up for.
    """
    ranks, rack = plan.racks * plan.hosts * plan.ranks, plan.hosts * plan.ranks
    full_s = burst(plan.spine_bandwidth) / plan.spine_bandwidth
    rested_s = inf
    for _, sent in groupby(sorted(messages), key=lambda message: message.step):
        way = Counter[bool]()  # bytes to the second half of the racks, and to the first
        sent = list(sent)
        for _, source, destination, n in sent:
            if source // rack != destination // rack:
                way[source < destination] += n
        crowd_s = (len(sent) - 1) / max(1, ranks - 1) * measured.crowd_s
        bytes_of_a_rank = sum(message.bytes for message in sent) / ranks
        crowd_s += bytes_of_a_rank * measured.crowd_s_per_byte
        if not way:
            rested_s += measured.rack.latency_s + crowd_s
            yield crowd_s
            continue
        pause_s = rested_s + measured.spine.latency_s + crowd_s
        moving_s = max(way.values()) / measured.spine.bandwidth
        rested_s = 0.0
        yield crowd_s - min(full_s, pause_s, moving_s)
