"""What the tests of the warm pool share: repeats, and a World that may be broken."""

import pytest

from dlsys_code.world import World


@pytest.fixture(
    params=[0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 21))],
    ids="turn{}".format,
)
def turn(request):
    """Runs a test once in `make test` and 20 times more in `make test-slow`."""
    return request.param


@pytest.fixture(scope="module")
def doomed():
    """Four ranks for programs that fail; the next call starts new ones."""
    with World(4, device="cpu", timeout_s=30) as world:
        yield world
