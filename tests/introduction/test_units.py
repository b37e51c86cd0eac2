"""A gigabyte is not a gibibyte and a bit is not a byte."""

import pytest

from dlsys_code.introduction.units import (
    GB,
    KB,
    MB,
    TB,
    Gbit,
    GiB,
    Kbit,
    KiB,
    Mbit,
    MiB,
    TiB,
    ms,
    parse_bytes,
    show_bytes,
    show_time,
    us,
)


def test_prefixes_are_those_of_the_standard():
    assert (KB, MB, GB, TB) == (1e3, 1e6, 1e9, 1e12)
    assert (KiB, MiB, GiB, TiB) == (1024, 1024**2, 1024**3, 1024**4)
    assert 8 * Kbit == KB and 8 * Mbit == MB and 8 * Gbit == GB
    assert 1000 * us == pytest.approx(ms)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1 KiB"),
        (1.5 * MiB, "1.5 MiB"),
        (GiB - 1, "1,024 MiB"),
        (3 * TiB, "3 TiB"),
        (2048 * TiB, "2,048 TiB"),
        (10.24, "10.2 B"),
    ],
)
def test_bytes_are_shown_in_binary_units(n, text):
    assert show_bytes(n) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 us"),
        (85e-6, "85 us"),
        (1.234e-3, "1.23 ms"),
        (2, "2 s"),
        (3600, "3,600 s"),
    ],
)
def test_times_are_shown_in_the_largest_unit(seconds, text):
    assert show_time(seconds) == text


@pytest.mark.parametrize(
    ("text", "n"), [("8", 8), ("64K", 64 * KiB), ("1M", MiB), ("2G", 2 * GiB)]
)
def test_sizes_are_read_in_powers_of_two(text, n):
    assert parse_bytes(text) == n


@pytest.mark.parametrize("text", ["", "K", "8Q", "-8", "1.5M", "1KM", "8 K"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="a size is a number like 8, 64K, 1M or 2G"):
        parse_bytes(text)


def test_negative_quantities_are_refused():
    with pytest.raises(ValueError, match="not -1"):
        show_bytes(-1)
    with pytest.raises(ValueError, match="not -0.5"):
        show_time(-0.5)
