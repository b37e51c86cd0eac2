"""Small GPTs of all shapes, for hypothesis."""

from hypothesis import strategies as st

from dlsys_code.introduction.gpt import GPTConfig


@st.composite
def configs(draw) -> GPTConfig:
    groups = draw(st.integers(1, 3))
    heads = groups * draw(st.integers(1, 3))
    return GPTConfig(
        vocabulary=draw(st.integers(2, 40)),
        width=heads * 2 * draw(st.integers(1, 4)),
        layers=draw(st.integers(1, 3)),
        heads=heads,
        key_value_heads=groups,
        hidden=draw(st.integers(1, 30)),
        tied=draw(st.booleans()),
    )
