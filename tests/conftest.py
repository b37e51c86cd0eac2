"""One warm pool per number of ranks, shared by all tests."""

import pytest

from dlsys_code.world import World, starting

# A rank imports the file that its program stands in.  Ranks are forked with what the
# tests' own files import, instead of loading it anew in each of some hundred pools.
starting.PRELOAD.extend(
    ["hypothesis", "matplotlib.figure", "pytest", "torch.distributed.fsdp"]
)


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
