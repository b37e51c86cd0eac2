"""What a GPT weighs and works: its parameters and FLOPs, from its sizes alone.

A multiply-add is 2 FLOPs.  A weight is met once by every token: 2 FLOPs forward, and
backward 2 for the gradient of its input and 2 for its own.  Scores have no weights, but
every token meets T others in each of the a heads of width d, a d = h::

    part            parameters            FLOPs of one token, forward
    embedding       V h                   -             a look-up
    projections     L (2 h^2 + 2 h g d)   L (4 h^2 + 4 h g d)
    scores          -                     L 4 h T       q k^T, and weights times v
    feed-forward    L 3 h f               L 6 h f
    norms           (2 L + 1) h           -
    head            V h, or 0 if tied     2 h V

    one step = forward + 2 forward, and the blocks' forward once more if recomputed

All T keys of a score are counted, also those that the causal mask hides, as torch's
FlopCounterMode does; a kernel that skips them does about half.  What is no matrix
product (norms, rotations, softmax, silu, AdamW) counts as 0.

Sources: J. Kaplan et al., "Scaling laws for neural language models", arXiv:2001.08361
(2020), section 2.1, with the rule of 6 FLOPs per parameter and token; D. Narayanan et
al., "Efficient large-scale language model training on GPU clusters using Megatron-LM",
SC21, appendix.
"""

from dataclasses import dataclass

from dlsys_code.introduction.gpt import GPTConfig


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The parameters of a GPT by part.  A tied head has none of its own."""

    embedding: int
    projections: int
    feed_forward: int
    norms: int
    head: int

    @property
    def total(self) -> int:
        """All parameters, each once."""
        return sum(vars(self).values())


@dataclass(frozen=True, kw_only=True)
class Flops:
    """The FLOPs of one token by part, in one forward pass."""

    projections: int
    scores: int
    feed_forward: int
    head: int

    @property
    def blocks(self) -> int:
        """Those of the L blocks, without the head."""
        return self.projections + self.scores + self.feed_forward

    @property
    def total(self) -> int:
        """Those of the forward pass."""
        return self.blocks + self.head

    def step(self, *, recompute: bool = False) -> int:
        """Return the FLOPs of a token in one training step.

        recompute: every block runs forward a second time, just before its backward.
        """
        return 3 * self.total + (self.blocks if recompute else 0)


def parameters(config: GPTConfig) -> Parameters:
    """Return how many parameters each part of a GPT has."""
    h, L, V = config.width, config.layers, config.vocabulary
    gd = config.key_value_heads * config.head_width
    return Parameters(
        embedding=V * h,
        projections=L * (2 * h * h + 2 * h * gd),
        feed_forward=L * 3 * h * config.hidden,
        norms=(2 * L + 1) * h,
        head=0 if config.tied else V * h,
    )


def forward_flops(config: GPTConfig, sequence: int) -> Flops:
    """Return the FLOPs of one token of a sample of T = `sequence` tokens, forward.

    Errors: ValueError when the sequence is shorter than 1 token.
    """
    if sequence < 1:
        raise ValueError(f"a sample has at least 1 token, not {sequence}")
    weights = parameters(config)
    return Flops(
        projections=2 * weights.projections,
        scores=4 * config.layers * config.width * sequence,
        feed_forward=2 * weights.feed_forward,
        head=2 * config.width * config.vocabulary,
    )


def six_per_parameter(weights: float) -> float:
    """Return the rule of thumb for a step's FLOPs per token, 6 x parameters."""
    return 6 * weights
