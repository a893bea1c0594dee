"""One series of replies, one end: worker, trigger, sensor in each mode, and the look before deferring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub.api.decide.errors import conclude
from airflow_sentinelhub.api.flows.wait import WaitPlan
from airflow_sentinelhub.operators._waiting import WaitingTask
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger
from airflow_sentinelhub.triggers.events import read_event


@dataclass(frozen=True)
class Series:
    """What the service answers, from which second on: an HTTP status, or the members of a request.

    :param end: how the wait ends: what the error says, or `reached`. :param within: seconds it takes, from and to.
    :param arguments: of whoever waits, by their names as arguments of a sensor; :param plan: what a sensor has not.
    """

    replies: dict[float, int | dict[str, Any]]
    end: str
    within: tuple[float, float]
    arguments: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)


IDLE = {"status": "ANALYSIS_DONE", "userAction": "ANALYSE"}
RUNS, DONE, PARTIAL = ({"status": status, "userAction": "START"} for status in ("PROCESSING", "DONE", "PARTIAL"))
SERIES = {
    "done": Series({0: DONE}, "reached", (0, 10)),
    "not started for 100 s": Series({0: IDLE, 100: RUNS, 400: DONE}, "reached", (400, 470)),
    "never started": Series({0: IDLE}, "nobody has started it", (120, 140)),
    "never started, found at work": Series({0: RUNS, 50: IDLE}, "nobody has started it", (180, 200)),
    "started by somebody else": Series(
        {0: IDLE, 4000: RUNS, 4500: DONE}, "reached", (4500, 4570), {"wait_for_start": True}
    ),
    "404 for 25 s": Series({0: 404, 25: RUNS, 300: DONE}, "reached", (300, 370)),
    "404 for ever": Series({0: 404}, "404", (68, 90)),
    "404 in the middle, for 200 s": Series({0: RUNS, 100: 404, 300: DONE}, "reached", (300, 370)),
    "a short outage": Series({0: RUNS, 100: 503, 500: RUNS, 650: DONE}, "reached", (650, 720)),
    "a short outage at first": Series({0: 503, 500: RUNS, 650: DONE}, "reached", (500, 720)),
    "a long outage": Series({0: RUNS, 100: 503}, "its state could not be read for too long (", (700, 860)),
    "a long outage at first": Series({0: 503}, "its state could not be read for too long (", (600, 680)),
    "refused": Series({0: 403}, "403", (0, 10)),
    "refused later": Series({0: RUNS, 100: 403, 300: DONE}, "reached", (300, 370)),
    "partial": Series({0: RUNS, 100: PARTIAL}, "is PARTIAL: some tiles failed", (100, 170)),
    "partial, and stale": Series(
        {0: PARTIAL, 200: RUNS, 500: DONE}, "reached", (500, 570), plan={"stale_partial": 300.0}
    ),
    "over the budget": Series(
        {0: RUNS, 100: {**RUNS, "costPU": 9.0}},
        "is STOPPED and will not be DONE any more",
        (100, 190),
        plan={"max_cost": 8.0},
    ),
    "over the budget at once": Series(
        {0: {**RUNS, "costPU": 9.0}}, "is STOPPED and will not be DONE any more", (0, 20), plan={"max_cost": 8.0}
    ),
    "the deadline": Series({0: RUNS}, "not DONE", (300, 310), {"timeout": 300}),
    "the deadline in an outage": Series({0: RUNS, 100: 503}, "not DONE", (300, 310), {"timeout": 300}),
    "the deadline of what is not started": Series({0: IDLE}, "not DONE", (90, 100), {"timeout": 90}),
}


class Waits(WaitingTask, BaseOperator):
    """An operator that only waits."""

    sentinelhub_conn_id, batch_api = "sentinelhub_default", None
    poll_interval, max_unknown_time = 60.0, 600.0

    def __init__(
        self, *, request_id: str, deferrable: bool, timeout: float | None = None, changes: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.request_id, self.deferrable, self.timeout, self.changes = request_id, deferrable, timeout, changes

    def execute(self, context: Any) -> None:
        self.announce(context, self.request_id)
        self.wait_for(context, self.request_id, "DONE", known=False, **self.changes)

    def execute_complete(self, context: Any, event: Any = None) -> None:
        self.waited(event, self.request_id, "DONE")


Run = Callable[[Any, str, Series], Any]


def by_operator(deferrable: bool) -> Run:
    def run(bench: Any, request_id: str, series: Series) -> Any:
        given = dict(series.arguments)
        changes = {**series.plan, **{name: given.pop(name) for name in ("wait_for_start",) if name in given}}
        given |= {"request_id": request_id, "deferrable": deferrable}
        return bench.run(lambda: Waits(task_id="wait", changes=changes, **given))

    return run


def by_sensor(mode: str, deferrable: bool = False) -> Run:
    def run(bench: Any, request_id: str, series: Series) -> Any:
        given = {"request_id": request_id, "mode": mode, "deferrable": deferrable, **series.arguments}
        return bench.run(
            lambda: SentinelHubBatchSensor(task_id="wait", poke_interval=60.0, max_unknown_time=600, **given)
        )

    return run


def by_trigger(bench: Any, request_id: str, series: Series) -> Any:
    given = {"poll_interval": 60.0, "max_unknown_time": 600.0, **series.arguments, **series.plan}
    timeout = given.pop("timeout", None)
    plan = WaitPlan(**given, deadline=None if timeout is None else bench.clock.now + timeout)
    common = {"sentinelhub_conn_id": "sentinelhub_default", "batch_api": "v2", "request_id": request_id}
    conclude(read_event(bench.fire(SentinelHubBatchTrigger(**common, plan=plan)), request_id), request_id, "DONE")


WAYS: dict[str, Run] = {
    "worker": by_operator(False),
    "look and trigger": by_operator(True),
    "trigger": by_trigger,
    "poke": by_sensor("poke"),
    "reschedule": by_sensor("reschedule"),
    "deferred sensor": by_sensor("poke", True),
}
SENSORS = ("poke", "reschedule", "deferred sensor")
"""They have neither a budget nor restarts."""


def play(bench: Any, request_id: str, series: Series) -> None:
    """Have the service answer so, until the request is stopped: from then on it says what is."""
    shown = bench.shown(request_id)

    def answer(reply: int | dict[str, Any]) -> None:
        bench.sim.clear_faults()
        how = {"status": reply} if isinstance(reply, int) else {"status": 200, "body": {**shown, **reply}}
        bench.sim.fault("status", f"/{request_id}$", method="GET", times=None, **how)

    def is_it_stopped() -> None:
        if "stopped" in bench.effects():
            bench.sim.clear_faults()

    for second, reply in series.replies.items():
        if second:
            bench.clock.at(second, lambda reply=reply: answer(reply))
        else:
            answer(reply)
    if "max_cost" in series.plan:
        for second in range(1, 300, 5):
            bench.clock.at(second, is_it_stopped)


@pytest.fixture
def generation() -> str:
    return "v2"


@pytest.mark.parametrize(
    ("way", "case"), [(way, case) for way in WAYS for case in SERIES if way not in SENSORS or not SERIES[case].plan]
)
@pytest.mark.thorough
def test_one_series_of_replies_has_one_end(bench: Any, way: str, case: str) -> None:
    series = SERIES[case]
    bench.sim.settings(tile_seconds=4000.0)  # the job itself outlasts what is said about it
    request_id = bench.started()
    bench.clock.sleep(30)
    play(bench, request_id, series)
    before, began = bench.mark(), bench.clock.now
    end = "reached"
    try:
        WAYS[way](bench, request_id, series)
    except Exception as err:
        end = str(err)
    earliest, latest = series.within
    if way == "trigger":
        latest += 10  # its first look comes some seconds later
    assert (end == "reached") == (series.end == "reached"), end
    assert series.end in end
    assert earliest <= bench.clock.now - began <= latest
    assert bench.effects(before) == (["stopped"] if "budget" in case else [])
