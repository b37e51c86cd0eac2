"""What context parallelism moves and keeps, exact, for one layer's attention.

Bytes that each of p ranks sends in a forward and a backward pass, with n = b (T/p) d e
bytes of one head on one rank, a query heads and g key-value heads::

    ring       2 g n (3 p - 2), p > 1         k and v twice, their gradients once
    gathered   4 g n (p - 1)                  k and v once, their gradients once
    Ulysses    4 (a + G) n (p - 1)/p          q, out, k, v, and the gradients of each;
                                              G = lcm(g, p) after repeating

n itself falls with p, so that the ring's bytes hardly change with p and those of
Ulysses fall.  For the backward pass a rank keeps of each of its T/p tokens, in elements
of one layer::

    ring       2 h + 2 g d + a       as one process does with the fused kernel
    gathered   3 h + 2 p g d + a     all keys and values, and the result in two parts;
                                     also a mask of (2 p + 1) (T / 2 p)^2
    Ulysses    3 h + 2 G d + a       the result before and after the second swap; also
                                     2 T places

Sources: H. Liu, M. Zaharia and P. Abbeel, "Ring attention with blockwise transformers
for near-infinite context", ICLR 2024; S. A. Jacobs et al., "DeepSpeed Ulysses: system
optimizations for enabling training of extreme long sequence transformer models",
arXiv:2309.14509 (2023).
"""

from dataclasses import dataclass
from math import lcm

from dlsys_code.introduction.activations import Kept, fused
from dlsys_code.introduction.gpt import GPTConfig


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """The sizes of one layer's attention.  item: bytes of an element."""

    batch: int
    tokens: int
    heads: int
    key_value_heads: int
    head_width: int
    item: int = 4

    def head_bytes(self, p: int) -> int:
        """Return the bytes of one head on one of p ranks.

        Errors: ValueError when the ranks cannot share the tokens evenly.
        """
        if self.tokens % p:
            raise ValueError(f"{p} ranks cannot share {self.tokens} tokens evenly")
        return self.batch * self.tokens // p * self.head_width * self.item


def ring_bytes(sizes: Sequence, p: int) -> int:
    """Return what each of p ranks sends in `ring_attention`, both passes."""
    moves = 3 * p - 2 if p > 1 else 0
    return 2 * sizes.key_value_heads * sizes.head_bytes(p) * moves


def gathered_bytes(sizes: Sequence, p: int) -> int:
    """Return what each of p ranks sends in `gathered_attention`, both passes."""
    return 4 * sizes.key_value_heads * sizes.head_bytes(p) * (p - 1)


def ulysses_bytes(sizes: Sequence, p: int) -> int:
    """Return what each of p ranks sends in `ulysses_attention`, both passes.

    Errors: ValueError when p ranks cannot share the heads.
    """
    if sizes.heads % p:
        raise ValueError(f"{sizes.heads} heads cannot be shared by {p} ranks")
    heads = sizes.heads + lcm(sizes.key_value_heads, p)
    return 4 * heads * sizes.head_bytes(p) // p * (p - 1)


def ring_kept(p: int) -> Kept:
    """Return the elements that `ring_attention` keeps of one token: as one process."""
    return fused


def gathered_kept(p: int) -> Kept:
    """Return the elements that `gathered_attention` keeps of one token, but for masks.

    They are of `activations.activation_bytes`, for T/p tokens.
    """

    def kept(config: GPTConfig, sequence: int) -> int:
        more = 2 * (p - 1) * config.key_value_heads * config.head_width
        return fused(config, sequence) + config.width + more

    return kept


def ulysses_kept(p: int) -> Kept:
    """Return the elements that `ulysses_attention` keeps of one token, but for places.

    They are of `activations.activation_bytes`, for T/p tokens.
    """

    def kept(config: GPTConfig, sequence: int) -> int:
        g = config.key_value_heads
        repeated = 2 * (lcm(g, p) - g) * config.head_width
        return fused(config, sequence) + config.width + repeated

    return kept
