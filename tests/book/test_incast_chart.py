"""The figure of an incast: nothing that matters is lost on the way to it."""

import pytest

from dlsys_code.book import incast_chart
from dlsys_code.communication.congestion import simulate
from dlsys_code.communication.pfc import Incast
from dlsys_code.introduction.units import ms

ALT = "队列随时间变化的两条线，以及每个发送方的速率"
SETUP = Incast(senders=3)
RUNS = {
    "drop": simulate(SETUP, 1 * ms),
    "pause": simulate(SETUP, 1 * ms, pfc=True),
}


def test_peaks_survive():
    assert incast_chart.in_each(3, [1, 5, 2, 0, 0, 7, 4]) == [5, 7, 4]
    queue = RUNS["drop"].queue
    assert max(incast_chart.in_each(7, queue)) == max(queue)


def test_a_drawing_says_what_is_seen_and_is_the_same_each_time():
    one, again = (
        incast_chart.incast(RUNS, SETUP, rates_of="pause", alt=ALT) for _ in range(2)
    )
    assert one.alt == ALT
    assert one.svg == again.svg


def test_more_runs_than_colours_are_refused():
    many = {str(i): RUNS["drop"] for i in range(7)}
    with pytest.raises(ValueError, match="6 runs can be told apart, not 7"):
        incast_chart.incast(many, SETUP, rates_of="0", alt=ALT)
