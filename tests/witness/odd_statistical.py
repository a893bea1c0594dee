"""Patterns of odd uses for batch statistical, see `patterns.py`. They run behind those of `patterns_statistical.py`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.witness.odd_uses import of_ids, of_models
from tests.witness.patterns import Pattern, World, outcome
from tests.witness.patterns_statistical import done

METHODS = ("get_request", "get_status", "start_analysis", "start_job", "stop_job", "cancel_job")
PATTERNS: dict[str, Pattern] = {
    **of_models("BatchStatisticalRequest", done),
    **of_ids("SentinelHubBatchStatistical", METHODS),
}


def pattern(name: str) -> Any:
    return lambda function: PATTERNS.setdefault(name, function)


def told(w: World, **changes: Any) -> Any:
    """What a create with these arguments in the place of good ones comes to."""
    body = w.given["statistics"]
    good = {
        "input_features": body["input"]["features"],
        "input_data": body["input"]["data"],
        "aggregation": body["aggregation"],
        "calculations": None,
        "output": body["output"],
    }

    def create() -> Any:
        request = w.client.create(**{**good, **changes})
        return [request.status.value, request.request["input"]["data"], request.request.get("calculations")]

    return outcome(create)


@pattern("SentinelHubBatchStatistical.create: input_data in all sorts of iterables")
def _(w: World) -> Any:
    data = w.given["statistics"]["input"]["data"]
    kinds: tuple[Any, ...] = (tuple(data), (one for one in data), map(dict, data), {"a": data[0]}.values(), [], None, 7)
    return [told(w, input_data=one) for one in kinds]


@pattern("SentinelHubBatchStatistical.create: parts that are none")
def _(w: World) -> Any:
    return [told(w, **{name: None}) for name in ("input_features", "aggregation", "output")]


@pattern("SentinelHubBatchStatistical.create: calculations, further members, positions")
def _(w: World) -> Any:
    asked = {"default": {"statistics": {"default": {"percentiles": {"k": [0.5]}}}}}
    few = [told(w, calculations=one) for one in (asked, {}, None)]
    return [few, told(w, more=None), outcome(lambda: w.client.create({}, [])), outcome(w.client.create)]


@pattern("SentinelHubBatchStatistical.create_from_request of a payload without aggregation or input")
def _(w: World) -> Any:
    body = w.given["statistics"]
    whole = {"input": {"data": body["input"]["data"]}, "aggregation": body["aggregation"], "calculations": None}
    less = [{name: part for name, part in whole.items() if name != left} for left in ("aggregation", "input")]
    call = w.client.create_from_request
    return ["KeyError" in outcome(lambda one=one: call(SimpleNamespace(payload=one), {}, {}))["raises"] for one in less]


@pattern("Monitors of a request that is given by its id or its JSON")
def _(w: World) -> Any:
    forms = (done(w).request_id, done(w).to_dict())
    ended = [[w.done(form)["status"], w.analysed(form).status.value] for form in forms]
    return [ended, outcome(lambda: w.analysed(7)), outcome(lambda: w.done(w.kept["broken"]))]


@pattern("BatchStatisticalRequest: costs and shares")
def _(w: World) -> Any:
    def read(**members: Any) -> Any:
        return type(done(w)).from_dict({**done(w).to_dict(), **members})

    shares = [read(completionPercentage=share).completion_percentage for share in (0, 1.5, 100)]
    return [[read(costPU=cost).cost_pu for cost in (0, 1.5, None)], shares]
