"""One warm pool per number of ranks, shared by all tests."""

import pytest

from dlsys_code.world import World


@pytest.fixture(scope="session")
def world():
    """world(p) is a warm pool of p ranks on the CPU."""
    pools = {}

    def pool(p: int) -> World:
        if p not in pools:
            pools[p] = World(p, device="cpu")
        return pools[p]

    yield pool
    for started in pools.values():
        started.close()
