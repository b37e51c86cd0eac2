"""Networks of whole clusters that are neither a torus nor a plain fat-tree.

A rail-optimised network has one leaf, the rail, for the first devices of all hosts, one
for the second ones, and so on; inside a host the devices are joined by NVLink.  Rank r
is device r mod g of host r div g::

    g devices a host, m hosts a unit   g leaves a unit, m devices each

A dragonfly has groups of a routers, all joined to each other; every router has p
devices and h cables to other groups::

    groups    a h + 1 at most, one cable between any two
    devices   a p (a h + 1)
    ports     p + a - 1 + h of every router;  balanced where a = 2 p = 2 h

Sources: J. Kim, W. J. Dally, S. Scott and D. Abts, "Technology-driven, highly-scalable
dragonfly topology", ISCA 2008; NVIDIA, "DGX SuperPOD: reference architecture", 2023.
"""

from itertools import combinations, product

import networkx as nx

from dlsys_code.architecture.graph import Cable, connect, with_devices, with_tiers


def rail_optimized(
    *,
    hosts: int,
    devices_per_host: int,
    spines: int,
    cable: Cable,
    inside: Cable,
    hosts_per_unit: int | None = None,
    cables: int = 1,
    links_inside: int = 1,
) -> nx.Graph:
    """Return hosts whose i-th devices share a leaf, under spines that join all leaves.

    inside: the links of a device to the NVSwitch of its host, `links_inside` of them.
    hosts_per_unit: how many hosts share leaves, all of them where it is not given.
    cables: side by side between a leaf and a spine.
    Errors: ValueError for a number below 1, and hosts that do not fill their units.
    """
    unit = hosts if hosts_per_unit is None else hosts_per_unit
    if min(hosts, devices_per_host, spines, unit) < 1 or hosts % unit:
        raise ValueError(
            f"{hosts} hosts of {devices_per_host} devices in units of {unit} hosts "
            f"under {spines} spines do not make a network"
        )
    network = with_devices(list(product(range(hosts), range(devices_per_host))))
    for rank, (host, i) in list(network.nodes(data="place")):
        rail = host // unit * devices_per_host + i
        connect(network, rank, f"leaf {rail}", cable)
        connect(network, rank, f"nvswitch {host}", inside, cables=links_inside)
    leaves = hosts // unit * devices_per_host
    for leaf, spine in product(range(leaves), range(spines)):
        connect(network, f"leaf {leaf}", f"spine {spine}", cable, cables=cables)
    return with_tiers(network)


def dragonfly(
    *,
    routers_per_group: int,
    devices_per_router: int,
    global_cables: int,
    cable: Cable,
    local: Cable | None = None,
    groups: int | None = None,
) -> nx.Graph:
    """Return a dragonfly: a, p and h of the paper, in this order.

    global_cables: of one router, to other groups.  local: the cables between routers
    of a group.  groups: a h + 1 where it is not given; fewer share the global cables.
    Errors: ValueError for a number below 1, and for groups that cannot be joined to all
    others by the same number of cables.
    """
    a, p, h = routers_per_group, devices_per_router, global_cables
    g = a * h + 1 if groups is None else groups
    if min(a, p, h) < 1 or g < 2 or a * h % (g - 1):
        raise ValueError(
            f"{g} groups of {a} routers with {p} devices and {h} global cables each "
            f"do not make a dragonfly: the {a * h} cables of a group must be shared "
            "evenly by the other groups"
        )
    network = with_devices(list(product(range(g), range(a), range(p))))
    for rank, (group, router, _) in list(network.nodes(data="place")):
        connect(network, rank, f"router {group * a + router}", cable)
    for group, (one, other) in product(range(g), combinations(range(a), 2)):
        ends = f"router {group * a + one}", f"router {group * a + other}"
        connect(network, *ends, local or cable)
    together = a * h // (g - 1)
    for (low, high), i in product(combinations(range(g), 2), range(together)):
        # The ports of a group serve the other groups in order, itself left out.
        out, back = (high - 1) * together + i, low * together + i
        ends = f"router {low * a + out // h}", f"router {high * a + back // h}"
        connect(network, *ends, cable)
    return with_tiers(network)
