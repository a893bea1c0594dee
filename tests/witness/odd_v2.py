"""Patterns of odd uses for batch v2, see `patterns.py`. They run behind those of `patterns_v2.py`."""

from __future__ import annotations

import copy
from typing import Any

from tests.witness.odd_uses import of_ids, of_lists, of_models
from tests.witness.patterns import Pattern, World, outcome
from tests.witness.patterns_v2 import NOWHERE, done, made

METHODS = ("get_request", "start_analysis", "start_job", "stop_job")
PATTERNS: dict[str, Pattern] = {
    **of_models("BatchProcessRequest", done),
    **of_lists("BatchProcessClient.iter_tiling_grids", lambda w: w.client.iter_tiling_grids(count=2)),
    **of_ids("BatchProcessClient", METHODS),
}


def pattern(name: str) -> Any:
    return lambda function: PATTERNS.setdefault(name, function)


def told(w: World, *arguments: Any, **named: Any) -> Any:
    """What a create by these arguments comes to."""

    def create() -> Any:
        task = w.client.create(*arguments, **named)
        return [task.status.value, task.request.get("description"), task.request["output"], task.request["input"]]

    return outcome(create)


@pattern("BatchProcessClient.s3_specification: arguments by position, odd values")
def _(w: World) -> Any:
    make = w.client.s3_specification
    good = [make("s3://a", "k", "s", None, "eu"), make("s3://a", None, None, "arn"), make("s3://a", "k", None, "arn")]
    wrong: tuple[tuple, ...] = (("s3://a", "k", "s", "arn"), ("s3://a", None, "s"), ())
    return [good, make(None, "k", "s"), make("a", "", ""), [outcome(lambda one=one: make(*one)) for one in wrong]]


@pattern("BatchProcessClient.tiling_grid_input: arguments by position, odd values")
def _(w: World) -> Any:
    make = w.client.tiling_grid_input
    good = [make(1, 10, 2), make(1, 10, 0, 0), make(grid_id=1, resolution=10, buffer_x=1), make(1, 10, more=None)]
    return [good, make(None, None), make("1", "10"), outcome(lambda: make(1))]


@pattern("BatchProcessClient.raster_output: empty values, further members")
def _(w: World) -> Any:
    make, place = w.client.raster_output, {"s3": {}}
    whole = make(place, cog_parameters={"a": None}, collection_id="x", skip_existing=False)
    return [whole, make(delivery=place, more=None), outcome(lambda: make(place, True)), outcome(make)]


@pattern("BatchProcessClient: places that are none")
def _(w: World) -> Any:
    c = w.client
    return [outcome(lambda make=make: make(None)) for make in (c.raster_output, c.zarr_output, c.geopackage_input)]


@pattern("BatchProcessClient.zarr_output with array_parameters")
def _(w: World) -> Any:
    return w.client.zarr_output({"s3": {}}, array_parameters={"dtype": "<u2"}, array_overrides={"a": {}})


@pattern("BatchProcessClient.create: arguments by position and by name")
def _(w: World) -> Any:
    c, process, grid = w.client, w.given["process"], w.client.tiling_grid_input(1, 10)
    output = c.raster_output(c.s3_specification("s3://maps/odd", "k", "s"))
    return [
        told(w, process, grid, output, "normal", "text"),
        told(w, process_request=process, input=grid, output=output, instance_type="large", description=""),
        told(w, process, grid, output, None, more=None),
        told(w, process, grid, c.raster_output(output["delivery"], cog_parameters={"a": None})),
        [told(w, wrong, grid, output) for wrong in (None, [], "x", {}, {**process, "more": None})],
        [told(w, process, None, output), told(w, process, grid, None), told(w, process)],
    ]


@pattern("BatchProcessClient.create: the payload is left as it is")
def _(w: World) -> Any:
    process, grid = copy.deepcopy(w.given["process"]), w.client.tiling_grid_input(1, 10)
    output = w.client.raster_output(w.client.s3_specification("s3://maps/odd", "k", "hush"))
    task = w.client.create(process, grid, output)
    return [process == w.given["process"], grid, output, task.request["output"]["delivery"]]


@pattern("BatchProcessClient.iter_requests: arguments by position, odd words")
def _(w: World) -> Any:
    c = w.client
    number = len(list(c.iter_requests(None, None, "created:desc", count=3)))
    lazily = [bool(c.iter_requests(sort="age")), outcome(lambda: next(c.iter_requests(sort="age")))]
    return [number > 3, len(list(c.iter_requests("x", "no such"))) == number, lazily]


@pattern("BatchProcessClient.get_tiling_grid: ids of all sorts")
def _(w: World) -> Any:
    return [outcome(lambda one=one: w.client.get_tiling_grid(grid_id=one)["id"]) for one in ("1", 99, "x", 1.0, -1)]


@pattern("BatchProcessClient.update_request: odd values")
def _(w: World) -> Any:
    task, update = made(w, "before"), w.client.update_request
    said = [update(task.to_dict(), description="a")["description"], update(task, "")["description"]]
    refused = [outcome(lambda one=one: update(task, one)) for one in (None, 7)]
    return [said, refused, outcome(lambda: update(task)), outcome(lambda: update(NOWHERE, "late"))]


@pattern("BatchProcessClient: methods of v1 alone")
def _(w: World) -> Any:
    names = ("restart_job", "cancel_job", "delete_request", "get_latest_request", "iter_tiles", "get_tile")
    return [hasattr(w.client, name) for name in names]


@pattern("BatchProcessClient.stop_job, start_analysis of a task that is DONE")
def _(w: World) -> Any:
    return [outcome(lambda call=call: call(done(w))) for call in (w.client.stop_job, w.client.start_analysis)]


@pattern("Monitors of a task that is given by its id or its JSON")
def _(w: World) -> Any:
    forms = (done(w).request_id, done(w).to_dict())
    ended = [[w.done(form).status.value, w.analysed(form).status.value] for form in forms]
    return [ended, outcome(lambda: w.analysed(7)), outcome(lambda: w.done(w.kept["broken"]))]


@pattern("BatchProcessRequest: costs, shares and reasons")
def _(w: World) -> Any:
    def read(**members: Any) -> Any:
        return type(done(w)).from_dict({**done(w).to_dict(), **members})

    costs = [read(costPU=cost).cost_PU for cost in (0, 1.5, None)]
    shares = [read(completionPercentage=share).completion_percentage for share in (0, 1.5, 100)]
    return [costs, shares, [read(stoppedStatusReason=one).stopped_status_reason for one in ("OUT_OF_PU", "", None)]]
