"""Messages laid on a network: what is sent is what crosses, cable by cable."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture import machines, topology
from dlsys_code.architecture.crossings import bytes_on_links, crossings
from dlsys_code.architecture.graph import Cable
from dlsys_code.world import Message

CABLE = Cable(bandwidth=50e9, kind="NDR")
LEAVES = topology.spine_leaf(leaves=3, spines=2, devices_per_leaf=2, cable=CABLE)
few = settings(max_examples=25, deadline=None, derandomize=True)
message = st.builds(
    lambda a, hop, n: Message(0, a, (a + hop) % 6, n),
    st.integers(0, 5),
    st.integers(1, 5),
    st.integers(0, 1000),
)


def test_one_message_by_hand():
    two = bytes_on_links(LEAVES, [Message(0, 0, 1, 100)])
    assert two == {(0, "leaf 0"): 100, ("leaf 0", 1): 100}
    far = bytes_on_links(LEAVES, [Message(0, 0, 2, 100)])
    assert far[0, "leaf 0"] == far["leaf 1", 2] == 100
    assert far["leaf 0", "spine 0"] == far["spine 1", "leaf 1"] == 50  # two ways
    assert crossings(LEAVES, [Message(0, 0, 1, 7), Message(1, 0, 2, 7)]) == 2 + 4


@few
@given(sent=st.lists(message, max_size=12))
def test_a_device_sends_and_receives_over_its_own_cable_only(sent):
    load = bytes_on_links(LEAVES, sent)
    for r in range(6):
        leaf = f"leaf {r // 2}"
        out = sum(m.bytes for m in sent if m.source == r)
        back = sum(m.bytes for m in sent if m.destination == r)
        assert load.get((r, leaf), 0) == pytest.approx(out)
        assert load.get((leaf, r), 0) == pytest.approx(back)


@few
@given(sent=st.lists(message, max_size=12))
def test_bytes_over_all_cables_are_bytes_times_hops(sent):
    hops = [2 if m.source // 2 == m.destination // 2 else 4 for m in sent]
    total = sum(m.bytes * h for m, h in zip(sent, hops, strict=True))
    assert sum(bytes_on_links(LEAVES, sent).values()) == pytest.approx(total)
    assert crossings(LEAVES, sent) == sum(hops)


def test_devices_do_not_forward():
    mesh = machines.cube_mesh(CABLE)
    assert bytes_on_links(mesh, [Message(0, 0, 3, 8)]) == {(0, 3): 8}
    with pytest.raises(ValueError, match="no way from 0 to 7"):
        bytes_on_links(mesh, [Message(0, 0, 7, 8)])
