"""Regular networks: ring, torus and fat-tree, of any size.

Direct networks have links between devices only, in the others every device hangs on a
switch.  With N devices, k ports on a switch and a torus of D dimensions::

                      devices   switches    cables
    ring              N         0           N
    torus             N         0           D N
    2-level fat-tree  k^2 / 2   3 k / 2     k^2         half of k^2 above the leaves
    3-level fat-tree  k^3 / 4   5 k^2 / 4   3 k^3 / 4   a third on every level

Sources: M. Al-Fares, A. Loukissas and A. Vahdat, "A scalable, commodity data center
network architecture", SIGCOMM 2008; W. J. Dally and B. Towles, "Principles and
practices of interconnection networks", Morgan Kaufmann 2004.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import networkx as nx

from dlsys_code.architecture.graph import Cable, connect, with_devices, with_tiers


def ring(devices: int, cable: Cable) -> nx.Graph:
    """Return a ring; two devices are joined by two cables.

    Errors: ValueError for fewer than 2 devices.
    """
    return torus((devices,), cable)


def torus(shape: Sequence[int], cable: Cable) -> nx.Graph:
    """Return a torus: every device has two cables in every dimension.

    shape: the devices along each dimension.  Ranks count the last one fastest.
    Errors: ValueError for a dimension of fewer than 2 devices.
    """
    if not shape or min(shape) < 2:
        raise ValueError(f"a torus has at least 2 devices a dimension, not {shape}")
    places = list(product(*map(range, shape)))
    rank = {place: r for r, place in enumerate(places)}
    network = with_devices(places)
    for place in places:
        for axis, length in enumerate(shape):
            further = (*place[:axis], (place[axis] + 1) % length, *place[axis + 1 :])
            connect(network, rank[place], rank[further], cable)
    return network


def spine_leaf(
    *,
    leaves: int,
    spines: int,
    devices_per_leaf: int,
    cable: Cable,
    uplink: Cable | None = None,
    cables: int = 1,
) -> nx.Graph:
    """Return two levels of switches: every leaf is joined to every spine.

    uplink: the cables between switches, like `cable` where it is not given; cables: so
    many side by side.  A leaf is oversubscribed by devices_per_leaf / (spines cables).
    Errors: ValueError for a number below 1.
    """
    if min(leaves, spines, devices_per_leaf, cables) < 1:
        raise ValueError(
            f"{leaves} leaves, {spines} spines, {devices_per_leaf} devices a leaf "
            f"and {cables} cables do not make a network"
        )
    network = with_devices(list(product(range(leaves), range(devices_per_leaf))))
    for rank, (leaf, _) in list(network.nodes(data="place")):
        connect(network, rank, f"leaf {leaf}", cable)
    for leaf, spine in product(range(leaves), range(spines)):
        connect(
            network, f"leaf {leaf}", f"spine {spine}", uplink or cable, cables=cables
        )
    return with_tiers(network)


def fat_tree(
    radix: int,
    cable: Cable,
    *,
    levels: int = 3,
    oversubscription: int | Fraction = 1,
    uplink: Cable | None = None,
) -> nx.Graph:
    """Return the largest fat-tree of switches with `radix` ports.

    oversubscription: ports of a leaf to its devices over ports to the spines; the
    levels above are not oversubscribed.  uplink: the cables between switches.  A leaf
    is an edge switch of the paper, a spine an aggregation switch where there are cores.
    Errors: ValueError for other than 2 or 3 levels, an odd radix, and ports that cannot
    be shared in this proportion.
    """
    down = radix * Fraction(oversubscription) / (Fraction(oversubscription) + 1)
    if radix < 2 or radix % 2 or down.denominator != 1 or not 0 < down < radix:
        raise ValueError(
            f"the {radix} ports of a switch cannot be shared {oversubscription} to 1: "
            "a fat-tree needs an even number, and whole ports on both sides"
        )
    if levels not in (2, 3):
        raise ValueError(f"a fat-tree has 2 or 3 levels here, not {levels}")
    down = int(down)
    if levels == 2:
        return spine_leaf(
            leaves=radix,
            spines=radix - down,
            devices_per_leaf=down,
            cable=cable,
            uplink=uplink,
        )
    return _three_levels(radix, down, cable, uplink or cable)


def _three_levels(radix: int, down: int, cable: Cable, uplink: Cable) -> nx.Graph:
    """Return a fat-tree of pods; down: the ports of a leaf to its devices."""
    up, half = radix - down, radix // 2
    network = with_devices(list(product(range(radix), range(half), range(down))))
    for rank, (pod, leaf, _) in list(network.nodes(data="place")):
        connect(network, rank, f"leaf {pod * half + leaf}", cable)
    for pod, spine, port in product(range(radix), range(up), range(half)):
        above = f"spine {pod * up + spine}"
        connect(network, f"leaf {pod * half + port}", above, uplink)
        connect(network, above, f"core {spine * half + port}", uplink)
    return with_tiers(network)
