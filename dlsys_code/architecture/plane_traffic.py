"""What a training job sends over each network plane in a step.

The model is replicated on every host, or sharded inside it; the gradients are averaged
over the hosts in every step.  With H hosts, P parameters and a checkpoint every k steps
one host sends::

    gradients     compute plane    2 (H - 1) / H P x bytes of a gradient   every step
    checkpoint    storage plane    P x bytes of a state / H                every k steps
    samples       storage plane    tokens x bytes of a token / H           every step
    heartbeats    service plane    a message                               as often

The first is what a ring and a server sharded over all hosts both send; samples are
received rather than sent.  A state is weight, master weight and two moments:
2 + 4 + 4 + 4 bytes in mixed precision; a gradient need not be stored.

Source: S. Rajbhandari, J. Rasley, O. Ruwase and Y. He, "ZeRO: memory optimizations
toward training trillion parameter models", SC20, section 3.1.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training job as the networks see it.

    Errors: ValueError for a number below 1.
    """

    parameters: int
    hosts: int
    tokens_per_step: int  # of the whole batch
    checkpoint_every: int  # so many steps
    gradient_bytes: int = 2  # of one parameter
    state_bytes: int = 14  # of one parameter in a checkpoint
    token_bytes: int = 4

    def __post_init__(self):
        if min(vars(self).values()) < 1:
            raise ValueError(f"a job has at least 1 of everything, not {self}")

    @property
    def gradients(self) -> float:
        """What a host sends to average the gradients of one step [bytes]."""
        share = 2 * (self.hosts - 1) / self.hosts
        return share * self.parameters * self.gradient_bytes

    @property
    def checkpoint(self) -> int:
        """A whole checkpoint, of all hosts together [bytes]."""
        return self.parameters * self.state_bytes

    @property
    def samples(self) -> float:
        """What a host reads for one step [bytes]."""
        return self.tokens_per_step * self.token_bytes / self.hosts


def bytes_per_step(job: Job) -> dict[str, float]:
    """Return what one host moves over each plane, spread over the steps."""
    stored = job.checkpoint / job.hosts / job.checkpoint_every
    return {"compute": job.gradients, "storage": job.samples + stored}
