"""The cables of an emulated cluster, laid: pairs of virtual devices, and bridges.

A cable is a veth pair: what goes into one device comes out of the other, which is in
another namespace.  A switch is a bridge; a host has the cable's end as its port::

    host 0            rack 0                        rack 1
    eth0 ---------- host0 | switch | rack1 ------ rack0 | switch | ...

Each end is shaped, see `shaping`.  Commands go in batches, one program for all lines of
a namespace: to start a program takes longer than what it does.

Source: Linux man pages, veth(4), bridge(8), ip(8), tc(8).
"""

from collections.abc import Mapping, Sequence
from itertools import count

from dlsys_code.communication.namespaces import Namespace
from dlsys_code.communication.shaping import MTU, open_window, patient, shaped
from dlsys_code.communication.wiring import Wire

SUBNET = "10.77.0"  # of every cluster: no two of them can see each other


def address(host: int) -> str:
    """Return the address of host number `host`."""
    return f"{SUBNET}.{host + 1}"


def lay(wires: Sequence[Wire], networks: Mapping[str, Namespace]) -> None:
    """Lay the cables, switch everything on, and shape it.

    Every device has a number of its own, also across networks: of a pair with the same
    number the kernel believes that it is one device, and takes a second to switch on.
    """
    for name, network in networks.items():
        if not name.startswith("host"):
            network.run("ip", "link", "add", "switch", "type", "bridge")
    numbers = count(11)
    for wire in wires:
        near, far = networks[wire.near], networks[wire.far]
        ends = [
            f"{wire.device(node)} index {next(numbers)} mtu {MTU}"
            for node in (wire.near, wire.far)
        ]
        link = f"link add {ends[0]} type veth peer name {ends[1]} netns {far.path}\n"
        near.run("ip", "-batch", "-", text=link, beside=[far])
    for name, network in networks.items():
        own = [wire for wire in wires if name in (wire.near, wire.far)]
        lines = (host_lines if name.startswith("host") else switch_lines)(name, own)
        network.run("ip", "-batch", "-", text=lines)
        shapes = (shaped(wire.device(name), wire.bandwidth) for wire in own)
        network.run("tc", "-batch", "-", text="".join(shapes))
        if name.startswith("host"):
            network.run("sh", "-c", patient())


def host_lines(name: str, own: Sequence[Wire]) -> str:
    """Return the lines for `ip -batch` that switch on a host.  own: its only cable."""
    (wire,) = own
    port, own_address = wire.device(name), address(int(name.split()[1]))
    return (
        "link set lo up\n"
        f"link set {port} up addrgenmode none\n"
        f"addr add {own_address}/24 dev {port}\n"
        f"{open_window(f'{SUBNET}.0/24', port)}"
    )


def switch_lines(name: str, own: Sequence[Wire]) -> str:
    """Return the lines for `ip -batch` that switch on a switch.  own: its cables."""
    ports = (
        f"link set {wire.device(name)} up master switch addrgenmode none\n"
        for wire in own
    )
    return f"link set switch up addrgenmode none\n{''.join(ports)}"
