"""The block of GPT-2 and GPT-3 in closed form: parameters, FLOPs and activations.

It differs from the block of `gpt`: 4 h wide feed-forward layers of two matrices, as
many key-value heads as heads, biases, LayerNorm, dropout, and learned positions::

    parameters              12 L h^2 (1 + 13 / (12 h) + (V + T) / (12 L h))
    FLOPs of a step         96 b T L h^2 (1 + T / (6 h) + V / (16 L h))
    bytes of a block        b T h (10 + 24 / t + 5 a T / (h t))

The head is tied, and the last norm's 2 h parameters are left out.  The FLOPs hold with
every block recomputed; without, 96 becomes 72 and 16 becomes 12.  The bytes hold for 16
bits, 1 byte a dropout mask, and the work within a block shared by t ranks; what all t
repeat, 10, is shared too under sequence parallelism; the last term goes where scores
are recomputed.  Where the papers write s, B and l, here stand T, b and L.

Sources: D. Narayanan et al., "Efficient large-scale language model training on GPU
clusters using Megatron-LM", SC21, equations 2 and 3; V. Korthikanti et al., "Reducing
activation recomputation in large transformer models", MLSys 2023, Table 2.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Classic:
    """The sizes of a classic GPT, with one learned position for each of its T tokens.

    Errors: ValueError when a size is not positive.
    """

    layers: int
    width: int
    heads: int
    vocabulary: int = 51_200
    sequence: int = 2_048

    def __post_init__(self):
        for name, size in vars(self).items():
            if size <= 0:
                raise ValueError(f"{name} must be positive, not {size}")


GPT3 = Classic(layers=96, width=12_288, heads=96)


def parameters(model: Classic) -> int:
    """Return the parameters of the blocks, the embedding and the positions."""
    h = model.width
    return (
        model.layers * (12 * h * h + 13 * h) + (model.vocabulary + model.sequence) * h
    )


def step_flops(model: Classic, *, recompute: bool = False) -> int:
    """Return the FLOPs of one token in one training step.

    recompute: every block runs forward a second time.
    """
    h = model.width
    blocks = model.layers * (24 * h * h + 4 * h * model.sequence)
    head = 2 * h * model.vocabulary
    return 3 * (blocks + head) + (blocks if recompute else 0)


def block_bytes(
    model: Classic,
    batch: int,
    *,
    tp: int = 1,
    sequence_parallel: bool = False,
    keep_scores: bool = True,
) -> float:
    """Return the bytes that each of tp ranks keeps of one block in 16 bits.

    batch: samples.  keep_scores: False where they, their softmax and their dropout are
    recomputed ("selective").
    Errors: ValueError when there is no rank.
    """
    if tp < 1:
        raise ValueError(f"a block is shared by at least 1 rank, not {tp}")
    outside = 10 / (tp if sequence_parallel else 1)
    inside = 24 / tp
    scores = 5 * model.heads * model.sequence / (model.width * tp)
    whole = outside + inside + (scores if keep_scores else 0)
    return batch * model.sequence * model.width * whole


def input_bytes(model: Classic, batch: int) -> int:
    """Return the 2 b T h bytes of a block's input, all that is kept if recomputed."""
    return 2 * batch * model.sequence * model.width
