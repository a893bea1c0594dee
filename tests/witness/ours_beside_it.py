"""Run by an environment of the vendor's client: our `create` takes the vendor's request objects.

Our clients need neither Airflow nor HTTP to say what they would send, so they run where the vendor's library is.
"""

from __future__ import annotations

from typing import Any

from sentinelhub import CRS, BBox, Geometry
from sentinelhub import BatchRequestStatus as Theirs
from sentinelhub.api.batch.process import BatchCollection as TheirCollection
from sentinelhub.api.batch.process import BatchTileStatus as TheirTiles

from airflow_sentinelhub.api.call import Send
from airflow_sentinelhub.api.crs import CRS84
from airflow_sentinelhub.hooks.models import BatchCollection, BatchRequest, BatchTileStatus
from airflow_sentinelhub.hooks.v1 import SentinelHubBatch
from airflow_sentinelhub.hooks.v2 import BatchProcessClient
from tests.witness.vendor import a_request, begin, end


class Sent(Exception):
    """Carries what would be sent."""


class Query(Exception):
    """Carries the query parameters that would be sent."""


def only_say(flow: Any) -> Any:
    step = next(flow)
    assert isinstance(step, Send)
    if step.call.json is None:
        raise Query(step.call.params())
    raise Sent(step.call.json)


def payload(call: Any) -> Any:
    try:
        call()
    except Sent as sent:
        return sent.args[0]
    return None


def read(bounds: dict, process: dict) -> BatchRequest:
    """Our request with these bounds."""
    area = {**process, "input": {**process["input"], "bounds": bounds}}
    return BatchRequest.from_dict({"id": "a", "status": "DONE", "processRequest": area})


def compared(process: dict) -> dict:
    """Whether our areas are equal to the vendor's objects of the same and of another area."""
    edges, utm = (500000, 4600000, 500200, 4600200), "http://www.opengis.net/def/crs/EPSG/0/32632"
    box = BBox(edges, CRS("32632"))
    shape = Geometry(box.geometry, CRS("32632"))
    ours = read({"bbox": list(edges), "properties": {"crs": utm}}, process).bbox
    ours_too = read({"geometry": shape.get_geojson(with_crs=False), "properties": {"crs": utm}}, process).geometry
    degrees = read({"bbox": [1, 2, 3, 4], "properties": {"crs": CRS84}}, process).bbox
    assert ours
    assert ours_too
    assert degrees
    return {
        "bbox": ours == box,
        "bbox in degrees": degrees == BBox((1, 2, 3, 4), CRS.WGS84),
        "other edges": ours == BBox((*edges[:3], 7), CRS("32632")),
        "other CRS": ours == BBox(edges, CRS("32633")),
        "geometry": ours_too == shape,
        "other geometry": ours_too == Geometry(box.buffer(0.1).geometry, CRS("32632")),
        "geometry in another CRS": ours_too == Geometry(box.geometry, CRS("32633")),
        "a box is no geometry": ours == shape or ours_too == box,
        "crs": [ours.crs == CRS("32632"), CRS("32632") == ours.crs, ours.crs == CRS.WGS84, degrees.crs == CRS.WGS84],
        "crs not equal": [ours.crs != CRS("32632"), ours.crs != CRS.WGS84],
        "made of ours": BBox(tuple(ours), ours.crs.value) == box,
        "shape": ours_too.geometry.equals(shape.geometry),
        "theirs first": [box == ours, shape == ours_too],
    }


def statuses(v1: SentinelHubBatch) -> list:
    """What is sent for a status that is a member of the vendor's enumeration; and `raise_for_status` with one."""
    failed = BatchRequest.from_dict({"id": "a", "status": "FAILED"})
    try:
        failed.raise_for_status([Theirs.DONE, Theirs.FAILED])
    except RuntimeError as error:
        looked_up = {BatchTileStatus.FAILED: "found"}.get(TheirTiles.FAILED)
        theirs: Any = Theirs.FAILED
        equal = [failed.status == theirs, theirs == failed.status, failed.status in {theirs}]
        equal += [failed.status != Theirs.FAILED, failed.status == TheirTiles.FAILED]
        return [asked(lambda: next(v1.iter_tiles("a", status=TheirTiles.FAILED))), str(error), looked_up, equal]
    return []


def asked(call: Any) -> Any:
    try:
        call()
    except Query as query:
        return query.args[0]
    return None


def collection() -> list:
    """Our collection as a DataCollection of the vendor's, beside the vendor's own way."""
    body = {"name": "n", "s3Bucket": "b", "id": "7c3d1a9e-2f4b-4b0e-8c1d-5e6f7a8b9c44"}
    banded = {**body, "additionalData": {"bands": {"B1": {}, "B2": {}}}}
    found = BatchCollection.from_dict(banded).to_data_collection()
    same = found is TheirCollection.from_dict(banded).to_data_collection()
    return [same, found.collection_id, list(found.bands)]


def main() -> None:
    _, simulator, _ = begin()
    request, v1, v2 = a_request(simulator), SentinelHubBatch(only_say), BatchProcessClient(only_say)
    areas = compared(request.download_list[0].post_values)
    grid, delivery = v2.tiling_grid_input(1, 10), v2.s3_specification("s3://maps", iam_role_arn="arn:aws:iam::1:role/m")
    end(
        {
            "areas": areas,
            "statuses": statuses(v1),
            "collection": collection(),
            "theirs": request.download_list[0].post_values,
            "v1": payload(lambda: v1.create(request, v1.tiling_grid(1, 10), bucket_name="maps")),
            "v2": payload(lambda: v2.create(request, grid, v2.raster_output(delivery))),
        }
    )


if __name__ == "__main__":
    main()
