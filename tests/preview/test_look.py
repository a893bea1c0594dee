"""What a preview finds in a payload: area, tiles, size in pixels, what would be refused; and how it is told."""

from __future__ import annotations

from typing import Any

import pytest
import shapely

from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.preview.make import preview_of
from airflow_sentinelhub.preview.report import Finding, Preview
from airflow_sentinelhub.preview.shape import rings_of, shape_of, square_kilometres

SCRIPT = "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}} }\nfunction evaluatePixel(s) {}"
TIMES = {"from": "2025-06-01T00:00:00Z", "to": "2025-07-01T00:00:00Z"}
DATA = [{"type": "sentinel-2-l2a", "dataFilter": {"timeRange": TIMES}}]
ORBIT = SCRIPT.replace("output:", 'mosaicking: "ORBIT", output:')


def payload(bbox: Any = (9.0, 42.0, 9.1, 42.1), script: Any = SCRIPT, **more: Any) -> dict[str, Any]:
    process: dict[str, Any] = {"input": {"data": DATA, "bounds": {"bbox": list(bbox)}}, "evalscript": script}
    return {"processRequest": process, "tilingGrid": {"id": 0, "resolution": 60.0}, **more}


def said(preview: Preview, kind: str) -> list[str]:
    return [finding.text for finding in preview.findings if finding.kind == kind]


@pytest.mark.parametrize(("x", "y"), [(None, None), (0, 0), (10, None), (None, 10), (10, 20)])
def test_tiles_have_a_buffer_on_both_sides(x: int | None, y: int | None) -> None:
    grid = {"id": 0, "resolution": 60.0, "bufferX": x, "bufferY": y}
    found = preview_of(payload(tilingGrid=grid), "v1")
    plain = 20_040 / 60
    width, height = plain + 2 * (x or 0), plain + 2 * (y or 0)
    assert found.estimate is not None
    assert found.names is not None
    assert found.estimate.factors[0].value == pytest.approx(len(found.names) * width * height / 512**2)


def test_an_area_that_no_tile_of_the_grid_touches_is_refused() -> None:
    found = preview_of(payload((-70, -10, -69, -9), tilingGrid={"id": 6, "resolution": 100.0}), "v1")
    assert found.names == []
    assert any("does not touch any tile of tiling grid 6" in text for text in found.refused)


@pytest.mark.parametrize("limits", [{"require_estimate": True}, {"require_estimate": False}])
def test_a_price_that_is_not_known_is_refused_where_the_task_needs_one(limits: dict[str, Any]) -> None:
    policy = Policy(max_processing_units=5000, **limits)
    found = preview_of(payload(tilingGrid={"id": 0, "resolution": "x"}), "v1", policy=policy)
    assert found.estimate is None
    assert ("require_estimate is set, and the price is not known here." in found.refused) is limits["require_estimate"]


def test_a_script_that_cannot_be_read_is_told_once() -> None:
    found = preview_of(payload(script="//VERSION=3\nfunction setup( {"), "v1")
    assert len(found.refused) == 1
    assert found.refused[0].startswith("The evalscript: ")
    assert said(found, "unknown") == []


def test_a_price_that_cannot_be_told_is_unknown() -> None:
    asked = payload(script=ORBIT)
    asked["processRequest"]["input"]["data"] = [{"type": "sentinel-2-l2a"}]
    found = preview_of(asked, "v1")
    assert found.refused == []
    assert [text[:32] for text in said(found, "unknown")] == ["The price cannot be estimated: T"]
    assert said(preview_of(payload(script=None), "v1"), "unknown") == [
        "The request has no evalscript as text, so its price is not known."
    ]


def test_secrets_of_the_payload_are_not_in_the_preview() -> None:
    """A preview of a raw payload, too, which no operator has made."""
    place = {"url": "s3://b/p", "accessKey": "AKIAEXAMPLE", "secretAccessKey": "hush-hush"}
    found = preview_of(payload(output={"type": "raster", "delivery": {"s3": place}}), "v2")
    text = "\n".join([*found.lines(), str(found.as_dict()), found.svg(), repr(found)])
    assert "hush-hush" not in text
    assert found.payload is not None
    assert found.payload["output"]["delivery"]["s3"]["url"] == "s3://b/p"


def test_what_was_found_before_stays_and_comes_first() -> None:
    before = (Finding("note", "first"), Finding("refused", "second"))
    found = preview_of(payload(), "v1", findings=before)
    assert found.findings[:2] == before
    assert found.refused == ["second"]


SQUARE = [[9.0, 42.0], [9.0, 43.0], [10.0, 43.0], [10.0, 42.0], [9.0, 42.0]]


def geometry(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


@pytest.mark.parametrize(
    ("bounds", "box"),
    [
        ({"bbox": [9, 42, 10, 43]}, (9, 42, 10, 43)),
        ({"bbox": [10, 43, 9, 42]}, (9, 42, 10, 43)),
        ({"geometry": geometry(SQUARE)}, (9, 42, 10, 43)),
        ({"geometry": geometry(SQUARE), "bbox": [9.5, 42.5, 20, 50]}, (9.5, 42.5, 10, 43)),
        ({"geometry": geometry(SQUARE), "bbox": [0, 0, 9.5, 42.5]}, (9, 42, 9.5, 42.5)),
    ],
)
@pytest.mark.parametrize("crs", [None, "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "urn:ogc:def:crs:OGC::CRS84"])
def test_the_area(bounds: dict[str, Any], box: tuple[float, ...], crs: str | None) -> None:
    found = shape_of({**bounds, **({"properties": {"crs": crs}} if crs else {})})
    assert found.bounds == pytest.approx(box)


def test_an_area_in_metres() -> None:
    crs = {"properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/32632"}}
    found = shape_of({"bbox": [500_000, 4_650_000, 510_000, 4_660_000], **crs})
    assert found.bounds[:2] == pytest.approx((9.0, 42.0), abs=0.01)
    assert square_kilometres(found) == pytest.approx(100, rel=0.002)


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ({"bbox": [9, 42, 9, 43]}, "is empty|is not valid"),
        ({"bbox": [9, 42, 9, 42]}, "is empty|is not valid"),
        ({"geometry": geometry(SQUARE), "bbox": [20, 42, 21, 43]}, "is empty"),
        ({"geometry": geometry(SQUARE), "bbox": [10, 42, 11, 43]}, "is empty"),  # they touch
        ({"geometry": geometry([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]])}, "is not valid"),
        ({"bbox": [-181, 0, 1, 1]}, "outside the world"),
        ({"bbox": [0, 0, 181, 1]}, "outside the world"),
        ({"bbox": [0, 0, 1, 91]}, "outside the world"),
        ({"bbox": [0, -91, 1, 0]}, "outside the world"),
        ({"bbox": [0, 0, 1, float("inf")]}, "outside the world|cannot be read|not valid"),
        ({"bbox": [0, 0, 1]}, "cannot be read"),
        ({}, "no area"),
        ({"bbox": [0, 0, 1, 1], "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/x"}}, "CRS 'x'"),
    ],
)
def test_an_area_that_is_none(bounds: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        shape_of(bounds)


@pytest.mark.parametrize("turned", [False, True])
def test_the_size_of_an_area_is_that_on_the_globe(turned: bool) -> None:
    """Between its corners a border goes along the parallel, as on the map; and a hole is none of it."""
    wide = shapely.box(0, 50, 40, 51)
    hole = shapely.Polygon(wide.exterior.coords, [shapely.box(10, 50.2, 20, 50.8).exterior.coords])
    if turned:
        wide, hole = shapely.reverse(wide), shapely.Polygon(hole.exterior.coords[::-1], [hole.interiors[0].coords])
    assert square_kilometres(wide) == pytest.approx(315_600, rel=0.002)
    small = square_kilometres(shapely.box(10, 50.2, 20, 50.8))
    assert square_kilometres(hole) == pytest.approx(square_kilometres(wide) - small, rel=1e-6)
    both = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1)])
    assert square_kilometres(both) == pytest.approx(2 * square_kilometres(shapely.box(0, 0, 1, 1)), rel=1e-6)


def test_the_borders_of_an_area_have_few_points_and_their_holes() -> None:
    round_one = shapely.Point(9, 42).buffer(1, quad_segs=4000)
    ring = round_one.difference(shapely.Point(9, 42).buffer(0.5))
    assert sum(map(len, rings_of(ring))) < 3500
    assert len(rings_of(ring)) == 2
    assert len(rings_of(shapely.Point(9, 42).buffer(1, quad_segs=100))[0]) == 401, "few points stay as they are"


def told(**members: Any) -> str:
    return "\n".join(Preview("v2", **members).lines())


def test_what_people_are_told() -> None:
    names = [f"t{number}" for number in range(12)]
    assert f"Tiles     12: {', '.join(names[:10])} and 2 more" in told(names=names)
    assert f"Tiles     10: {', '.join(names[:10])}\n" in told(names=names[:10])
    assert "Area      1,234.6 km2" in told(area_km2=1234.56)
    assert "Features  1,234.6 km2" in told(area_km2=1234.56, things="features")
    assert "km2" not in told(names=[])
    findings = tuple(Finding(kind, f"this is {kind}") for kind in ("note", "unknown", "warning", "refused"))
    lines = told(findings=findings).splitlines()[-4:]
    assert lines == [
        "Refused   this is refused",
        "Warning   this is warning",
        "Unknown   this is unknown",
        "Note      this is note",
    ]
    assert told(findings=findings[:3]).endswith("Nothing that would be refused was found.")


def test_long_texts_and_lists_are_cut_for_people_but_not_for_programs() -> None:
    points = [[number, number] for number in range(11)]
    given = {"script": "x" * 301, "short": "y" * 300, "ring": points, "few": points[:10], "deep": [{"a": points}]}
    text = told(payload=given)
    assert f"{'x' * 300}... (301 characters)" in text
    assert f'"{"y" * 300}"' in text
    assert text.count("(11 points)") == 2
    assert Preview("v2", payload=given).as_dict()["payload"] == given


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (("d", "t", None), "d.t"),
        (("d", "t", 0), "d.t[0]"),
        (("d", "t", 3), "d.t[3]"),
        ((None, None, None), "job"),
    ],
)
def test_the_title_names_the_task(names: tuple[Any, Any, Any], title: str) -> None:
    dag_id, task_id, map_index = names
    preview = Preview("v2", names=["a", "b"]).of_task(dag_id, task_id, map_index)
    assert preview.title == title
    assert preview.lines()[0] == f"{title} (batch v2); a preview: nothing was sent"
    assert f"{title}: 2 tiles" in preview.svg()
    assert preview.as_dict()["refused"] is False
