"""Patterns of code for batch statistical, see `patterns.py`. They run in this order on one simulator."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

from tests.witness.patterns import Pattern, World, outcome

NOWHERE = "00000000-0000-4000-8000-000000000000"
PATTERNS: dict[str, Pattern] = {}


def pattern(name: str) -> Any:
    def keep(function: Pattern) -> Pattern:
        PATTERNS[name] = function
        return function

    return keep


def made(w: World, **changes: Any) -> Any:
    body = w.given["statistics"]
    return w.client.create(
        input_features=body["input"]["features"],
        input_data=body["input"]["data"],
        aggregation={**body["aggregation"], **changes},
        calculations=None,
        output=body["output"],
    )


def done(w: World) -> Any:
    def make() -> Any:
        request = made(w)
        w.client.start_analysis(request)
        w.analysed(request)
        w.client.start_job(request)
        w.kept["final status"] = w.done(request)
        return w.client.get_request(request)

    return w.once("done", make)


@pattern("SentinelHubBatchStatistical.s3_specification")
def _(w: World) -> Any:
    make = w.client.s3_specification
    places = [make("s3://a", "k", "s", region="eu"), make("s3://a", iam_role_arn="arn"), make("s3://a", "k", "s")]
    return [places, outcome(lambda: make("s3://a")), outcome(lambda: make("s3://a", "k"))]


@pattern("SentinelHubBatchStatistical.create")
def _(w: World) -> Any:
    request = w.once("first", lambda: made(w))
    refused = outcome(lambda: made(w, timeRange=7))
    return [request.status.value, request.user_action.value, request.completion_percentage, request.cost_pu, refused]


@pattern("SentinelHubBatchStatistical.create_from_request")
def _(w: World) -> Any:
    body = w.given["statistics"]
    single = SimpleNamespace(
        payload={
            "input": {"bounds": {"bbox": [1, 2, 3, 4]}, "data": body["input"]["data"]},
            "aggregation": body["aggregation"],
            "calculations": {"ndvi": {"statistics": {"default": {}}}},
        }
    )
    request = w.client.create_from_request(single, body["input"]["features"], body["output"])
    return [request.status.value, request.request["calculations"], sorted(request.request["input"])]


@pattern("SentinelHubBatchStatistical.get_request")
def _(w: World) -> Any:
    request = w.kept["first"]
    forms = (request, request.request_id, request.to_dict())
    found = [w.client.get_request(form).request_id == request.request_id for form in forms]
    return [found, outcome(lambda: w.client.get_request(NOWHERE)), outcome(lambda: w.client.get_request(7))]


@pattern("SentinelHubBatchStatistical.get_status")
def _(w: World) -> Any:
    found = w.client.get_status(w.kept["first"])
    return [sorted(found), found["status"], outcome(lambda: w.client.get_status(NOWHERE))]


@pattern("SentinelHubBatchStatistical.start_analysis")
def _(w: World) -> Any:
    said = w.client.start_analysis(w.kept["first"])
    return [bool(said), w.client.get_request(w.kept["first"]).user_action.value]


@pattern("monitor_batch_statistical_analysis")
def _(w: World) -> Any:
    return [w.analysed(w.kept["first"]).status.value, w.analysed(done(w)).status.value]


@pattern("monitor_batch_statistical_analysis of a broken evalscript")
def _(w: World) -> Any:
    broken = w.once("broken", lambda: made(w, evalscript="//VERSION=3\nfunction setup("))
    w.client.start_analysis(broken)
    return outcome(lambda: w.analysed(broken))


@pattern("monitor_batch_statistical_job")
def _(w: World) -> Any:
    done(w)
    final = w.kept["final status"]
    return [sorted(final), final["status"], final["completionPercentage"]]


@pattern("SentinelHubBatchStatistical.start_job")
def _(w: World) -> Any:
    said = w.client.start_job(w.kept["first"])
    return [bool(said), w.client.get_request(w.kept["first"]).user_action.value]


@pattern("SentinelHubBatchStatistical.start_job again")
def _(w: World) -> Any:
    return [outcome(lambda one=one: bool(w.client.start_job(one))) for one in (w.kept["first"], done(w))]


@pattern("SentinelHubBatchStatistical.stop_job")
def _(w: World) -> Any:
    request = w.once("stopped", lambda: made(w))
    w.client.start_job(request)
    w.control.step(230)
    said = w.client.stop_job(request)
    w.control.step(60)
    return [bool(said), w.client.get_status(request)["status"]]


@pattern("SentinelHubBatchStatistical.start_job of a STOPPED request")
def _(w: World) -> Any:
    w.control.step(3600)
    said = outcome(lambda: bool(w.client.start_job(w.kept["stopped"])))
    return [said, w.client.get_request(w.kept["stopped"]).user_action.value]


@pattern("SentinelHubBatchStatistical.cancel_job")
def _(w: World) -> Any:
    request = made(w)
    w.client.start_analysis(request)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        said = w.client.cancel_job(request)
    w.control.step(600)
    deprecated = any(issubclass(one.category, DeprecationWarning) for one in told)
    return [bool(said), deprecated, w.client.get_request(request).status.value]


@pattern("SentinelHubBatchStatistical.client, config, service_url")
def _(w: World) -> Any:
    return [hasattr(w.client, name) for name in ("client", "config", "service_url")]


@pattern("BatchStatisticalRequest.from_dict, to_dict, from_json, to_json")
def _(w: World) -> Any:
    request = done(w)
    kind = type(request)
    again = [kind.from_dict(request.to_dict()), kind.from_json(request.to_json())]
    lacking = {"id", "userId", "domainAccountId", "created", "userActionUpdated", "lastUpdated", "projectId"}
    written = {key: value for key, value in request.to_dict().items() if key not in lacking}
    return [all(one == request for one in again), written]


@pattern("BatchStatisticalRequest.schema")
def _(w: World) -> Any:
    dumped = type(done(w)).schema().dump(done(w))
    return [
        sorted(dumped),
        dumped["status"],
        [type(dumped[name]).__name__ for name in ("created", "userActionUpdated")],
    ]


@pattern("BatchStatisticalRequest without completionPercentage")
def _(w: World) -> Any:
    body = {name: value for name, value in done(w).to_dict().items() if name != "completionPercentage"}
    return outcome(lambda: type(done(w)).from_dict(body).status)


@pattern("BatchStatisticalRequest.raise_for_status")
def _(w: World) -> Any:
    broken, status = w.client.get_request(w.kept["broken"]), w.names.BatchRequestStatus
    wanted = (status.FAILED, "FAILED", ["DONE", "FAILED"], (status.DONE,), [], "FAILD", ["FAILD", "FAILED"])
    return [outcome(lambda one=one: broken.raise_for_status(one)) for one in wanted] + [
        outcome(broken.raise_for_status),
        outcome(done(w).raise_for_status),
    ]


@pattern("BaseBatchClient, BaseBatchRequest")
def _(w: World) -> Any:
    return [isinstance(w.client, w.names.BaseBatchClient), isinstance(done(w), w.names.BaseBatchRequest)]
