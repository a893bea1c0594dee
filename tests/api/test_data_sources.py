"""The names of data collections: which pass, which are refused, with which advice, and how a new one is let through."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub import input_data, process_request
from airflow_sentinelhub.api.service.data_sources import (
    CDSE,
    COLLECTIONS,
    CUSTOM,
    FORMER,
    PLANET,
    check_offered,
    complaint,
)
from airflow_sentinelhub.api.service.generations import NAMES, generation
from airflow_sentinelhub.api.service.payloads import with_area
from airflow_sentinelhub.api.service.specification import Access, BatchSpecification
from airflow_sentinelhub.api.service.statistical_specification import StatisticalSpecification, aggregation
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import (
    SentinelHubBatchOperator,
    SentinelHubCreateBatchOperator,
)
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from airflow_sentinelhub.simulator import data_types

OWN = ("byoc-017aa0ae-33a6-45d3-8548-0f7d1041b40c", "batch-9688cd56-6c70-4221-add8-a5821d0256a9", "zarr-e2c7baec")
SPAN = ("2024-06-01", "2024-06-30")
AREA = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
ACCESS = Access("a", "b")

MEANT: list[tuple[str, str]] = [
    ("sentinel2-l2a", "did you mean 'sentinel-2-l2a'?"),
    ("Sentinel-2-L2A", "did you mean 'sentinel-2-l2a'?"),
    ("SENTINEL2_L2A", "did you mean 'sentinel-2-l2a'?"),
    ("sentinel-2 l1c", "did you mean 'sentinel-2-l1c'?"),
    ("sentinel-2-l2a ", "did you mean 'sentinel-2-l2a'?"),
    ("s2l2a", "did you mean 'sentinel-2-l2a'?"),
    ("s1grd", "did you mean 'sentinel-1-grd'?"),
    ("sentinel-1", "did you mean 'sentinel-1-grd'?"),
    ("sentinel-2", "did you mean 'sentinel-2-l1c' or 'sentinel-2-l2a'?"),
    ("landsat_ot_l2", "did you mean 'landsat-ot-l2'?"),
    ("Modis", "did you mean 'modis'?"),
    ("DataCollection.SENTINEL2_L2A", "did you mean 'sentinel-2-l2a'?"),
    ("DEM_COPERNICUS_30", "did you mean 'dem'?"),
    ("HARMONIZED_LANDSAT_SENTINEL", "did you mean 'hls'?"),
    ("BYOC-017aa0ae", "did you mean 'byoc-017aa0ae'?"),
    ("byoc-", "known are dem, hls"),
    ("zarr-", "known are dem, hls"),
    ("017aa0ae-33a6-45d3-8548-0f7d1041b40c", "and collections of yours as byoc-<id>"),
    ("COPERNICUS/S2_SR", "known are dem, hls"),
    ("", "known are dem, hls"),
]


@pytest.mark.parametrize("name", [*COLLECTIONS, *FORMER, *CUSTOM, *OWN, "{{ params.collection }}"])
def test_a_known_name_passes(name: str) -> None:
    (source,) = process_request(name, SPAN)["input"]["data"]
    assert source["type"] == name
    assert input_data(name) == [{"type": name, "dataFilter": {}}]


@pytest.mark.parametrize(("name", "advice"), MEANT)
def test_another_name_is_refused_with_what_is_meant(name: str, advice: str) -> None:
    for make in (process_request, input_data):
        with pytest.raises(InvalidInputError) as refused:
            make(name)
        message = str(refused.value)
        assert message.startswith(f"data is {name!r}, which is no data collection known here")
        assert advice in message
        assert "Nothing was sent. If it is a new one, give check_collection=False" in message


def misspelt(name: str) -> set[str]:
    """A letter left out, doubled, or before its turn; other cases and marks; a blank; the prefix of a library."""
    words = {name[:at] + name[at + 1 :] for at in range(len(name))}
    words |= {name[:at] + name[at] + name[at:] for at in range(len(name))}
    words |= {name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in range(len(name) - 1)}
    words |= {name.upper(), name.title(), f"{name} ", f" {name}", *(name.replace("-", mark) for mark in "_ ")}
    words |= {name.replace("-", ""), f"DataCollection.{name.upper().replace('-', '_')}"}
    return words - {*COLLECTIONS, *FORMER}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_each_misspelling_of_a_known_name_is_told_what_is_meant(name: str) -> None:
    for word in misspelt(name):
        told = complaint(word)
        assert told is not None
        assert repr(name) in told, word


def test_one_of_several_is_named_by_its_place() -> None:
    with pytest.raises(InvalidInputError, match=r"^data\[1\]\.type is 'landsat-8', .* did you mean 'landsat-8-l1c'\?"):
        process_request([{"type": "sentinel-2-l2a"}, {"type": "landsat-8"}])


def payload_of(name: str, sources: list[dict[str, Any]]) -> dict[str, Any]:
    """The payload of a create call of this generation for these sources."""
    job: Any
    if name == "statistical":
        job = StatisticalSpecification(
            geopackage="s3://maps/f.gpkg",
            data=sources,
            aggregation=aggregation(SPAN, "P10D", resolution=10, evalscript="//VERSION=3"),
            output="s3://maps/x",
        )
    else:
        job = BatchSpecification(
            process_request={"input": {"data": sources}, "output": {}},
            tiling_grid={"id": 0, "resolution": 10},
            output="s3://maps/x",
            area=AREA,
            evalscript="//VERSION=3",
        )
    return generation(name).payload(job, ACCESS)


def sent(payload: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = payload.get("processRequest", payload)["input"]["data"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_what_a_template_has_rendered_to_is_checked_before_it_is_sent(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"data is 'sentinel2-l2a', .* did you mean 'sentinel-2-l2a'\?"):
        payload_of(name, [{"type": "sentinel2-l2a"}])
    assert sent(payload_of(name, [{"type": "sentinel-2-l2a"}])) == [{"type": "sentinel-2-l2a"}]


@pytest.mark.parametrize("name", NAMES)
def test_a_new_collection_is_let_through_and_only_its_name_is_sent(name: str) -> None:
    new = process_request("sentinel-4-uvn", check_collection=False)["input"]["data"]
    assert new == input_data("sentinel-4-uvn", check_collection=False)
    assert sent(payload_of(name, new)) == [{"type": "sentinel-4-uvn", "dataFilter": {}}]
    several = process_request([{"type": "new-one"}, {"type": "dem"}], check_collection=False)["input"]["data"]
    assert sent(payload_of(name, several)) == [{"type": "new-one"}, {"type": "dem"}]


def test_the_hooks_payload_has_no_member_of_ours() -> None:
    request = with_area(process_request("new-one", check_collection=False))
    assert request["input"]["data"] == [{"type": "new-one", "dataFilter": {}}]
    with pytest.raises(InvalidInputError, match="did you mean 'modis'"):
        with_area({"input": {"data": [{"type": "moddis"}]}})


WRONG = {"input": {"data": [{"type": "sentinel2-l2a"}]}}


@pytest.mark.parametrize(
    ("operator", "given"),
    [
        (SentinelHubBatchOperator, {"process_request": WRONG}),
        (SentinelHubCreateBatchOperator, {"process_request": WRONG}),
        *(
            (
                SentinelHubBatchStatisticalOperator,
                {"geopackage": "s3://maps/f.gpkg", "data": data, "aggregation": {}, "destination": "s3://maps/x"},
            )
            for data in ("sentinel2-l2a", [{"type": "sentinel2-l2a"}], {"type": "sentinel2-l2a"})
        ),
    ],
)
def test_an_operator_says_it_while_the_dag_is_parsed(operator: Any, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"^data is 'sentinel2-l2a', .* did you mean 'sentinel-2-l2a'\?"):
        operator(task_id="t", **given)


def test_the_simulator_knows_the_same_names() -> None:
    """It imports nothing of ours, so it has a list of its own."""
    assert {*COLLECTIONS, "custom"} == data_types.NAMES
    assert {*FORMER, "CUSTOM"} == data_types.FORMER
    assert all(map(data_types.is_known, (*COLLECTIONS, *FORMER, *CUSTOM, *OWN)))
    assert not any(data_types.is_known(name) for name, _ in MEANT)


def test_deployments_differ() -> None:
    assert COLLECTIONS["sentinel-2-l2a"] == (PLANET, CDSE)
    assert COLLECTIONS["hls"] == (PLANET,)
    assert COLLECTIONS["sentinel-3-slstr-l2"] == (CDSE,)


HERE = {
    PLANET: ("https://services.sentinel-hub.com", "https://SERVICES-USWEST2.sentinel-hub.com:443"),
    CDSE: ("https://sh.dataspace.copernicus.eu", "https://sh.dataspace.copernicus.eu/"),
}


@pytest.mark.parametrize("name", [*COLLECTIONS, *FORMER])
def test_a_collection_of_another_deployment_is_refused(name: str) -> None:
    places = COLLECTIONS[FORMER.get(name, name)]
    for here, urls in HERE.items():
        for url in urls:
            for sources in (name, {"type": name}, [{"type": name}]):
                if here in places:
                    check_offered(sources, url)
                    continue
                with pytest.raises(
                    InvalidInputError, match=rf"^data is '{name}', which .* does not offer, and "
                ) as said:
                    check_offered(sources, url)
                assert places[0] in str(said.value)
                assert url in str(said.value)


def test_what_a_deployment_offers_is_not_always_known() -> None:
    for url in ("http://127.0.0.1:8080", "https://creodias.sentinel-hub.com", "https://example.org"):
        check_offered("sentinel-5p-l2", url)
    for sources in (*OWN, *CUSTOM, "{{ params.x }}", None, 5, [5], [{"type": None}], [{}]):
        check_offered(sources, HERE[CDSE][0])
    check_offered(process_request("modis", check_collection=False)["input"]["data"], HERE[CDSE][0])
    with pytest.raises(InvalidInputError, match=r"^data\[1\]\.type is 'hls', which Copernicus Data Space"):
        check_offered([{"type": "dem"}, {"type": "hls"}], HERE[CDSE][0])
