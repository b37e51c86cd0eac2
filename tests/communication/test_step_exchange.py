"""Closed forms of a step's exchange against every message of it on the timeline."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture import placement, traffic
from dlsys_code.architecture.keys import range_keys
from dlsys_code.communication import step_exchange
from dlsys_code.communication.link import Link
from dlsys_code.communication.step_exchange import Hosts
from dlsys_code.communication.timeline import simulate
from dlsys_code.primitive import hierarchical, ring

HOSTS = Hosts(
    near=Link(latency_s=2e-6, bandwidth=450e9), far=Link(latency_s=4e-6, bandwidth=50e9)
)
FORMULAS = {
    "one server": step_exchange.one_server,
    "rank 0": step_exchange.server_on_rank_0,
    "all": step_exchange.sharded,
    "ring": step_exchange.ring,
    "two levels": step_exchange.two_levels,
}


def plans(p: int, count: int, size: int) -> dict[str, list]:
    """Return every message of a step, of each way to exchange."""
    nodes = [range(r, r + min(p, size)) for r in range(0, p, size)]
    return {
        "one server": traffic.messages(
            placement.apart(range_keys(count, 1), servers=1, workers=p)
        ),
        "rank 0": traffic.messages(placement.on_rank_0(range_keys(count, 1), p)),
        "all": traffic.messages(placement.on_all_ranks(range_keys(count, p), p)),
        "ring": ring.all_reduce_messages(p, count, 4),
        "two levels": hierarchical.all_reduce_messages(nodes, count, 4),
    }


def simulated_s(name: str, plan: list, p: int, hosts: Hosts) -> float:
    place = [p, *range(p)] if name == "one server" else range(p + 1)
    took = simulate(plan, hosts.network(p), place=place, rendezvous=True)
    return took.finish_s


@given(
    p=st.sampled_from([1, 2, 3, 4, 8, 12, 16, 24]),
    chunk=st.integers(1, 10**6),
    alphas=st.tuples(st.floats(1e-7, 1e-4), st.floats(1e-7, 1e-4)),
    slower=st.floats(1, 20),
)
@settings(derandomize=True, max_examples=25, deadline=None)
def test_every_formula_is_what_the_timeline_finds(p, chunk, alphas, slower):
    near_s, more_s = alphas
    hosts = Hosts(
        near=Link(latency_s=near_s, bandwidth=400e9),
        far=Link(latency_s=near_s + more_s, bandwidth=400e9 / slower),
        size=4,
    )
    for name, plan in plans(p, p * chunk, hosts.size).items():
        expected = FORMULAS[name](p, p * chunk, 4, hosts)
        assert simulated_s(name, plan, p, hosts) == pytest.approx(expected, rel=1e-9)


def test_two_hosts_by_hand():
    # 1,600 floats: 6,400 bytes, 400 for a rank of 16.  far: 4 us and 20 ps a byte.
    far_s, near_s = 4e-6 + 6400 / 50e9, 2e-6 + 6400 / 450e9
    took = {name: f(16, 1600, 4, HOSTS) for name, f in FORMULAS.items()}
    assert took["one server"] == pytest.approx(32 * far_s)
    assert took["rank 0"] == pytest.approx(16 * far_s + 14 * near_s)
    assert took["all"] == took["ring"] == pytest.approx(30 * (4e-6 + 400 / 50e9))
    assert took["two levels"] == pytest.approx(
        14 * (2e-6 + 800 / 450e9) + 2 * (4e-6 + 400 / 50e9)
    )


@pytest.mark.parametrize("name", FORMULAS)
def test_one_rank_exchanges_only_with_a_server_apart(name):
    expected = 2 * (4e-6 + 4000 / 50e9) if name == "one server" else 0
    assert FORMULAS[name](1, 1000, 4, HOSTS) == pytest.approx(expected)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("p", [0, -8, 9, 20])
def test_hosts_are_full(name, p):
    with pytest.raises(ValueError, match=rf"{p} ranks do not fill hosts of 8"):
        FORMULAS[name](p, 1000, 4, HOSTS)


def test_hosts_have_devices():
    with pytest.raises(ValueError, match="at least 1 device, not 0"):
        Hosts(near=HOSTS.near, far=HOSTS.far, size=0)
