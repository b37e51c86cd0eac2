"""What the forward pass keeps for the backward pass: the activations, exact.

Autograd keeps what a derivative needs: of a product both factors; of a sum, a view and
a rotation by constants nothing.  In elements, for one token and one block (a heads of
width d, a d = h; g key-value heads; T tokens in a sample)::

    two norms          2 (2 h + 1)         input, output, and 1 / rms
    fused attention    2 h + 2 g d + a     q, result; k, v; a log-sum-exp of each head
    or written out     4 h + a T           q, result; k, v repeated; the weights
    feed-forward       4 f                 gate, silu(gate), up, and their product

After the blocks come the last norm, 2 h + 1, and the log-probabilities, V.  Once for
the batch: tokens and targets, 8 bytes each; cosines and sines, 2 T d; one number of the
loss; and where attention is written out, T^2 bytes of mask in each block.

A norm that torch composes of two products, as on the CPU, keeps x / rms too: h more.
A block that is recomputed keeps its input alone, h, until its backward pass.
In 16 bits, 1 / rms and log-sum-exp stay in float32; here they count as all others.

Source of the method: V. Korthikanti et al., "Reducing activation recomputation in large
transformer models", MLSys 2023, section 4, for the block of GPT-3 (module `classic`).
"""

from collections.abc import Callable

from dlsys_code.introduction.gpt import GPTConfig

INDEX_BYTES = 8  # tokens and targets are int64
Kept = Callable[[GPTConfig, int], int]


def fused(config: GPTConfig, sequence: int) -> int:
    """Return the elements that `gpt.fused_attention` keeps of one token."""
    gd = config.key_value_heads * config.head_width
    return 2 * config.width + 2 * gd + config.heads


def written_out(config: GPTConfig, sequence: int) -> int:
    """Return the elements that `gpt.explicit_attention` keeps of one token."""
    return 4 * config.width + config.heads * sequence


def norm_elements(config: GPTConfig, *, composed: bool = False) -> int:
    """Return the elements that one norm keeps of one token.

    composed: of two products, as torch does on the CPU.
    """
    return (3 if composed else 2) * config.width + 1


def block_elements(
    config: GPTConfig,
    sequence: int,
    *,
    attention: Kept = fused,
    composed: bool = False,
) -> int:
    """Return the elements that one block keeps of one token.

    attention: `fused` or `written_out`.  composed: as in `norm_elements`.
    """
    norms = 2 * norm_elements(config, composed=composed)
    return norms + attention(config, sequence) + 4 * config.hidden


def mask_bytes(config: GPTConfig, sequence: int) -> int:
    """Return the bytes of the masks of all blocks, where attention is written out."""
    return config.layers * sequence**2


def ends_bytes(
    config: GPTConfig,
    batch: int,
    sequence: int,
    *,
    element: int = 4,
    composed: bool = False,
) -> int:
    """Return the bytes kept outside the blocks: last norm, loss, tokens, rotations."""
    token = norm_elements(config, composed=composed) + config.vocabulary
    once = 2 * sequence * config.head_width + 1
    tokens = batch * sequence
    return element * (tokens * token + once) + 2 * INDEX_BYTES * tokens


def activation_bytes(
    config: GPTConfig,
    batch: int,
    sequence: int,
    *,
    element: int = 4,
    attention: Kept = fused,
    composed: bool = False,
    recompute: bool = False,
) -> int:
    """Return the bytes that wait for the backward pass when the forward pass ends.

    batch: samples of `sequence` tokens.  element: bytes of a number.  attention and
    composed: as in `block_elements`.  recompute: blocks keep their input only.
    Errors: ValueError when a size is below 1.
    """
    if min(batch, sequence, element) < 1:
        raise ValueError(
            "activations need at least 1 sample of 1 token and 1 byte, not "
            f"{batch} of {sequence} and {element}"
        )
    ends = ends_bytes(config, batch, sequence, element=element, composed=composed)
    if recompute:
        return ends + config.layers * batch * sequence * config.width * element
    token = block_elements(config, sequence, attention=attention, composed=composed)
    masks = mask_bytes(config, sequence) if attention is written_out else 0
    return ends + masks + config.layers * batch * sequence * token * element
