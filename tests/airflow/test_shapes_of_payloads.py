"""Payloads of a shape that the service does not take are refused before the create call, by the argument's name."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub import output, process_request, sentinelhub_batch, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import SentinelHubCreateBatchOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchTileSensor
from tests.airflow.test_rendered import DAYS, described

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
TIFF = {"responses": [{"identifier": "default", "format": {"type": "image/tiff"}}]}
DATA = [{"type": "sentinel-2-l2a", "dataFilter": {"timeRange": {"from": DAYS[0], "to": DAYS[1]}}}]

LITERALS: list[tuple[str, Any, str]] = [
    ("tiling_grid", {"id": 1}, "tiling_grid has no resolution"),
    ("tiling_grid", {"resolution": 10}, "tiling_grid has no id"),
    ("tiling_grid", {}, "tiling_grid has no id"),
    ("tiling_grid", tiling_grid(1, None), "tiling_grid has no resolution"),  # type: ignore[arg-type]
    ("tiling_grid", {"id": 1, "resolutoin": 10}, "tiling_grid has no member 'resolutoin': did you mean 'resolution'"),
    ("tiling_grid", tiling_grid(1, 10, buffer_x=5), "tiling_grid has no member 'buffer_x': did you mean 'bufferX'"),
    ("tiling_grid", {"id": 1, "resolution": 10, "buffer": 5}, "tiling_grid has no member 'buffer'"),
    ("tiling_grid", '{"id": 1, "resolution": 10', "tiling_grid is text that is not JSON"),
    ("payload_extra", "{'a': 1}", "payload_extra is text that is not JSON"),
    ("process_request", "{input: {}}", "process_request is text that is not JSON"),
    ("destination", "maps/ndvi", r"The place of an output is s3://bucket/path, not 'maps/ndvi' \(destination\)"),
    ("destination", {"defaultTilePath": "x"}, r"The place of an output .* \(destination\.defaultTilePath\)"),
    ("destination", output(default_tile_path="s3://maps/x", overwrite=2), "destination.overwrite is true or false"),  # type: ignore[arg-type]
    ("iam_role_arn", "writer", "iam_role_arn is the ARN of a role, such as .*, not 'writer'"),
    ("iam_role_arn", 5, "iam_role_arn is the ARN of a role, such as .*, not 5"),
]


@pytest.mark.parametrize(("name", "value", "says"), LITERALS)
@once
def test_literals(bench: Any, name: str, value: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{says}.* Task: job"):
        SentinelHubCreateBatchOperator(**described(bench, **{name: value}))


IN_THE_RUN: list[tuple[str, Any, str]] = [
    ("process_request", {"input": {"data": []}, "output": TIFF}, r"process_request\.input\.data is a list .*not \[\]"),
    ("process_request", {"input": {}, "output": TIFF}, r"process_request\.input\.data is a list"),
    ("process_request", {"input": {"data": [{}]}, "output": TIFF}, r"process_request\.input\.data\[0\] must be an "),
    ("process_request", {"input": {"data": ["dem"]}, "output": TIFF}, r".*data\[0\] must be an object .*not 'dem'"),
    ("process_request", {"input": {"data": [{"type": 5}]}, "output": TIFF}, r"process_request\.input\.data\[0\]"),
    ("process_request", {"input": {"data": DATA}}, r"process_request\.output must be an object .*not None"),
    ("process_request", {"input": {"data": DATA}, "output": [1]}, r"process_request\.output must be an object"),
    ("payload_extra", {"processRequest": {}}, r"payload_extra\.processRequest would take the place of what"),
    ("destination", "s3://maps/<tile>/x", r"The place of an output, .*has <tile>, which is not known .*<tileName>"),
    ("destination", "s3://maps/<requestID>/<tileName>.tif", "The place of an output, .*has <requestID>"),
]


TIMES = {"from": DAYS[0], "to": DAYS[1]}
MISSPELT: list[tuple[dict[str, Any], str]] = [
    ({"data_filter": {"timeRange": TIMES}}, r"data\[0\] has no member 'data_filter': did you mean 'dataFilter'"),
    ({"datafilter": {"timeRange": TIMES}}, r"data\[0\] has no member 'datafilter': did you mean 'dataFilter'"),
    (
        {"dataFilter": {"time_range": TIMES}},
        r"data\[0\]\.dataFilter has no member 'time_range': did you mean 'timeRange",
    ),
    ({"dataFilter": {"mosaicking_order": "leastCC"}}, r".*'mosaicking_order': did you mean 'mosaickingOrder'"),
    ({"timeRange": TIMES}, r"data\[0\] has no member 'timeRange': did you mean 'dataFilter\.timeRange'"),
    ({"max_cloud_coverage": 30}, r".*'max_cloud_coverage': did you mean 'dataFilter\.maxCloudCoverage'"),
]


@pytest.mark.parametrize(("more", "says"), MISSPELT)
@once
def test_a_member_of_a_data_object_that_the_service_would_pass_over(bench: Any, more: Any, says: str) -> None:
    """Without its time range a job would take all that was ever taken."""
    given = {"input": {"data": [{"type": "sentinel-2-l2a", **more}]}, "output": TIFF}
    with pytest.raises(InvalidInputError, match=rf"^process_request\.input\.{says}.* Task: job"):
        SentinelHubCreateBatchOperator(**described(bench, process_request=given))


@once
def test_members_of_a_data_object_that_nobody_knows_pass(bench: Any) -> None:
    more = {"id": "a", "new_member": 1, "processing": {}, "dataFilter": {"timeRange": TIMES, "newMember": 5}}
    given = {"input": {"data": [{"type": "sentinel-2-l2a", **more}]}, "output": TIFF}
    SentinelHubCreateBatchOperator(**described(bench, process_request=given))


@pytest.mark.parametrize(("name", "value", "says"), IN_THE_RUN)
@once
def test_in_the_run(bench: Any, name: str, value: Any, says: str) -> None:
    before = bench.mark()
    with pytest.raises(AirflowFailException, match=f"^{says}"):
        bench.run(lambda: SentinelHubCreateBatchOperator(**described(bench, **{name: value})))
    assert bench.mark() == before


@pytest.mark.parametrize("bounds", [{"bbox": [8, 41, 9]}, {"bbox": [9, 41, 8, 42]}, {"bbox": [8, 41, 9, 95]}])
@once
def test_bounds_of_the_payload(bench: Any, bounds: Any) -> None:
    request = {"input": {"data": DATA, "bounds": bounds}, "output": TIFF}
    before = bench.mark()
    with pytest.raises(AirflowFailException, match=r"(?i)bounding box|the area"):
        bench.run(lambda: SentinelHubCreateBatchOperator(**described(bench, process_request=request, area=None)))
    assert bench.mark() == before


@pytest.mark.parametrize(("given", "sent"), [(1, True), (0, False), ("yes", True), (False, False)])
@once
def test_booleans_of_an_output(bench: Any, given: Any, sent: bool) -> None:
    there = output(default_tile_path="s3://maps/x", overwrite=given)
    made = bench.made(lambda: SentinelHubCreateBatchOperator(**described(bench, destination=there)))
    assert bench.body(made)["output"]["overwrite"] is sent


@pytest.mark.parametrize(
    ("responses", "says"),
    [
        (("a", "a"), "responses has 'a' twice"),
        ([{"identifier": "a", "format": "image/tiff"}], r"responses\[0\]\.format is an object"),
        ([{"identifier": "a"}], r"responses\[0\]\.format is an object"),
    ],
)
def test_responses(responses: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{says}"):
        process_request("dem", responses=responses)


@pytest.mark.parametrize("tile", ["", "  "])
def test_a_tile_without_a_name(tile: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^tile is the name or the id of a tile, not ' *'"):
        SentinelHubBatchTileSensor(task_id="t", request_id="5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10", tile=tile)


def test_whether_somebody_approves() -> None:
    with pytest.raises(InvalidInputError, match=r"^approve is True or False, not 'perhaps'"):
        sentinelhub_batch("g", approve="perhaps")  # type: ignore[arg-type]
