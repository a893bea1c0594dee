"""Everything our client can say to the service, said once: the lives of jobs of both generations, and errors.

Each life gets a simulator whose clock stands still. `faults.py` says what of it the contract does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timezone
from itertools import count
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from airflow_sentinelhub.api.areas import Geometry
from airflow_sentinelhub.api.call import ONCE, exchange
from airflow_sentinelhub.api.decide.marker import Mark, identity
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.flows.find_or_create import find_or_create
from airflow_sentinelhub.api.service.generations import V1, V2
from airflow_sentinelhub.api.service.payloads import output, process_request, tiling_grid
from airflow_sentinelhub.api.service.statistical_specification import aggregation
from airflow_sentinelhub.api.service.v1 import get_request, update_collection
from airflow_sentinelhub.exceptions import ApiError, SentinelHubError
from airflow_sentinelhub.hooks.models import BatchCollection, BatchRequestStatus, BatchTileStatus
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.operators import batch as operators
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from airflow_sentinelhub.simulator import Simulator
from tests.contract.checker import Exchange
from tests.contract.recorder import recorded
from tests.statistical.fields import DATA, GEOPACKAGE, OUTPUT, put_fields
from tests.statistical.fields import NDVI as FIELDS

NDVI = """//VERSION=3
function setup() {
  return {input: ["B04", "B08"], output: {id: "default", bands: 1, sampleType: "FLOAT32"}};
}
function evaluatePixel(sample) {
  return [(sample.B08 - sample.B04) / (sample.B08 + sample.B04)];
}
"""
BOX = [8.9, 41.9, 9.2, 42.2]
SHAPE = {"type": "Polygon", "coordinates": [[[8.9, 41.9], [9.2, 41.9], [9.2, 42.2], [8.9, 41.9]]]}
NOWHERE = "00000000-0000-4000-8000-000000000000"
CONNECTIONS = {"v1": "contract_v1", "v2": "contract_v2", "v2 new": "contract_v2_new", "aws": "contract_aws"}


def process(area: Any = None, **more: Any) -> dict[str, Any]:
    return process_request(
        "sentinel-2-l2a",
        (date(2019, 4, 1), "2019-06-30"),
        area=BOX if area is None else area,
        evalscript=NDVI,
        max_cloud_coverage=70,
        mosaicking_order="leastCC",
        **more,
    )


@contextmanager
def connections(simulator: Simulator) -> Iterator[None]:
    """Airflow connections to the simulator: v1, v2 and v2 by the paths of 2026; and one to a bucket."""
    where = f"{simulator.airflow_connection_uri}&bucket_mount={quote(str(simulator.bucket_dir), safe='')}"
    v1, v2 = f"{where}&batch_api=v1", f"{where}&batch_api=v2"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_CONTRACT_V1", v1)
        patch.setenv("AIRFLOW_CONN_CONTRACT_V2", v2)
        patch.setenv("AIRFLOW_CONN_CONTRACT_V2_NEW", f"{v2}&path_form=service-first")
        patch.setenv("AIRFLOW_CONN_CONTRACT_AWS", "aws://AKIA:hush@/?region_name=eu-central-1")
        yield


@contextmanager
def running(simulator: Simulator) -> Iterator[None]:
    """Half an hour passes in a second."""
    simulator.speed(1800)
    yield
    simulator.speed(0)


def refused(status: int, call: Callable[[], Any]) -> None:
    """The call is refused with this status, which our error carries."""
    with pytest.raises(ApiError) as caught:
        call()
    assert caught.value.status == status, str(caught.value)


# Batch v1


def v1_requests(simulator: Simulator) -> None:
    """Create in every form, list, get, update, delete."""
    batch = SentinelHubHook(CONNECTIONS["v1"]).batch
    collection = batch.create_collection({"name": "ndvi", "s3Bucket": "maps"})
    cog = {"overviewLevels": [2, 4], "resamplingAlgorithm": "average", "blockxsize": 512, "usePredictor": True}
    zarr = {
        "path": "s3://maps/<requestId>/cube.zarr",
        "group": {"zarr_format": 2, "coordinates": {"origin": "topLeft"}},
        "arrayParameters": {"dtype": "<f4", "order": "C", "chunks": [1, 1000, 1000], "fill_value": 0},
    }
    geometry = process(area=Geometry(SHAPE))
    array = process(responses=[{"identifier": "default", "format": {"type": "zarr/array"}}])
    first = batch.create(process(), tiling_grid(1, 10, (4, 4)), output(default_tile_path="s3://maps/a"), None, "one")
    batch.create(geometry, tiling_grid(1, 10.0), bucket_name="maps", description="two, by geometry")
    bare = process_request(
        "sentinel-2-l2a", ("2019-04-01T00:00:00Z", "2019-06-30T23:59:59Z"), area=BOX, evalscript=NDVI
    )
    batch.create(bare, tiling_grid(1, 10), bucket_name="maps")
    batch.create(
        process(),
        tiling_grid(0, 60),
        output(
            default_tile_path="s3://maps/<requestId>/<tileName>", cog_output=True, overwrite=True, cog_parameters=cog
        ),
    )
    batch.create(array, tiling_grid(6, 50), description="three", zarrOutput=zarr)
    linked = output(
        default_tile_path="s3://maps/c", cog_output=True, skip_existing=False, collection_id=collection["id"]
    )
    batch.create(process(), tiling_grid(1, 10), linked, description="four, for a collection")
    made = output(default_tile_path="s3://maps/d", cog_output=True, create_collection=True)
    batch.create(process(), tiling_grid(1, 10), made, description="five, makes a collection")

    assert [one.description for one in batch.iter_requests(search="two|three", sort="created:desc", count=1)] == [
        "three",
        "two, by geometry",
    ]
    assert len(list(batch.iter_requests(user_id=first.user_id, collectionId=collection["id"]))) == 1
    assert batch.get_latest_request().description == "five, makes a collection"
    batch.update_request(first, description="one, renamed")
    batch.update_request(first.to_dict(), output={"collectionId": None})
    assert batch.get_request(first.request_id).description == "one, renamed"
    batch.delete_request(first)
    refused(404, lambda: batch.get_request(first))


def v1_life(simulator: Simulator) -> None:
    """Analyse, start, tiles, PARTIAL, restart, DONE; and a cancel in the middle."""
    batch = SentinelHubHook(CONNECTIONS["v1"]).batch
    request = batch.create(process(), batch.tiling_grid(1, 10), bucket_name="maps")
    assert list(batch.iter_tiles(request)) == []
    batch.start_analysis(request)
    simulator.step(120)
    assert batch.get_request(request).value_estimate
    simulator.fault("fail_tiles", share=0.2)
    batch.start_job(request)
    simulator.step(60)
    assert list(batch.iter_tiles(request, status=BatchTileStatus.PROCESSING))
    simulator.step(3600)
    partial = batch.get_request(request)
    assert (partial.status, partial.error) == (BatchRequestStatus.PARTIAL, "Too many failed tiles")
    failed = list(batch.iter_tiles(request, status="FAILED", count=5))
    batch.get_tile(request, failed[0]["id"])
    refused(404, lambda: batch.get_tile(request, 999_999_999))
    refused(409, lambda: batch.delete_request(request))
    batch.restart_job(request)
    while batch.get_request(request).status == BatchRequestStatus.PARTIAL:  # a restart shows late
        simulator.step(5)
    with running(simulator):
        tiles = batch.monitor_batch_job(request, sleep_time=0.05, analysis_sleep_time=0.05)
    assert [status for status, found in tiles.items() if found] == [BatchTileStatus.PROCESSED]

    doomed = batch.create(process(), batch.tiling_grid(1, 10), bucket_name="maps")
    batch.start_analysis(doomed)
    with running(simulator):
        assert batch.monitor_batch_analysis(doomed, sleep_time=0.05).status == BatchRequestStatus.ANALYSIS_DONE
    batch.start_job(doomed)
    simulator.step(60)
    refused(409, lambda: batch.update_request(doomed, description="too late"))
    refused(409, lambda: batch.delete_request(doomed))
    batch.cancel_job(doomed)
    simulator.step(600)
    assert batch.get_request(doomed).status == BatchRequestStatus.CANCELED

    broken = batch.create({**process(), "evalscript": "//VERSION=3\nfunction setup("}, tiling_grid(1, 10), None, "maps")
    batch.start_analysis(broken)
    simulator.step(120)
    assert batch.get_request(broken).error


def v1_collections_and_grids(simulator: Simulator, *, wrap_collections: bool = True) -> None:
    """Collections come under `data` or bare, and we take both."""
    simulator.settings(wrap_collections=wrap_collections)
    batch = SentinelHubHook(CONNECTIONS["v1"]).batch
    made = batch.create_collection(BatchCollection(name="forests", s3_bucket="maps"))
    assert batch.get_collection(made["id"])["name"] == "forests"
    batch.update_collection({**made, "name": "woods"})
    batch.update_collection(BatchCollection.from_dict({**batch.get_collection(made["id"]), "name": "trees"}))
    assert [one["name"] for one in batch.iter_collections(search="trees")] == ["trees"]
    used = output(default_tile_path="s3://maps/x", cog_output=True, collection_id=made["id"])
    batch.create(process(), tiling_grid(1, 10), used)
    refused(409, lambda: batch.delete_collection(made["id"]))
    spare = batch.create_collection({"name": "spare", "s3Bucket": "maps"})
    batch.delete_collection(spare)
    refused(404, lambda: batch.get_collection(spare["id"]))
    refused(404, lambda: batch.update_collection({**spare, "name": "gone"}))
    refused(404, lambda: batch.delete_collection(spare["id"]))
    grids = list(batch.iter_tiling_grids(count=4))
    assert batch.get_tiling_grid(grids[0]["id"]) == grids[0]
    refused(400, lambda: batch.get_tiling_grid(99))


# Batch v2


def v2_requests(simulator: Simulator, conn_id: str) -> None:
    """Create in every form, list, get, update."""
    batch = SentinelHubHook(conn_id).batch_v2
    place = batch.s3_specification("s3://maps/a", access_key="AKIA", secret_access_key="hush", region="eu-central-1")
    role = batch.s3_specification("s3://maps/b", iam_role_arn="arn:aws:iam::000000000000:role/maps")
    zarr = batch.zarr_output(
        place,
        group={"zarr_format": 2},
        array_parameters={"dtype": "<f4", "order": "C", "chunks": [1, 1000, 1000], "fill_value": 0},
    )
    array = process(responses=[{"identifier": "default", "format": {"type": "zarr/array"}}])
    grid = batch.tiling_grid_input(1, 10, buffer_x=2, buffer_y=2)
    first = batch.create(process(), grid, batch.raster_output(place, overwrite=True), description="one")
    raster = batch.raster_output(role, cog_output=True, skip_existing=False, cog_parameters={"blockxsize": 512})
    batch.create(process(area=Geometry(SHAPE)), batch.tiling_grid_input(0, 60), raster, instance_type="normal")
    batch.create(array, batch.tiling_grid_input(6, 50), zarr)
    assert [one.description for one in batch.iter_requests(sort="created", count=1)] == ["one", None, None]
    # The newer contract has no search, and nobody knows whether v2 looks at the user.
    assert len(list(batch.iter_requests(NOWHERE, "one"))) == 3
    batch.update_request(first, "one, renamed")
    assert batch.get_request(first).description == "one, renamed"
    grids = list(batch.iter_tiling_grids(count=4))
    assert batch.get_tiling_grid(grids[0]["id"]) == grids[0]
    refused(400, lambda: batch.get_tiling_grid(99))


def v2_life(simulator: Simulator, conn_id: str) -> None:
    """Analyse, start, DONE; stop in the middle; FAILED."""
    batch = SentinelHubHook(conn_id).batch_v2
    place = batch.s3_specification("s3://maps/a", access_key="AKIA", secret_access_key="hush")
    what = batch.tiling_grid_input(1, 10), batch.raster_output(place, overwrite=True)
    request = batch.create(process(), *what)
    batch.start_analysis(request)
    simulator.step(120)
    batch.start_job(request)
    refused(409, lambda: batch.update_request(request, "too late"))
    simulator.step(60)
    assert batch.get_request(request).status == BatchRequestStatus.PROCESSING
    simulator.step(3600)
    assert batch.get_request(request).status == BatchRequestStatus.DONE

    stopped = batch.create(process(), *what)
    refused(400, lambda: batch.stop_job(stopped))
    batch.start_job(stopped)
    simulator.step(60)
    batch.stop_job(stopped)
    simulator.step(600)
    assert str(batch.get_request(stopped).stopped_status_reason) == "USER_ACTION"

    broken = batch.create({**process(), "evalscript": "//VERSION=3\nfunction setup("}, *what)
    batch.start_analysis(broken)
    simulator.step(120)
    assert batch.get_request(broken).error


# Batch statistical


def statistical(simulator: Simulator, conn_id: str) -> None:
    """Create in every form, list, get, status, analyse, start, DONE; stop in the middle; refusals."""
    put_fields(simulator.bucket_dir)
    client = SentinelHubHook(conn_id).statistical
    keys = {"access_key": "AKIA", "secret_access_key": "hush", "region": "eu-central-1"}
    where = {
        "input_features": client.s3_specification(GEOPACKAGE, **keys),
        "output": client.s3_specification("s3://farm/<REQUEST_ID>/<ID>.json", **keys),
    }
    divided = aggregation(
        ("2024-06-01", datetime(2024, 6, 30, tzinfo=timezone.utc)), "P10D", resolution=10, evalscript=FIELDS
    )
    more = {"ndvi": {"statistics": {"default": {"percentiles": {"k": [0.05, 0.5, 0.95]}}}}}
    first = client.create(input_data=DATA, aggregation=divided, calculations=more, **where)
    role = client.s3_specification(OUTPUT, iam_role_arn="arn:aws:iam::000000000000:role/farm")
    one = {"input": {"data": DATA, "bounds": {"bbox": BOX}}, "aggregation": divided}
    client.create_from_request(one, where["input_features"], role)
    assert len(list(client.iter_requests(sort="created:desc", count=1))) == 2

    client.start_analysis(first)
    simulator.step(300)
    assert client.get_status(first)["status"] == "ANALYSIS_DONE"
    client.start_job(first)
    simulator.step(7200)
    assert client.get_request(first).status == BatchRequestStatus.DONE

    stopped = client.create(input_data=DATA, aggregation=divided, **where)
    client.start_job(stopped)
    simulator.step(240)
    client.stop_job(stopped)
    simulator.step(600)
    assert client.get_status(stopped)["status"] == "STOPPED"
    broken = client.create(input_data=DATA, aggregation={**divided, "evalscript": "function setup("}, **where)
    client.start_analysis(broken)
    simulator.step(300)
    assert client.get_request(broken).error
    for act in ("get_request", "get_status", "start_analysis", "stop_job"):
        refused(404, lambda act=act: getattr(client, act)(NOWHERE))
    refused(400, lambda: client.start_analysis(broken))
    gone = {**where, "input_features": client.s3_specification("s3://farm/gone.gpkg", **keys)}
    refused(400, lambda: client.create(input_data=DATA, aggregation=divided, **gone))
    simulator.settings(balance=1)
    refused(403, lambda: client.create(input_data=DATA, aggregation=divided, **where))


# What is common


def errors(simulator: Simulator) -> None:
    """What is refused, and what goes wrong: the wrapper, 401 and 403 with a body, 404, 429, errors of the server."""
    v1, v2 = SentinelHubHook(CONNECTIONS["v1"]).batch, SentinelHubHook(CONNECTIONS["v2"]).batch_v2
    for batch in (v1, v2):
        for act in ("get_request", "start_analysis"):
            refused(404, lambda batch=batch, act=act: getattr(batch, act)(NOWHERE))
    refused(404, lambda: v1.cancel_job(NOWHERE))
    refused(404, lambda: v1.delete_request(NOWHERE))
    refused(404, lambda: v1.update_request(NOWHERE, description="x"))
    refused(404, lambda: v2.stop_job(NOWHERE))
    refused(404, lambda: v2.update_request(NOWHERE, "x"))
    refused(404, lambda: list(v1.iter_tiles(NOWHERE)))
    refused(400, lambda: v1.create(process(), tiling_grid(99, 10), bucket_name="maps"))
    refused(400, lambda: v2.create(process(), {"type": "tiling-grid", "id": 1, "resolution": 3}, _raster()))
    done = v1.create(process(), tiling_grid(1, 10), bucket_name="maps")
    v1.cancel_job(done)
    simulator.step(60)
    refused(400, lambda: v1.start_analysis(done))
    with pytest.raises(SentinelHubError):
        v1.restart_job(done)
    refused(400, lambda: v1.update_request(done, output={"collectionId": NOWHERE}))
    simulator.settings(balance=1)
    refused(403, lambda: v2.create(process(), {"type": "tiling-grid", "id": 1, "resolution": 10}, _raster()))
    simulator.settings(balance=1_000_000)
    simulator.fault("expire_tokens")
    v1.get_request(done)  # 401, a new token, and once more
    hook = SentinelHubHook(CONNECTIONS["v1"])
    for status, bare in ((429, False), (429, True), (500, False)):
        simulator.fault("status", "/process/", status=status, bare=bare)
        refused(status, lambda: hook.run(exchange(get_request(done.request_id), ONCE)))
    simulator.fault("html", "/process/")
    refused(503, lambda: hook.run(exchange(get_request(done.request_id), ONCE)))


def nonsense(simulator: Simulator) -> None:
    """What the contract does not allow to be said, and our client lets through all the same: the replies count."""
    hook, other = SentinelHubHook(CONNECTIONS["v1"]), SentinelHubHook(CONNECTIONS["v2"])
    made = hook.batch.create_collection({"name": "ndvi", "s3Bucket": "maps"})
    request = hook.batch.create(process(), tiling_grid(1, 10), bucket_name="maps")
    refused(400, lambda: list(hook.batch.iter_requests(sort="age")))
    refused(400, lambda: list(hook.batch.iter_collections(count="many")))
    refused(400, lambda: list(other.batch_v2.iter_requests(count="many")))
    refused(400, lambda: list(hook.batch.iter_tiles(request, status="GONE")))
    refused(400, lambda: hook.run(exchange(update_collection(made["id"], {}))))
    refused(400, lambda: hook.batch.update_request(request, description=7))  # type: ignore[arg-type]
    refused(404, lambda: hook.batch.get_tile(request, "x"))  # type: ignore[arg-type]
    simulator.fault("expire_tokens", "/tiles", times=2)
    refused(401, lambda: list(hook.batch.iter_tiles(request)))


def _raster() -> dict[str, Any]:
    place = {"url": "s3://maps/a", "accessKey": "AKIA", "secretAccessKey": "hush"}
    return {"type": "raster", "delivery": {"s3": place}, "overwrite": True}


def in_the_event_loop(simulator: Simulator) -> None:
    """The same calls by the driver of the triggerer."""

    async def both() -> None:
        for api, conn_id in ((V1, CONNECTIONS["v1"]), (V2, CONNECTIONS["v2"]), (V2, CONNECTIONS["v2 new"])):
            driver = await SentinelHubHook(conn_id).async_driver()
            mark = Mark(identity("here", "dag", conn_id, "task", -1), 0, "0" * 8)
            payload: dict[str, Any] = {"processRequest": process()}
            if api is V1:
                payload |= {"tilingGrid": {"id": 1, "resolution": 10}, "bucketName": "maps"}
            else:
                payload |= {"input": {"type": "tiling-grid", "id": 1, "resolution": 10}, "output": _raster()}
            made = await driver.run(find_or_create(api, payload, mark))
            assert (await driver.run(exchange(api.list(sort="status:desc", count=1)))).items
            await driver.run(start_once(api, made.job.request_id))

    asyncio.run(both())


class _TaskInstance(SimpleNamespace):
    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def by_operators(simulator: Simulator, conn_id: str) -> None:
    """The operators, one after another. Each gets a task of its own, so that none adopts another's request."""
    tasks = count(1)

    def run(name: str, /, **arguments: Any) -> Any:
        task_id = f"task_{next(tasks)}"
        instance = _TaskInstance(
            dag_id="dag", run_id=conn_id, task_id=task_id, map_index=-1, max_tries=0, try_number=1, pushed={}
        )
        make = getattr(operators, f"SentinelHub{name}Operator")
        context = {"ti": instance, "task_instance": instance}
        return make(task_id=task_id, sentinelhub_conn_id=conn_id, **arguments).execute(context)

    job = {
        "process_request": process_request("sentinel-2-l2a", ("2019-04-01", "2019-06-30"), max_cloud_coverage=30),
        "evalscript": NDVI,
        "area": BOX,
        "tiling_grid": tiling_grid(1, 10),
        "output": {"defaultTilePath": "s3://maps/ndvi", "overwrite": True},
        "aws_conn_id": CONNECTIONS["aws"],
    }
    waiting = {"poll_interval": 0.05, "deferrable": False}
    request_id = run("CreateBatch", **job)
    run("UpdateBatch", request_id=request_id, description="max NDVI")
    with running(simulator):
        run("AnalyseBatch", request_id=request_id, **waiting)
        run("StartBatch", request_id=request_id, wait_for_completion=True, **waiting)
        assert run("Batch", **job, analysis_poll_interval=0.05, **waiting)["status"] == "DONE"
    other = run("CreateBatch", **job)
    run("StartBatch", request_id=other)
    with running(simulator):
        run("CancelBatch", request_id=other, poll_interval=0.05)
    if conn_id != CONNECTIONS["v1"]:
        return
    assert run("ListBatchTiles", request_id=request_id)
    run("DeleteBatch", request_id=run("CreateBatch", **job))
    collection = run("CreateBatchCollection", collection={"name": "ndvi", "s3Bucket": "maps"})
    run("UpdateBatchCollection", collection_id=collection, name="max NDVI")
    run("DeleteBatchCollection", collection_id=collection)
    partial = run("CreateBatch", **job)
    simulator.fault("fail_tiles", share=0.2)
    run("StartBatch", request_id=partial)
    simulator.step(3600)
    with running(simulator):
        run("RestartBatch", request_id=partial, wait_for_completion=True, **waiting)


def statistical_by_operator(simulator: Simulator) -> None:
    put_fields(simulator.bucket_dir)
    instance = _TaskInstance(
        dag_id="dag", run_id="run", task_id="fields", map_index=-1, max_tries=0, try_number=1, pushed={}
    )
    operator = SentinelHubBatchStatisticalOperator(
        task_id="fields",
        sentinelhub_conn_id=CONNECTIONS["v2"],
        aws_conn_id=CONNECTIONS["aws"],
        geopackage=GEOPACKAGE,
        data=DATA,
        aggregation=aggregation(("2024-06-01", "2024-06-30"), "P10D", resolution=10),
        evalscript=FIELDS,
        output=OUTPUT,
        poll_interval=0.05,
        analysis_poll_interval=0.05,
        deferrable=False,
    )
    with running(simulator):
        assert operator.execute({"ti": instance, "task_instance": instance})["status"] == "DONE"


LIVES: dict[str, Callable[[Simulator], None]] = {
    "v1 requests": v1_requests,
    "v1 life": v1_life,
    "v1 collections and grids, wrapped": v1_collections_and_grids,
    "v1 collections and grids, bare": lambda simulator: v1_collections_and_grids(simulator, wrap_collections=False),
    "v2 requests": lambda simulator: v2_requests(simulator, CONNECTIONS["v2"]),
    "v2 requests, new paths": lambda simulator: v2_requests(simulator, CONNECTIONS["v2 new"]),
    "v2 life": lambda simulator: v2_life(simulator, CONNECTIONS["v2"]),
    "v2 life, new paths": lambda simulator: v2_life(simulator, CONNECTIONS["v2 new"]),
    "statistical": lambda simulator: statistical(simulator, CONNECTIONS["v2"]),
    "statistical, new paths": lambda simulator: statistical(simulator, CONNECTIONS["v2 new"]),
    "statistical by the operator": statistical_by_operator,
    "errors": errors,
    "nonsense": nonsense,
    "in the event loop": in_the_event_loop,
    "v1 by operators": lambda simulator: by_operators(simulator, CONNECTIONS["v1"]),
    "v2 by operators": lambda simulator: by_operators(simulator, CONNECTIONS["v2"]),
}


def live(name: str) -> list[Exchange]:
    """What goes over the wire in one life."""
    with recorded() as (simulator, recorder), connections(simulator):
        LIVES[name](simulator)
    return recorder.exchanges
