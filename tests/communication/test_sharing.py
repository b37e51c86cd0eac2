"""Max-min fairness: by hand, and against its definition on random flows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication.sharing import Routes, max_min_shares


@st.composite
def shared_links(draw) -> tuple[Routes, int, np.ndarray]:
    """Up to 8 flows on up to 6 links, some of them spread in uneven parts."""
    flows, links = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    capacity = draw(st.lists(st.floats(0.1, 100), min_size=links, max_size=links))
    entries = []
    for flow in range(flows):
        for link in draw(st.sets(st.integers(0, links - 1), min_size=1)):
            part = draw(st.sampled_from([1.0, 0.5, 0.25, 0.75, 1 / 3]))
            entries.append((flow, link, part))
    flow, link, part = np.array(entries).T
    return (
        Routes(flow.astype(int), link.astype(int), part),
        flows,
        np.array(capacity),
    )


def bottlenecks(routes: Routes, rate: np.ndarray, capacity: np.ndarray) -> set[int]:
    """The flows that cross a full link on which no flow has a higher rate."""
    flow, link, part = routes
    used = np.bincount(link, part * rate[flow], len(capacity))
    assert (used <= capacity * (1 + 1e-9)).all()
    full = used >= capacity * (1 - 1e-9)
    highest = np.zeros(len(capacity))
    np.maximum.at(highest, link, rate[flow])
    return set(flow[full[link] & (rate[flow] >= highest[link] * (1 - 1e-9))].tolist())


def test_three_flows_on_two_links_by_hand():
    routes = Routes.along([[0, 1], [0], [1]])
    assert max_min_shares(routes, 3, np.array([10, 10])).tolist() == [5, 5, 5]
    assert max_min_shares(routes, 3, np.array([4, 10])).tolist() == [2, 2, 8]


def test_bottlenecks_one_after_the_other_by_hand():
    # Link 0 stops a, b, c at 1; link 1 has 10 - 1 left for d and e; link 2 stops e at 3
    # before that, so d takes 10 - 1 - 3.
    routes = Routes.along([[0], [0, 1], [0], [1], [1, 2]])
    rates = max_min_shares(routes, 5, np.array([3, 10, 3]))
    assert rates.tolist() == [1, 1, 1, 6, 3]


def test_a_spread_flow_loads_each_way_with_its_part():
    # a goes half over link 0 and half over link 1; b only over link 0: a/2 + b = 6.
    routes = Routes(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.5, 0.5, 1]))
    assert max_min_shares(routes, 2, np.array([6, 6])).tolist() == [4, 4]
    assert max_min_shares(routes, 2, np.array([6, 1])).tolist() == [2, 5]


def test_what_takes_no_link_has_no_limit():
    assert max_min_shares(Routes.along([[], [0]]), 2, np.array([3])).tolist() == [
        np.inf,
        3,
    ]
    assert max_min_shares(Routes.along([]), 0, np.array([3])).tolist() == []


@settings(max_examples=300, deadline=None, derandomize=True)
@given(shared_links())
def test_every_flow_is_stopped_by_a_full_link_where_none_is_faster(case):
    routes, flows, capacity = case
    rate = max_min_shares(routes, flows, capacity)
    assert bottlenecks(routes, rate, capacity) == set(range(flows))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(shared_links(), st.randoms(use_true_random=False))
def test_rates_do_not_depend_on_the_order_of_the_routes(case, random):
    routes, flows, capacity = case
    order = list(range(len(routes.flow)))
    random.shuffle(order)
    shuffled = Routes(*(column[order] for column in routes))
    assert max_min_shares(shuffled, flows, capacity) == pytest.approx(
        max_min_shares(routes, flows, capacity), rel=1e-9
    )
