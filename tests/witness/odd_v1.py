"""Patterns of odd uses for batch v1, see `patterns.py`. They run behind those of `patterns_v1.py`."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from typing import Any

from tests.witness.odd_uses import of_ids, of_lists, of_models
from tests.witness.patterns import Pattern, World, outcome
from tests.witness.patterns_v1 import NOWHERE, done, made, partial

METHODS = (
    *("get_request", "start_analysis", "start_job", "cancel_job", "restart_job"),
    *("delete_request", "update_request"),
)
UTM = {"crs": "http://www.opengis.net/def/crs/EPSG/0/32633"}
PATTERNS: dict[str, Pattern] = {
    **of_models("BatchRequest", done),
    **of_lists("SentinelHubBatch.iter_tiles", lambda w: w.client.iter_tiles(partial(w))),
    **of_lists("SentinelHubBatch.iter_tiling_grids", lambda w: w.client.iter_tiling_grids(count=2)),
    **of_ids("SentinelHubBatch", METHODS),
}


def pattern(name: str) -> Any:
    return lambda function: PATTERNS.setdefault(name, function)


def told(w: World, *arguments: Any, **named: Any) -> Any:
    """What a create by these arguments comes to."""

    def create() -> Any:
        request = w.client.create(*arguments, **named)
        return [request.status.value, request.description, request.bucket_name, request.output, request.tiling_grid]

    return outcome(create)


def bounded(w: World, bounds: Any) -> Any:
    """A request with these bounds."""
    body = done(w).to_dict()
    given = {**body["processRequest"]["input"], "bounds": bounds}
    return type(done(w)).from_dict({**body, "processRequest": {**body["processRequest"], "input": given}})


@pattern("SentinelHubBatch.tiling_grid: buffers of all sorts")
def _(w: World) -> Any:
    make = w.client.tiling_grid
    buffers: tuple[Any, ...] = ([2, 3], (), [], (0, 0), None)
    return [[make(1, 10, buffer) for buffer in buffers], make(grid_id=1, resolution=10, bufferX=7)]


@pattern("SentinelHubBatch.tiling_grid: a buffer that is not two numbers")
def _(w: World) -> Any:
    wrong: tuple[Any, ...] = ((5,), 5, (1, 2, 3))
    return [outcome(lambda buffer=buffer: w.client.tiling_grid(1, 10, buffer)) for buffer in wrong]


@pattern("SentinelHubBatch.output: empty values, further members")
def _(w: World) -> Any:
    make = w.client.output
    few = [make(overwrite=False, skip_existing=False), make(default_tile_path="", responses=[]), make(more=None)]
    return [few, make(cog_parameters={"a": None}, collection_id="x"), outcome(lambda: make(1))]


@pattern("SentinelHubBatch.create: arguments by position and by name")
def _(w: World) -> Any:
    process, grid = w.given["process"], w.client.tiling_grid(1, 10)
    output = w.client.output(default_tile_path="s3://maps/odd")
    return [
        told(w, process, grid, None, "maps", "text"),
        told(w, process, grid, output, None, "text"),
        told(w, sentinelhub_request=process, tiling_grid=grid, bucket_name="maps", zarrOutput=None),
        told(w, process, w.client.tiling_grid(1, 10, (2, 3)), bucket_name="maps", description="ü 漢"),
        told(w, process, grid, None, "maps", "text", 7),
        told(w, process),
    ]


@pattern("SentinelHubBatch.create: what the service refuses, or takes all the same")
def _(w: World) -> Any:
    process, grid = w.given["process"], w.client.tiling_grid(1, 10)
    data = process["input"]["data"]
    changes: tuple[dict, ...] = (
        {"input": {**process["input"], "data": []}},
        {"input": {**process["input"], "data": tuple(data)}},
        {"output": {"width": 5}},
        {"more": {"a": [None, 1]}},
    )
    return [
        told(w, process, grid),
        told(w, process, grid, w.client.output(default_tile_path="s3://maps/odd"), "maps"),
        told(w, process, None, bucket_name="maps"),
        told(w, process, grid, bucket_name="maps", description=7),
        [told(w, {**process, **change}, grid, bucket_name="maps") for change in changes],
        [told(w, wrong, grid, bucket_name="maps") for wrong in ({}, None, [], object(), 7, "{}")],
    ]


@pattern("SentinelHubBatch.create: the payload is left as it is")
def _(w: World) -> Any:
    process, grid = copy.deepcopy(w.given["process"]), w.client.tiling_grid(1, 10)
    w.client.create(process, grid, bucket_name="maps")
    return [process == w.given["process"], grid]


@pattern("SentinelHubBatch.create: a date in the payload")
def _(w: World) -> Any:
    process = {**w.given["process"], "more": dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)}
    return outcome(lambda: w.client.create(process, w.client.tiling_grid(1, 10), bucket_name="maps").status.value)


@pattern("SentinelHubBatch.create: what JSON cannot hold in the payload")
def _(w: World) -> Any:
    process, grid = w.given["process"], w.client.tiling_grid(1, 10)
    return [told(w, {**process, "more": more}, grid, bucket_name="maps") for more in ({1}, float("nan"))]


@pattern("SentinelHubBatch.iter_requests: arguments by position, odd words")
def _(w: World) -> Any:
    c = w.client
    words = [one.description for one in c.iter_requests(None, "done|partial", "created")]
    few = [len(list(c.iter_requests(**given))) for given in ({"search": "no such"}, {"user_id": "nobody"})]
    left = c.iter_requests()
    next(left)
    left.close()
    refused = [outcome(lambda: list(c.iter_requests(count=0))), outcome(lambda: len(c.iter_requests()))]
    return [words, few, refused, bool(c.iter_requests(sort="age")), next(left, "none")]


@pattern("SentinelHubBatch.iter_tiles: filters and query parameters")
def _(w: World) -> Any:
    def tiles(*given: Any, **named: Any) -> Any:
        return outcome(lambda: len(list(w.client.iter_tiles(partial(w), *given, **named))))

    words = [tiles(word) for word in ("FAILED", None, "", "failed", " FAILED", 7)]
    nowhere = outcome(lambda: list(w.client.iter_tiles(NOWHERE)))
    return [words, tiles(count=3), tiles(count=3, viewtoken="5"), tiles(nothing=None), tiles(count=-1), nowhere]


@pattern("SentinelHubBatch.get_tile, get_tiling_grid: ids of all sorts")
def _(w: World) -> Any:
    first = next(w.client.iter_tiles(partial(w)))
    ids: tuple[Any, ...] = (str(first["id"]), -1, 1.5, "x", True, 0, 10**30)
    found = [outcome(lambda one=one: w.client.get_tile(partial(w), one)["id"] == first["id"]) for one in ids]
    grids = [outcome(lambda one=one: w.client.get_tiling_grid(grid_id=one)["id"]) for one in ("1", 99, "x", 1.0, -1)]
    return [found, grids]


@pattern("SentinelHubBatch.get_tiling_grid(None)")
def _(w: World) -> Any:
    return outcome(lambda: sorted(w.client.get_tiling_grid(None)))


@pattern("SentinelHubBatch.update_request: arguments by position, odd values")
def _(w: World) -> Any:
    request, update = made(w, "before"), w.client.update_request
    said = [update(request, None, "a")["description"], update(request.to_dict(), description="")["description"]]
    said += [update(request)["description"], update(request, {"collectionId": None}, more=1)["description"]]
    refused: tuple[dict, ...] = ({"description": 7}, {"output": "x"})
    return [said, [outcome(lambda one=one: update(request, **one)) for one in refused], request.description]


@pattern("SentinelHubBatch.get_request: ids of all sorts")
def _(w: World) -> Any:
    ids = ("../x", "a?b=1", "not-a-uuid", done(w).request_id.upper())
    return [outcome(lambda one=one: w.client.get_request(one)) for one in ids]


@pattern("Monitors of a request that is given by its id or its JSON")
def _(w: World) -> Any:
    forms = (done(w).request_id, done(w).to_dict())
    tiles = [{status.value: len(found) for status, found in w.done(form).items() if found} for form in forms]
    broken = outcome(lambda: w.done(w.kept["broken"]))
    return [tiles, [w.analysed(form).status.value for form in forms], outcome(lambda: w.analysed(7)), broken]


@pattern("BatchCollection: made, compared, copied")
def _(w: World) -> Any:
    n, make = w.names, w.names.BatchCollection
    first = make("n", "b", n.BatchCollectionAdditionalData(bands={"a": {}}), "i", "u", None, 0)
    named = make(name="n", s3_bucket="b", additional_data=None)
    copies = (copy.copy(first), copy.deepcopy(first), pickle.loads(pickle.dumps(first)))
    same = [twin == first for twin in copies] + [first == named, first == {}, first.no_data, named.collection_id]
    return [same, named.to_dict(), first.to_dict(), outcome(lambda: hash(first)), outcome(make)]


@pattern("BatchCollection.from_dict: odd replies")
def _(w: World) -> Any:
    least = {"name": "n", "s3Bucket": "b", "additionalData": None}
    changes: tuple[dict, ...] = ({"noData": 0}, {"created": None}, {"additionalData": {"bands": {}, "z": 1}})
    read = w.names.BatchCollection.from_dict
    return [
        [read({**least, **change}).to_dict() for change in changes],
        "KeyError" in outcome(lambda: read({}))["raises"],
    ]


@pattern("BatchCollection with name and bucket alone")
def _(w: World) -> Any:
    make = w.names.BatchCollection
    return [outcome(lambda: make("n", "b").name), outcome(lambda: make.from_dict({"name": "n", "s3Bucket": "b"}).name)]


@pattern("SentinelHubBatch.create_collection of odd things")
def _(w: World) -> Any:
    create, n = w.client.create_collection, w.names
    bands = {"a": {"bitDepth": 8, "sampleFormat": "UINT"}}
    made_of = n.BatchCollection("odd", "maps", n.BatchCollectionAdditionalData(bands=bands))
    again = n.BatchCollection.from_dict(create(collection=made_of))
    ids = {again.collection_id, create(again)["id"], create({**again.to_dict(), "id": NOWHERE})["id"]}
    return [again.name, len(ids), NOWHERE in ids, [outcome(lambda one=one: create(one)) for one in (None, [], "x")]]


@pattern("SentinelHubBatch.get_collection of an object or its JSON")
def _(w: World) -> Any:
    fresh = w.client.create_collection({"name": "odd", "s3Bucket": "maps"})
    forms = (w.names.BatchCollection.from_dict(fresh), fresh)
    return [outcome(lambda form=form: w.client.get_collection(form)["name"]) for form in forms]


@pattern("SentinelHubBatch.delete_collection, update_collection of odd things")
def _(w: World) -> Any:
    c, read = w.client, w.names.BatchCollection.from_dict
    fresh = [c.create_collection({"name": "odd", "s3Bucket": "maps"}) for _ in range(3)]
    gone = [bool(c.delete_collection(form)) for form in (fresh[0], fresh[1]["id"], read(fresh[2]))]
    calls = (c.delete_collection, c.update_collection)
    no_id = ["KeyError" in outcome(lambda call=call: call({}))["raises"] for call in calls]
    nowhere = outcome(lambda: c.update_collection({"id": NOWHERE, "name": "x"}))
    return [gone, no_id, [outcome(lambda call=call: call(7)) for call in calls], nowhere]


@pattern("BatchRequest.bbox, geometry: copied, pickled, compared")
def _(w: World) -> Any:
    box, shape = done(w).bbox, bounded(w, {"geometry": w.given["shape"], "properties": UTM}).geometry
    same = [
        [copy.copy(one) == one, copy.deepcopy(one) == one, pickle.loads(pickle.dumps(one)) == one, one in [7, one]]
        for one in (box, shape, box.crs)
    ]
    wrong = [outcome(lambda: len(box)), outcome(lambda: box[0]), box == None, box.crs == None]  # noqa: E711
    return [same, wrong, {box.crs: 1}[box.crs]]


@pattern("BatchRequest.bbox.crs.name")
def _(w: World) -> Any:
    url = "http://www.opengis.net/def/crs/EPSG/0/"
    areas = [{"bbox": [1, 2, 3, 4], "properties": {"crs": url + code}} for code in ("4326", "3857", "32601", "32733")]
    return [bounded(w, area).bbox.crs.name for area in areas]


@pattern("BatchRequest.bbox, geometry of odd bounds")
def _(w: World) -> Any:
    many = {"type": "MultiPolygon", "coordinates": [w.given["shape"]["coordinates"]]}
    both = bounded(w, {"bbox": [1, 2, 3, 4], "geometry": w.given["shape"], "properties": UTM})
    texts = bounded(w, {"bbox": ["1", "2", "3", "4"], "properties": UTM})
    shape = bounded(w, {"geometry": many, "properties": UTM}).geometry
    return [list(both.bbox), both.geometry.wkt, list(texts.bbox), shape.wkt]


@pattern("BatchRequest.bbox that is not four numbers")
def _(w: World) -> Any:
    wrong = [bounded(w, {"bbox": box, "properties": UTM}) for box in ([1, 2, 3], ["a", "b", "c", "d"], [])]
    return [outcome(lambda one=one: one.bbox) for one in wrong]


@pattern("BatchRequest.bbox of a request without bounds")
def _(w: World) -> Any:
    return [outcome(lambda one=one: bounded(w, one).bbox) for one in ({}, None)]


@pattern("BatchRequest.bbox: buffer, reverse, transform, apply, get_partition")
def _(w: World) -> Any:
    return [hasattr(done(w).bbox, name) for name in ("buffer", "reverse", "transform", "apply", "get_partition")]
