"""The Catalog API: a STAC API whose items are the acquisitions of this world that are published by now.

Under the old form of the path and the new one. What a reply looks like follows the vendor's documentation; the order of
the items is not known there, and is newest first here.
"""

from __future__ import annotations

import re
from typing import Any

from shapely.geometry import box as box_of
from shapely.geometry import mapping

from .acquisitions import DAY, KINDS, Acquisition, Box, Kind, acquisitions, newest_first
from .area import parse_area
from .clock import iso_milliseconds
from .handlers import Context, Handler, read_object
from .replies import Json, Refusal, Reply, error
from .times import parse_time

OLD, BASE = "/api/v1/catalog/1.0.0", "/catalog/v1"
LIMIT, MOST = 10, 100
LONGEST = 400 * DAY
"""The longest time range that is searched (ours: it bounds what one call costs)."""
LARGEST = 400.0
"""Degrees: the longest side of the area that is searched."""
_MEMBERS = {"collections", "datetime", "bbox", "intersects", "ids", "filter", "filter-lang", "filter-crs", "fields"}
_MEMBERS |= {"distinct", "limit", "next"}
_CLOUDS = re.compile(r"\s*eo:cloud_cover\s*(<=|<)\s*(\d+(?:\.\d+)?)\s*")


def search(context: Context) -> Reply:
    # doc: since 1.0.0 items are no plain JSON for those who ask for a media type.
    if context.call.headers.get("accept", "*/*").split(";")[0].strip() == "application/json":
        raise Refusal(error(406, "Items are application/geo+json."))
    body = read_object(context.call)
    unknown = sorted(set(body) - _MEMBERS)
    if unknown:  # such as `query`, which 1.0.0 has no more
        raise _bad(f"Unknown member of the search: {unknown[0]}.")
    kind, area = _kind(body.get("collections")), _area(body)
    begin, end = _range(body.get("datetime"), context.call.now)
    clouds = _clouds(body)
    limit, first = _whole(body, "limit", LIMIT, least=1), _whole(body, "next", 0, least=0)
    if limit > MOST:
        raise _bad(f"limit must be at most {MOST}.")
    ids = body.get("ids")
    if ids is not None and not (isinstance(ids, list) and all(isinstance(name, str) for name in ids)):
        raise _bad("ids must be a list of texts.")
    found = [
        item
        for item in acquisitions(kind, _bounds(area), begin, end, context.world.seed)
        if item.published <= context.call.seen and area.intersects(box_of(*item.box)) and clouds(item)
        if ids is None or item.number in ids
    ]
    page = newest_first(found)[first : first + limit]
    page_info: Json = {"limit": limit, "returned": len(page)}
    links: list[Json] = []
    if first + limit < len(found):
        page_info["next"] = first + limit
        href = f"{context.call.base}{context.call.path}"
        links.append({"href": href, "rel": "next", "method": "POST", "body": {"next": first + limit}, "merge": True})
    features = [_item(item, context) for item in page]
    return _geojson({"type": "FeatureCollection", "features": features, "links": links, "context": page_info})


def landing(context: Context) -> Reply:
    return Reply(200, {"stac_version": "1.0.0", "id": "sentinel-hub-catalog", "type": "Catalog", "links": []})


def list_collections(context: Context) -> Reply:
    return Reply(200, {"collections": [_collection(kind) for kind in KINDS.values()], "links": []})


def get_collection(context: Context) -> Reply:
    return Reply(200, _collection(_known(context.parts["id"])))


def get_item(context: Context) -> Reply:
    kind, number = _known(context.parts["id"]), context.parts["item"]
    now = context.call.now
    for item in acquisitions(kind, (-180.0, -90.0, 179.9, 89.9), now - 60 * DAY, now, context.world.seed):
        if item.number == number and item.published <= context.call.seen:
            return _geojson(_item(item, context))
    raise Refusal(error(404))


def _collection(kind: Kind) -> Json:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": kind.name,
        "title": kind.title,
        "license": "proprietary",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "summaries": {"platform": list(kind.platforms)},
        "links": [],
    }


def _item(item: Acquisition, context: Context) -> Json:
    properties: Json = {
        "datetime": iso_milliseconds(item.taken)[:-5] + "Z",
        "platform": item.platform,
        "gsd": item.kind.gsd,
    }
    if item.cloud_cover is not None:
        properties["eo:cloud_cover"] = item.cloud_cover
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item.number,
        "collection": item.kind.name,
        "geometry": mapping(box_of(*item.box)),
        "bbox": list(item.box),
        "properties": properties,
        "assets": {"data": {"href": f"s3://simulated/{item.kind.name}/{item.number}/", "type": "inode/directory"}},
        "links": [
            {"rel": "self", "href": f"{context.call.base}{BASE}/collections/{item.kind.name}/items/{item.number}"}
        ],
    }


def _geojson(body: Json) -> Reply:
    return Reply(200, body, media_type="application/geo+json")


def _bad(message: str) -> Refusal:
    return Refusal(error(400, message))


def _known(name: str) -> Kind:
    if name not in KINDS:
        raise Refusal(error(404, f"Collection {name} not found."))
    return KINDS[name]


def _kind(named: Any) -> Kind:
    if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
        raise _bad("collections must be a list of exactly one collection.")
    return _known(named[0])


def _area(body: Json) -> Any:
    if ("bbox" in body) == ("intersects" in body):
        raise _bad("Exactly one of bbox and intersects must be given.")
    bounds = {"bbox": body["bbox"]} if "bbox" in body else {"geometry": body["intersects"]}
    try:
        area = parse_area(bounds)
    except ValueError as problem:
        raise _bad(str(problem)) from None
    west, south, east, north = area.bounds
    if max(east - west, north - south) > LARGEST:
        raise _bad("The area is too large.")
    return area


def _bounds(area: Any) -> Box:
    west, south, east, north = area.bounds
    return west, south, east, north


def _range(given: Any, now: float) -> tuple[float, float]:
    parts = given.split("/") if isinstance(given, str) else []
    if len(parts) != 2:
        raise _bad("datetime must be a range of RFC 3339 times: from/to.")
    begin, end = _time(parts[0], 0.0), _time(parts[1], now)
    if end < begin:
        raise _bad("datetime must not end before it begins.")
    end = min(end, now)
    return max(begin, end - LONGEST), end


def _time(text: str, default: float) -> float:
    if text in ("", ".."):
        return default
    moment = parse_time(text)
    if moment is None:
        raise _bad(f"Invalid datetime: {text}.")
    return moment.timestamp()


def _clouds(body: Json) -> Any:
    """Whether an acquisition passes the filter: of the language, this much is understood."""
    given = body.get("filter")
    if given is None:
        return lambda item: True
    if body.get("filter-lang", "cql2-text") != "cql2-text" or not isinstance(given, str):
        raise _bad("The simulator understands a filter in cql2-text only.")
    found = _CLOUDS.fullmatch(given)
    if found is None:
        raise _bad("The simulator understands filters of the form eo:cloud_cover < 30 only.")
    most, also = float(found[2]), found[1] == "<="

    def passes(item: Acquisition) -> bool:
        cover = item.cloud_cover
        return cover is not None and (cover < most or (also and cover == most))

    return passes


def _whole(body: Json, name: str, default: int, least: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _bad(f"{name} must be a whole number of at least {least}.")
    return value


ROUTES: list[tuple[str, str, Handler]] = [
    (method, f"{root}{path}", handler)
    for root in (OLD, BASE)
    for method, path, handler in (
        ("GET", "", landing),
        ("GET", "/collections", list_collections),
        ("GET", "/collections/{id}", get_collection),
        ("GET", "/collections/{id}/items/{item}", get_item),
        ("POST", "/search", search),
    )
]
