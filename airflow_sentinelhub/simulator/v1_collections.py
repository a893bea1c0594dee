"""Batch v1: collections."""

from __future__ import annotations

from .bodies import delivery_url, responses_of
from .clock import iso_milliseconds
from .evalscript import outputs, sample_type
from .handlers import Context, Handler, matches, page, read_object
from .jobs import Job
from .replies import Json, Refusal, Reply, error, violations
from .v1_rules import collection_id, uses_collection
from .world import World

PATH = "/api/v1/batch/collections"
# Sample types of an evalscript as bit depth and format of a band.
_BANDS = {
    "UINT8": {"bitDepth": 8, "sampleFormat": "UINT"},
    "INT8": {"bitDepth": 8, "sampleFormat": "INT"},
    "UINT16": {"bitDepth": 16, "sampleFormat": "UINT"},
    "INT16": {"bitDepth": 16, "sampleFormat": "INT"},
    "FLOAT32": {"bitDepth": 32, "sampleFormat": "FLOAT"},
}


def new_collection(world: World, name: str, body: Json | None = None, bucket: str = "") -> str:
    """Makes a collection and returns its id; for a request's body it lies in the bucket of its results."""
    if body is not None:
        bucket = delivery_url(body, "v1").split("/")[2]
    number = world.uuid("collection", world.counters["resets"], world.count("collections"))
    world.keep_collection(
        number,
        {
            "id": number,
            "userId": world.client.user,
            "accountId": world.client.account,
            "name": name,
            "s3Bucket": bucket,
            # The vendor's client cannot read a collection without it.
            "additionalData": {},
            "created": iso_milliseconds(world.now),
        },
    )
    return number


def initialise(world: World, job: Job, at: float) -> None:
    """A collection nothing was linked to before takes grid and bands of the request; others must fit (contract)."""
    number = collection_id(job, at)
    collection = world.collections[str(number)]
    request = job.body["processRequest"]
    script = request["evalscript"]
    types = {output.id: output.sample_type for output in outputs(script)}
    names = [response.get("identifier", "default") for response in responses_of(job.body)]
    bands = {
        name: dict(_BANDS.get(types.get(name, sample_type(script)), _BANDS["UINT8"]))
        for name in names
        if name != "userdata"
    }
    data = {"batchData": {"tilingGridId": job.body["tilingGrid"]["id"]}, "additionalData": {"bands": bands}}
    if "batchData" not in collection:
        world.keep_collection(str(number), {**collection, **data})
    elif any(collection[name] != value for name, value in data.items()):
        message = f"Batch collection {number} is not compatible with the request."
        raise Refusal(violations([("output->collectionId", message)]))


def post_collection(context: Context) -> Reply:
    body, found = read_object(context.call), []
    for name in ("name", "s3Bucket"):
        if not isinstance(body.get(name), str) or not body[name].strip():
            found.append((name, f"{name} is required."))
    if found:
        return violations(found)
    number = new_collection(context.world, body["name"], bucket=body["s3Bucket"])
    return Reply(201, _shown(context, number), effect="created")


def list_collections(context: Context) -> Reply:
    search = context.call.parameter("search")
    found = [item for item in context.world.collections.values() if matches(search, item["name"])]
    return Reply(200, page(context, PATH, len(found), lambda index: found[index]))


def get_collection(context: Context) -> Reply:
    return Reply(200, _shown(context, _find(context)))


def put_collection(context: Context) -> Reply:
    number, body = _find(context), read_object(context.call)
    if not isinstance(body.get("name"), str) or not body["name"].strip():
        return violations([("name", "name is required.")])
    context.world.keep_collection(number, {**context.world.collections[number], "name": body["name"]})
    return Reply(204, effect="updated")


def delete_collection(context: Context) -> Reply:
    number, world = _find(context), context.world
    if any(uses_collection(job, number, context.call.now) for job in world.jobs.values()):
        return error(409, "The collection is used by a batch request.")
    world.keep_collection(number, None)
    return Reply(204, effect="deleted")


def _find(context: Context) -> str:
    number = context.parts["id"]
    if number not in context.world.collections:
        raise Refusal(error(404))
    return number


def _shown(context: Context, number: str) -> Json:
    """Bare by the contract, under ``data`` by the vendor's client: a setting chooses."""
    collection = context.world.collections[number]
    return {"data": collection} if context.world.settings.wrap_collections else collection


COLLECTION_ROUTES: list[tuple[str, str, Handler]] = [
    ("POST", PATH, post_collection),
    ("GET", PATH, list_collections),
    ("GET", f"{PATH}/{{id}}", get_collection),
    ("PUT", f"{PATH}/{{id}}", put_collection),
    ("DELETE", f"{PATH}/{{id}}", delete_collection),
]
