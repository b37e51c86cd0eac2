"""Real outputs of `nvidia-smi topo -m`, and outputs that cannot be."""

import networkx as nx
import pytest

from dlsys_code.architecture import machines
from dlsys_code.architecture.detection import capture, captures, detect, read_matrix
from dlsys_code.architecture.graph import Cable, check, endpoints
from dlsys_code.architecture.search import direct_links

NVLINK = Cable(bandwidth=25e9, kind="NVLink 2")
PCIE = Cable(bandwidth=12e9, kind="PCIe 3")
QPI = Cable(bandwidth=6e9, kind="QPI")


def found(text: str, nvlinks: int = 0) -> nx.Graph:
    return detect(text, nvlinks=nvlinks, nvlink=NVLINK, pcie=PCIE, between_cpus=QPI)


def wiring(network: nx.Graph) -> dict[frozenset, int]:
    return {frozenset((a, b)): n for a, b, n in network.edges(data="cables")}


@pytest.mark.parametrize("capture", captures(), ids=lambda capture: capture.name)
def test_every_capture_becomes_a_network(capture):
    network = found(capture.text, capture.nvlinks)
    check(network)
    names, _ = read_matrix(capture.text)
    assert len(endpoints(network)) == sum(name.startswith("GPU") for name in names)
    nics = [kind for _, kind in network.nodes(data="kind") if kind == "nic"]
    assert len(nics) == len(names) - len(endpoints(network))


def test_the_dgx_1_is_its_cube_mesh_and_its_pcie_tree():
    network = found(capture("DGX-1").text, 6)
    assert wiring(direct_links(network)) == wiring(machines.cube_mesh(NVLINK))
    network.remove_edges_from(direct_links(network).edges)
    tree = machines.pcie_tree(
        sockets=2,
        switches_per_socket=2,
        devices_per_switch=2,
        nics_per_switch=1,
        pcie=PCIE,
        between_sockets=QPI,
    )
    assert wiring(network) == wiring(tree)  # mlx5_2 is NIC 2, though in the 2nd column


def test_nics_whose_names_end_in_the_same_number_are_counted():
    rows = ["GPU0 X PIX SYS", "mlx5_0 PIX X SYS", "rocep_0 SYS SYS X"]
    network = found("\n".join(["GPU0 mlx5_0 rocep_0 CPU Affinity", *rows]))
    assert nx.shortest_path_length(network, 0, "nic 0") == 2
    assert nx.shortest_path_length(network, 0, "nic 1") > 2


def test_gpus_of_one_board_share_a_switch():
    network = found(capture("2 x K80").text)
    assert nx.shortest_path(network, 0, 3) == [0, "pcie 0", "cpu 0", "pcie 1", 3]
    assert nx.shortest_path(network, "nic 0", 3) == ["nic 0", "cpu 0", "pcie 1", 3]


def test_close_pairs_join_before_distant_ones():
    network = found(capture("2 sockets, 4 GPUs").text)
    assert nx.shortest_path_length(network, 0, 1) == 2
    assert nx.shortest_path_length(network, 0, 3) == 5


def test_pairs_behind_one_switch_share_a_switch_above():
    far = [["PXB"] * 4 for _ in range(4)]
    for a, b in ((0, 1), (2, 3)):
        far[a][b] = far[b][a] = "PIX"
    for a in range(4):
        far[a][a] = "X"
    rows = [f"GPU{a} {' '.join(far[a])}" for a in range(4)]
    network = found("\n".join(["GPU0 GPU1 GPU2 GPU3 CPU Affinity", *rows]))
    assert nx.shortest_path_length(network, 0, 1) == 2
    assert nx.shortest_path_length(network, 0, 2) == 4
    assert "cpu 0" not in nx.shortest_path(network, 0, 2)


def test_bridged_pairs_share_twelve_links_and_nothing_else():
    direct = direct_links(found(capture("8 x A100, bridged in pairs").text, 12))
    assert wiring(direct) == {frozenset((r, r + 1)): 12 for r in (0, 2, 4, 6)}


def matrix_of(entry: str, gpus: int) -> str:
    names = [f"GPU{i}" for i in range(gpus)]
    rows = [
        f"{a}\t" + "\t".join(" X " if a == b else entry for b in names) + "\t0-7\t0"
        for a in names
    ]
    return "\n".join(["\t" + "\t".join(names) + "\tCPU Affinity\tNUMA Affinity", *rows])


def test_more_links_than_a_device_has_lead_to_a_switch():
    network = found(matrix_of("NV12", 8), 12)
    assert wiring(network.subgraph([*range(8), "nvswitch 0"])) == {
        frozenset((r, "nvswitch 0")): 12 for r in range(8)
    }


def test_as_many_links_as_a_device_has_are_its_own():
    assert wiring(direct_links(found(matrix_of("NV4", 4), 12))) == {
        frozenset(pair): 4 for pair in nx.complete_graph(4).edges
    }


def test_colours_and_an_underlined_header_do_not_matter():
    plain = matrix_of("PHB", 2)
    header, *rows = plain.splitlines()
    assert read_matrix("\n".join([f"\x1b[4m{header}\x1b[0m", *rows])) == read_matrix(
        plain
    )
    assert wiring(found(plain)) == {frozenset((r, "cpu 0")): 1 for r in (0, 1)}


def test_the_old_name_of_a_socket_link_is_read():
    assert wiring(found(matrix_of("SOC", 2))) == wiring(found(matrix_of("SYS", 2)))


def test_text_without_a_matrix_is_refused():
    with pytest.raises(ValueError, match="no line begins with GPU0"):
        found("NVIDIA-SMI has failed because it could not communicate")


def test_a_matrix_that_is_not_whole_is_refused():
    text = matrix_of("PIX", 3)
    with pytest.raises(ValueError, match="row GPU2 needs 3 entries, not "):
        found(text[: text.rindex("GPU2")])
    with pytest.raises(ValueError, match="row GPU0 needs 3 entries, not .*'WHAT'"):
        found(text.replace("PIX", "WHAT", 1))


def test_a_matrix_that_is_not_symmetric_is_refused():
    with pytest.raises(ValueError, match="GPU0 to GPU1 is SYS, back it is PIX"):
        found(matrix_of("PIX", 2).replace("PIX", "SYS", 1))


def test_links_that_a_device_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"GPU0 has 6 NVLinks, not \[2, 2, 2, 2\]"):
        found(matrix_of("NV2", 5), 6)


def test_every_capture_says_where_it_was_published():
    assert all(row.where and row.url.startswith("https://") for row in captures())
    assert len({row.name for row in captures()}) == len(captures())
    with pytest.raises(ValueError, match="no capture 'DGX-2', but DGX-1, 2 x K80, "):
        capture("DGX-2")
