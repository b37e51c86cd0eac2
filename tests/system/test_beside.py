"""A race of two steps gives every rank the same samples, and compares them in pairs."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from torch.distributed import ProcessGroup

from dlsys_code.system import beside
from dlsys_code.system.beside import WARM_UP, Ratio, Step, race, ratio


@pytest.mark.parametrize("p", [1, 3])
def test_every_contender_runs_once_in_each_round(world, p):
    def program() -> tuple:
        ran = []

        def contender(name: str) -> Step:
            def make(group: ProcessGroup) -> Step:
                def step() -> None:
                    ran.append(name)
                    dist.all_reduce(torch.ones(1), group=group)

                return step

            return make

        times = race({name: contender(name) for name in "ab"}, rounds=4)
        return times, ran

    everyone = world(p)(program)
    times, ran = everyone[0]
    assert all(other == (times, ran) for other in everyone)
    rounds = [sorted(ran[i : i + 2]) for i in range(0, len(ran), 2)]
    assert rounds == [["a", "b"]] * (WARM_UP + 4)
    assert [len(seconds) for seconds in times.values()] == [4, 4]
    assert ran[::2].count("a") not in (0, len(rounds))  # who is first changes


def test_the_group_of_a_race_is_not_watched(world):
    def program() -> str:
        kinds = []

        def make(group: ProcessGroup) -> Step:
            kinds.append(type(group).__name__)
            return lambda: None

        race({"a": make, "b": make}, rounds=2)
        return kinds[0]

    assert "Watched" not in world(2)(program)[0]


@pytest.mark.parametrize(("rounds", "names"), [(1, "ab"), (4, "a")])
def test_less_than_two_of_anything_is_no_race(rounds, names):
    contenders = dict.fromkeys(names, lambda group: lambda: None)
    with pytest.raises(ValueError, match=f"{rounds} rounds of {len(names)}"):
        race(contenders, rounds=rounds)


def test_ratios_are_taken_within_a_round():
    times = {"ours": [1.0, 4.0, 3.0, 8.0, 5.0], "torch": [2.0, 4.0, 2.0, 4.0, 5.0]}
    found = ratio(times, "ours", "torch")
    assert found == Ratio(median=1.0, quartiles=(1.0, 1.5), rounds=5)
    assert str(found) == "1.00 [1.00, 1.50]"


def test_a_clock_is_read_when_the_accelerator_is_done(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: waited.append(1))
    assert beside.done_s(torch.device("cpu")) <= beside.done_s(torch.device("cuda"))
    assert waited == [1]


def clocks_of_a_race() -> tuple[list[str], list[str]]:
    """Whose clocks a race reads, and what its steps do between them."""
    diary = []
    clock, beside.done_s = beside.done_s, lambda device: diary.append(device) or 0.0
    step = partial(diary.append, "step")
    race(dict.fromkeys("ab", lambda group: step), rounds=2)
    beside.done_s = clock
    return diary


def test_every_step_stands_between_two_clocks_of_the_group(world):
    for diary in world(2)(clocks_of_a_race):
        cpu = torch.device("cpu")
        assert diary == [cpu, "step", cpu] * (2 * (WARM_UP + 2))


@pytest.mark.parametrize(
    ("config", "device"),
    [
        ("cpu:gloo,cuda:gloo", "cpu"),
        ("cuda:nccl", "cuda"),
        ("cpu:gloo,cuda:nccl", "cuda"),
    ],
)
def test_a_group_talks_on_the_device_of_its_backend(monkeypatch, config, device):
    """What torch says of a group with a GPU, here without one."""
    found = {"current_accelerator": lambda check_available: torch.device("cuda")}
    monkeypatch.setattr(beside.torch, "accelerator", SimpleNamespace(**found))
    monkeypatch.setattr(dist, "get_backend_config", lambda group: config)
    assert beside.device_of(None) == torch.device(device)
