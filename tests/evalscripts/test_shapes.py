"""What evalscripts read and write, on a table of shapes: by running them, and as far as their text alone tells it."""

from __future__ import annotations

import pytest

from airflow_sentinelhub.evalscripts import Setup, read_setup
from airflow_sentinelhub.simulator import evalscript
from tests.evalscripts.shapes import SHAPES, Shape

names = [shape.name for shape in SHAPES]


def told(setup: Setup) -> tuple[object, ...]:
    bands: dict[str | None, set[str]] = {}
    for item in setup.inputs:
        bands.setdefault(item.datasource, set()).update(set(item.bands) - {"dataMask"})
    outputs = tuple((output.id, output.bands, output.sample_type) for output in setup.outputs)
    return {source: len(read) for source, read in bands.items()}, outputs, setup.mosaicking


def wanted(shape: Shape) -> tuple[object, ...]:
    return shape.bands, shape.outputs, shape.mosaicking


@pytest.mark.parametrize("shape", SHAPES, ids=names)
def test_what_a_script_reads_and_writes(shape: Shape) -> None:
    setup = read_setup(shape.script)
    assert (setup.exact, setup.problem) == (True, None)
    assert told(setup) == wanted(shape)
    assert evalscript.bands_of_sources(shape.script) == shape.bands
    assert evalscript.problem(shape.script, [output for output, _, _ in shape.outputs]) is None


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("shape", SHAPES, ids=names)
def test_what_its_text_alone_tells(shape: Shape) -> None:
    """A guess says that it is one, takes no good script for a bad one, and follows no constants."""
    setup = read_setup(shape.script)
    assert (setup.exact, setup.problem) == (False, None)
    assert (told(setup) == wanted(shape)) is shape.guessed


def test_names_are_told_as_the_script_gives_them() -> None:
    setup = read_setup(SHAPES[names.index("data mask in every source")].script)
    assert [(item.datasource, item.bands) for item in setup.inputs] == [
        ("l2a", ("B04", "SCL", "dataMask")),
        ("dem", ("DEM", "dataMask")),
        ("grd", ("dataMask", "VV")),
    ]


def test_each_name_is_told_once() -> None:
    for given in ("['B04', 'B08', 'B04']", "[{bands: ['B04', 'B08', 'B04']}]"):
        script = f"//VERSION=3\nfunction setup() {{ return {{input: {given}, output: {{bands: 1}}}}; }}\n"
        setup = read_setup(script + "function evaluatePixel(sample) { return [1]; }")
        assert [item.bands for item in setup.inputs] == [("B04", "B08")]
