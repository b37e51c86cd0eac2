"""Constants as NCCL's tables print them, each with its source."""

import pytest

from dlsys_code.communication.tuning import constant, row, rows


def test_constants_in_seconds_and_bytes_per_second():
    assert constant("base latency of ring", "LL") == pytest.approx(6.6e-6)
    assert constant("step latency of tree over network", "LL128") == pytest.approx(
        8.5e-6
    )
    assert constant("LL limit, 1 node", "ampere") == 87.7e9
    assert constant("share of tree, 1 node", "LL") == pytest.approx(1 / 3.8)


def test_releases_differ_where_the_tables_were_rewritten():
    name = "step latency of tree over NVLink"
    assert constant(name, "Simple", "2.20") == pytest.approx(28e-6)
    assert constant(name, "Simple", "2.30") == pytest.approx(4e-6)
    assert constant(name, "LL", "2.20") == constant(name, "LL", "2.30")


@pytest.mark.parametrize("release", ["2.20", "2.30"])
def test_every_row_names_its_source_and_has_no_negative(release):
    for line in rows(release).values():
        assert line.key == "nvidia2026"
        assert line.where.startswith("src/graph/")
        assert line.url.startswith("https://github.com/NVIDIA/nccl/blob/")
        assert line.url.endswith(line.where.split(",")[0])
        assert min(line.values.values()) >= 0


def test_a_correction_for_every_power_of_two_from_64_bytes_to_256_mib():
    for protocol in ("LL", "LL128", "Simple"):
        columns = [int(n) for n in row(f"tree correction, {protocol}").values]
        assert columns == [2**i for i in range(6, 29)]


def test_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(ValueError, match="no row 'base latency of star', but .*ring"):
        row("base latency of star")
    with pytest.raises(ValueError, match="'kepler', but volta, ampere, hopper"):
        constant("LL limit, 1 node", "kepler")
    with pytest.raises(ValueError, match=r"no release of NCCL '1.0', but 2.30, 2.20"):
        rows("1.0")
