"""What each of p ranks keeps for the backward pass, exact, in three ways.

The block of `activations`, by who has it: what is inside a branch all three ways share;
they differ in the norms.  In elements, for one token of a sample and one block::

    inside a branch     (2 h + 2 g d + a + 4 f) / p     attention and feed-forward
    two norms, tensor   2 (2 h + 1)                     input, output, and 1 / rms
             sequence   2 (h + 1) / p + 2 h             the output is gathered
           regathered   2 (2 h + 1) / p                 and its share alone is kept

Regathered, all of it falls by p.  These are the three forms 10 + 24 / t, then the same
with the gathered inputs whole, and 34 / t of the block of GPT-3 (module `classic`).  A
norm that torch composes of two products, as on the CPU, keeps x / rms too: h more for
each token that it sees.

Source: V. Korthikanti et al., "Reducing activation recomputation in large transformer
models", MLSys 2023, section 4 and Table 2.
"""

from collections.abc import Callable
from dataclasses import replace

from dlsys_code.introduction.activations import fused, norm_elements
from dlsys_code.introduction.gpt import GPTConfig

Norm = Callable[[int, int, int], int]


def tensor(p: int, norm: int, width: int) -> int:
    """Return p times what a rank keeps of one norm: all of it.

    norm: elements that a norm keeps of a token it sees, its output of `width` included.
    """
    return p * norm


def sequence(p: int, norm: int, width: int) -> int:
    """Return p times what a rank keeps of one norm: of its tokens, and the gathered."""
    return norm - width + p * width


def regathered(p: int, norm: int, width: int) -> int:
    """Return p times what a rank keeps of one norm: of its tokens."""
    return norm


def block_elements(
    config: GPTConfig,
    batch: int,
    T: int,
    *,
    p: int,
    how: Norm = tensor,
    composed: bool = False,
) -> int:
    """Return the elements that each of p ranks keeps of one block.

    batch: samples of T tokens.  how: `tensor`, `sequence` or `regathered`.  composed:
    as in `activations`.
    """
    heads = max(config.key_value_heads, p)  # copied where there are fewer than ranks
    config = replace(config, key_value_heads=heads)
    norm = norm_elements(config, composed=composed)
    token = fused(config, T) + 4 * config.hidden + 2 * how(p, norm, config.width)
    return batch * T * token // p
