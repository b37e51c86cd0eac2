"""The table of links: what is printed, what the lanes give, and who says so."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsys_code.communication import hardware
from dlsys_code.communication.link import Link, transfer_time_s
from dlsys_code.introduction.devices import devices
from dlsys_code.introduction.published import load
from dlsys_code.introduction.units import GB, Gbit

ROWS = hardware.links()
WIRED = [row for row in ROWS if row.wire]
SWITCHED = ("NVLink", "NVSwitch", "InfiniBand", "Ethernet")  # whose rates are round
named = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def half_a_digit(printed: str) -> float:
    """Half a unit of the last digit that is not a zero: 5 MB/s for "3.35 TB/s"."""
    digits, _, unit = printed.replace(",", "").partition(" ")
    decimals = len(digits.partition(".")[2])
    whole = digits.replace(".", "")
    zeros = 0 if decimals else len(whole) - len(whole.rstrip("0"))
    return hardware.rate(f"1 {unit}") * 10 ** (zeros - decimals) / 2


# ---------------------------------------------------------------- the two traps


def test_a_rate_by_hand():
    assert hardware.rate("400 Gbit/s") == 50 * GB == 400 * Gbit
    assert hardware.rate("1,555 GB/s") == 1555 * GB
    assert hardware.rate("7.2 Tbit/s") == hardware.rate("900 GB/s")
    assert hardware.rate("3.35 TB/s") == pytest.approx(3350 * GB)


@given(st.integers(1, 10_000))
def test_a_byte_has_eight_bits(number):
    bits, of_bytes = (hardware.rate(f"{number} {unit}") for unit in ("Gbit/s", "GB/s"))
    assert of_bytes == 8 * bits
    assert hardware.rate(f"{number} TB/s") == 1000 * of_bytes


@pytest.mark.parametrize("text", ["400 Gb/s", "400Gbit/s", "fast", "", "4e GB/s", "7"])
def test_a_rate_without_a_unit_is_refused(text):
    message = f"one of Gbit/s, Tbit/s, GB/s, TB/s, not {text!r}"
    with pytest.raises(ValueError, match=f"{message}$"):
        hardware.rate(text)


@named
def test_both_directions_are_twice_one_or_the_bus_is_shared(row):
    assert row.both_directions / row.bandwidth == (2 if row.duplex else 1)
    assert row.duplex == (row.kind not in ("HBM", "DDR"))
    assert row.directions in ((1, 2) if row.duplex else (1,))
    assert row.bandwidth * row.directions == hardware.rate(row.printed)


def test_what_a_maker_prints_of_nvlink_counts_both_directions():
    assert hardware.link("NVLink 4").bandwidth == 450 * GB
    assert hardware.link("NVLink 4").both_directions == 900 * GB
    assert hardware.link("InfiniBand NDR").bandwidth == 50 * GB


# ---------------------------------------------------------------- lanes


def test_the_lanes_of_most_links_are_known():
    known = {row.kind for row in WIRED}
    assert known == {row.kind for row in ROWS} - {"HCCS"}
    assert len(WIRED) > len(ROWS) * 2 / 3


@pytest.mark.parametrize("row", WIRED, ids=lambda row: row.name)
def test_the_lanes_give_what_is_printed_within_its_last_digit(row):
    off = abs(row.computed * row.directions - hardware.rate(row.printed))
    assert off <= half_a_digit(row.printed)
    payload, coded = row.wire.code
    assert 0 < payload <= coded


@pytest.mark.parametrize(
    "row", [row for row in WIRED if row.kind in SWITCHED], ids=lambda row: row.name
)
def test_codes_are_made_so_that_a_round_rate_is_left(row):
    assert row.computed == row.bandwidth


def test_the_code_of_four_level_signals_is_16_of_17():
    transcoding, reed_solomon = Fraction(256, 257), Fraction(514, 544)
    assert transcoding * reed_solomon == Fraction(16, 17)
    codes = {row.wire.code for row in WIRED if row.wire.rate in (53.125e9, 106.25e9)}
    assert codes == {(16, 17)}


def test_what_nvidia_says_of_a_switch_counts_the_code_as_well():
    """13.6 Tbit/s for 64 ports (H100 white paper), of which 16 in 17 are payload."""
    said = hardware.rate("13.6 Tbit/s")
    assert said * 16 / 17 == pytest.approx(hardware.link("NVSwitch 3").bandwidth)


def test_a_slot_of_pcie_5_carries_63_gigabytes_not_64():
    raw = 16 * 32e9 / 8
    assert raw == 64 * GB
    assert hardware.link("PCIe 5").computed == pytest.approx(raw * 128 / 130)


def test_the_last_digit_is_half_a_unit():
    assert half_a_digit("3.35 TB/s") == pytest.approx(5e9)
    assert half_a_digit("900 GB/s") == 50 * GB
    assert half_a_digit("1,555 GB/s") == 0.5 * GB
    assert half_a_digit("10.0 Gbit/s") == pytest.approx(0.05 * Gbit)


# ---------------------------------------------------------------- the table


def test_names_are_unique_and_links_are_found_by_them():
    assert len({row.name for row in ROWS}) == len(ROWS) == len(load("links"))
    for row in ROWS:
        assert hardware.link(row.name) is row
        assert row in hardware.of_kind(row.kind)


def test_what_does_not_exist_is_answered_by_what_does():
    with pytest.raises(ValueError, match="no link 'NVLink 9', but .*NVLink 4, "):
        hardware.link("NVLink 9")
    with pytest.raises(ValueError, match="no kind of link 'USB', but DDR, HBM, PCIe"):
        hardware.of_kind("USB")


@pytest.mark.parametrize("kind", {row.kind: None for row in ROWS})
def test_a_family_stands_together_and_every_generation_is_faster(kind):
    family = hardware.of_kind(kind)
    first = ROWS.index(family[0])
    assert ROWS[first : first + len(family)] == family
    for older, younger in pairwise(family):
        assert older.year <= younger.year
        assert older.bandwidth < younger.bandwidth


def test_generations_of_a_bus_and_a_port_double():
    for kind in ("PCIe", "InfiniBand"):
        for older, younger in pairwise(hardware.of_kind(kind)):
            assert younger.bandwidth / older.bandwidth == pytest.approx(2, rel=0.05)


def test_memory_is_that_of_the_table_of_devices():
    known = {device.name: device for device in devices()}
    for row in hardware.of_kind("HBM"):
        device = known[row.of]
        assert row.bandwidth == pytest.approx(device.bandwidth)
        assert (row.year, row.key, row.url) == (device.year, device.key, device.url)


def test_a_switch_has_the_links_of_its_generation():
    """A port of a switch is as fast as a link of the GPU behind it."""
    for switch, nvlink in [
        ("NVSwitch 1", "NVLink 2"),
        ("NVSwitch 2", "NVLink 3"),
        ("NVSwitch 3", "NVLink 4"),
        ("NVLink Switch", "NVLink 5"),
    ]:
        assert hardware.link(switch).per_link == hardware.link(nvlink).per_link


def test_the_ladder_has_its_steps():
    """Memory, links between devices, the bus and the network, each slower in 2022."""
    names = ["HBM3 of H100", "NVLink 4", "PCIe 5", "InfiniBand NDR", "10 GbE"]
    steps = [hardware.link(name).bandwidth for name in names]
    assert steps == sorted(steps, reverse=True)
    assert 1000 < steps[0] / steps[-1] < 10_000


@pytest.mark.parametrize("year", range(2017, 2026))
def test_in_every_year_memory_leads_and_the_network_is_far_behind(year):
    """The bus and the network change places; the others never do."""
    best = {
        kind: max(row.bandwidth for row in hardware.of_kind(kind) if row.year <= year)
        for kind in ("HBM", "NVLink", "PCIe", "InfiniBand", "Ethernet")
    }
    slowest = max(best["PCIe"], best["InfiniBand"], best["Ethernet"])
    assert best["HBM"] > 5 * best["NVLink"] and best["NVLink"] > 2 * slowest


def test_a_port_of_400_gigabit_is_too_fast_for_the_slot_of_its_year():
    assert hardware.link("400 GbE").year == hardware.link("PCIe 4").year
    assert hardware.link("400 GbE").bandwidth > hardware.link("PCIe 4").bandwidth


def test_nvlink_caught_up_with_the_memory_of_seven_years_before():
    nvlink, memory = hardware.link("NVLink 5"), hardware.link("HBM2 of V100")
    assert nvlink.bandwidth == memory.bandwidth
    assert nvlink.year - memory.year == 7


# ---------------------------------------------------------------- latency


def test_a_link_with_a_published_latency_is_priced():
    row = hardware.link("InfiniBand NDR")
    assert row.priced() == Link(latency_s=2.7e-6, bandwidth=50 * GB)
    assert transfer_time_s(50_000, row.priced()) == pytest.approx(3.7e-6)


def test_a_latency_that_nobody_published_is_not_made_up():
    row = hardware.link("HCCS")
    assert row.latency_s is None
    with pytest.raises(ValueError, match="no latency of HCCS is published here"):
        row.priced()


@named
def test_a_latency_is_a_few_microseconds_at_most(row):
    assert row.latency_s is None or 1e-7 < row.latency_s < 1e-5
    given = [row.latency_key, row.latency_where, row.latency_url]
    assert [field is None for field in given] == [row.latency_s is None] * 3
