"""Patterns of code for batch v2, see `patterns.py`. They run in this order on one simulator."""

from __future__ import annotations

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
    c = w.client
    place = c.s3_specification("s3://maps/a", access_key="AKIA", secret_access_key="hush")
    payload, grid = {**w.given["process"], **changes}, c.tiling_grid_input(1, 10)
    return c.create(payload, grid, c.raster_output(place, overwrite=True), description=description)


def done(w: World) -> Any:
    def make() -> Any:
        task = made(w, "done")
        w.client.start_analysis(task)
        w.analysed(task)
        w.client.start_job(task)
        return w.done(task)

    return w.once("done", make)


@pattern("BatchProcessClient.s3_specification")
def _(w: World) -> Any:
    make = w.client.s3_specification
    places = [make("s3://a", "k", "s", region="eu"), make("s3://a", iam_role_arn="arn"), make("s3://a", "k", "s")]
    return [places, outcome(lambda: make("s3://a")), outcome(lambda: make("s3://a", "k"))]


@pattern("BatchProcessClient.tiling_grid_input, geopackage_input")
def _(w: World) -> Any:
    c = w.client
    return [c.tiling_grid_input(1, 10), c.tiling_grid_input(1, 10, 2, 3, x=1), c.geopackage_input({"s3": {}})]


@pattern("BatchProcessClient.raster_output")
def _(w: World) -> Any:
    return [w.client.raster_output({"s3": {}}), w.client.raster_output({"s3": {}}, cog_output=False, more=1)]


@pattern("BatchProcessClient.zarr_output")
def _(w: World) -> Any:
    return [w.client.zarr_output({"s3": {}}), w.client.zarr_output({"s3": {}}, group={"zarr_format": 2})]


@pattern("BatchProcessClient.create")
def _(w: World) -> Any:
    task = w.once("first", lambda: made(w, "first"))
    refused = outcome(
        lambda: w.client.create(w.given["process"], {"type": "tiling-grid", "id": 1, "resolution": 3}, {})
    )
    return [task.status.value, task.user_action.value, task.completion_percentage, task.cost_PU, refused]


@pattern("BatchProcessClient.iter_tiling_grids")
def _(w: World) -> Any:
    grids = w.client.iter_tiling_grids(count=2)
    first = next(grids)
    return [first["id"], [one["id"] for one in grids], [one["id"] for one in grids], grids.index, grids.finished]


@pattern("BatchProcessClient.get_tiling_grid")
def _(w: World) -> Any:
    return [w.client.get_tiling_grid(1), w.client.get_tiling_grid("1") == w.client.get_tiling_grid(1)]


@pattern("BatchProcessClient.get_request")
def _(w: World) -> Any:
    task = w.kept["first"]
    forms = (task, task.request_id, task.to_dict())
    found = [w.client.get_request(form).request["description"] for form in forms]
    return [found, outcome(lambda: w.client.get_request(NOWHERE)), outcome(lambda: w.client.get_request(7))]


@pattern("BatchProcessClient.iter_requests")
def _(w: World) -> Any:
    found = w.client.iter_requests(sort="created:desc", count=1)
    return [[one.request["description"] for one in found], list(found)]


@pattern("BatchProcessClient.start_analysis")
def _(w: World) -> Any:
    said = w.client.start_analysis(w.kept["first"])
    return [bool(said), w.client.get_request(w.kept["first"]).user_action.value]


@pattern("monitor_batch_process_analysis")
def _(w: World) -> Any:
    return [w.analysed(w.kept["first"]).status.value, w.analysed(done(w)).status.value]


@pattern("monitor_batch_process_analysis of a broken evalscript")
def _(w: World) -> Any:
    broken = w.once("broken", lambda: made(w, "broken", evalscript="//VERSION=3\nfunction setup("))
    w.client.start_analysis(broken)
    return outcome(lambda: w.analysed(broken))


@pattern("monitor_batch_process_job")
def _(w: World) -> Any:
    task = done(w)
    return [type(task).__name__, task.status.value, task.completion_percentage, task.cost_PU > 0]


@pattern("monitor_batch_process_job of a task stopped at work")
def _(w: World) -> Any:
    task = w.once("stopped", lambda: made(w, "stopped"))
    w.client.start_job(task)
    w.control.step(60)
    w.client.stop_job(task)
    return [outcome(lambda: w.done(task).status.value), w.client.get_request(task).status.value]


@pattern("BatchProcessClient.start_job")
def _(w: World) -> Any:
    said = w.client.start_job(w.kept["first"])
    return [bool(said), w.client.get_request(w.kept["first"]).user_action.value]


@pattern("BatchProcessClient.start_job again")
def _(w: World) -> Any:
    return [outcome(lambda one=one: bool(w.client.start_job(one))) for one in (w.kept["first"], done(w))]


@pattern("BatchProcessClient.start_job of a STOPPED task")
def _(w: World) -> Any:
    w.control.step(3600)
    said = outcome(lambda: bool(w.client.start_job(w.kept["stopped"])))
    return [said, w.client.get_request(w.kept["stopped"]).user_action.value]


@pattern("BatchProcessClient.stop_job")
def _(w: World) -> Any:
    task = made(w, "stopped at work")
    w.client.start_analysis(task)
    w.analysed(task)
    w.client.start_job(task)
    w.control.step(60)
    said = w.client.stop_job(task)
    w.control.step(60)
    ended = w.client.get_request(task)
    too_early = outcome(lambda: w.client.stop_job(made(w, "not started")))
    return [bool(said), ended.status.value, ended.stopped_status_reason.value, too_early]


@pattern("BatchProcessClient.update_request")
def _(w: World) -> Any:
    task = made(w, "old words")
    answer = w.client.update_request(task, "new words")
    return [sorted(answer), w.client.get_request(task).request["description"]]


@pattern("BatchProcessClient.client, config, service_url")
def _(w: World) -> Any:
    return [hasattr(w.client, name) for name in ("client", "config", "service_url")]


@pattern("BatchProcessRequest.from_dict, to_dict, from_json, to_json")
def _(w: World) -> Any:
    task = done(w)
    kind = type(task)
    again = [kind.from_dict(task.to_dict()), kind.from_json(task.to_json())]
    lacking = {"id", "domainAccountId", "created", "userActionUpdated", "lastUpdated", "projectId"}
    written = {key: value for key, value in task.to_dict().items() if key not in lacking}
    return [all(one == task for one in again), written]


@pattern("BatchProcessRequest.schema")
def _(w: World) -> Any:
    dumped = type(done(w)).schema().dump(done(w))
    times = ("created", "userActionUpdated", "lastUpdated")
    return [sorted(dumped), dumped["status"], [type(dumped[name]).__name__ for name in times]]


@pattern("BatchProcessRequest without domainAccountId")
def _(w: World) -> Any:
    body = {name: value for name, value in done(w).to_dict().items() if name != "domainAccountId"}
    return outcome(lambda: type(done(w)).from_dict(body).status)


@pattern("BatchProcessRequest: members can be set")
def _(w: World) -> Any:
    task = w.client.get_request(done(w))
    task.error = "mine"
    return [task.to_dict()["error"], task == done(w)]


@pattern("BatchProcessRequest.raise_for_status")
def _(w: World) -> Any:
    broken, status = w.client.get_request(w.kept["broken"]), w.names.BatchRequestStatus
    wanted = (status.FAILED, "FAILED", ["DONE", "FAILED"], (status.DONE,), [], "FAILD", ["FAILD", "FAILED"])
    return [outcome(lambda one=one: broken.raise_for_status(one)) for one in wanted] + [
        outcome(broken.raise_for_status),
        outcome(done(w).raise_for_status),
    ]


@pattern("StoppedStatusReason, BatchRequestStatus, BatchUserAction")
def _(w: World) -> Any:
    n = w.names
    words = [one.value for one in n.StoppedStatusReason]
    return [words, n.BatchUserAction.STOP.value, done(w).status is n.BatchRequestStatus.DONE]


@pattern("BaseBatchClient, BaseBatchRequest")
def _(w: World) -> Any:
    return [isinstance(w.client, w.names.BaseBatchClient), isinstance(done(w), w.names.BaseBatchRequest)]
