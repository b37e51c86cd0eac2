"""Incast in three ways: what is conserved, what is lost, who waits, what is fair."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication.congestion import jain_index, simulate
from dlsys_code.communication.dcqcn import (
    Dcqcn,
    Rate,
    Sender,
    after_cnp,
    after_silence,
    after_turn,
    marked_share,
)
from dlsys_code.communication.pfc import (
    Incast,
    has_to_pause,
    taken,
    useful_share,
)
from dlsys_code.introduction.units import KB, Gbit, Mbit, ms, us

INCAST, LATE = Incast(), Incast(stagger_s=1 * ms)
WAYS = {
    "nothing": {},
    "PFC": {"pfc": True},
    "DCQCN": {"dcqcn": Dcqcn()},
    "both": {"pfc": True, "dcqcn": Dcqcn()},
}


@cache
def run(way, incast=INCAST, duration_s=20 * ms):
    return simulate(incast, duration_s, **WAYS[way])


def second_half(values):
    return values[len(values) // 2 :]


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    way=st.sampled_from(sorted(WAYS)),
    senders=st.integers(1, 9),
    gbit=st.sampled_from([10, 25, 40]),
    late_us=st.sampled_from([0, 40]),
)
def test_bytes_are_conserved_and_the_queue_fits_the_buffer(way, senders, gbit, late_us):
    incast = Incast(senders=senders, line=gbit * Gbit, stagger_s=late_us * us)
    what = simulate(incast, 600 * us, **WAYS[way])
    for host in range(senders + 1):
        gone = what.delivered[host] + what.dropped[host] + what.held[host]
        assert gone == pytest.approx(what.sent[host], rel=1e-9, abs=1e-3)
        assert 0 <= what.useful[host] <= what.delivered[host]
    assert max(what.queue) <= incast.buffer
    assert len(what.queue) == len(what.rates) == len(what.paused) == 600


@settings(max_examples=20, derandomize=True, deadline=None)
@given(senders=st.integers(1, 12), off_kb=st.integers(50, 600), both=st.booleans())
def test_pfc_loses_nothing_and_needs_no_more_than_its_headroom(senders, off_kb, both):
    tight = Incast(
        senders=senders,
        pause_above=off_kb * KB,
        resume_below=off_kb * KB / 2,
        buffer=off_kb * KB + 2 * (senders + 1) * 40 * Gbit * us,
    )
    what = simulate(tight, 1 * ms, **WAYS["both" if both else "PFC"])
    assert what.dropped == [0.0] * (senders + 1)
    assert max(what.queue) <= tight.buffer and max(what.at_a) <= tight.buffer


def test_one_sender_fills_the_port_and_disturbs_nobody():
    for way in WAYS:
        what = run(way, Incast(senders=1), 1 * ms)
        assert what.delivered == pytest.approx([5e6, 5e6])  # 40 Gbit/s for 1 ms
        assert max(what.queue) == 0 and not any(what.paused)
        assert what.useful == what.delivered


def test_without_control_a_full_buffer_drops_what_the_port_cannot_carry():
    what, k = run("nothing", duration_s=10 * ms), INCAST.senders
    due = k * INCAST.line * 10 * ms
    kept = INCAST.line * 10 * ms + INCAST.buffer
    assert sum(what.dropped) == pytest.approx(due - kept, rel=0.01)
    assert what.dropped[-1] == 0  # the victim's port has room
    assert min(second_half(what.queue)) > 0.99 * (INCAST.buffer - INCAST.line * us)


def test_go_back_n_by_the_closed_form():
    long, short = run("nothing", duration_s=20 * ms), run("nothing", duration_s=10 * ms)
    arrived = sum(long.delivered[:-1]) - sum(short.delivered[:-1])
    useful = sum(long.useful[:-1]) - sum(short.useful[:-1])
    window = 40 * Gbit * INCAST.round_trip_s / INCAST.packet_bytes  # 40 packets
    assert window == pytest.approx(40)
    # 8 senders, one port: 7 of 8 packets are lost.
    assert useful / arrived == pytest.approx(1 / (1 / 8 + 7 / 8 * 40), rel=1e-6)


def test_pfc_stops_a_victim_that_never_uses_the_short_port():
    free, stopped = run("nothing"), run("PFC")
    alone = INCAST.line * 20 * ms
    assert free.delivered[-1] == pytest.approx(alone)
    # All hosts wait alike, so the victim gets what one of the k senders gets.
    assert stopped.delivered[-1] == pytest.approx(alone / INCAST.senders, rel=0.05)
    assert sum(stopped.delivered[:-1]) == pytest.approx(alone, rel=0.01)
    assert sum(stopped.paused) > 0.8 * len(stopped.paused)


def test_dcqcn_keeps_the_queue_short_and_hardly_pauses():
    pfc, both = run("PFC"), run("both")
    half = len(pfc.queue) // 2
    assert sum(both.queue[half:]) < sum(pfc.queue[half:]) / 3
    assert max(both.queue[half:]) < INCAST.pause_above
    assert not any(both.paused[half:])
    assert both.delivered[-1] > 0.98 * INCAST.line * 20 * ms  # the victim runs free


def test_the_first_burst_is_over_before_dcqcn_can_act():
    both = run("both")
    assert any(both.paused[: len(both.paused) // 50])
    # The first marks are seen a round trip after the queue has formed.
    until = round(INCAST.round_trip_s / INCAST.step_s)
    assert all(rate == INCAST.line for at in both.rates[:until] for rate in at)


@pytest.mark.parametrize("incast", [INCAST, LATE], ids=["together", "one by one"])
@pytest.mark.parametrize("seed", range(3))
def test_dcqcn_ends_in_fair_shares_of_nearly_the_whole_port(incast, seed):
    what = simulate(incast, 30 * ms, seed=seed, **WAYS["both"])
    last = what.rates[-len(what.rates) // 3 :]
    shares = [sum(at[host] for at in last) for host in range(incast.senders)]
    assert jain_index(shares) >= 0.95
    assert sum(shares) / len(last) == pytest.approx(incast.line, rel=0.05)


def test_a_late_sender_takes_from_those_that_were_first():
    early = run("both", LATE).rates[900]  # only host 0 has begun
    assert early[:-1] == [LATE.line] + [0.0] * (LATE.senders - 1)


def test_the_seed_decides():
    one, again = (simulate(INCAST, 2 * ms, dcqcn=Dcqcn(), seed=1) for _ in range(2))
    other = simulate(INCAST, 2 * ms, dcqcn=Dcqcn(), seed=2)
    assert one == again
    assert one.rates != other.rates


@settings(derandomize=True, deadline=None)
@given(cuts=st.integers(0, 300), known=st.floats(0, 1))
def test_congestion_known_after_cnps_and_after_silence(cuts, known):
    g = 1 / 256
    rate = Rate(current=1.0, target=1.0, congestion=known)
    told = quiet = rate
    for _ in range(cuts):
        told, quiet = after_cnp(told, g), after_silence(quiet, g)
    assert told.congestion == pytest.approx(1 - (1 - known) * (1 - g) ** cuts)
    assert quiet.congestion == pytest.approx(known * (1 - g) ** cuts)
    assert (quiet.current, quiet.target) == (1.0, 1.0)


def test_cuts_by_hand():
    once = after_cnp(Rate(current=40.0, target=40.0), 1 / 256)
    assert once == Rate(current=20.0, target=40.0, congestion=1.0)
    calm = after_cnp(Rate(current=40.0, target=40.0, congestion=0.5), 0.5)
    assert calm == Rate(current=30.0, target=40.0, congestion=0.75)


def test_fast_recovery_halves_the_distance():
    rate = Rate(current=10.0, target=40.0)
    for turn in range(1, 5):
        rate = after_turn(rate, (turn, 0), line=100.0, control=Dcqcn())
        assert rate.target == 40.0
        assert rate.current == pytest.approx(40 - 30 / 2**turn)


@pytest.mark.parametrize(
    ("turns", "gained"),
    [
        ((4, 4), 0),
        ((5, 0), 40 * Mbit),  # additive once one clock made F turns
        ((0, 5), 40 * Mbit),
        ((9, 5), 40 * Mbit),
        ((6, 6), 400 * Mbit),  # hyper once both made more
        ((7, 9), 800 * Mbit),
    ],
)
def test_what_a_turn_adds(turns, gained):
    rate = Rate(current=1e9, target=2e9)
    after = after_turn(rate, turns, line=5e9, control=Dcqcn())
    assert after.target == 2e9 + gained
    assert after.current == (1e9 + after.target) / 2


def test_no_turn_exceeds_the_line():
    rate = Rate(current=5e9, target=5e9)
    assert after_turn(rate, (9, 9), line=5e9, control=Dcqcn()) == rate


def test_at_most_one_cnp_in_an_interval():
    flow = Sender(40 * Gbit, Dcqcn())
    cuts = []
    for step in range(200):
        before = flow.rate.current
        flow.marked(step * us, 8 * us)  # every packet is marked
        flow.passes(step * us, 0.0)
        if flow.rate.current < before:
            cuts.append(step)
    assert cuts == pytest.approx([8, 58, 108, 158], abs=1)


def after(flow, from_us, to_us, sent=0.0):
    """Let whole microseconds pass, without marks."""
    for step in range(from_us, to_us):
        flow.passes(step * us, sent)
    return flow.rate


def told_once():
    """A flow that has just been cut to half, 10 us after it began."""
    flow = Sender(40 * Gbit, Dcqcn())
    flow.marked(10 * us, 0.0)
    flow.passes(10 * us, 0.0)
    assert flow.rate == Rate(current=20 * Gbit, target=40 * Gbit, congestion=1.0)
    return flow


def test_the_timer_runs_from_the_last_cnp():
    assert after(told_once(), 11, 65).current == 20 * Gbit
    turned = after(told_once(), 11, 67)  # 10 us + 55 us have passed
    assert turned.current == 30 * Gbit
    assert turned.congestion == pytest.approx(255 / 256)


def test_a_cnp_starts_fast_recovery_anew():
    flow = told_once()
    after(flow, 11, 11 + 4 * 55)  # four turns, one before the first gain
    flow.marked(300 * us, 0.0)
    flow.passes(300 * us, 0.0)
    back_to = flow.rate.target
    assert after(flow, 301, 300 + 4 * 55 + 5).target == back_to < 40 * Gbit
    gained = after(flow, 525, 300 + 5 * 55 + 5).target - back_to
    assert gained == pytest.approx(40 * Mbit)


def test_the_byte_counter_makes_turns_too():
    flow = told_once()
    turned = after(flow, 11, 31, sent=500 * KB)  # 10 MB within 20 us
    assert turned.current == 30 * Gbit
    assert turned.congestion == 1.0  # only the timer says that there was silence


def test_marks_grow_with_the_queue():
    control = Dcqcn(mark_from=5 * KB, mark_all_from=205 * KB, most_marked=0.01)
    shares = [marked_share(q * KB, control) for q in (0, 5, 105, 205, 206)]
    assert shares == pytest.approx([0, 0, 0.005, 0.01, 1])


def test_pauses_have_a_memory():
    held = [400 * KB, 470 * KB, 501 * KB, 470 * KB, 449 * KB]
    paused, seen = False, []
    for now in held:
        paused = has_to_pause(paused, now, INCAST)
        seen.append(paused)
    assert seen == [False, False, True, True, False]


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9), st.floats(0, 1e6))
def test_flows_leave_in_proportion(waiting, most):
    left = taken(waiting, most)
    assert sum(left) == pytest.approx(min(sum(waiting), most), abs=1e-6)
    assert all(0 <= a <= b * (1 + 1e-12) for a, b in zip(left, waiting, strict=True))


def test_without_loss_everything_is_useful():
    assert useful_share(0.0, 40) == 1
    assert useful_share(0.5, 1) == 1  # a window of one packet repeats only the lost one


def test_fairness_between_its_bounds():
    assert jain_index([3, 3, 3]) == pytest.approx(1)
    assert jain_index([1, 0, 0, 0]) == pytest.approx(1 / 4)
    with pytest.raises(ValueError, match="2 shares of nothing"):
        jain_index([0, 0])


def test_the_headroom_by_hand():
    # 9 hosts of 5 GB/s bring 90 KB in 2 us.
    assert Incast(buffer=590 * KB).headroom == pytest.approx(90 * KB)
    with pytest.raises(ValueError, match="589000 bytes .* 500000 and the 90000 bytes"):
        Incast(buffer=589 * KB)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"senders": 0}, "not 0 senders"),
        ({"line": -1.0}, "-1 bytes/s"),
        ({"step_s": 0.0}, "not 0 s"),
        ({"stagger_s": -1.0}, "at least 0 s, not -1"),
        ({"pause_above": 1.0, "resume_below": 2.0}, "above 1 bytes .* below 2"),
        ({"buffer": 500 * KB}, "500000 bytes of buffer do not hold"),
    ],
)
def test_an_impossible_incast_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Incast(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mark_from": 300 * KB}, "300000 bytes and is complete at 200000"),
        ({"most_marked": 1.5}, "not 1.5"),
        ({"gain": 0.0}, "and 0"),
        ({"timer_s": 0.0}, "above 0, not 0 s"),
        ({"byte_counter": -1.0}, "-1 bytes"),
    ],
)
def test_impossible_parameters_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Dcqcn(**wrong)


@pytest.mark.parametrize("duration_s", [0.0, -1.0])
def test_a_run_without_a_step_is_refused(duration_s):
    with pytest.raises(ValueError, match="hold no step of 1e-06 s"):
        simulate(INCAST, duration_s)
