"""The price before the start: each factor by a table, what is always true of a price, and the recorded figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.estimate import Estimate, Pixels, estimate, span
from airflow_sentinelhub.api.service.intervals import days_of, intervals_of
from airflow_sentinelhub.exceptions import EstimateError


@dataclass(frozen=True)
class Input:
    datasource: str | None = None
    bands: tuple[str, ...] = ("B02", "B03", "B04")


@dataclass(frozen=True)
class Output:
    id: str = "default"
    bands: int = 1
    sample_type: str = "AUTO"


@dataclass(frozen=True)
class Setup:
    inputs: tuple[Input, ...] = (Input(),)
    outputs: tuple[Output, ...] = (Output(),)
    mosaicking: str = "SIMPLE"
    exact: bool = True
    problem: str | None = None


TIMES = {"from": "2025-06-01T00:00:00Z", "to": "2025-07-01T00:00:00Z"}  # 30 days
S2 = {"type": "sentinel-2-l2a", "dataFilter": {"timeRange": TIMES}}
TIFF = [{"identifier": "default", "format": {"type": "image/tiff"}}]
MANY = [Pixels(512, 512, 900)]  # 300 PU of a batch job: above the minimum


def job(*sources: Any, responses: Any = None, **members: Any) -> dict[str, Any]:
    process: dict[str, Any] = {"input": {"data": list(sources or (S2,))}}
    if responses is not None:
        process["output"] = {"responses": responses}
    return {"processRequest": process, **members}


def statistics(of: str = "P10D", last: str | None = None, source: Any = None) -> dict[str, Any]:
    interval = {"of": of, **({"lastIntervalBehavior": last} if last else {})}
    data = [source or {"type": "sentinel-2-l2a"}]
    return {"input": {"data": data}, "aggregation": {"timeRange": TIMES, "aggregationInterval": interval}}


def priced(payload: Any = None, sizes: Any = None, setup: Any = None, api: str = "v2", **more: Any) -> Estimate:
    return estimate(payload or job(), sizes or MANY, setup or Setup(), batch_api=api, **more)


def test_one_unit_is_512_pixels_squared_of_three_bands_by_a_third() -> None:
    found = priced()
    assert (found.low, found.high, found.exact, found.balance) == (300, 300, True, 1000)
    assert [factor.name for factor in found.factors][:3] == ["area", "batch", "input bands"]
    assert priced(api="v1").balance == 0


@pytest.mark.parametrize(
    ("sizes", "pu"),
    [
        ([(512, 512, 900)], 300),
        ([(1024, 512, 900)], 600),
        ([(512, 512, 450), (512, 512, 450)], 300),
        ([(100, 100, 90_000)], 90_000 * 10_000 / 262_144 / 3),  # the discount begins at 10,000 pixels
        ([(99, 101, 90_000)], 90_000 * 9_999 / 262_144),
        ([(50, 50, 90_000)], 90_000 * 0.01),  # the smallest area
        ([(50, 50, 90_000), (512, 512, 900)], 900 + 300),
        ([(512, 512, 0)], 0),
    ],
)
def test_area(sizes: list[tuple[int, int, int]], pu: float) -> None:
    assert priced(sizes=sizes).low == pytest.approx(pu)
    assert priced(sizes=sizes).high == pytest.approx(pu)


def test_it_is_said_how_many_tiles_have_no_discount() -> None:
    text = "\n".join(priced(sizes=[(50, 50, 1_500), (512, 512, 900)]).lines())
    assert "a third for tiles of at least 10,000 pixels, which 1,500 do not have)" in text
    assert "do not have" not in "\n".join(priced().lines())


@pytest.mark.parametrize(
    ("number", "low", "high"), [(3, 1, 100), (299, 299 / 3, 100), (300, 100, 100), (900, 300, 300)]
)
@pytest.mark.parametrize("api", ["v1", "v2"])
def test_the_minimum_of_a_request_is_probable_but_not_certain(api: str, number: int, low: float, high: float) -> None:
    """The text has it, and a request that cost less was seen: so a budget below it refuses nothing."""
    found = priced(sizes=[(512, 512, number)], api=api)
    assert (found.low, found.high, found.expected) == (pytest.approx(low), pytest.approx(high), pytest.approx(high))
    assert found.exact is (low == high)
    text = "\n".join(found.lines())
    assert "at least 100 (minimum: of a batch request" in text
    assert found.as_dict()["expected"] == found.expected
    assert Policy(max_processing_units=low + 1).allows(found.low)


def test_a_minimum_leaves_what_is_skipped_uncertain() -> None:
    payload = job() | {"output": {"skipExisting": True}}
    assert (priced(payload).low, priced(payload).high, priced(payload).expected) == (0, 300, 150)
    assert (priced(payload, [(512, 512, 3)]).high, priced(payload, [(512, 512, 3)]).expected) == (100, 100)


@pytest.mark.parametrize(
    ("inputs", "share"),
    [
        ((Input(bands=("B04",)),), 1 / 3),
        ((Input(bands=("B04", "B08", "dataMask")),), 2 / 3),
        ((Input(bands=("dataMask",)),), 1 / 3),
        ((Input("a", ("B04", "B08")), Input("b", ("VV", "VH", "dataMask"))), 4 / 3),
        ((Input(bands=tuple(f"B{n}" for n in range(12))),), 4),
    ],
)
def test_input_bands(inputs: tuple[Input, ...], share: float) -> None:
    assert priced(setup=Setup(inputs)).low == pytest.approx(300 * share)


@pytest.mark.parametrize(
    ("outputs", "responses", "value"),
    [
        ((Output(),), None, 1),
        ((Output(sample_type="UINT16"),), TIFF, 1),
        ((Output(sample_type="FLOAT32"),), None, 2),
        ((Output(sample_type="FLOAT32"),), TIFF, 2),
        ((Output("ndvi", sample_type="FLOAT32"),), TIFF, 2),  # the only output is the default one
        ((Output(sample_type="FLOAT32"),), [{"identifier": "default", "format": {"type": "image/png"}}], 1),
        ((Output(sample_type="FLOAT32"),), [{"identifier": "default", "format": {"type": "image/tiff;depth=32"}}], 2),
        ((Output(),), [{"identifier": "default", "format": {"type": "application/octet-stream"}}], 1.4),
        ((Output("a"), Output("b", sample_type="FLOAT32")), [{"identifier": "a", "format": {"type": "image/tiff"}}], 1),
        ((Output("a"), Output("b", sample_type="FLOAT32")), [{"identifier": "a"}, {"identifier": "b"}], 2),
        (
            (Output(sample_type="FLOAT32"),),
            [{"identifier": "userdata", "format": {"type": "application/json"}}],
            1,
        ),
    ],
)
def test_output_format(outputs: tuple[Output, ...], responses: Any, value: float) -> None:
    assert priced(job(responses=responses), setup=Setup(outputs=outputs)).low == pytest.approx(300 * value)


@pytest.mark.parametrize(("asked", "high"), [("a", 300), ("b", 600), ("c", 600), (None, 600), ("userdata", 300)])
def test_the_price_of_an_output_that_setup_does_not_have_is_a_range(asked: str | None, high: float) -> None:
    outputs = (Output("a"), Output("b", sample_type="FLOAT32"))
    kind = "application/json" if asked == "userdata" else "image/tiff"
    responses = [{**({"identifier": asked} if asked else {}), "format": {"type": kind}}]
    found = priced(job(responses=responses), setup=Setup(outputs=outputs))
    assert (found.low, found.high) == (600 if asked == "b" else 300, high)
    assert found.exact is (asked in ("a", "b", "userdata"))


def test_the_only_output_is_the_default_one_but_no_other_one() -> None:
    found = priced(job(responses=[{"identifier": "b"}]), setup=Setup(outputs=(Output("a", sample_type="FLOAT32"),)))
    assert (found.low, found.high, found.exact) == (300, 600, False)


def test_zarr_of_floats_counts_like_tiff_and_says_that_this_is_assumed() -> None:
    for payload in (job(output={"type": "zarr"}), job(zarrOutput={"path": "s3://b/z"})):
        assert "image" not in str(priced(payload).factors[3])
        found = priced(payload, setup=Setup(outputs=(Output(sample_type="FLOAT32"),)))
        assert str(found.factors[3]) == "x 2 (format: 32-bit float, Zarr)"
    assert found.low == pytest.approx(600)
    assert any("Zarr" in text for text in found.assumed)


@pytest.mark.parametrize(
    ("source", "mosaicking", "low", "high"),
    [
        (S2, "SIMPLE", 1, 1),
        (S2, "ORBIT", 6, 15),
        (S2, "TILE", 6, 30),
        ({**S2, "dataFilter": {"timeRange": TIMES, "maxCloudCoverage": 50}}, "ORBIT", 3, 15),
        ({**S2, "dataFilter": {"timeRange": TIMES, "maxCloudCoverage": 100}}, "ORBIT", 6, 15),
        ({**S2, "dataFilter": {"timeRange": TIMES, "maxCloudCoverage": 0}}, "ORBIT", 1, 15),
        ({**S2, "type": "S1GRD"}, "ORBIT", 2.5, 20),
        ({**S2, "type": "landsat-ot-l1"}, "ORBIT", 30 / 16, 10),
        ({**S2, "type": "modis"}, "ORBIT", 10, 60),
        ({**S2, "type": "dem"}, "ORBIT", 1, 1),
        ({**S2, "type": "byoc-0000"}, "ORBIT", 1, 30),
        ({**S2, "type": "a-new-one"}, "ORBIT", 1, 30),
    ],
)
def test_samples(source: Any, mosaicking: str, low: float, high: float) -> None:
    found = priced(job(source), setup=Setup(mosaicking=mosaicking))
    assert (found.low, found.high) == (pytest.approx(300 * low), pytest.approx(300 * high))
    assert found.exact is (low == high)


def test_samples_of_two_sources_are_counted_by_their_bands() -> None:
    sources = {**S2, "id": "a"}, {**S2, "id": "b", "type": "dem"}
    setup = Setup((Input("a", ("B04", "B08")), Input("b", ("DEM",))), mosaicking="ORBIT")
    found = priced(job(*sources), setup=setup)
    assert found.low == pytest.approx(300 * (2 * 6 + 1 * 1) / 3)
    assert found.high == pytest.approx(300 * 15)


def test_without_a_time_range_observations_are_not_guessed() -> None:
    with pytest.raises(EstimateError, match="no time range"):
        priced(job({"type": "sentinel-2-l2a"}), setup=Setup(mosaicking="ORBIT"))
    assert priced(job({"type": "sentinel-2-l2a"})).low == pytest.approx(300)  # SIMPLE needs none


def test_orthorectification_of_sentinel_1_is_a_range_because_the_texts_differ() -> None:
    source = {**S2, "type": "sentinel-1-grd", "processing": {"orthorectify": True}}
    found = priced(job(source))
    assert (found.low, found.high) == (pytest.approx(300), pytest.approx(600))
    assert priced(job({**source, "processing": {"orthorectify": "true"}})).high == pytest.approx(600)
    assert priced(job({**source, "processing": {"orthorectify": False}})).high == pytest.approx(300)


@pytest.mark.parametrize(
    ("region", "service", "more"),
    [
        ("us-west-2", "eu-central-1", 512 * 512 * 900 * 2 / 1e6 * 0.03),
        ("eu-central-1", "eu-central-1", 0),
        (None, "eu-central-1", 0),
        ("us-west-2", None, 0),
    ],
)
def test_delivery_to_another_region(region: str | None, service: str | None, more: float) -> None:
    place = {"url": "s3://b/p", **({"region": region} if region else {})}
    payload = job(output={"type": "raster", "delivery": {"s3": place}})
    found = priced(payload, setup=Setup(outputs=(Output(sample_type="UINT16"),)), service_region=service)
    assert (found.low, found.high) == (pytest.approx(300), pytest.approx(300 + more))
    assert any("region" in text for text in found.assumed) is (region is None or service is None)


@pytest.mark.parametrize(
    ("outputs", "bytes_"),
    [
        ((Output(sample_type="UINT8"),), 1),
        ((Output(sample_type="INT16"),), 2),
        ((Output(bands=3),), 3),  # AUTO: 8 bit
        ((Output(bands=2, sample_type="FLOAT32"),), 8),
        ((Output("a", 1, "UINT8"), Output("b", 2, "UINT16")), 5),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_is_delivered_is_counted_by_its_bytes(outputs: tuple[Output, ...], bytes_: int, wrapped: bool) -> None:
    place = {"s3": {"url": "s3://b/p", "region": "us-west-2"}}
    responses = [{"identifier": output.id} for output in outputs]
    payload = job(responses=responses, output={"delivery": place} if wrapped else place)
    found = priced(payload, setup=Setup(outputs=outputs), service_region="eu-central-1")
    (delivery,) = (factor for factor in found.factors if factor.name == "delivery to another region")
    assert (delivery.value, delivery.most) == (0, pytest.approx(512 * 512 * 900 * bytes_ / 1e6 * 0.03))


def test_statistics_are_small_wherever_they_are_delivered_to() -> None:
    payload = statistics() | {"output": {"s3": {"url": "s3://b/p", "region": "us-west-2"}}}
    found = priced(payload, api="statistical", service_region="eu-central-1")
    assert "delivery to another region" not in [factor.name for factor in found.factors]
    assert found.low == found.high


@pytest.mark.parametrize(("of", "told"), [("P1M", True), ("P1Y", True), ("P10D", False), ("PT5M", False)])
def test_the_days_of_a_month_are_told_where_they_are_assumed(of: str, told: bool) -> None:
    assert ("a month has 30 days, a year 365" in priced(statistics(of), api="statistical").assumed) is told


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (300, 300, "300"),
        (300.2, 300.4, "300"),
        (99.4, 99.44, "99.4"),
        (0, 610.4, "0 to 610"),
        (1.234, 1234.5, "1.23 to 1,234"),
        (0.01234, 0.5, "0.0123 to 0.5"),
    ],
)
def test_a_range_that_looks_like_one_number_is_one(low: float, high: float, text: str) -> None:
    assert span(low, high) == text


def test_files_that_are_skipped_make_the_low_value_nothing() -> None:
    found = priced(job(output={"skipExisting": True}))
    assert (found.low, found.high) == (0, pytest.approx(300))
    assert any("skipExisting" in text for text in found.assumed)


@pytest.mark.parametrize(
    ("of", "last", "count"),
    [
        ("P10D", None, 3),
        ("P7D", None, 4),
        ("P7D", "SHORTEN", 5),
        ("P7D", "EXTEND", 5),
        ("P1W", None, 4),
        ("P1M", None, 1),
        ("PT12H", None, 60),
        ("P1Y", None, 0),
        ("P1Y", "SHORTEN", 1),
    ],
)
def test_intervals_of_statistics(of: str, last: str | None, count: int) -> None:
    found = priced(statistics(of, last), [(512, 512, 90)], api="statistical")
    assert found.low == found.high == pytest.approx(30 * count)


def test_statistics_have_no_minimum_and_count_observations_in_each_interval() -> None:
    assert priced(statistics(), [(64, 64, 1)], api="statistical").low < 1
    found = priced(statistics("P10D"), [(512, 512, 90)], Setup(mosaicking="ORBIT"), "statistical")
    assert found.low == pytest.approx(90 * 2)
    assert found.high == pytest.approx(90 * 5)


@pytest.mark.parametrize("aggregation", [{}, {"timeRange": TIMES}, {"aggregationInterval": {"of": "P1D"}}])
def test_an_aggregation_that_cannot_be_read_is_not_guessed(aggregation: Any) -> None:
    with pytest.raises(EstimateError, match="aggregation"):
        priced({"input": {"data": [S2]}, "aggregation": aggregation}, api="statistical")


@pytest.mark.parametrize("text", ["", "P", "PT", "10D", "P-1D", "P0D", None, 7, "P1.5D"])
def test_what_is_no_duration(text: Any) -> None:
    assert days_of(text) is None
    assert intervals_of({"timeRange": TIMES, "aggregationInterval": {"of": text}}) is None


def test_a_setup_that_cannot_be_read_is_no_price() -> None:
    with pytest.raises(EstimateError, match=r"setup\(\) cannot be read: it throws\."):
        priced(setup=Setup(problem="it throws"))
    with pytest.raises(EstimateError, match="no input bands"):
        priced(setup=Setup(inputs=(), exact=False))
    guessed = priced(setup=Setup(exact=False))
    assert guessed.exact is False
    assert any("read as text" in text for text in guessed.assumed)


@pytest.mark.parametrize(
    ("figure", "sizes", "setup", "days"),
    [
        # Payloads of the recorded figures are not known; these are the plain ones that lead to them.
        (139.87223, [(1000, 1000, 1)], Setup((Input(bands=("B",) * 11),), mosaicking="ORBIT"), 30),
        (45.77636855174205, [(1000, 1000, 4)], Setup((Input(bands=("B",) * 9),)), 1),
        # Of this one the number and the size of the tiles are known; six bands as floats come near it.
        (553.1310903279518, [(2004, 2004, 9)], Setup((Input(bands=("B",) * 6),), (Output(sample_type="FLOAT32"),)), 1),
    ],
)
def test_recorded_figures_are_products_of_the_factors(figure: float, sizes: Any, setup: Setup, days: int) -> None:
    """v1's figures are before the batch share and the minimum, with one observation every three days."""
    found = priced(setup=setup, sizes=sizes)
    value = 1.0
    for factor in found.factors:
        if factor.name not in ("batch", "minimum"):
            value *= days / 3 if factor.name == "samples" and setup.mosaicking == "ORBIT" else factor.value
    assert value == pytest.approx(figure, rel=1e-6 if len(setup.inputs[0].bands) > 6 else 0.003)


def test_lines_and_json_name_every_factor() -> None:
    found = priced(setup=Setup(mosaicking="ORBIT"))
    text = "\n".join(found.lines())
    for factor in found.factors:
        assert factor.name in text
    assert "1,000 PU must be on the account" in text
    assert "1,800 to 4,500 PU" in text
    assert found.as_dict()["factors"][0]["name"] == "area"
    assert str(found) == "1,800 to 4,500 PU"


sides = st.integers(1, 4000)
sizes = st.lists(st.tuples(sides, sides, st.integers(1, 500)), min_size=1, max_size=5)
kinds = st.sampled_from(["sentinel-2-l2a", "sentinel-1-grd", "landsat-ot-l1", "modis", "dem", "byoc-1", "unknown"])


@dataclass(frozen=True)
class Case:
    sizes: list[tuple[int, int, int]]
    bands: int
    kind: str
    mosaicking: str
    days: int
    sample_type: str

    def price(self) -> Estimate:
        stop = (datetime(2025, 1, 1, tzinfo=timezone.utc) + timedelta(days=self.days)).strftime("%Y-%m-%dT00:00:00Z")
        source = {"type": self.kind, "dataFilter": {"timeRange": {"from": "2025-01-01T00:00:00Z", "to": stop}}}
        bands = tuple(f"B{number}" for number in range(self.bands))
        setup = Setup((Input(bands=bands),), (Output(sample_type=self.sample_type),), self.mosaicking)
        return priced(job(source), self.sizes, setup)


cases = st.builds(
    Case,
    sizes=sizes,
    bands=st.integers(1, 20),
    kind=kinds,
    mosaicking=st.sampled_from(["SIMPLE", "ORBIT", "TILE"]),
    days=st.integers(0, 300),
    sample_type=st.sampled_from(["UINT8", "FLOAT32", "AUTO"]),
)


@settings(max_examples=150, deadline=None)
@given(cases, st.data())
@pytest.mark.thorough
def test_the_price_grows_with_area_bands_and_samples(case: Case, data: Any) -> None:
    small = case.price()
    assert 0 < small.low <= small.high
    more = data.draw(
        st.sampled_from(
            [
                replace(case, sizes=[*case.sizes, (data.draw(sides), data.draw(sides), 1)]),
                replace(case, sizes=[(w, h, n + 1) for w, h, n in case.sizes]),
                replace(case, bands=case.bands + 1),
                replace(case, days=case.days + 28),
                replace(case, sample_type="FLOAT32"),
                replace(case, mosaicking={"SIMPLE": "ORBIT", "ORBIT": "TILE", "TILE": "TILE"}[case.mosaicking]),
            ]
        )
    ).price()
    assert more.low >= small.low * (1 - 1e-9)
    assert more.high >= small.high * (1 - 1e-9)


@settings(max_examples=100, deadline=None)
@given(cases)
def test_one_observation_every_three_days_is_always_in_the_range(case: Case) -> None:
    one = replace(case, mosaicking="SIMPLE").price()
    if case.kind == "dem":
        case = replace(case, kind="sentinel-2-l2a")
    many = replace(case, mosaicking="ORBIT").price()
    first = {factor.name: factor for factor in many.factors}["samples"]
    third = max(1.0, case.days / 3)
    assert first.value <= third * (1 + 1e-9)
    assert third <= first.most * (1 + 1e-9)
    assert one.high <= many.high
