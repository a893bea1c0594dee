"""Run by the environment of sentinelhub 3.11.1, the last client with batch v1: the whole life of jobs."""

from __future__ import annotations

import time
from collections import Counter

from sentinelhub import BatchRequestStatus, BatchTileStatus, SentinelHubBatch, monitor_batch_analysis, monitor_batch_job
from sentinelhub.api.batch.process import BatchCollection

from tests.witness.vendor import Simulator, a_request, begin, end, refusal


def grids(batch: SentinelHubBatch) -> dict:
    listed = list(batch.iter_tiling_grids())
    return {"ids": [grid["id"] for grid in listed], "one is as listed": batch.get_tiling_grid(1) == listed[1]}


def whole_job(batch: SentinelHubBatch, simulator: Simulator, slept: list) -> dict:
    """Create, analysis, start, PARTIAL, restart, DONE, with the vendor's monitors."""
    said: dict = {}
    output = batch.output(default_tile_path="s3://maps/ndvi", overwrite=True)
    request = batch.create(
        a_request(simulator), tiling_grid=batch.tiling_grid(1, 10, (2, 2)), output=output, description="the whole job"
    )
    said["id"] = request.request_id
    said["created"] = [request.status.value, request.user_action.value, request.tile_count, request.value_estimate]
    said["area"] = [list(request.bbox), request.bbox.crs.value, request.geometry]
    said["tiles before analysis"] = refusal(lambda: list(batch.iter_tiles(request)))
    batch.start_analysis(request)
    asked = batch.get_request(request)
    said["straight after the action"] = [asked.status.value, asked.user_action.value]
    analysed = monitor_batch_analysis(request, config=batch.config, sleep_time=5)
    said["analysed"] = [analysed.status.value, analysed.value_estimate > 0, analysed.tile_count]
    said["tiles after analysis"] = Counter(tile["status"] for tile in batch.iter_tiles(request))
    said["restart too early"] = refusal(lambda: batch.restart_job(request))

    simulator.tell("faults", kind="fail_tiles", share=0.2)
    batch.start_job(request)
    del slept[:]
    by_status = monitor_batch_job(request, config=batch.config, sleep_time=60, analysis_sleep_time=5)
    said["monitored"] = {status.value: len(tiles) for status, tiles in by_status.items()}
    said["slept"] = sorted(set(slept))
    partial = batch.get_request(request)
    said["partial"] = [partial.status.value, partial.error]
    said["delete a PARTIAL"] = refusal(lambda: batch.delete_request(request))

    failed = list(batch.iter_tiles(request, status=BatchTileStatus.FAILED))
    said["failed"] = [tile["id"] for tile in failed]
    said["failed by word"] = [tile["id"] for tile in batch.iter_tiles(request, status="FAILED")]
    said["one tile is as listed"] = batch.get_tile(request, failed[0]["id"]) == failed[0]
    said["tile"] = {name: type(value).__name__ for name, value in failed[0].items()}

    batch.restart_job(request)
    simulator.step(10)  # The status says PARTIAL for a while, which ends the vendor's monitor at once.
    by_status = monitor_batch_job(request, config=batch.config, sleep_time=60, analysis_sleep_time=5)
    said["restarted"] = {status.value: len(tiles) for status, tiles in by_status.items() if tiles}
    said["done"] = batch.get_request(request).status.value
    said["restart a DONE"] = refusal(lambda: batch.restart_job(request))
    return said


def ended_jobs(batch: SentinelHubBatch, simulator: Simulator) -> dict:
    """Cancel in the middle and during analysis, an error of the evalscript, delete."""
    said: dict = {}
    grid = batch.tiling_grid(1, 10)

    running = batch.create(a_request(simulator), grid, bucket_name="maps", description="cancelled at work")
    batch.start_analysis(running)
    simulator.step(60)
    batch.start_job(running)
    simulator.step(60)
    said["update at work"] = refusal(lambda: batch.update_request(running, description="too late"))
    said["delete at work"] = refusal(lambda: batch.delete_request(running))
    batch.cancel_job(running)
    monitor_batch_job(running, config=batch.config, sleep_time=60, analysis_sleep_time=5)
    said["cancelled at work"] = batch.get_request(running).status.value

    early = batch.create(a_request(simulator), grid, bucket_name="maps", description="cancelled in analysis")
    batch.start_analysis(early)
    simulator.step(10)
    said["cancelled while"] = batch.get_request(early).status.value
    batch.cancel_job(early)
    said["completes"] = monitor_batch_analysis(early, config=batch.config, sleep_time=5).status.value
    simulator.step(10)
    said["cancelled in analysis"] = batch.get_request(early).status.value

    payload = a_request(simulator).download_list[0].post_values
    broken = batch.create({**payload, "evalscript": "//VERSION=3\nfunction setup("}, grid, bucket_name="maps")
    batch.start_analysis(broken)
    said["broken evalscript"] = refusal(lambda: monitor_batch_analysis(broken, config=batch.config, sleep_time=5))

    batch.update_request(broken, description="to be deleted")
    said["updated"] = batch.get_request(broken).description
    said["delete"] = batch.delete_request(broken)
    said["deleted"] = refusal(lambda: batch.get_request(broken))
    return said


def lists(batch: SentinelHubBatch) -> dict:
    latest = batch.get_latest_request()
    return {
        "latest": latest.description,
        "search": sorted(one.description for one in batch.iter_requests(search="cancelled")),
        "both words": [one.description for one in batch.iter_requests(search="cancelled&work")],
        "either word": len(list(batch.iter_requests(search="analysis|whole"))),
        "newest first": [one.description for one in batch.iter_requests(sort="created:desc")],
        "by status": [one.status.value for one in batch.iter_requests(sort="status")],
        "mine": len(list(batch.iter_requests(user_id=latest.user_id))),
        "somebody's": len(list(batch.iter_requests(user_id="00000000-0000-4000-8000-000000000000"))),
        "page by page": len(list(batch.iter_requests(count=1))),
        "final": sum(one.status is BatchRequestStatus.DONE for one in batch.iter_requests()),
    }


def collections(batch: SentinelHubBatch, simulator: Simulator) -> dict:
    said: dict = {}
    made = batch.create_collection(BatchCollection("ndvi", "maps", None))
    said["created"] = {name: made[name] for name in ("name", "s3Bucket")}
    known = BatchCollection.from_dict(batch.get_collection(made["id"]))
    known.name = "max ndvi"
    batch.update_collection(known)
    said["updated"] = batch.get_collection(made["id"])["name"]
    said["found"] = [one["name"] for one in batch.iter_collections(search="max")]
    output = batch.output(default_tile_path="s3://maps/c", cog_output=True, collection_id=made["id"])
    user = batch.create(a_request(simulator), batch.tiling_grid(1, 10), output=output, description="for a collection")
    said["requests"] = len(list(batch.iter_requests(collectionId=made["id"])))
    said["in use"] = refusal(lambda: batch.delete_collection(made["id"]))
    filled = batch.get_collection(made["id"])
    said["filled by its request"] = [filled["batchData"], sorted(filled["additionalData"]["bands"])]
    batch.delete_request(user)
    said["delete"] = batch.delete_collection(known)
    said["deleted"] = refusal(lambda: batch.get_collection(made["id"]))
    return said


def rate_limited(batch: SentinelHubBatch, simulator: Simulator) -> dict:
    """`Retry-After` is in milliseconds for the vendor's client too: 400 of them are soon over."""
    simulator.tell("faults", kind="status", status=429, retry_after_ms=400, path="/tilinggrids")
    began = time.monotonic()
    batch.get_tiling_grid(1)
    return {"seconds": time.monotonic() - began}


def main() -> None:
    _, simulator, slept = begin()
    batch = SentinelHubBatch(config=simulator.config)
    end(
        {
            "none yet": refusal(batch.get_latest_request),
            "grids": grids(batch),
            "whole job": whole_job(batch, simulator, slept),
            "ended jobs": ended_jobs(batch, simulator),
            "lists": lists(batch),
            "collections": collections(batch, simulator),
            "rate limited": rate_limited(batch, simulator),
        }
    )


if __name__ == "__main__":
    main()
