"""What requests cost: every factor of the service's price, and the figures that were recorded of it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.simulator.cost import (
    BATCH_FACTOR,
    Rates,
    batch_factor,
    charged,
    statistical_estimate,
    tile_estimate,
)

from .conftest import PROCESS_REQUEST

if TYPE_CHECKING:
    from .conftest import Api


def script(*inputs: str, output: str = "{bands: 1}", mosaicking: str = "SIMPLE") -> str:
    told = f'input: [{", ".join(inputs)}], output: {output}, mosaicking: "{mosaicking}"'
    return f"//VERSION=3\nfunction setup() {{ return {{{told}}}; }}\nfunction evaluatePixel() {{ return [1]; }}"


def days(count: float, **members: Any) -> dict[str, Any]:
    """Data of so many days of one month."""
    begin, end = "2020-01-01T00:00:00Z", f"2020-01-{1 + int(count):02}T{int(count % 1 * 24):02}:00:00Z"
    return {"type": "sentinel-2-l2a", "dataFilter": {"timeRange": {"from": begin, "to": end}}, **members}


def answer(kind: str, identifier: str = "default") -> dict[str, Any]:
    return {"identifier": identifier, "format": {"type": kind}}


RGB = script('"B02"', '"B03"', '"B04"')
FLOATS = script('"B02"', '"B03"', '"B04"', output='{bands: 1, sampleType: "FLOAT32"}')
ORBIT = script('"B02"', '"B03"', '"B04"', mosaicking="ORBIT")


@pytest.mark.parametrize(
    ("size", "pu"),
    [
        ((512, 512), 1),
        ((1024, 512), 2),
        ((256, 256), 0.25),
        ((52, 52), 52 * 52 / 512**2),
        ((1, 1), 0.01),
        ((51, 51), 0.01),
    ],
)
def test_area(size: tuple[int, int], pu: float) -> None:
    assert tile_estimate(*size, RGB, []) == pytest.approx(pu)


@pytest.mark.parametrize(
    ("bands", "pu"),
    [
        (('"B04"',), 1 / 3),
        (('"B04"', '"dataMask"'), 1 / 3),
        (('"dataMask"',), 1 / 3),  # at least one
        (('{bands: ["B04", "B08"]}',), 2 / 3),
        (('{datasource: "a", bands: ["B04", "dataMask"]}', '{datasource: "b", bands: ["B04", "B08", "dataMask"]}'), 1),
        (('{datasource: "a", bands: ["B04", "B08"]}', '{datasource: "b", bands: ["dataMask"]}'), 2 / 3),
    ],
)
def test_input_bands(bands: tuple[str, ...], pu: float) -> None:
    assert tile_estimate(512, 512, script(*bands), []) == pytest.approx(pu)


def test_bands_that_are_computed_or_written() -> None:
    computed = RGB.replace('["B02", "B03", "B04"]', "Array.from({length: 6}, (_, i) => `B0${i + 1}`)")
    assert tile_estimate(512, 512, computed, []) == 2
    named = script('"B04"', output='{bands: ["B01", "B02", "B03", "B04", "B05", "B06"]}')
    assert tile_estimate(512, 512, named, []) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("kind", "eight", "floats"),
    [
        ("image/tiff", 1, 2),
        ("zarr/array", 1, 2),
        ("image/png", 1, 1),
        ("application/json", 1, 1),
        ("application/octet-stream", 1.4, 1.4),
    ],
)
def test_output_formats(kind: str, eight: float, floats: float) -> None:
    assert tile_estimate(512, 512, RGB, [], [answer(kind)]) == eight
    assert tile_estimate(512, 512, FLOATS, [], [answer(kind)]) == floats


@pytest.mark.parametrize("kind", ["AUTO", "UINT8", "INT8", "UINT16", "INT16"])
def test_up_to_sixteen_bits_count_once(kind: str) -> None:
    assert tile_estimate(512, 512, FLOATS.replace("FLOAT32", kind), [], [answer("image/tiff")]) == 1


def test_only_the_outputs_that_are_asked_for_count() -> None:
    both = script('"B02"', '"B03"', '"B04"', output='[{id: "a", bands: 1, sampleType: "FLOAT32"}, {id: "b", bands: 1}]')
    tiff = "image/tiff"
    assert tile_estimate(512, 512, both, [], [answer(tiff, "b")]) == 1
    assert tile_estimate(512, 512, both, [], [answer(tiff, "a")]) == 2
    assert tile_estimate(512, 512, both, [], [answer(tiff, "b"), answer(tiff, "a")]) == 2
    assert tile_estimate(512, 512, both, [], [answer(tiff, "b"), answer("application/json", "userdata")]) == 1


@pytest.mark.parametrize(("mosaicking", "pu"), [("SIMPLE", 1), ("ORBIT", 10), ("TILE", 10)])
def test_observations(mosaicking: str, pu: float) -> None:
    assert tile_estimate(512, 512, ORBIT.replace("ORBIT", mosaicking), [days(30)]) == pu
    daily = Rates(days_between_observations=1)
    assert tile_estimate(512, 512, ORBIT.replace("ORBIT", mosaicking), [days(30)], rates=daily) == max(
        1, 3 * (pu - pu % 10)
    )


def test_observations_are_at_least_one_and_no_whole_number() -> None:
    assert tile_estimate(512, 512, ORBIT, [days(1)]) == 1
    assert tile_estimate(512, 512, ORBIT, []) == 1
    assert tile_estimate(512, 512, ORBIT, [days(4.5)]) == 1.5


def test_observations_are_those_of_the_source() -> None:
    two = script(
        '{datasource: "a", bands: ["B02", "B03", "B04"]}', '{datasource: "b", bands: ["DEM"]}', mosaicking="ORBIT"
    )
    assert tile_estimate(512, 512, two, [days(30, id="a"), {"type": "dem", "id": "b"}]) == pytest.approx(10 + 1 / 3)
    unnamed = script('{bands: ["B02", "B03", "B04"]}', mosaicking="ORBIT")
    assert tile_estimate(512, 512, unnamed, [days(6), days(30)]) == 10


@pytest.mark.parametrize("kind", ["dem", "DEM"])
@pytest.mark.parametrize("mosaicking", ["SIMPLE", "ORBIT", "TILE"])
def test_an_elevation_model_has_one_sample_whatever_the_time_range(kind: str, mosaicking: str) -> None:
    heights = script('"DEM"', mosaicking=mosaicking)
    assert tile_estimate(512, 512, heights, [days(30, type=kind)]) == pytest.approx(1 / 3)


RADAR = script('"VV"', '"VH"', '"dataMask"', output='{bands: 2, sampleType: "FLOAT32"}')


@pytest.mark.parametrize("kind", ["sentinel-1-grd", "S1GRD"])
@pytest.mark.parametrize("wanted", [True, "true"])
def test_orthorectification_of_radar(kind: str, wanted: Any) -> None:
    """Counted by the text of today; a setting for what older texts say."""
    data = [{"type": kind, "processing": {"orthorectify": wanted}}]
    plain = tile_estimate(512, 512, RADAR, [{"type": kind}])
    assert plain == pytest.approx(2 / 3 * 2)
    assert tile_estimate(512, 512, RADAR, data) == 2 * plain
    assert tile_estimate(512, 512, RADAR, data, rates=Rates(orthorectification=False)) == plain
    assert tile_estimate(512, 512, RADAR, [{"type": kind, "processing": {"orthorectify": False}}]) == plain
    assert tile_estimate(512, 512, RADAR, [{"type": "sentinel-2-l2a", "processing": {"orthorectify": True}}]) == plain


def test_statistics_have_no_format() -> None:
    assert statistical_estimate(512, 512, FLOATS, []) == 1


@pytest.mark.parametrize(("pixels", "factor"), [(10_000, BATCH_FACTOR), (9_999, 1), (1, 1), (4_000_000, BATCH_FACTOR)])
def test_the_discount_of_batch(pixels: int, factor: float) -> None:
    assert batch_factor(pixels) == factor


def test_the_least_that_a_request_costs() -> None:
    assert (charged(0), charged(0.1), charged(100), charged(101)) == (0, 100, 100, 101)


def test_recorded_figures() -> None:
    """Of a request that was seen: four tiles of 10 km at 10 m, three units for each of their areas.

    Nine tiles of 2004 pixels came to 553.13, which is 12 bands of 16 bits, or six of floats, within a third of a
    percent: their script is not known, nor are those of the other figures.
    """
    nine_bands = script(*(f'"B{number:02}"' for number in range(1, 10)))
    assert 4 * tile_estimate(1000, 1000, nine_bands, []) == pytest.approx(45.77636855174205, rel=1e-7)
    assert 4 * tile_estimate(1000, 1000, ORBIT, [days(9)]) == pytest.approx(45.77636855174205, rel=1e-7)
    six = script(*(f'"B{number:02}"' for number in range(1, 7)), output='{bands: 1, sampleType: "FLOAT32"}')
    assert 9 * tile_estimate(2004, 2004, six, []) == pytest.approx(553.1310903279518, rel=4e-3)


# On the wire


def estimate(api: Api, sim: Simulator, **changes: Any) -> float:
    request = {**copy.deepcopy(PROCESS_REQUEST), **changes}
    path = api.create("v1", processRequest=request)
    api.post(f"{path}/analyse")
    sim.step(60)
    body = api.get(path).json()
    assert body["status"] == "ANALYSIS_DONE", body
    return float(body["valueEstimate"]) / int(body["tileCount"])


def test_the_estimate_of_v1(api: Api, sim: Simulator) -> None:
    area = 1001**2 / 512**2  # 10 km at 10 m, one pixel more than the distance of the tiles
    whole = estimate(api, sim, evalscript=RGB)
    assert whole == pytest.approx(area, rel=0.01)
    assert estimate(api, sim, evalscript=FLOATS) == pytest.approx(2 * whole)
    ninety = PROCESS_REQUEST["input"]["data"]
    assert ninety[0]["dataFilter"]["timeRange"]["to"] == "2019-06-30T00:00:00Z"
    assert estimate(api, sim, evalscript=ORBIT) == pytest.approx(30 * whole)
    sim.settings(days_between_observations=5)
    assert estimate(api, sim, evalscript=ORBIT) == pytest.approx(18 * whole)


def test_orthorectification_is_a_setting(api: Api, sim: Simulator) -> None:
    bounds = PROCESS_REQUEST["input"]["bounds"]
    data = [{"type": "sentinel-1-grd", "processing": {"orthorectify": True}}]
    once = estimate(api, sim, evalscript=RADAR, input={"bounds": bounds, "data": [{"type": "sentinel-1-grd"}]})
    assert estimate(api, sim, evalscript=RADAR, input={"bounds": bounds, "data": data}) == pytest.approx(2 * once)
    sim.settings(orthorectification_charged=False)
    assert estimate(api, sim, evalscript=RADAR, input={"bounds": bounds, "data": data}) == pytest.approx(once)


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_a_script_that_throws_in_setup_fails_the_analysis(api: Api, sim: Simulator, generation: str) -> None:
    wrong = (
        "//VERSION=3\nfunction setup() {\n  throw new Error('no bands');\n}\nfunction evaluatePixel() { return [1]; }"
    )
    path = api.create(generation, processRequest={**copy.deepcopy(PROCESS_REQUEST), "evalscript": wrong})
    api.post(f"{path}/analyse")
    sim.step(60)
    body = api.get(path).json()
    assert body["status"] == "FAILED"
    assert body["error"] == "Failed to evaluate script! evalscript.js:3: Error: no bands"
