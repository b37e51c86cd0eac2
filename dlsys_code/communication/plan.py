"""Plans: what an algorithm will send, as a list of messages.

A plan runs nothing, so it can be made for thousands of ranks: counted with
`cost.of_messages`, drawn, or simulated.  In a plan all ranks go from step to step
together; in a run a rank with nothing to do in a step goes ahead.
"""

from collections.abc import Sequence

from dlsys_code.world.trace import Message


def in_turn(*plans: Sequence[Message]) -> list[Message]:
    """Return one plan that starts each of `plans` when the one before has ended."""
    joined: list[Message] = []
    start = 0
    for plan in plans:
        joined += [message._replace(step=start + message.step) for message in plan]
        start = 1 + max((message.step for message in joined), default=start - 1)
    return joined


def on_ranks(ranks: Sequence[int], plan: Sequence[Message]) -> list[Message]:
    """Return the plan of a group for all: rank r of the group is ranks[r]."""
    return [
        Message(step, ranks[source], ranks[destination], n)
        for step, source, destination, n in plan
    ]
