"""Which cables messages cross: a list of messages laid on a network.

A message goes from device to device over the shortest way, spread over all of them
where there are several; other devices do not forward.  So one message of n bytes puts
n bytes on every link of its way::

    bytes on a link, in one direction = sum over the messages that cross it
    crossings = sum over the messages of the cables on their way

Nothing is said of time: who waits for whom on a crowded cable is another question.
`orders` does the same for rings that run all the time.

Source: W. J. Dally and B. Towles, "Principles and practices of interconnection
networks", Morgan Kaufmann 2004, chapter 3.
"""

from collections import Counter
from collections.abc import Iterable

import networkx as nx

from dlsys_code.architecture.orders import Link, shares
from dlsys_code.world import Message


def bytes_on_links(network: nx.Graph, messages: Iterable[Message]) -> dict[Link, float]:
    """Return the bytes that cross each direction of a link; rank r is device r.

    Links that nothing crosses are left out.
    Errors: ValueError when no way leads from one end to the other.
    """
    between: Counter[tuple[int, int]] = Counter()
    for message in messages:
        between[message.source, message.destination] += message.bytes
    load: Counter[Link] = Counter()
    for (a, b), n in between.items():
        for link, part in shares(network, a, b).items():
            load[link] += part * n
    return dict(load)


def crossings(network: nx.Graph, messages: Iterable[Message]) -> int:
    """Return how many cables all messages cross together, each once for each cable.

    Errors: ValueError when no way leads from one end to the other.
    """
    between = Counter((message.source, message.destination) for message in messages)
    return round(
        sum(
            times * sum(shares(network, a, b).values())
            for (a, b), times in between.items()
        )
    )
