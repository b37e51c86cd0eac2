"""The stack of a step: all that its levels say is drawn, in their order."""

from dataclasses import replace

import pytest

from dlsys_code.book.stack import Layer, draw_stack

ALT = "三层方框，从上到下，箭头上写着上一层交给下一层什么"
TOP = Layer(
    level="L2",
    name="the pattern",
    does="all send to one",
    counted="6 messages",
    hands_down="228 sends",
)
MIDDLE = replace(TOP, level="L1", name="the library", hands_down="bytes to go")
LOWEST = Layer(level="L0", name="the wires", does="two hosts", counted="9 cables")
STACK = [TOP, MIDDLE, LOWEST]


def test_all_is_said_from_top_to_bottom():
    drawn = draw_stack(STACK, alt=ALT)
    assert drawn.svg == draw_stack(STACK, alt=ALT).svg
    said = [text for layer in STACK for text in vars(layer).values() if text]
    found = []
    rest = drawn.svg
    for text in said:
        assert f"<!-- {text} -->" in rest
        rest = rest.partition(f"<!-- {text} -->")[2]
        found.append(text)
    assert found == said


@pytest.mark.parametrize(
    "layers", [[], [replace(TOP, hands_down=""), LOWEST], [TOP, MIDDLE]]
)
def test_every_level_but_the_lowest_hands_something_down(layers):
    with pytest.raises(ValueError, match="hands something down"):
        draw_stack(layers, alt=ALT)


def test_more_levels_than_colours_are_refused():
    many = [replace(TOP, level=f"L{i}") for i in range(6, 0, -1)]
    with pytest.raises(ValueError, match="6 levels can be told apart, not 7"):
        draw_stack([*many, LOWEST], alt=ALT)
