"""Waiting: unreadable states, deadlines, what nobody has started, stale readings, and what the log says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Lost, Reply
from airflow_sentinelhub.api.decide.verdict import Outcome, TileGoal, Waited
from airflow_sentinelhub.api.flows.tiles import monitor, wait_for_tiles
from airflow_sentinelhub.api.flows.wait import HEARTBEAT, NOT_STARTED_GRACE, WaitPlan, Watch, wait
from airflow_sentinelhub.api.service.generations import V1, V2, Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from tests.api import feeding
from tests.api.feeding import EPOCH, ID, Fed, done, error, feed, html, lost, ok, page

PLAN = WaitPlan(poll_interval=60)
HALF_AN_HOUR = 1800


def body(api: Generation, status: str = "CREATED", action: str = "NONE", **members: Any) -> Reply:
    return ok((feeding.v1 if api.name == "v1" else feeding.v2)(status, action, **members))


IDLE = body(V1, "ANALYSIS_DONE", "ANALYSE")
RUNNING, DONE, PARTIAL = (body(V1, status, "START") for status in ("PROCESSING", "DONE", "PARTIAL"))
RUNNING_OTHER = body(V1, "PROCESSING", "START", id=feeding.OTHER)


def waited(*script: Any, target: str = "DONE", api: Generation = V1, **plan: Any) -> Fed:
    return feed(wait(api, ID, target, WaitPlan(**{"poll_interval": 60, **plan})), script)


# One call a poll


@pytest.mark.parametrize("api", [V1, V2], ids=lambda api: api.name)
def test_one_call_a_poll_until_it_is_done(api: Generation) -> None:
    polls = [body(api, "ANALYSING", "START"), body(api, "PROCESSING", "START"), body(api, "DONE", "START")]
    fed = waited(*polls, api=api)
    assert fed.result.outcome is Outcome.REACHED
    assert str(fed.result.job.status) == "DONE"
    assert fed.calls == [f"GET /api/{api.name}/batch/process/{ID}"] * 3
    assert fed.slept == [0, 60, 60]


def test_the_first_poll_can_come_later() -> None:
    assert feed(wait(V1, ID, "DONE", PLAN, first_poll=6), [DONE]).slept == [6]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("FAILED", Outcome.FAILED), ("CANCELED", Outcome.CANCELLED), ("PARTIAL", Outcome.PARTIAL)],
)
def test_it_stops_on_every_end(status: str, outcome: Outcome) -> None:
    fed = waited(RUNNING, body(V1, status, "START", error="why"))
    assert fed.result.outcome is outcome
    assert fed.result.job.error == "why"


def test_a_status_nobody_knows_is_waited_out() -> None:
    assert waited(body(V1, "LIMBO", "START"), body(V1, "LIMBO", "NONE"), DONE).result.outcome is Outcome.REACHED


def test_all_tiles_done_is_not_the_end() -> None:
    """Seen: 100 % and still PROCESSING."""
    full = body(V2, "PROCESSING", "START", completionPercentage=100)
    assert waited(full, full, body(V2, "DONE", "START"), api=V2).result.outcome is Outcome.REACHED


# The log


def test_the_log_says_what_changes_and_nothing_else() -> None:
    share = [body(V2, "PROCESSING", "START", completionPercentage=n, costPU=n * 10.0) for n in (0, 0, 10, 10, 20)]
    fed = waited(*share, body(V2, "DONE", "START", completionPercentage=100), api=V2)
    assert [note.partition(": ")[2] for note in fed.notes] == [
        "PROCESSING, 0% done, 0 PU so far",
        "PROCESSING, 10% done, 100 PU so far",
        "PROCESSING, 20% done, 200 PU so far, about 16 min left",
        "DONE, 100% done, 0 PU so far",
    ]
    assert all(note.startswith(ID) for note in fed.notes)


def test_a_heartbeat_tells_that_an_unchanged_wait_goes_on() -> None:
    fed = waited(*[RUNNING] * 25, DONE)
    assert fed.notes == [f"{ID}: PROCESSING, 9 tiles"] * 3 + [f"{ID}: DONE, 9 tiles"]
    assert HEARTBEAT == 600


# Unknown state

UNREADABLE: dict[str, Callable[[], list[Reply | Lost]]] = {
    "lost": lambda: [lost()] * 2,
    "unreachable": lambda: [lost(ambiguous=False)] * 2,
    "500": lambda: [error(500)] * 2,
    "html": lambda: [html(502)] * 2,
    "cut off": lambda: [Reply(200, {}, b'{"id":')] * 2,
    "another shape": lambda: [ok({"id": ID})] * 2,
    "another request": lambda: [RUNNING_OTHER] * 2,
    "redirected": lambda: [Reply(302, {"location": "https://login.example/?to=x"})],
    "408": lambda: [error(408)] * 2,
    "429": lambda: [error(429, headers={"retry-after": "60000"})] * 2,
    "404": lambda: [error(404)],
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_failed_poll_is_not_a_failed_job(kind: str) -> None:
    bad = UNREADABLE[kind]()
    fed = waited(RUNNING, *bad, *bad, *bad, DONE)
    assert fed.result.outcome is Outcome.REACHED
    assert sum("cannot be read" in line for line in fed.warnings) == 1  # the log hears of it once


@pytest.mark.parametrize("kind", [*UNREADABLE, "400", "401", "403"])
def test_a_state_that_cannot_be_read_for_too_long_ends_the_wait(kind: str) -> None:
    bad = UNREADABLE[kind]()[0] if kind in UNREADABLE else error(int(kind))
    fed = waited(RUNNING, bad, ..., max_unknown_time=900)
    assert fed.result.outcome is Outcome.UNKNOWN
    assert str(fed.result.job.status) == "PROCESSING"
    assert fed.result.why
    allowed = HALF_AN_HOUR if kind == "429" else 900  # then calls come late, not in vain
    assert allowed <= fed.now - EPOCH < allowed + 3 * 60 + 70


def test_the_time_of_not_knowing_begins_anew_with_every_reading() -> None:
    outage = [error(503)] * 2 * 8
    fed = waited(RUNNING, *outage, RUNNING, *outage, DONE, max_unknown_time=600)
    assert fed.result.outcome is Outcome.REACHED


def test_what_cannot_be_read_from_the_first_look_on() -> None:
    fed = waited(error(503), ..., max_unknown_time=300)
    assert fed.result.outcome is Outcome.UNKNOWN
    assert fed.result.job is None


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(400), errors.BadRequestError),
        (error(403), errors.ForbiddenError),
        (errors.AuthenticationError("refused", status=401), errors.AuthenticationError),
    ],
)
def test_what_will_not_pass_is_said_at_the_first_look(reply: Any, kind: type[Exception]) -> None:
    fed = waited(reply)
    assert type(fed.error) is kind
    assert fed.waited == 0


def test_credentials_that_expire_in_mid_wait_are_renewed_once_a_poll() -> None:
    fed = waited(RUNNING, error(401), RUNNING, error(401), DONE)
    assert (fed.result.outcome, fed.renewed) == (Outcome.REACHED, 2)


# 404


def test_one_404_after_an_outage_says_nothing() -> None:
    """It counts from the first 404 on, however long nothing could be read before."""
    fed = waited(*[error(503)] * 40, error(404), RUNNING, DONE)
    assert fed.result.outcome is Outcome.REACHED


def test_a_request_that_is_not_known_yet_is_waited_for() -> None:
    fed = waited(error(404), error(404), error(404), RUNNING, DONE)
    assert fed.result.outcome is Outcome.REACHED
    assert fed.slept[:4] == [0, 10, 10, 10]


def test_a_request_that_does_not_exist_ends_the_wait_after_a_minute() -> None:
    fed = waited(error(404), ...)
    assert fed.result.outcome is Outcome.NOT_FOUND
    assert fed.result.job is None
    assert 60 <= fed.waited <= 90
    assert ID in fed.result.why


# Not started


@pytest.mark.parametrize("reply", [body(V1), IDLE, body(V1, "ANALYSIS_DONE", "NONE")])
def test_what_nobody_has_started_is_not_waited_for(reply: Reply) -> None:
    fed = waited(reply, ...)
    assert fed.result.outcome is Outcome.NOT_STARTED
    assert NOT_STARTED_GRACE <= fed.waited <= NOT_STARTED_GRACE + 10


def test_reads_that_lag_behind_a_start_are_waited_out() -> None:
    assert waited(IDLE, IDLE, IDLE, RUNNING, DONE).result.outcome is Outcome.REACHED


def test_the_grace_begins_anew_after_a_reading_that_shows_the_start() -> None:
    """Hours later a replica that lags may show the old state again."""
    fed = waited(IDLE, IDLE, *[RUNNING] * 10, IDLE, RUNNING, DONE)
    assert fed.result.outcome is Outcome.REACHED


def test_somebody_else_will_start_it() -> None:
    fed = waited(*[IDLE] * 20, RUNNING, DONE, wait_for_start=True)
    assert fed.result.outcome is Outcome.REACHED
    assert set(fed.slept) == {0, 60}


def test_an_analysis_needs_no_start() -> None:
    asked = body(V1, "CREATED", "ANALYSE")
    fed = waited(asked, asked, asked, body(V1, "ANALYSING", "ANALYSE"), IDLE, target="ANALYSIS_DONE")
    assert fed.result.outcome is Outcome.REACHED


# PARTIAL that is stale


def test_partial_after_a_restart_is_taken_for_a_lagging_reading_for_a_while() -> None:
    assert waited(PARTIAL, ..., stale_partial=300).result.outcome is Outcome.PARTIAL
    assert 300 <= waited(PARTIAL, ..., stale_partial=300).waited <= 310
    assert waited(PARTIAL, PARTIAL, RUNNING, DONE, stale_partial=300).result.outcome is Outcome.REACHED
    assert waited(PARTIAL).result.outcome is Outcome.PARTIAL


# Deadline


def test_a_wait_ends_at_its_deadline() -> None:
    fed = waited(RUNNING, ..., deadline=EPOCH + 150)
    assert fed.result.outcome is Outcome.TIMED_OUT
    assert str(fed.result.job.status) == "PROCESSING"
    assert fed.slept == [0, 60, 60, 30]
    assert fed.now == EPOCH + 150


def test_a_deadline_that_has_passed_allows_one_look() -> None:
    """A trigger that moved to another triggerer is built again with the same deadline."""
    assert waited(RUNNING, deadline=EPOCH - 5).result.outcome is Outcome.TIMED_OUT
    assert waited(DONE, deadline=EPOCH - 5).result.outcome is Outcome.REACHED


def test_a_deadline_ends_an_outage_too() -> None:
    fed = waited(error(503), ..., deadline=EPOCH + 150)
    assert fed.result.outcome is Outcome.TIMED_OUT
    assert fed.result.job is None


def test_a_deadline_can_end_the_request() -> None:
    ending = body(V1, "PROCESSING", "CANCEL")
    fed = waited(RUNNING, RUNNING, done(), ending, body(V1, "CANCELED", "CANCEL"), deadline=EPOCH, end_at_deadline=True)
    assert fed.calls[2].endswith("/cancel")
    assert (fed.result.outcome, str(fed.result.job.status)) == (Outcome.TIMED_OUT, "CANCELED")


def test_a_request_that_got_there_while_it_was_being_ended_has_got_there() -> None:
    fed = waited(RUNNING, DONE, deadline=EPOCH, end_at_deadline=True)
    assert (fed.result.outcome, len(fed.calls)) == (Outcome.REACHED, 2)


def test_a_request_that_cannot_be_ended_at_the_deadline_is_said_to_run_on() -> None:
    fed = waited(RUNNING, error(403), ..., deadline=EPOCH, end_at_deadline=True, max_unknown_time=600)
    assert fed.waited >= 600, "a refusal may be an accident, and the request bills"
    assert (fed.result.outcome, str(fed.result.job.status)) == (Outcome.TIMED_OUT, "PROCESSING")
    assert "could not be ended" in fed.warnings[-1]


# Budget


def test_a_job_that_passes_its_budget_ends_the_wait() -> None:
    """And is stopped by whoever sees it: a worker may not come for hours."""
    costs = [body(V2, "PROCESSING", "START", costPU=cost) for cost in (10.0, 100.0, 100.1, 100.2)]
    fed = waited(*costs, done(), body(V2, "STOPPED", "STOP", costPU=101.0), api=V2, max_cost=100)
    assert fed.result.outcome is Outcome.OVER_BUDGET
    assert (fed.result.job.status, fed.result.job.cost) == ("STOPPED", 101.0)
    assert fed.calls[4].endswith("/stop")


def test_one_that_is_done_before_the_stop_arrives_is_done() -> None:
    running = body(V2, "PROCESSING", "START", costPU=100.1)
    fed = waited(running, body(V2, "DONE", "START", costPU=100.1), api=V2, max_cost=100)
    assert fed.result.outcome is Outcome.REACHED


def test_a_stop_that_fails_leaves_the_reading_of_before() -> None:
    running = body(V2, "PROCESSING", "START", costPU=100.1)
    fed = waited(running, running, error(403), error(403), ..., api=V2, max_cost=100, max_unknown_time=600)
    assert fed.waited >= 600
    assert fed.result.outcome is Outcome.OVER_BUDGET
    assert fed.result.job.status == "PROCESSING"
    assert "could not be ended" in fed.warnings[-1]


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409])
def test_where_the_request_is_known_a_refused_first_look_says_nothing_about_it(status: int) -> None:
    """As after a restart of the triggerer: whatever it is answered with, the request is there."""
    refusals = [error(status)] * (2 if status == 401 else 1)  # a refused token is renewed once
    fed = waited(*refusals, DONE, known=True)
    assert fed.result.outcome is Outcome.REACHED
    if status not in (302, 404):
        assert waited(*refusals).error is not None


def test_a_job_that_is_done_is_not_stopped_for_its_cost() -> None:
    fed = waited(body(V2, "DONE", "START", costPU=500.0), api=V2, max_cost=100)
    assert fed.result.outcome is Outcome.REACHED


def test_v1_says_no_cost_so_none_is_watched() -> None:
    assert waited(RUNNING, DONE, max_cost=1).result.outcome is Outcome.REACHED


# Tiles of v1


def tiles(*names: str, token: str | None = None, status: str = "PROCESSED") -> Reply:
    return page([{"id": n, "name": name, "status": status} for n, name in enumerate(names)], token)


def for_tiles(goal: TileGoal, *script: Any, api: Generation = V1, read_tiles: Any = None, **plan: Any) -> Fed:
    return feed(wait_for_tiles(api, ID, goal, WaitPlan(**{"poll_interval": 60, **plan}), read_tiles), script)


def queries(fed: Fed) -> list[dict[str, str]]:
    return [call.params() for call in fed.sent if call.path.endswith("/tiles")]


def test_tiles_are_counted_in_the_status_that_is_waited_for() -> None:
    fed = for_tiles(TileGoal(share=0.5), RUNNING, tiles("a", "b"), RUNNING, tiles("a", "b", "c", "d", "e"))
    assert fed.result.outcome is Outcome.REACHED
    assert (fed.result.matching, fed.result.total) == (5, 9)
    assert queries(fed) == [{"status": "PROCESSED"}] * 2


def test_no_more_pages_are_read_than_answer_the_question() -> None:
    fed = for_tiles(TileGoal(count=3), RUNNING, tiles("a", "b", token="2"), tiles("c", "d", token="4"))
    assert fed.result.outcome is Outcome.REACHED
    assert queries(fed) == [{"status": "PROCESSED"}, {"status": "PROCESSED", "viewtoken": "2"}]


def test_a_request_that_failed_before_it_wrote_anything_is_judged_although_its_bucket_cannot_be_read() -> None:
    def unreadable(job: Snapshot, tile: str | None) -> Any:
        raise errors.ResultsError("The bucket cannot be read.", request_id=job.request_id)

    fed = for_tiles(TileGoal(), body(V2, "FAILED", "START"), api=V2, read_tiles=unreadable)
    assert fed.result.outcome is Outcome.FAILED


def test_before_analysis_no_tiles_are_asked_for() -> None:
    fed = for_tiles(TileGoal(), body(V1, "ANALYSING", "START"), RUNNING, page(range(0)), RUNNING, tiles(*"abcdefghi"))
    assert fed.result.outcome is Outcome.REACHED
    assert len(queries(fed)) == 2


def test_the_number_of_tiles_may_change_at_analysis() -> None:
    fewer = body(V1, "PROCESSING", "START", tileCount=2)
    fed = for_tiles(TileGoal(), fewer, tiles("a"), RUNNING, tiles("a", "b"), DONE, tiles(*"abcdefghi"))
    assert (fed.result.outcome, fed.result.total) == (Outcome.REACHED, 9)


def test_one_tile_by_its_name_on_whatever_page() -> None:
    fed = for_tiles(TileGoal(tile="c"), RUNNING, tiles("a", "b", token="2"), tiles("c"))
    assert fed.result.outcome is Outcome.REACHED
    found = ok({"id": 0, "name": "c", "status": "PROCESSED"})
    fed = for_tiles(TileGoal(tile="c"), RUNNING, tiles("a"), RUNNING, tiles("c", status="PENDING"), RUNNING, found)
    assert fed.result.outcome is Outcome.REACHED
    assert fed.calls[-1].endswith("/tiles/0"), "its id is known from then on"
    fed = for_tiles(TileGoal(tile="c"), DONE, tiles("c", status="FAILED"))
    assert fed.result.outcome is Outcome.UNREACHABLE


def test_one_tile_by_its_id_is_one_call() -> None:
    fed = for_tiles(TileGoal(tile="38963"), RUNNING, error(404), RUNNING, ok({"id": 38963, "status": "PROCESSED"}))
    assert fed.result.outcome is Outcome.REACHED
    assert fed.calls[-1] == f"GET /api/v1/batch/process/{ID}/tiles/38963"


def test_tiles_that_never_come() -> None:
    failed = [tiles("a"), tiles(*"bcdefghi", status="FAILED")]
    assert for_tiles(TileGoal(), DONE, *failed).result.outcome is Outcome.UNREACHABLE
    assert for_tiles(TileGoal(), PARTIAL, tiles("a")).result.outcome is Outcome.PARTIAL
    idle = [IDLE, tiles()] * 14
    assert for_tiles(TileGoal(), *idle[:26]).result.outcome is Outcome.NOT_STARTED


def test_a_page_of_tiles_that_cannot_be_read_is_an_unknown_state() -> None:
    fed = for_tiles(TileGoal(), RUNNING, error(503), error(503), RUNNING, tiles(*"abcdefghi"))
    assert fed.result.outcome is Outcome.REACHED


def test_the_log_says_how_many_tiles_are_as_wanted() -> None:
    fed = for_tiles(TileGoal(), RUNNING, tiles("a", "b", "c"), DONE, tiles(*"abcdefghi"))
    assert "3 of 9 tiles PROCESSED (33%)" in fed.notes[0]
    assert "9 of 9 tiles PROCESSED (100%)" in fed.notes[1]


# Tiles of v2, from the bucket


class Bucket:
    """What the files of a v2 job say, reading after reading."""

    def __init__(self, *readings: Any) -> None:
        self.readings = list(readings)
        self.asked: list[str | None] = []

    def __call__(self, job: Snapshot, tile: str | None) -> tuple[dict[str, int], str | None]:
        self.asked.append(tile)
        reading = self.readings.pop(0)
        if isinstance(reading, BaseException):
            raise reading
        return reading  # type: ignore[no-any-return]


BUSY = body(V2, "PROCESSING", "START")


def test_tiles_of_v2_are_read_from_the_bucket() -> None:
    bucket = Bucket(({"PROCESSED": 1, "PENDING": 3}, None), ({"PROCESSED": 3, "FAILED": 1}, None))
    fed = for_tiles(TileGoal(count=3), body(V2, "ANALYSING", "START"), BUSY, BUSY, api=V2, read_tiles=bucket)
    assert (fed.result.outcome, fed.result.matching, fed.result.total) == (Outcome.REACHED, 3, 4)
    assert len(bucket.asked) == 2


def test_one_tile_of_v2() -> None:
    bucket = Bucket(({}, None), ({"PENDING": 1}, "PENDING"), ({"PROCESSED": 1}, "PROCESSED"))
    fed = for_tiles(TileGoal(tile="field 7"), BUSY, BUSY, BUSY, api=V2, read_tiles=bucket)
    assert fed.result.outcome is Outcome.REACHED
    assert bucket.asked == ["field 7"] * 3


def test_a_bucket_that_cannot_be_read_is_an_unknown_state() -> None:
    bucket = Bucket(errors.ResultsError("not whole (yet)"), ({"PROCESSED": 4}, None))
    fed = for_tiles(TileGoal(), BUSY, BUSY, api=V2, read_tiles=bucket)
    assert fed.result.outcome is Outcome.REACHED
    assert "not whole" in fed.warnings[0]
    bucket = Bucket(*[errors.ResultsError("no such bucket")] * 99)
    fed = for_tiles(TileGoal(), BUSY, ..., api=V2, read_tiles=bucket, max_unknown_time=600)
    assert fed.result.outcome is Outcome.UNREAD
    assert str(fed.result.job.status) == "PROCESSING"
    assert fed.slept[1:6] == [10, 20, 40, 60, 60], "the pauses grow"


@pytest.mark.parametrize(
    ("job", "outcome"),
    [
        (body(V2, "FAILED", "ANALYSE"), Outcome.FAILED),
        (body(V2, "STOPPED", "STOP"), Outcome.CANCELLED),
        (body(V2, "STOPPED", "STOP", costPU=3.0), Outcome.UNREAD),
        (body(V2, "DONE", "START", costPU=3.0), Outcome.UNREAD),
        (body(V2, "DONE", "ANALYSE"), Outcome.UNREAD),
        (body(V2, "LIMBO", "START"), Outcome.UNREAD),
    ],
)
def test_a_verdict_that_hangs_on_no_tile_does_not_wait_for_the_bucket(job: Reply, outcome: Outcome) -> None:
    bucket = Bucket(*[errors.ResultsError("no such bucket")] * 99)
    script = [job, ...] if outcome is Outcome.UNREAD else [job]
    fed = for_tiles(TileGoal(), *script, api=V2, read_tiles=bucket, max_unknown_time=600)
    assert fed.result.outcome is outcome
    assert (len(bucket.asked) > 5) == (outcome is Outcome.UNREAD)


def test_a_list_of_tiles_behind_a_request_that_is_done_is_read_again() -> None:
    behind = [DONE, tiles("a"), tiles()]
    whole = [DONE, tiles(*"abcdefghi")]
    fed = for_tiles(TileGoal(), *behind, *behind, *whole)
    assert fed.result.outcome is Outcome.REACHED
    assert "8 of 9 tiles are not said to be at their end yet" in fed.warnings[0]
    fed = for_tiles(TileGoal(), *behind * 3, max_unknown_time=30)
    assert (fed.result.outcome, str(fed.result.job.status)) == (Outcome.UNREAD, "DONE")
    one = [DONE, tiles("c", status="PENDING")]
    fed = for_tiles(TileGoal(tile="c"), *one, DONE, ok({"id": 0, "name": "c", "status": "PROCESSED"}))
    assert fed.result.outcome is Outcome.REACHED


# Other looks


def test_a_monitor_counts_tiles_once_it_is_started() -> None:
    failed = tiles("i", status="FAILED")
    fed = feed(
        monitor(V1, ID, "DONE", PLAN),
        [body(V1, "ANALYSING", "ANALYSE"), RUNNING, tiles("a", "b"), failed, DONE, tiles(*"abcdefgh"), failed],
    )
    assert "2 of 9 tiles done (22%), 1 failed" in fed.notes[1]
    assert fed.result == Waited(Outcome.REACHED, fed.result.job, counts={"PROCESSED": 8, "FAILED": 1, "PENDING": 0})


# What is told, and what ends a task


def test_each_poll_is_told_with_what_it_has_shown() -> None:
    told: list[tuple[float, str | None, bool]] = []

    def tell(watch: Watch, now: float) -> None:
        job = watch.last.job
        told.append((now - EPOCH, str(job.status) if job else None, watch.unknown_since is not None))

    feed(wait(V1, ID, "DONE", PLAN, on_poll=tell), [error(404), RUNNING, error(404), DONE])
    assert told == [(0, None, True), (10, "PROCESSING", False), (70, "PROCESSING", True), (80, "DONE", False)]


def test_a_failure_that_ends_the_wait_is_not_tried_again() -> None:
    fed = waited(RUNNING, error(404), max_unknown_time=0)
    assert fed.result.outcome is Outcome.UNKNOWN
    assert not fed.warnings


def test_a_task_that_is_being_ended_is_no_outage() -> None:
    for script in ([RUNNING, errors.Interrupted("ended")], [RUNNING, RUNNING, errors.Interrupted("ended")]):
        fed = waited(*script, deadline=EPOCH if len(script) > 2 else None, end_at_deadline=True)
        assert isinstance(fed.error, errors.Interrupted)
        assert not any("cannot be read" in line or "could not be ended" in line for line in fed.warnings)


def test_the_log_says_why_a_request_is_ended() -> None:
    fed = waited(RUNNING, DONE, deadline=EPOCH, end_at_deadline=True)
    assert fed.warnings == [f"The time allowed for batch request {ID} is over; ending it"]
    costly = body(V2, "PROCESSING", "START", costPU=1234.5)
    fed = waited(costly, body(V2, "DONE", "START"), api=V2, max_cost=1000)
    assert fed.warnings == [f"Batch request {ID} has cost more than 1,000 PU; ending it"]
