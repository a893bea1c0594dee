"""What a catalog says of an acquisition, and numbers that no channel of Airflow can carry."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.decoding import number, whole
from airflow_sentinelhub.api.flows.imagery import as_plain, cloud_limit, find_acquisitions
from airflow_sentinelhub.api.service.catalog import search
from tests.api.feeding import Fed, feed, ok


def acquisition(**members: Any) -> dict[str, Any]:
    page = search({"collections": ["sentinel-2-l2a"]}).parse({"features": [{"id": "S2_1", **members}]})
    (item,) = page.items
    return as_plain(item)


@pytest.mark.parametrize(
    "bbox",
    [
        [-124.5, 32.5, -114.1, 42.0],  # California
        [-74.0, -34.5, -34.8, 5.3],  # Brazil
        [0, 0, 1, 1],
        [-180.0, -90.0, -400.0, 180.0, 90.0, 9000.0],
    ],
)
def test_every_place_of_the_world_has_its_box(bbox: list[float]) -> None:
    assert acquisition(bbox=bbox)["bbox"] == bbox


@pytest.mark.parametrize("bbox", [None, [], [True, 0, 1, 1], ["1", 2, 3, 4], [float("nan"), 0, 1, 1], {"a": 1}, 5])
def test_what_is_no_box_is_not_known(bbox: Any) -> None:
    assert acquisition(bbox=bbox)["bbox"] is None


@pytest.mark.parametrize("cover", [None, "few", -1, float("inf"), True])
def test_clouds_that_are_no_number_are_not_known(cover: Any) -> None:
    assert acquisition(properties={"eo:cloud_cover": cover, "datetime": "2026-02-31"})["cloud_cover"] is None


@pytest.mark.parametrize("digits", [19, 20, 30, 299])
def test_a_number_above_64_bits_is_no_whole_one(digits: int) -> None:
    """The process of the triggers ends of one that it cannot send."""
    large = int("9" * digits)
    assert isinstance(number(large), float)
    assert number(large) == pytest.approx(large)
    assert whole(large) is None
    assert whole(float(large)) is None
    assert number(2**63 - 1) == whole(2**63 - 1) == 2**63 - 1


def searched(limit: Any, *pages: dict[str, Any]) -> Fed:
    day = datetime(2024, 6, 1, tzinfo=timezone.utc)
    return feed(find_acquisitions("c", {"bbox": [0, 0, 1, 1]}, day, day, cloud_limit(limit)), map(ok, pages))


@pytest.mark.parametrize("context", [{"next": ""}, {"next": None}, {}, None, []])
def test_the_last_page_may_say_so_in_any_way(context: Any) -> None:
    found = searched(None, {"features": [{"id": "a"}], "context": context})
    assert [item.id for item in found.result] == ["a"]


@pytest.mark.parametrize("following", [0, "0", 100, "x"])
def test_the_next_page_may_have_any_name(following: Any) -> None:
    first, last = {"features": [{"id": "a"}], "context": {"next": following}}, {"features": [{"id": "b"}]}
    found = searched(None, first, last)
    assert [item.id for item in found.result] == ["a", "b"]
    assert json_of(found.sent[1])["next"] == following


@pytest.mark.parametrize(
    ("limit", "written"),
    [
        (0, "0"),
        (-0.0, "0"),
        (100, "100"),
        ("30", "30"),
        (0.00001, "0.00001"),
        (33.33333333, "33.33333333"),
        (99.9999999, "99.9999999"),
    ],
)
def test_a_cloud_limit_is_sent_as_it_is_given(limit: Any, written: str) -> None:
    """As a plain decimal: not every catalog reads exponents."""
    found = searched(limit, {"features": []})
    assert json_of(found.sent[0])["filter"] == f"eo:cloud_cover <= {written}"


def json_of(call: Call[Any]) -> dict[str, Any]:
    assert isinstance(call.json, dict)
    return call.json
