"""Bytes of a job on every plane: against a count of messages, and by hand."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture.plane_traffic import Job, bytes_per_step
from dlsys_code.architecture.traffic import busiest_on_all_ranks
from dlsys_code.introduction.model_states import MIXED

few = settings(max_examples=25, deadline=None, derandomize=True)


def job(**changed):
    given = {
        "parameters": 1000,
        "hosts": 4,
        "tokens_per_step": 80,
        "checkpoint_every": 10,
    }
    return Job(**given | changed)


@few
@given(hosts=st.integers(1, 8), each=st.integers(1, 50))
def test_gradients_are_what_a_server_on_all_hosts_sends(hosts, each):
    small = job(parameters=each * hosts, hosts=hosts)
    sent = busiest_on_all_ranks(hosts, each * hosts, 2)
    assert small.gradients == pytest.approx(sent if hosts > 1 else 0)


def test_a_job_by_hand():
    small = job()
    assert small.gradients == 2 * Fraction(3, 4) * 2000
    assert small.checkpoint == 14_000
    assert small.samples == 80
    assert bytes_per_step(small) == {"compute": 3000, "storage": 80 + 350}


def test_a_checkpoint_holds_weights_and_optimizer_but_no_gradients():
    assert Job.state_bytes == MIXED.weights + MIXED.optimizer
    assert Job.gradient_bytes == MIXED.gradients


@pytest.mark.parametrize("name", ["parameters", "hosts", "checkpoint_every"])
def test_nothing_is_no_job(name):
    with pytest.raises(ValueError, match="at least 1"):
        job(**{name: 0})
