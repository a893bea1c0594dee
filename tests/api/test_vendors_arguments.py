"""Arguments of the vendor's clients that are odd and still have a meaning, and those that are refused in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Send
from airflow_sentinelhub.api.service import payloads, payloads_v2
from airflow_sentinelhub.api.service.data_sources import UNCHECKED
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks.statistical import SentinelHubBatchStatistical
from airflow_sentinelhub.hooks.v1 import SentinelHubBatch

SOURCE = {"type": "sentinel-2-l2a"}
GOOD: dict[str, Any] = {
    "input_features": {"s3": {"url": "s3://maps/fields.gpkg"}},
    "input_data": [SOURCE],
    "aggregation": {"evalscript": "//VERSION=3"},
    "output": {"s3": {"url": "s3://maps/out"}},
}


class Sent(Exception):
    """Carries the call that would be sent."""


def only_say(flow: Any) -> Any:
    step = next(flow)
    assert isinstance(step, Send)
    raise Sent(step.call)


def sent(**changes: Any) -> Any:
    with pytest.raises(Sent) as told:
        SentinelHubBatchStatistical(only_say).create(**{**GOOD, **changes})
    return told.value.args[0].json


@pytest.mark.parametrize(
    "data", [[SOURCE], (SOURCE,), iter([SOURCE]), (one for one in [SOURCE]), map(dict, [SOURCE]), {1: SOURCE}.values()]
)
def test_data_sources_come_from_any_iterable(data: Iterable[Any]) -> None:
    assert sent(input_data=data)["input"]["data"] == [SOURCE]


def test_what_is_said_to_us_alone_is_not_sent() -> None:
    assert sent(input_data=({**SOURCE, UNCHECKED: False},))["input"]["data"] == [SOURCE]


@pytest.mark.parametrize("name", ["input_features", "aggregation", "output"])
@pytest.mark.parametrize("wrong", [None, "s3://maps", 7, ["s3"]])
def test_a_part_of_a_statistical_request_that_is_none_is_told(name: str, wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"^{name} is .*, not "):
        SentinelHubBatchStatistical(only_say).create(**{**GOOD, name: wrong})


@pytest.mark.parametrize("make", [payloads_v2.raster_output, payloads_v2.zarr_output, payloads_v2.geopackage_input])
@pytest.mark.parametrize("wrong", [None, "s3://maps", 7, ["s3"]])
def test_a_place_that_is_none_is_told(make: Any, wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"is built with s3_specification\(url, \.\.\.\), not "):
        make(wrong)


@pytest.mark.parametrize("buffer", [None, (), []])
def test_a_grid_without_a_buffer(buffer: Any) -> None:
    assert payloads.tiling_grid(1, 10, buffer) == {"id": 1, "resolution": 10}


def test_no_null_is_in_the_input_of_v2() -> None:
    grid = payloads_v2.tiling_grid_input(1, 10, None, 3, more=None)
    assert grid == {"type": "tiling-grid", "id": 1, "resolution": 10, "bufferY": 3}


@pytest.mark.parametrize(("status", "asked"), [(None, None), ("", ""), ("FAILED", "FAILED")])
def test_a_status_of_tiles_that_is_given_is_asked_for(status: Any, asked: Any) -> None:
    with pytest.raises(Sent) as told:
        next(SentinelHubBatch(only_say).iter_tiles("a", status))
    assert told.value.args[0].params().get("status") == asked
