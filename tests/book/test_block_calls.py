"""The way through a block, as the ranks went it."""

from functools import partial

from dlsys_code.book.block_calls import Passed, draw_passes, passes
from dlsys_code.introduction.gpt import GPTConfig

CONFIG = GPTConfig(
    vocabulary=24, width=48, layers=1, heads=24, key_value_heads=12, hidden=36
)


def test_calls_stand_where_the_branches_end(world):
    ways = {}
    for shared in (False, True):
        run = partial(passes, CONFIG, 12, tokens_shared=shared)
        one, other = world(2)(run)
        assert one == other
        ways[shared] = one
    assert ways[False] == [
        Passed("norm", 12, 12),
        Passed("attention", 12, 12),
        Passed("all-reduce", 12, 12),
        Passed("norm", 12, 12),
        Passed("feed-forward", 12, 12),
        Passed("all-reduce", 12, 12),
    ]
    assert ways[True] == [
        Passed("norm", 6, 6),
        Passed("all-gather", 6, 12),
        Passed("attention", 12, 12),
        Passed("reduce-scatter", 12, 6),
        Passed("norm", 6, 6),
        Passed("all-gather", 6, 12),
        Passed("feed-forward", 12, 12),
        Passed("reduce-scatter", 12, 6),
    ]
    lanes = {"tensor": ways[False], "sequence": ways[True]}
    alt = "两条路，方块的高是这个 rank 手里的词元"
    drawn = draw_passes(lanes, alt=alt)
    assert drawn.svg == draw_passes(lanes, alt=alt).svg
    assert drawn.svg.count("<!-- norm -->") == 4
    assert drawn.svg.count("<!-- 6 -->") == 4 and "scatter" in drawn.svg
