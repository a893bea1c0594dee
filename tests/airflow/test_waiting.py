"""Waiting means the same everywhere: in an operator and in both sensors, in a worker, rescheduled and deferred.

Each test is one behaviour; its body runs for every way to wait and both generations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from airflow_sentinelhub._compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from airflow_sentinelhub.exceptions import (
    DeadlineError,
    InvalidInputError,
    JobCancelledError,
    JobError,
    JobFailedError,
    JobNotStartedError,
    JobPartialError,
    NotFoundError,
    SentinelHubError,
    UnknownStateError,
)
from airflow_sentinelhub.operators.batch import SentinelHubStartBatchOperator
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor
from tests.airflow.job import thorough_but

BAD_SCRIPT = "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}};"
"""A bracket is missing, which analysis finds."""


@dataclass(frozen=True)
class Way:
    """A way to wait for the end of a request."""

    kind: str
    mode: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.mode}"

    @property
    def sensor(self) -> bool:
        return self.kind != "operator"

    @property
    def deferred(self) -> bool:
        return self.mode == "deferred"

    def task(self, request_id: Any, *, every: float = 60.0, **how: Any) -> Callable[[], Any]:
        """A maker of the task: every leg of its life gets a new one."""
        if not self.sensor:
            return lambda: SentinelHubStartBatchOperator(
                task_id="wait",
                request_id=request_id,
                wait_for_completion=True,
                poll_interval=every,
                deferrable=self.deferred,
                **how,
            )
        cls = SentinelHubBatchSensor if self.kind == "status" else SentinelHubBatchTileSensor
        mode = "poke" if self.deferred else self.mode
        return lambda: cls(
            task_id="wait", request_id=request_id, poke_interval=every, deferrable=self.deferred, mode=mode, **how
        )


SENSORS = [Way(kind, mode) for kind in ("status", "tiles") for mode in ("poke", "reschedule", "deferred")]
WAYS = [Way("operator", "worker"), Way("operator", "deferred"), *SENSORS]
ways = pytest.mark.parametrize("way", WAYS, ids=str)
sensors = pytest.mark.parametrize("way", SENSORS, ids=str)
v1 = pytest.mark.parametrize("generation", ["v1"], indirect=True)
v2 = pytest.mark.parametrize("generation", ["v2"], indirect=True)


def failure(bench: Any, make: Callable[[], Any], kind: type[Exception] = Exception) -> Exception:
    """How the task fails: one error that names the request and says whether it bills."""
    with pytest.raises(kind) as caught:
        bench.run(make)
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return caught.value


def assert_over(bench: Any, way: Way, request_id: str) -> None:
    """What was waited for is there. The last tile is done some seconds before the request says DONE."""
    if way.kind == "tiles":
        assert set(bench.tile_statuses(request_id).values()) == {"PROCESSED"}
    else:
        assert bench.status(request_id) == "DONE"


def cause(error: BaseException) -> BaseException:
    """The error of ours behind the one that Airflow sees."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, SentinelHubError):
        found = found.__cause__
    assert found is not None, f"{error!r} was not caused by an error of ours"
    return found


@ways
def test_success(bench: Any, way: Way) -> None:
    request_id = bench.started()
    began = bench.clock.now
    context = bench.context()

    result = bench.run(way.task(request_id), context)

    assert_over(bench, way, request_id)
    assert way.sensor or result["request_id"] == request_id
    assert not way.sensor or result is None
    assert bench.effects() == ["created", "billed_start"]
    assert (
        bench.legs
        == {
            "worker": ["execute"],
            "poke": ["execute"],
            "reschedule": ["execute"] * len(bench.legs),
            "deferred": ["execute", "execute_complete"],
        }[way.mode]
    )
    assert 120 < bench.clock.now - began < 400, "the simulated job takes some minutes, the poll one"
    assert context["ti"].xcoms["request_id"] == request_id
    assert context["ti"].xcoms["request_url"].endswith(request_id)


@ways
def test_a_poll_is_one_call(bench: Any, way: Way) -> None:
    """Whatever the number of tiles; a tile sensor of v1 reads the list of tiles besides."""
    bench.sim.settings(tile_seconds=1000.0)
    request_id = bench.started()
    before = bench.mark()

    failure(bench, way.task(request_id, timeout=600, **({} if way.sensor else {"cancel_on_timeout": False})))

    reads = [call for call in bench.sim.journal(before) if call["path"].endswith(request_id)]
    others = [call for call in bench.sim.journal(before) if not call["path"].endswith((request_id, "/token"))]
    assert 10 <= len(reads) <= 14
    if (way.kind, bench.api) == ("tiles", "v1"):
        assert {call["path"].rpartition("/")[2] for call in others} == {"tiles"}
        assert len(others) <= len(reads)
    else:
        assert others == []


@ways
def test_a_request_at_its_end_never_defers(bench: Any, way: Way) -> None:
    request_id = bench.ended()
    before = bench.clock.now

    bench.run(way.task(request_id))

    assert bench.legs == ["execute"]
    assert bench.triggers == []
    assert bench.clock.now == before


@ways
def test_a_failed_evalscript(bench: Any, way: Way) -> None:
    """The service's own words; no retry, since it would fail the same way."""
    request_id = bench.create(evalscript=BAD_SCRIPT)
    bench.act(request_id, "start")

    error = failure(bench, way.task(request_id), AirflowFailException)

    assert isinstance(cause(error), JobFailedError)
    assert f"Batch request {request_id} is FAILED" in str(error)
    assert "Unexpected end of input" in str(error)
    assert "does not run any more" in str(error)
    assert "Correct the request" in str(error)


@ways
@v1
def test_partial(bench: Any, way: Way) -> None:
    bench.sim.fault("fail_tiles", share=0.1)
    request_id = bench.started()

    error = failure(bench, way.task(request_id))

    assert isinstance(error, JobPartialError)
    assert f"Batch request {request_id} is PARTIAL: some tiles failed" in str(error)
    assert "does not run any more" in str(error)
    assert "SentinelHubRestartBatchOperator" in str(error)


@sensors
@v2
def test_tiles_that_failed_in_a_job_that_is_done(bench: Any, way: Way) -> None:
    """v2 says DONE whatever failed; only who looks at the tiles sees it."""
    bench.sim.fault("fail_tiles", share=0.1)
    request_id = bench.started()
    if way.kind == "status":
        bench.run(way.task(request_id))
    else:
        error = failure(bench, way.task(request_id))
        assert isinstance(error, JobError)
        assert "is DONE and will not be all tiles PROCESSED any more" in str(error)


@ways
def test_cancelled_by_somebody(bench: Any, way: Way) -> None:
    request_id = bench.started()
    bench.clock.at(100, lambda: bench.act(request_id, "end"))

    error = failure(bench, way.task(request_id))

    assert isinstance(error, AirflowFailException)
    word = {"v1": "CANCELED: somebody cancelled it", "v2": "STOPPED: somebody stopped it"}[bench.api]
    assert f"Batch request {request_id} is {word}" in str(error)
    assert bench.effects()[-1] in ("cancelled", "stopped")


@ways
@v2
def test_stopped_for_want_of_processing_units(bench: Any, way: Way) -> None:
    request_id = bench.started()
    bench.clock.at(100, lambda: bench.sim.force(request_id, "STOPPED", reason="OUT_OF_PU"))
    error = failure(bench, way.task(request_id))
    assert isinstance(error, JobCancelledError)
    assert "run out of processing units" in str(error)


# Nobody starts it


@sensors
@pytest.mark.parametrize("analysed", [False, True])
def test_never_started(bench: Any, way: Way, analysed: bool) -> None:
    """It would wait for ever; two minutes later that is said. A retry cannot help."""
    request_id = bench.create()
    if analysed:
        bench.act(request_id, "analyse")
        bench.clock.sleep(60)
    began = bench.clock.now

    error = failure(bench, way.task(request_id, every=15), AirflowFailException)

    assert isinstance(cause(error), JobNotStartedError)
    assert "nobody has started it" in str(error)
    assert "It has not been started and bills nothing" in str(error)
    assert 50 <= bench.clock.now - began <= 180
    assert bench.effects().count("billed_start") == 0


@sensors
def test_a_request_that_has_rested_for_long_has_its_two_minutes_too(bench: Any, way: Way) -> None:
    """Somebody may have started it a moment ago, which a reading shows late. No mode gives it more or less."""
    request_id = bench.create()
    bench.clock.sleep(600)
    began = bench.clock.now
    failure(bench, way.task(request_id), AirflowFailException)
    assert 120 <= bench.clock.now - began <= 140
    assert bench.legs == (["execute", "execute_complete"] if way.deferred else ["execute"])


@sensors
def test_wait_for_start(bench: Any, way: Way) -> None:
    request_id = bench.create()
    bench.clock.at(3600, lambda: bench.act(request_id, "start"))

    bench.run(way.task(request_id, wait_for_start=True))

    assert_over(bench, way, request_id)


@sensors
def test_started_within_the_two_minutes(bench: Any, way: Way) -> None:
    request_id = bench.create()
    bench.clock.at(70, lambda: bench.act(request_id, "start"))
    bench.run(way.task(request_id, every=20))
    assert_over(bench, way, request_id)


# Time


@sensors
@pytest.mark.parametrize("soft", [None, "soft_fail", "never_fail"])
def test_a_sensor_times_out(bench: Any, way: Way, soft: str | None) -> None:
    bench.sim.settings(tile_seconds=5000.0)
    request_id = bench.started()
    began = bench.clock.now
    how = {soft: True} if soft else {}

    error = failure(
        bench, way.task(request_id, timeout=300, **how), AirflowSkipException if soft else AirflowSensorTimeout
    )

    assert f"Batch request {request_id} is PROCESSING, not " in str(error)
    assert "at the end of the time allowed. It runs on and bills" in str(error)
    assert 300 <= bench.clock.now - began <= 361
    assert bench.status(request_id) == "PROCESSING"


@pytest.mark.parametrize("way", WAYS[:2], ids=str)
@pytest.mark.parametrize("limit", ["timeout", "timedelta", "execution_timeout"])
@pytest.mark.parametrize("cancel", [True, False])
def test_an_operator_times_out(bench: Any, way: Way, limit: str, cancel: bool) -> None:
    """`execution_timeout` bounds the deferred wait too, which Airflow 3 does not see to. In a worker Airflow does."""
    bench.sim.settings(tile_seconds=5000.0)
    request_id = bench.started()
    began = bench.clock.now
    if limit == "execution_timeout":
        how: dict[str, Any] = {"execution_timeout": timedelta(seconds=300)}
    else:
        how = {"timeout": 300 if limit == "timeout" else timedelta(seconds=300)}

    error = failure(bench, way.task(request_id, cancel_on_timeout=cancel, **how))

    assert isinstance(error, AirflowFailException if cancel else DeadlineError)
    assert "not DONE, at the end of the time allowed" in str(error)
    if cancel:
        assert bench.status(request_id) in ("CANCELED", "STOPPED")
        assert "does not run any more" in str(error)
    else:
        assert "It runs on and bills" in str(error)
        assert bench.status(request_id) == "PROCESSING"
    assert 270 <= bench.clock.now - began <= 375


STARTS = partial(SentinelHubStartBatchOperator, wait_for_completion=True)


def deferral(bench: Any, request_id: str, kind: Any = STARTS, **how: Any) -> Any:
    """What a task that waits for the request hands to Airflow when it defers."""
    task = kind(task_id="wait", request_id=request_id, deferrable=True, **how)
    with pytest.raises(BaseException) as deferred:  # noqa: PT011
        task.execute(bench.context())
    assert type(deferred.value).__name__ == "TaskDeferred"
    return deferred.value


@pytest.mark.parametrize(("allowed", "earlier"), [(60, 6), (3600, 15)])
def test_a_deferred_wait_ends_by_itself_before_airflow_ends_it(bench: Any, allowed: float, earlier: float) -> None:
    """2.11 ends a deferred wait at `execution_timeout` without a word; a trigger needs time to end the request."""
    request_id = bench.started()
    began = bench.clock.now
    deferred = deferral(bench, request_id, execution_timeout=timedelta(seconds=allowed))
    assert deferred.trigger.plan.deadline - began == pytest.approx(allowed - earlier, abs=0.5)


@pytest.mark.parametrize("kind", [STARTS, SentinelHubBatchSensor], ids=["operator", "sensor"])
def test_airflow_breaks_a_deferred_wait_off_only_when_nobody_has_seen_its_deadline(bench: Any, kind: Any) -> None:
    """A trigger that is late, or waits for the end that it has asked for, still tells what became of the request."""
    deferred = deferral(bench, bench.started(), kind, timeout=600)
    assert timedelta(seconds=600 + 120) <= deferred.timeout <= timedelta(seconds=600 + 600)


@pytest.mark.parametrize("kind", [STARTS, SentinelHubBatchSensor], ids=["operator", "sensor"])
@pytest.mark.parametrize("deferring", [True, False])
def test_a_task_that_does_not_say_where_it_waits_does_as_airflow_is_configured(
    bench: Any, kind: Any, deferring: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", str(deferring))
    bench.run(partial(kind, task_id="wait", request_id=bench.started()))
    assert bool(bench.triggers) is deferring


def test_the_first_poll_of_a_trigger_comes_after_the_next_heartbeat(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow 3 may mark the task failed if the event is there before it knows that the first half has ended."""
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "17")
    trigger = deferral(bench, bench.started()).trigger
    bench.clock.slept.clear()
    bench.fire(trigger)
    assert 17 < bench.clock.slept[0] < 20


@sensors
@pytest.mark.parametrize("soft", ["soft_fail", "never_fail"])
def test_a_failed_job_is_a_skip_if_asked_for(bench: Any, way: Way, soft: str) -> None:
    request_id = bench.started(evalscript=BAD_SCRIPT)
    error = failure(bench, way.task(request_id, **{soft: True}), AirflowSkipException)
    assert "is FAILED" in str(error)
    assert "Unexpected end of input" in str(error)


# Which request


@ways
def test_an_id_that_nobody_knows(bench: Any, way: Way) -> None:
    """A minute is given to the service, which may not know yet what it has just created; then it is said."""
    request_id = str(uuid4())
    began = bench.clock.now

    error = failure(bench, way.task(request_id))

    assert isinstance(cause(error), NotFoundError)
    assert request_id in str(error)
    assert "404" in str(error)
    assert "Check the id" in str(error)
    assert bench.clock.now - began <= 180
    assert bench.effects() == []


@ways
@pytest.mark.thorough
def test_a_request_that_the_service_does_not_know_yet(bench: Any, way: Way) -> None:
    request_id = bench.started()
    bench.sim.fault("status", f"/{request_id}$", method="GET", status=404, times=4)

    bench.run(way.task(request_id, every=5))

    assert_over(bench, way, request_id)


@ways
@v2
def test_what_is_no_id(bench: Any, way: Way) -> None:
    """An XCom that is not there comes as None, or as the word; nothing is asked of the service."""
    for given in ("Corsica", "", None, "None", 7, {"id": "x"}, ["a", "b"], "{{ xcom }}"):
        error = failure(bench, way.task(given), AirflowFailException)
        assert "id of a batch request" in str(error)
        assert repr(given) in str(error)
    assert bench.sim.journal() == []


# The state cannot be read


@ways
def test_unreadable_for_too_long(bench: Any, way: Way) -> None:
    request_id = bench.started()
    bench.clock.at(100, lambda: bench.sim.fault("status", f"/{request_id}", method="GET", status=503, times=None))
    began = bench.clock.now

    error = failure(bench, way.task(request_id, max_unknown_time=900), UnknownStateError)

    assert f"Batch request {request_id}: its state could not be read for too long" in str(error)
    assert "503" in str(error)
    assert "it runs on and bills" in str(error)
    assert "A retry of this task attaches to it again" in str(error)
    assert 900 <= bench.clock.now - began <= 1300
    assert bench.effects() == ["created", "billed_start"]


@sensors
def test_an_unknown_state_is_no_verdict(bench: Any, way: Way) -> None:
    """soft_fail skips what the job did; nobody knows what it did. never_fail never fails."""
    request_id = bench.started()
    bench.sim.fault("status", f"/{request_id}", method="GET", status=503, times=None)
    failure(bench, way.task(request_id, max_unknown_time=600, soft_fail=True), UnknownStateError)
    failure(bench, way.task(request_id, max_unknown_time=600, never_fail=True), AirflowSkipException)


MISHAPS: list[dict[str, Any]] = [
    {"kind": "status", "status": 429, "retry_after_ms": 7000, "times": 5},
    {"kind": "status", "status": 429, "retry_after_ms": 60000, "times": 9},
    {"kind": "status", "status": 500, "times": 5},
    {"kind": "html", "status": 503, "times": 4},
    {"kind": "drop_before", "times": 4},
    {"kind": "drop_after", "times": 4},
    {"kind": "truncate", "times": 3},
    {"kind": "expire_tokens", "path": ""},
    {"kind": "status", "status": 401, "times": 9},
    {"kind": "status", "status": 403, "times": 2},
    {"kind": "status", "status": 404, "times": 2},
    {"kind": "status", "status": 400, "times": 2, "message": "Request body should be non-empty."},
    {"kind": "status", "status": 200, "body": ["?"], "times": 2},
    {"kind": "status", "status": 404, "path": "/token$", "method": "POST", "times": 2},
    {"kind": "lag", "seconds": 300, "times": 2},
]


@pytest.mark.parametrize("way", thorough_but(WAYS[1:2], WAYS), ids=str)
def test_outages_in_the_middle_of_a_wait(bench: Any, way: Way) -> None:
    """A failed poll is not a failed job: one wait through all that can go wrong with a poll."""
    bench.sim.settings(tile_seconds=1000.0 * len(MISHAPS), concurrency=100)
    request_id = bench.started()
    for number, mishap in enumerate(MISHAPS, start=1):
        order = {"path": f"/{request_id}", "method": "GET", **mishap}
        bench.clock.at(1000 * number - 100, lambda order=order: bench.sim.fault(**order))
        if "token" in order["path"]:
            bench.clock.at(1000 * number - 100, lambda: bench.sim.fault("expire_tokens"))

    bench.run(way.task(request_id, every=120))

    assert_over(bench, way, request_id)
    assert bench.effects() == ["created", "billed_start"]
    met = [call["fault"] for call in bench.sim.journal() if call["fault"]]
    assert len(set(map(str, met))) >= len({mishap["kind"] for mishap in MISHAPS}) - 1, met
    assert bench.faults_left() == [], "every fault has been met"


@ways
@pytest.mark.thorough
def test_credentials_that_end_in_the_middle_of_a_wait(bench: Any, way: Way) -> None:
    """Somebody rotates the secret: the wait goes on when the connection is right again; else it says what is wrong."""
    request_id = bench.started()
    bench.clock.at(100, lambda: bench.sim.fault("status", f"/{request_id}", method="GET", status=401, times=None))
    error = failure(bench, way.task(request_id, max_unknown_time=600), UnknownStateError)
    assert "401" in str(error)
    assert "runs on and bills" in str(error)


def test_a_rescheduled_sensor_ends_an_outage_at_the_time_allowed_since_its_first_poke(bench: Any) -> None:
    """A poke waits through an outage in its process, which has begun long after the first one."""
    bench.sim.settings(tile_seconds=4000.0)
    request_id, begun = bench.started(), bench.clock.now
    bench.clock.at(200, lambda: bench.sim.fault("status", "/batch/", status=503, times=None))
    given = {"task_id": "s", "request_id": request_id, "mode": "reschedule", "poke_interval": 60, "timeout": 300}
    with pytest.raises(AirflowSensorTimeout):
        bench.run(lambda: SentinelHubBatchSensor(**given))
    assert 300 <= bench.clock.now - begun < 400


@pytest.mark.parametrize("step", [True, False])
def test_credentials_that_are_refused_before_a_trigger_has_read_are_waited_out(bench: Any, step: bool) -> None:
    """The task has read the request before it has deferred, so that nothing is wrong with its id or account."""
    request_id = bench.started()
    bench.clock.at(3, lambda: bench.sim.fault("status", "/batch/", status=403, times=2))
    given = {"task_id": "s", "request_id": request_id, "deferrable": True}
    start = partial(SentinelHubStartBatchOperator, wait_for_completion=True, poll_interval=20, **given)
    bench.run(start if step else partial(SentinelHubBatchSensor, poke_interval=20, **given))
    assert bench.faults_left() == []
    assert bench.status(request_id) == "DONE"


@ways
def test_a_status_that_nobody_has_heard_of(bench: Any, way: Way) -> None:
    """It keeps waiting."""
    request_id = bench.started()
    path = f"/{request_id}$"
    shown = {**bench.shown(request_id), "status": "MEDITATING"}
    bench.clock.at(70, lambda: bench.sim.fault("status", path, method="GET", status=200, body=shown, times=2))
    bench.run(way.task(request_id))
    assert_over(bench, way, request_id)


@v1
@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ({"count": 5}, None),
        ({"share": 0.25}, None),
        ({"share": "0.25"}, None),
        ({"tile_status": "FAILED", "count": 1}, "will not be 1 tiles FAILED any more"),
        ({"tile": "no such tile"}, "will not be tile no such tile PROCESSED any more"),
    ],
)
@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
def test_goals_for_tiles(bench: Any, goal: dict[str, Any], said: str | None, mode: str) -> None:
    request_id = bench.started()
    make = Way("tiles", mode).task(request_id, every=10, **goal)
    if said is None:
        bench.run(make)
        assert bench.status(request_id) == "PROCESSING", "it is reached before the job is done"
    else:
        assert said in str(failure(bench, make, JobError))


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
def test_one_tile_by_name(bench: Any, mode: str) -> None:
    done = bench.started()
    bench.clock.sleep(1200)
    name = bench.tile_names(done)[3]
    request_id = bench.started()
    bench.run(Way("tiles", mode).task(request_id, every=10, tile=name))
    assert bench.tile_statuses(request_id)[name] == "PROCESSED"


@v1
@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
@pytest.mark.parametrize(
    "goal", [{}, {"share": 0.5}, {"count": 20}, {"tile": "by name"}, {"tile_status": "FAILED", "count": 1}]
)
def test_at_most_six_calls_a_poll(bench: Any, goal: dict[str, Any], mode: str) -> None:
    """The list of tiles has some fifteen pages."""
    if "tile" in goal:
        done = bench.started()
        bench.clock.sleep(1200)
        goal = {"tile": bench.tile_names(done)[-1]}
    bench.sim.settings(page_size=2)
    request_id = bench.started()
    since = bench.mark()
    make = Way("tiles", mode).task(request_id, every=30, **goal)
    if goal.get("tile_status") == "FAILED":
        failure(bench, make, JobError)
    else:
        bench.run(make)
    polls: list[int] = []
    for call in bench.sim.journal(since):
        if call["path"].endswith(request_id):
            polls.append(0)
        if request_id in call["path"]:
            polls[-1] += 1
    assert len(polls) > 2
    assert max(polls) <= 6


@v2
@pytest.mark.parametrize("mode", ["poke", "deferred"])
@pytest.mark.thorough
def test_files_that_have_not_changed_are_fetched_once_a_wait(
    bench: Any, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a sensor in poke mode, which makes a reader at each poke."""
    fetched: list[tuple[str, str | None]] = []
    fetch = BucketReader.fetch

    def fetch_and_note(reader: BucketReader, url: str, folder: Any) -> Any:
        path = fetch(reader, url, folder)
        fetched.append((url, reader.fetched[url]))
        return path

    monkeypatch.setattr(BucketReader, "fetch", fetch_and_note)
    bench.sim.settings(tile_seconds=2000.0)
    request_id = bench.started()
    bench.run(Way("tiles", mode).task(request_id, every=60))
    same = [times for (_, stamp), times in Counter(fetched).items() if stamp]
    assert same
    assert max(same) <= 2, "once, and again when the status has changed"


@v1
def test_one_tile_by_id(bench: Any) -> None:
    request_id = bench.ended()
    number = next(bench.hook.batch.iter_tiles(request_id))["id"]
    for given in (number, str(number)):
        bench.run(Way("tiles", "poke").task(request_id, tile=given))
        assert bench.legs == ["execute"]


NONSENSE: list[dict[str, Any]] = [
    {"count": 0},
    {"count": "many"},
    {"share": 1.5},
    {"share": "half"},
    {"share": -1},
    {"count": 1, "share": 0.5},
    {"tile_status": "COOKED"},
    {"tile_status": ""},
]


@pytest.mark.parametrize("mode", ["poke", "deferred"])
def test_goals_that_make_no_sense(bench: Any, mode: str) -> None:
    request_id = bench.started()
    before = bench.clock.now
    for goal in NONSENSE:
        error = failure(bench, Way("tiles", mode).task(request_id, **goal), AirflowFailException)
        assert bench.clock.now == before
        assert all(name in str(error) for name in goal), goal


@pytest.mark.parametrize("mode", ["poke", "deferred"])
def test_a_status_that_does_not_exist_is_not_waited_for(bench: Any, mode: str) -> None:
    request_id = bench.started()
    before = bench.clock.now
    for target in ("FINISHED", "done", "", None):
        error = failure(bench, Way("status", mode).task(request_id, target_status=target), AirflowFailException)
        assert bench.clock.now == before
        assert "target_status" in str(error)
        assert repr(target) in str(error)
        assert "ANALYSIS_DONE" in str(error)


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
def test_an_end_that_no_request_of_the_generation_has_is_not_waited_for(bench: Any, mode: str) -> None:
    """A job takes hours; then the same would be said."""
    request_id, before = bench.started(), bench.clock.now
    target = {"v1": "STOPPED", "v2": "PARTIAL"}[bench.api]
    error = failure(bench, Way("status", mode).task(request_id, target_status=target), AirflowFailException)
    assert bench.clock.now == before
    assert f"With target_status '{target}' a sensor waits in vain: requests of {bench.api} end with " in str(error)
    with pytest.raises(InvalidInputError, match=f"target_status '{target}' a sensor waits in vain"):
        SentinelHubBatchSensor(task_id="t", request_id="{{ 1 }}", target_status=target, batch_api=bench.api)


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
def test_a_status_on_the_way(bench: Any, mode: str) -> None:
    request_id = bench.started()
    for target in ("ANALYSING", "ANALYSIS_DONE", "PROCESSING"):
        bench.run(Way("status", mode).task(request_id, target_status=target, every=5))
        assert bench.status(request_id) != "DONE"
    bench.clock.sleep(3600)
    for target in ("ANALYSING", "ANALYSIS_DONE", "PROCESSING"):
        bench.run(Way("status", mode).task(request_id, target_status=target))
        assert bench.legs == ["execute"], "a later status has passed it"


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferred"])
def test_waiting_for_an_end_that_is_no_success(bench: Any, mode: str) -> None:
    """A clean-up task may wait until somebody's cancel has taken effect."""
    request_id = bench.started()
    bench.clock.at(100, lambda: bench.act(request_id, "end"))
    target = {"v1": "CANCELED", "v2": "STOPPED"}[bench.api]
    bench.run(Way("status", mode).task(request_id, target_status=target))
    assert bench.status(request_id) == target
