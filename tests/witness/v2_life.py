"""Run by the environment of sentinelhub 3.12, the client with batch v2: the whole life of tasks."""

from __future__ import annotations

import time

from sentinelhub import BatchProcessClient, monitor_batch_process_analysis, monitor_batch_process_job

from tests.witness.vendor import Simulator, a_request, begin, end, refusal


def grids(client: BatchProcessClient) -> dict:
    listed = list(client.iter_tiling_grids())
    return {"ids": [grid["id"] for grid in listed], "one is as listed": client.get_tiling_grid(1) == listed[1]}


def place(client: BatchProcessClient, url: str) -> dict:
    return client.s3_specification(url, access_key="AKIA", secret_access_key="hush", region="eu-central-1")


def whole_task(client: BatchProcessClient, simulator: Simulator, slept: list) -> dict:
    """Create, analysis, start, DONE, with the vendor's monitors."""
    said: dict = {}
    request = client.create(
        a_request(simulator),
        input=client.tiling_grid_input(1, 10, buffer_x=2, buffer_y=2),
        output=client.raster_output(place(client, "s3://maps/ndvi"), overwrite=True, cog_output=True),
        description="the whole task",
    )
    said["id"] = request.request_id
    said["created"] = [request.status.value, request.user_action.value, request.completion_percentage, request.cost_PU]
    echo = request.request
    said["echo"] = {"input": echo["input"], "instanceType": echo.get("instanceType"), "output": echo["output"]}
    client.start_analysis(request)
    asked = client.get_request(request)
    said["straight after the action"] = [asked.status.value, asked.user_action.value]
    said["analysed"] = monitor_batch_process_analysis(request, client, sleep_time=5).status.value

    client.start_job(request)
    del slept[:]
    done = monitor_batch_process_job(request, client, sleep_time=60, analysis_sleep_time=5)
    said["done"] = [done.status.value, done.completion_percentage, done.cost_PU > 0, done.last_updated > done.created]
    said["slept"] = sorted(set(slept))
    said["start a DONE"] = refusal(lambda: client.start_job(request))
    return said


def ended_tasks(client: BatchProcessClient, simulator: Simulator) -> dict:
    """Stop too early and at work, too early a restart, an error of the evalscript, update."""
    said: dict = {}
    grid = client.tiling_grid_input(1, 10)
    raster = client.raster_output(place(client, "s3://maps/other"), overwrite=True)

    stopped = client.create(a_request(simulator), grid, raster, description="stopped at work")
    client.start_job(stopped)
    said["stop too early"] = refusal(lambda: client.stop_job(stopped))
    simulator.step(60)
    said["update at work"] = refusal(lambda: client.update_request(stopped, "too late"))
    client.stop_job(stopped)
    monitor_batch_process_job(stopped, client, sleep_time=60, analysis_sleep_time=5)
    ended = client.get_request(stopped)
    said["stopped"] = [ended.status.value, ended.stopped_status_reason.value, 0 < ended.completion_percentage < 100]
    said["start again at once"] = refusal(lambda: client.start_job(stopped))
    simulator.step(1800)
    client.start_job(stopped)
    simulator.step(60)
    said["started again"] = monitor_batch_process_job(
        stopped, client, sleep_time=60, analysis_sleep_time=5
    ).status.value

    payload = a_request(simulator).download_list[0].post_values
    broken = client.create({**payload, "evalscript": "//VERSION=3\nfunction setup("}, grid, raster)
    client.start_analysis(broken)
    said["broken evalscript"] = refusal(lambda: monitor_batch_process_analysis(broken, client, sleep_time=5))
    said["answer to an update"] = sorted(client.update_request(broken, "broken"))
    said["updated"] = client.get_request(broken).request["description"]

    simulator.tell("settings", done_out_of_analysis=True)
    nothing = client.create(a_request(simulator), grid, raster, description="nothing to do")
    client.start_analysis(nothing)
    out = monitor_batch_process_analysis(nothing, client, sleep_time=5)
    said["out of analysis"] = [out.status.value, out.user_action.value, out.completion_percentage, out.cost_PU]
    simulator.tell("settings", done_out_of_analysis=False)
    return said


def lists(client: BatchProcessClient) -> dict:
    return {
        "newest first": [one.request.get("description") for one in client.iter_requests(sort="created:desc")],
        "by status": [one.status.value for one in client.iter_requests(sort="status")],
        "page by page": len(list(client.iter_requests(count=1))),
    }


def rate_limited(client: BatchProcessClient, simulator: Simulator) -> dict:
    """`Retry-After` is in milliseconds for the vendor's client too: 400 of them are soon over."""
    simulator.tell("faults", kind="status", status=429, retry_after_ms=400, path="/tilinggrids")
    began = time.monotonic()
    client.get_tiling_grid(1)
    return {"seconds": time.monotonic() - began}


def main() -> None:
    _, simulator, slept = begin()
    client = BatchProcessClient(config=simulator.config)
    end(
        {
            "none yet": list(client.iter_requests()),
            "grids": grids(client),
            "whole task": whole_task(client, simulator, slept),
            "ended tasks": ended_tasks(client, simulator),
            "lists": lists(client),
            "rate limited": rate_limited(client, simulator),
        }
    )


if __name__ == "__main__":
    main()
