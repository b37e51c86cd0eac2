"""The graph inside one machine: PCIe trees, NVLink meshes and NVSwitches.

Before NVLink every device hung on a PCIe tree, whose branches meet in the CPUs; two
devices of different sockets also cross the link between the sockets::

    device - PCIe switch - CPU - CPU - PCIe switch - device

A V100 has 6 NVLinks and 7 neighbours in its machine, so it cannot have all of them:
the DGX-1 gives every device two neighbours over one link and two over two links.  From
the DGX-2 on, NVLinks end in switches, and every device reaches every other with all of
its links::

                  devices   NVLinks of one   switches   links to each switch
    DGX-1 V100    8         6                none
    DGX A100      8         12               6          2
    DGX H100      8         18               4          4 or 5
    GB200 NVL72   72        18               18         1

A super node of more devices takes two levels of switches.  CloudMatrix384 has 48 hosts
of 8 devices; a device has 14 links, two to each of 7 switches of its host.  The i-th of
those is joined to all 16 upper switches of plane i by one link: 16 down, 16 up.

Sources: NVIDIA, "DGX-1 with Tesla V100 system architecture", WP-08437-002, 2017; "DGX
A100 system architecture", 2020; "H100 tensor core GPU architecture", 2022; "GB200
NVL72", 2024; P. Zuo et al., "Serving large language models on Huawei CloudMatrix384",
2025, section 3.
"""

from itertools import combinations, product

import networkx as nx

from dlsys_code.architecture.graph import Cable, connect, with_devices, with_tiers

CUBE_MESH = {  # cables between two devices of a DGX-1, as `nvidia-smi topo -m` has it
    1: ((0, 1), (0, 2), (1, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7)),
    2: ((0, 3), (0, 4), (1, 2), (1, 5), (2, 3), (4, 7), (5, 6), (6, 7)),
}


def pcie_tree(
    *,
    sockets: int,
    switches_per_socket: int,
    devices_per_switch: int,
    pcie: Cable,
    between_sockets: Cable,
    nics_per_switch: int = 0,
) -> nx.Graph:
    """Return the PCIe tree of a machine; all sockets are joined to each other.

    A cable of the kind `pcie` is one slot or port of 16 lanes, say.
    Errors: ValueError for a number below 1 (of NICs: below 0).
    """
    if min(sockets, switches_per_socket, devices_per_switch, nics_per_switch + 1) < 1:
        raise ValueError(
            f"{sockets} sockets with {switches_per_socket} switches of "
            f"{devices_per_switch} devices and {nics_per_switch} NICs make no machine"
        )
    switches = range(sockets * switches_per_socket)
    network = with_devices(list(product(switches, range(devices_per_switch))))
    for rank, (switch, _) in list(network.nodes(data="place")):
        connect(network, rank, f"pcie {switch}", pcie)
    for switch, i in product(switches, range(nics_per_switch)):
        connect(network, f"nic {switch * nics_per_switch + i}", f"pcie {switch}", pcie)
    for switch in switches:
        connect(network, f"pcie {switch}", f"cpu {switch // switches_per_socket}", pcie)
    for one, other in combinations(range(sockets), 2):
        connect(network, f"cpu {one}", f"cpu {other}", between_sockets)
    return with_tiers(network)


def cube_mesh(nvlink: Cable) -> nx.Graph:
    """Return the NVLinks of a DGX-1 with V100: 8 devices, 24 cables, 6 at each device.

    They make a cube with the diagonals of two faces.
    """
    network = with_devices([(rank,) for rank in range(8)])
    for cables, pairs in CUBE_MESH.items():
        for a, b in pairs:
            connect(network, a, b, nvlink, cables=cables)
    return network


def nvswitch_node(
    *, devices: int, switches: int, links_per_device: int, nvlink: Cable
) -> nx.Graph:
    """Return devices that share their NVLinks out to all NVSwitches.

    Errors: ValueError for no devices or switches, or fewer links than switches.
    """
    if min(devices, switches) < 1 or links_per_device < switches:
        raise ValueError(
            f"{devices} devices cannot join {switches} switches by "
            f"{links_per_device} links each"
        )
    network = with_devices([(rank,) for rank in range(devices)])
    even, more = divmod(links_per_device, switches)
    for rank, switch in product(range(devices), range(switches)):
        links = even + (switch < more)
        connect(network, rank, f"nvswitch {switch}", nvlink, cables=links)
    return with_tiers(network)


def dgx_a100(nvlink: Cable) -> nx.Graph:
    """Return the NVLinks of a DGX A100."""
    return nvswitch_node(devices=8, switches=6, links_per_device=12, nvlink=nvlink)


def dgx_h100(nvlink: Cable) -> nx.Graph:
    """Return the NVLinks of a DGX H100."""
    return nvswitch_node(devices=8, switches=4, links_per_device=18, nvlink=nvlink)


def nvl72(nvlink: Cable) -> nx.Graph:
    """Return the NVLinks of a GB200 NVL72: 9 trays with 2 switches of 72 ports each."""
    return nvswitch_node(devices=72, switches=18, links_per_device=18, nvlink=nvlink)


def cloudmatrix384(ub: Cable) -> nx.Graph:
    """Return the UB network between the 384 devices of a CloudMatrix384.

    The 192 CPUs, which hang on the same switches, are left out.
    """
    hosts, planes, upper = 48, 7, 16
    network = with_devices(list(product(range(hosts), range(8))))
    for rank, (host, _) in list(network.nodes(data="place")):
        for plane in range(planes):
            connect(network, rank, f"leaf {host * planes + plane}", ub, cables=2)
    for host, plane, i in product(range(hosts), range(planes), range(upper)):
        ends = f"leaf {host * planes + plane}", f"spine {plane * upper + i}"
        connect(network, *ends, ub)
    return with_tiers(network)
