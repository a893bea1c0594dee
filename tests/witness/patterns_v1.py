"""Patterns of code for batch v1, see `patterns.py`. They run in this order on one simulator."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.witness.patterns import Pattern, World, outcome

NOWHERE = "00000000-0000-4000-8000-000000000000"
PATTERNS: dict[str, Pattern] = {}


def pattern(name: str) -> Any:
    def keep(function: Pattern) -> Pattern:
        PATTERNS[name] = function
        return function

    return keep


def made(w: World, description: str, **changes: Any) -> Any:
    b = w.client
    payload = {**w.given["process"], **changes}
    return b.create(payload, b.tiling_grid(1, 10), bucket_name="maps", description=description)


def partial(w: World) -> Any:
    """A request that was PARTIAL and is so still."""

    def make() -> Any:
        request = made(w, "partial")
        w.client.start_analysis(request)
        w.analysed(request)
        w.control.tell("faults", kind="fail_tiles", share=0.2)
        w.client.start_job(request)
        w.kept["partial tiles"] = w.done(request)
        return w.client.get_request(request)

    return w.once("partial", make)


def done(w: World) -> Any:
    def make() -> Any:
        request = made(w, "done")
        w.client.start_analysis(request)
        w.analysed(request)
        w.client.start_job(request)
        w.kept["done tiles"] = w.done(request)
        return w.client.get_request(request)

    return w.once("done", make)


@pattern("SentinelHubBatch.get_latest_request in an empty account")
def _(w: World) -> Any:
    return outcome(w.client.get_latest_request)


@pattern("SentinelHubBatch.tiling_grid")
def _(w: World) -> Any:
    return [w.client.tiling_grid(1, 10), w.client.tiling_grid(1, 10, (2, 3), more=1)]


@pattern("SentinelHubBatch.output")
def _(w: World) -> Any:
    return [w.client.output(), w.client.output(default_tile_path="s3://a", overwrite=True, cog_output=False, more=1)]


@pattern("SentinelHubBatch.create")
def _(w: World) -> Any:
    request = w.once("first", lambda: made(w, "first"))
    refused = outcome(lambda: w.client.create("no payload", w.client.tiling_grid(1, 10), bucket_name="maps"))
    return [request.status.value, request.user_action.value, request.tile_count, request.description, refused]


@pattern("SentinelHubBatch.create, refused by the service")
def _(w: World) -> Any:
    return outcome(lambda: w.client.create(w.given["process"], w.client.tiling_grid(99, 10), bucket_name="maps"))


@pattern("SentinelHubBatch.iter_tiling_grids")
def _(w: World) -> Any:
    grids = w.client.iter_tiling_grids(count=2)
    first = next(grids)
    return [first["id"], [one["id"] for one in grids], [one["id"] for one in grids], grids.index, grids.finished]


@pattern("SentinelHubBatch.get_tiling_grid")
def _(w: World) -> Any:
    return [w.client.get_tiling_grid(1), w.client.get_tiling_grid("1") == w.client.get_tiling_grid(1)]


@pattern("SentinelHubBatch.get_request")
def _(w: World) -> Any:
    request = w.kept["first"]
    forms = (request, request.request_id, request.to_dict())
    return [[w.client.get_request(form).description for form in forms], outcome(lambda: w.client.get_request(NOWHERE))]


@pattern("SentinelHubBatch.get_request of what is no request")
def _(w: World) -> Any:
    return [outcome(lambda wrong=wrong: w.client.get_request(wrong)) for wrong in (7, None, [])]


@pattern("SentinelHubBatch.iter_tiles before the analysis")
def _(w: World) -> Any:
    return outcome(lambda: list(w.client.iter_tiles(w.kept["first"])))


@pattern("SentinelHubBatch.start_analysis")
def _(w: World) -> Any:
    request = w.kept["first"]
    said = w.client.start_analysis(request)
    return [bool(said), w.client.get_request(request).user_action.value]


@pattern("monitor_batch_analysis")
def _(w: World) -> Any:
    ended = w.analysed(w.kept["first"])
    return [ended.status.value, ended.tile_count, ended.value_estimate > 0, w.analysed(partial(w)).status.value]


@pattern("monitor_batch_analysis of a broken evalscript")
def _(w: World) -> Any:
    broken = w.once("broken", lambda: made(w, "broken", evalscript="//VERSION=3\nfunction setup("))
    w.client.start_analysis(broken)
    return outcome(lambda: w.analysed(broken))


@pattern("monitor_batch_analysis of a cancelled request")
def _(w: World) -> Any:
    request = made(w, "cancelled before")
    w.client.cancel_job(request)
    w.control.step(60)
    return [outcome(lambda: w.analysed(request)), w.client.get_request(request).status.value]


@pattern("monitor_batch_job")
def _(w: World) -> Any:
    done(w)
    tiles = w.kept["done tiles"]
    status = w.names.BatchTileStatus
    return [len(tiles[status.PROCESSED]), len(tiles[status.FAILED]), len(tiles[status.QUEUED]), isinstance(tiles, dict)]


@pattern("monitor_batch_job of a PARTIAL request")
def _(w: World) -> Any:
    partial(w)
    return {status.value: len(tiles) for status, tiles in w.kept["partial tiles"].items() if tiles}


@pattern("monitor_batch_job of a request cancelled at work")
def _(w: World) -> Any:
    running = made(w, "cancelled at work")
    w.client.start_analysis(running)
    w.control.step(60)
    w.client.start_job(running)
    w.control.step(60)
    w.client.cancel_job(running)
    ended = outcome(lambda: len(w.done(running)) > 0)
    return [ended, w.client.get_request(running).status.value]


@pattern("SentinelHubBatch.iter_tiles")
def _(w: World) -> Any:
    tiles = w.client.iter_tiles(partial(w))
    first = list(tiles)
    begun = next(iter(tiles))
    return [len(first), list(tiles) == first, list(tiles) == first, begun == first[0], tiles.features == first]


@pattern("SentinelHubBatch.iter_tiles, left in the middle")
def _(w: World) -> Any:
    tiles = w.client.iter_tiles(partial(w))
    for _ in range(11):
        next(tiles)
    return [tiles.index, tiles.finished, len(list(tiles)), tiles.finished, tiles.index]


@pattern("SentinelHubBatch.iter_tiles with a status")
def _(w: World) -> Any:
    failed = w.names.BatchTileStatus.FAILED
    found = [list(w.client.iter_tiles(partial(w), status=status)) for status in (failed, "FAILED")]
    return [len(found[0]), found[0] == found[1], outcome(lambda: next(w.client.iter_tiles(partial(w), status="GONE")))]


@pattern("SentinelHubBatch.get_tile")
def _(w: World) -> Any:
    first = next(w.client.iter_tiles(partial(w)))
    return [w.client.get_tile(partial(w), first["id"]) == first, outcome(lambda: w.client.get_tile(partial(w), 77))]


@pattern("SentinelHubBatch.get_tile(None)")
def _(w: World) -> Any:
    page = w.client.get_tile(partial(w), None)
    return [sorted(page), len(page["data"]), outcome(lambda: w.client.get_tile(NOWHERE, None))]


@pattern("SentinelHubBatch.start_job")
def _(w: World) -> Any:
    request = w.kept["first"]
    said = w.client.start_job(request)
    return [bool(said), w.client.get_request(request).user_action.value]


@pattern("What an action returns")
def _(w: World) -> Any:
    return w.client.cancel_job(made(w, "never started"))


@pattern("SentinelHubBatch.start_job again")
def _(w: World) -> Any:
    return [outcome(lambda one=one: bool(w.client.start_job(one))) for one in (w.kept["first"], done(w))]


@pattern("SentinelHubBatch.restart_job of what is not PARTIAL")
def _(w: World) -> Any:
    waiting = made(w, "not started")
    return [outcome(lambda one=one: w.client.restart_job(one)) for one in (done(w), waiting, w.kept["broken"])]


@pattern("SentinelHubBatch.delete_request")
def _(w: World) -> Any:
    gone = made(w, "gone")
    refused = outcome(lambda: w.client.delete_request(partial(w)))
    return [bool(w.client.delete_request(gone)), outcome(lambda: w.client.get_request(gone)), refused]


@pattern("SentinelHubBatch.update_request")
def _(w: World) -> Any:
    request = made(w, "old words")
    answer = w.client.update_request(request, description="new words")
    refused = outcome(lambda: w.client.update_request(request, output={"collectionId": NOWHERE}))
    return [answer["description"], w.client.get_request(request).description, refused]


@pattern("SentinelHubBatch.cancel_job")
def _(w: World) -> Any:
    request = made(w, "cancelled")
    said = w.client.cancel_job(request)
    w.control.step(60)
    return [bool(said), w.client.get_request(request).status.value, outcome(lambda: w.client.cancel_job(NOWHERE))]


@pattern("SentinelHubBatch.restart_job")
def _(w: World) -> Any:
    request = made(w, "restarted")
    w.client.start_analysis(request)
    w.analysed(request)
    w.control.tell("faults", kind="fail_tiles", share=0.2)
    w.client.start_job(request)
    w.done(request)
    said = w.client.restart_job(request)
    w.control.step(10)
    tiles = w.done(request)
    return [bool(said), {status.value: len(found) for status, found in tiles.items() if found}]


@pattern("SentinelHubBatch.iter_requests")
def _(w: World) -> Any:
    found = w.client.iter_requests(sort="created:desc", search="done", count=2)
    words = [one.description for one in found]
    return [words, list(found), outcome(lambda: next(w.client.iter_requests(sort="age")))]


@pattern("SentinelHubBatch.get_latest_request")
def _(w: World) -> Any:
    last = made(w, "the last one")
    return w.client.get_latest_request().request_id == last.request_id


@pattern("SentinelHubBatch.create_collection")
def _(w: World) -> Any:
    named = w.client.create_collection(w.names.BatchCollection("ndvi", "maps", None))
    w.kept["collection"] = named["id"]
    other = w.client.create_collection({"name": "trees", "s3Bucket": "maps"})
    return [sorted(named), other["name"], outcome(lambda: w.client.create_collection(7))]


@pattern("SentinelHubBatch.create_collection without a bucket")
def _(w: World) -> Any:
    return outcome(lambda: w.client.create_collection({"name": "ndvi"}))


@pattern("SentinelHubBatch.get_collection")
def _(w: World) -> Any:
    found = w.client.get_collection(w.kept["collection"])
    return [found["name"], found["s3Bucket"], outcome(lambda: w.client.get_collection(NOWHERE))]


@pattern("SentinelHubBatch.update_collection")
def _(w: World) -> Any:
    known = w.names.BatchCollection.from_dict(w.client.get_collection(w.kept["collection"]))
    known.name = "max ndvi"
    said = w.client.update_collection(known)
    names = [w.client.get_collection(w.kept["collection"])["name"]]
    w.client.update_collection({"id": w.kept["collection"], "name": "ndvi of 2024", "s3Bucket": "other"})
    names.append(w.client.get_collection(w.kept["collection"])["name"])
    nameless = outcome(lambda: w.client.update_collection({"id": w.kept["collection"]}))
    return [bool(said), names, nameless, outcome(lambda: w.client.update_collection(w.kept["collection"]))]


@pattern("SentinelHubBatch.iter_collections")
def _(w: World) -> Any:
    found = w.client.iter_collections()
    return [[one["name"] for one in found], [one["name"] for one in found], len(list(w.client.iter_collections("tr")))]


@pattern("SentinelHubBatch.delete_collection")
def _(w: World) -> Any:
    collection = w.names.BatchCollection.from_dict(w.client.get_collection(w.kept["collection"]))
    return [
        bool(w.client.delete_collection(collection)),
        outcome(lambda: w.client.delete_collection(w.kept["collection"])),
    ]


@pattern("SentinelHubBatch.client, config, service_url")
def _(w: World) -> Any:
    return [hasattr(w.client, name) for name in ("client", "config", "service_url")]


# BatchRequest


@pattern("BatchRequest.from_dict, to_dict, from_json, to_json")
def _(w: World) -> Any:
    request = done(w)
    kind = type(request)
    again = [kind.from_dict(request.to_dict()), kind.from_json(request.to_json())]
    lacking = {"id", "userId", "accountId", "created", "userActionUpdated", "valueEstimate"}
    return [
        all(one == request for one in again),
        {key: value for key, value in request.to_dict().items() if key not in lacking},
    ]


@pattern("BatchRequest.schema")
def _(w: World) -> Any:
    request = done(w)
    dumped = type(request).schema().dump(request)
    updated = dumped["userActionUpdated"]
    return [sorted(dumped), dumped["status"], isinstance(dumped["created"], float), isinstance(updated, str)]


@pattern("BatchRequest.user_action_updated as a text")
def _(w: World) -> Any:
    request = done(w)
    return [type(request.user_action_updated).__name__, type(request.to_dict()["userActionUpdated"]).__name__]


@pattern("BatchRequest: members can be set")
def _(w: World) -> Any:
    request = w.client.get_request(done(w))
    request.description = "mine"
    return [request.to_dict()["description"], request == done(w)]


@pattern("BatchRequest.evalscript")
def _(w: World) -> Any:
    body = done(w).to_dict()
    less = {name: value for name, value in body["processRequest"].items() if name != "evalscript"}
    lacking = type(done(w)).from_dict({**body, "processRequest": less})
    return [done(w).evalscript, outcome(lambda: lacking.evalscript)]


@pattern("BatchRequest.raise_for_status")
def _(w: World) -> Any:
    broken, status = w.client.get_request(w.kept["broken"]), w.names.BatchRequestStatus
    wanted = (status.FAILED, "FAILED", ["DONE", "FAILED"], (status.DONE,), [], "FAILD", ["FAILD", "FAILED"])
    return [outcome(lambda one=one: broken.raise_for_status(one)) for one in wanted] + [
        outcome(broken.raise_for_status),
        outcome(done(w).raise_for_status),
    ]


@pattern("BatchRequest.bbox")
def _(w: World) -> Any:
    box = done(w).bbox
    edges = [*box, box.min_x, box.max_y, *box.lower_left, *box.upper_right, *box.middle]
    shape = [box.geometry.wkt, box.wkt, box.geojson, box.get_geojson(with_crs=False), box.get_polygon()]
    return [edges, shape, str(box), done(w).geometry, box == done(w).bbox, box == 7]


@pattern("BatchRequest.geometry")
def _(w: World) -> Any:
    body = done(w).to_dict()
    bounds = {"geometry": w.given["shape"], "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/32633"}}
    area = {"input": {**body["processRequest"]["input"], "bounds": bounds}}
    request = type(done(w)).from_dict({**body, "processRequest": {**body["processRequest"], **area}})
    shape = request.geometry
    read = [shape.geometry.area, shape.geometry.geom_type, shape.wkt, list(shape.bbox), shape.bbox.crs.value]
    return [read, shape.geojson, request.bbox, shape == request.geometry, shape == 7]


@pattern("BatchRequest.bbox by any two corners")
def _(w: World) -> Any:
    body = done(w).to_dict()
    bounds = {"bbox": [3, 4, 1, 2], "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/32633"}}
    area = {"input": {**body["processRequest"]["input"], "bounds": bounds}}
    return list(type(done(w)).from_dict({**body, "processRequest": {**body["processRequest"], **area}}).bbox)


@pattern("BatchRequest.bbox.crs")
def _(w: World) -> Any:
    crs = done(w).bbox.crs
    return [crs.value, crs.epsg, crs.ogc_string(), crs.opengis_string, crs.is_utm()]


@pattern("BatchRequest without tileCount")
def _(w: World) -> Any:
    body = {name: value for name, value in done(w).to_dict().items() if name != "tileCount"}
    return outcome(lambda: type(done(w)).from_dict(body).status)


@pattern("BatchRequest.bbox without a CRS")
def _(w: World) -> Any:
    body = done(w).to_dict()
    area = {"input": {**body["processRequest"]["input"], "bounds": {"bbox": [1, 2, 3, 4]}}}
    request = type(done(w)).from_dict({**body, "processRequest": {**body["processRequest"], **area}})
    return outcome(lambda: list(request.bbox))


# BatchCollection and the rest


@pattern("BatchCollection.additional_data")
def _(w: World) -> Any:
    given = {"name": "n", "s3Bucket": "b", "id": "7", "noData": 0, "additionalData": {"bands": {"d": {"bitDepth": 8}}}}
    read = w.names.BatchCollection.from_dict(given)
    data = read.additional_data
    made_here = w.names.BatchCollectionAdditionalData(bands={"d": {}})
    kind = type(data) is w.names.BatchCollectionAdditionalData
    return [kind, data.bands, data.to_dict(), read.to_dict()["additionalData"], made_here.to_dict()]


@pattern("BatchCollection.from_dict, to_dict, from_json, to_json")
def _(w: World) -> Any:
    kind = w.names.BatchCollection
    given = {"name": "n", "s3Bucket": "b", "id": "7", "created": "2024-01-02T03:04:05.678Z", "additionalData": {}}
    read = kind.from_dict({**given, "more": 1})
    return [read.to_dict(), kind.from_json(read.to_json()) == read, read.collection_id, read.created.microsecond]


@pattern("BatchCollection.batch_data")
def _(w: World) -> Any:
    given = {"name": "n", "s3Bucket": "b", "additionalData": {"bands": None}, "batchData": {"tilingGridId": 1}}
    read = w.names.BatchCollection.from_dict(given)
    return [read.batch_data is None, w.names.BatchCollectionBatchData(tiling_grid_id=1).to_dict()]


@pattern("BatchCollection.to_data_collection")
def _(w: World) -> Any:
    return outcome(lambda: w.names.BatchCollection("n", "b", None).to_data_collection())


@pattern("BatchTileStatus, BatchRequestStatus, BatchUserAction")
def _(w: World) -> Any:
    n = w.names
    members = [[one.value for one in n.BatchTileStatus], n.BatchRequestStatus("DONE") is n.BatchRequestStatus.DONE]
    return [*members, n.BatchUserAction.START.value, done(w).status is n.BatchRequestStatus.DONE]


@pattern("BatchRequestStatus as a text")
def _(w: World) -> Any:
    status = done(w).status
    return [str(status), f"{status}", status == "DONE", status.value, status.name]


@pattern("BatchRequestStatus of a word that nobody knows")
def _(w: World) -> Any:
    return outcome(lambda: w.names.BatchRequestStatus("HIBERNATING"))


@pattern("BaseBatchClient, BaseBatchRequest, BaseCollection")
def _(w: World) -> Any:
    n = w.names
    pairs = ((w.client, n.BaseBatchClient), (done(w), n.BaseBatchRequest))
    return [isinstance(*pair) for pair in pairs] + [issubclass(n.BatchCollection, n.BaseCollection)]


@pattern("Errors: request_exception.response")
def _(w: World) -> Any:
    found = outcome(lambda: w.client.get_request(NOWHERE))
    return [found, Counter(found["raises"])]
