"""The tables of devices, models and published numbers name their sources."""

from pathlib import Path

import pytest
from pybtex.database import parse_file

from dlsys_code.introduction import published
from dlsys_code.introduction.devices import device, devices
from dlsys_code.introduction.history import models
from dlsys_code.introduction.units import GB, TB

BIB = Path(__file__).parents[2] / "appendix/references.bib"
ENTRIES = parse_file(str(BIB), "bibtex").entries


@pytest.mark.parametrize("found", devices(), ids=lambda found: found.name)
def test_a_device_is_of_this_age(found):
    """A slip by a factor of 1000, or a rate with sparsity, would stand out."""
    assert 2017 <= found.year <= 2025
    assert 100e12 <= found.peak <= 2.5e15
    assert 16 * GB <= found.memory_bytes <= 300 * GB
    assert 0.9 * TB <= found.bandwidth <= 8 * TB
    assert 130 <= found.flops_per_byte <= 300
    assert found.url is None or found.url.startswith("https://")


def test_devices_are_ordered_and_unique():
    years = [found.year for found in devices()]
    assert years == sorted(years)
    assert len({found.name for found in devices()}) == len(devices())


def test_a_device_is_found_by_name():
    assert device("V100").peak == 125e12
    with pytest.raises(ValueError, match="no device 'V1000', but V100, Ascend 910, "):
        device("V1000")


def test_a_table_is_found_by_name():
    assert published.table("zero-1").rows[1]["stage_1"] == "52.5"
    with pytest.raises(ValueError, match="no table 'zero', but zero-1, "):
        published.table("zero")


# ---------------------------------------------------------------- models by year


def test_models_are_ordered_and_no_older_than_their_sources():
    years = [model.year for model in models()]
    assert years == sorted(years)
    for model in models():
        printed = int(ENTRIES[model.key].fields["year"])
        assert 0 <= printed - model.year <= 1, model.name


def test_flops_are_published_with_a_source_or_computed():
    for model in models():
        assert (model.published_flops is None) == (model.flops_key is None)
        assert (model.flops_key is None) == (model.flops_where is None)
        assert (model.tokens is None) == (model.tokens_where is None)
    unknown = [model.name for model in models() if model.flops is None]
    assert unknown == ["GPT-2"]


def test_six_per_parameter_and_token_is_within_a_factor_of_two():
    both = {
        model.name: model.published_flops / model.computed_flops
        for model in models()
        if model.published_flops and model.computed_flops
    }
    assert len(both) >= 6
    assert both.pop("T5-11B") == pytest.approx(0.5)
    assert all(0.95 < ratio < 1.15 for ratio in both.values()), both


def test_training_grew_80_million_times_in_twelve_years():
    first, last = models()[0], max(models(), key=lambda model: model.flops or 0)
    assert (first.name, last.name) == ("AlexNet", "Llama 3.1 405B")
    assert last.flops / first.flops == pytest.approx(81e6, rel=0.01)
