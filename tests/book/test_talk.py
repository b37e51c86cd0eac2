"""Who talks to whom: pairs, bytes and the busiest rank come from the messages."""

import pytest
from lettering import words

from dlsys_code.architecture import placement, traffic
from dlsys_code.architecture.keys import range_keys
from dlsys_code.book.talk import pair_bytes, sent_bytes, talk
from dlsys_code.world import Message

ALT = "两种走法里谁与谁说话，线的粗细是字节数"
HUB = traffic.messages(placement.on_rank_0(range_keys(6, 1), 4))
MESH = traffic.messages(placement.on_all_ranks(range_keys(8, 4), 4))


def test_bytes_between_two_ranks_are_those_of_both_directions():
    assert pair_bytes(HUB) == {(0, 1): 48, (0, 2): 48, (0, 3): 48}
    assert set(pair_bytes(MESH).values()) == {4 * 8}
    assert len(pair_bytes(MESH)) == 6


def test_bytes_of_a_rank_are_those_that_it_sends():
    assert sent_bytes(HUB) == {0: 72, 1: 24, 2: 24, 3: 24}
    assert sent_bytes([Message(0, 2, 5, 7)]) == {2: 7, 5: 0}


def test_a_picture_says_what_its_busiest_rank_sends(monkeypatch):
    plans = {"hub": HUB, "mesh": MESH}
    said = words(monkeypatch, lambda: talk(plans, unit=24, alt=ALT))
    assert "busiest sends 3 n" in said and "hub" in said
    assert "busiest sends 2 n" in said and "mesh" in said


def test_a_drawing_is_the_same_each_time():
    one, again = (
        talk({"hub": HUB}, unit=24, servers={"hub": (0,)}, alt=ALT) for _ in range(2)
    )
    assert one.svg == again.svg and one.alt == ALT
    assert one.svg != talk({"hub": HUB}, unit=24, alt=ALT).svg  # rank 0 is a square


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="a unit of 0 bytes"):
        talk({"hub": HUB}, unit=0, alt=ALT)
    with pytest.raises(ValueError, match="a plan without messages"):
        talk({"hub": []}, unit=24, alt=ALT)
