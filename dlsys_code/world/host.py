"""Where a rank lives, if not where the World that started it does.

A host is anything that a new process can move into before it joins the others, for
example a network namespace.  A World is told the host of each rank and knows nothing
else about them: it hands one to every rank, and the rank calls `enter`.
"""

from typing import Protocol


class Host(Protocol):
    """A place for ranks; it must survive pickling, for it travels to the rank."""

    def enter(self, rank: int) -> dict[str, str]:
        """Move the calling process, which is `rank`, into this host.

        The process has one thread then, and has joined no group.  Returns: environment
        variables that hold on this host, such as GLOO_SOCKET_IFNAME.
        """
        ...
