"""What exposed communication is made of: starts, which cost alpha, and bytes, beta.

The ledger of a step says how long a rank communicated while it computed nothing.  The
plan of the step says how many rounds and bytes that was, and a link what each costs::

    latency    rounds x alpha               fewer, larger messages make it smaller
    transfer   serial bytes x beta          a wider link or fewer bytes make it smaller

The measured time is kept and divided in this proportion: only the division comes from
the model, and `explained` says how much of the time the model accounts for.

Source: R. W. Hockney, "The communication challenge for MPP: Intel Paragon and Meiko
CS-2", Parallel Computing 20 (1994) 389-398.
"""

from dataclasses import dataclass

from dlsys_code.communication.cost import Cost
from dlsys_code.communication.link import Link
from dlsys_code.introduction.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class SplitLedger:
    """A ledger whose exposed communication is split in two [s]."""

    compute_s: float
    latency_s: float
    transfer_s: float
    bubble_s: float
    other_s: float

    @property
    def step_s(self) -> float:
        """The time of the whole step [s]."""
        return sum(vars(self).values())


def split(step: Ledger, cost: Cost, link: Link) -> SplitLedger:
    """Return the ledger of a step with its communication divided into alpha and beta.

    cost: of all messages of one step.  link: what they went over, as measured.
    Errors: ValueError when communication is exposed but the plan has no message.
    """
    latency_s = cost.rounds * link.latency_s
    modelled_s = cost.time_s(link)
    if modelled_s == 0 and step.exposed_s > 0:
        raise ValueError(
            f"{step.exposed_s} s of communication cannot be divided: the plan has "
            f"{cost.rounds} rounds and {cost.serial_bytes} bytes"
        )
    share = latency_s / modelled_s if modelled_s else 0.0
    return SplitLedger(
        compute_s=step.compute_s,
        latency_s=share * step.exposed_s,
        transfer_s=(1 - share) * step.exposed_s,
        bubble_s=step.bubble_s,
        other_s=step.other_s,
    )


def explained(step: Ledger, cost: Cost, link: Link) -> float:
    """Return the model's time over the measured one; 1 where the model is right.

    Errors: ValueError when no communication is exposed.
    """
    if step.exposed_s <= 0:
        raise ValueError("no communication is exposed: there is nothing to explain")
    return cost.time_s(link) / step.exposed_s
