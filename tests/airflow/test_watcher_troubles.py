"""Watchers that look for hours of simulated time: outages, wrong connections, long lists, odd requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub._compat import BaseEventTrigger
from tests.airflow.conftest import Bench

if BaseEventTrigger is None:
    pytest.skip("this Airflow has no watchers", allow_module_level=True)

from airflow_sentinelhub.api.call import Now, Reply, Send
from airflow_sentinelhub.api.flows import watch as flows
from airflow_sentinelhub.api.flows.imagery import find_acquisitions, where_of
from airflow_sentinelhub.api.service.generations import generation as generation_of
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.triggers import watchers
from airflow_sentinelhub.triggers.imagery import SentinelHubNewImageryWatcherTrigger
from airflow_sentinelhub.triggers.watchers import SentinelHubBatchWatcherTrigger
from tests.airflow.watching import Live, Store

HOUR = 3600.0
IMAGES = {"collection": "sentinel-2-l2a", "area": [8.5, 41.3, 9.6, 43.1]}
once = pytest.mark.parametrize("generation", ["v2"], indirect=True)


@pytest.fixture
def live(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Live:
    return Live(bench, monkeypatch)


def ids(told: list[dict[str, Any]]) -> list[str]:
    return [event["request_id"] for event in told]


@once
@pytest.mark.parametrize(
    "outage",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429},
        {"kind": "drop_before"},
        {"kind": "html", "status": 502},
        {"kind": "status", "status": 401},
        {"kind": "status", "status": 200, "body": "[]"},
    ],
    ids=lambda outage: f"{outage['kind']}-{outage.get('status', '')}",
)
@pytest.mark.thorough
def test_what_ends_in_an_outage_of_an_hour_is_told_after_it(
    bench: Bench, live: Live, outage: dict[str, Any], logged: Callable[[], str]
) -> None:
    running: list[str] = []

    def breaks() -> None:
        running.append(bench.started(description="maps"))
        bench.sim.fault(**outage, path="/process|/search", times=None)

    bench.clock.at(300, breaks)
    bench.clock.at(300 + HOUR, bench.sim.clear_faults)
    told = live(SentinelHubBatchWatcherTrigger, 2 * HOUR, poll_interval=120)
    assert ids(told) == running
    assert told[0]["repeated"] is False
    failures = [line for line in logged().splitlines() if "could not look" in line]
    assert 1 <= len(failures) <= 8  # every ten minutes
    assert "works again" not in failures[-1]
    assert live(SentinelHubBatchWatcherTrigger, HOUR, poll_interval=120) == []


@once
@pytest.mark.thorough
def test_an_outage_of_the_catalog_loses_no_image(bench: Bench, live: Live) -> None:
    def published() -> set[str]:
        now = bench.clock.utcnow()
        flow = find_acquisitions("sentinel-2-l2a", where_of(IMAGES["area"]), now - timedelta(days=20), now, None)
        return {item.id for item in bench.hook.run(flow)}

    before = published()
    bench.clock.at(300, lambda: bench.sim.fault("status", "/search$", status=503, times=None))
    bench.clock.at(2 * 86_400, bench.sim.clear_faults)
    told = live(SentinelHubNewImageryWatcherTrigger, 3 * 86_400, poll_interval=3600, **IMAGES)
    assert sorted(event["id"] for event in told) == sorted(published() - before) != []


WRONG: dict[str, dict[str, Any] | None] = {
    "missing": None,
    "another type": {"conn_type": "http", "host": "https://example.com"},
    "no secret": {"conn_type": "sentinelhub", "login": "someone"},
    "another secret": {"conn_type": "sentinelhub", "login": "someone", "password": "wr0ng-s3cret"},
    "not there": {"conn_type": "sentinelhub", "login": "a", "password": "wr0ng-s3cret", "host": "http://127.0.0.1:9"},
}


@once
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.thorough
def test_a_wrong_connection_is_told_in_the_log_and_may_be_mended(
    bench: Bench, live: Live, wrong: str, logged: Callable[[], str]
) -> None:
    members = WRONG[wrong]
    if members is not None:
        if wrong == "another secret":
            members = {**members, "host": bench.sim.url, "extra": {"token_url": bench.sim.auth_url}}
        if wrong == "not there":
            members = {**members, "extra": {"token_url": "http://127.0.0.1:9/token"}}
        bench.connection("other", **members)
    ended: list[str] = []
    bench.clock.at(2000, lambda: bench.connect("other", batch_api="v2"))
    bench.clock.at(1.5 * HOUR, lambda: ended.append(bench.ended(description="maps")))
    told = live(SentinelHubBatchWatcherTrigger, 3 * HOUR, sentinelhub_conn_id="other")
    assert ids(told) == ended
    text = logged()
    failures = [line for line in text.splitlines() if "could not look" in line]
    assert 1 <= len(failures) <= 8
    assert all("by the connection other" in line for line in failures), failures
    assert "wr0ng-s3cret" not in text


@once
@pytest.mark.thorough
@pytest.mark.slow
def test_many_requests_that_end_are_each_told_once(bench: Bench, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the first pages at each look; the others when the whole list is read."""
    monkeypatch.setattr(watchers, "PAGES", 1)
    old = [bench.started(description=f"old {number}") for number in range(3)]
    for number in range(110):
        bench.create(description=f"draft {number}")
    live(SentinelHubBatchWatcherTrigger, 1)
    new: list[str] = []
    bench.clock.at(60, lambda: new.append(bench.started(description="new")))
    told = live(SentinelHubBatchWatcherTrigger, 900, poll_interval=15)
    assert sorted(ids(told)) == sorted([*old, *new])


def test_a_look_at_the_newest_pages_shows_what_is_new_beside_what_the_whole_list_had() -> None:
    def job(name: str, status: str, age: timedelta) -> Snapshot:
        return Snapshot(name, "v2", BatchRequestStatus(status), created=datetime.now(timezone.utc) - age)

    day = timedelta(days=1)
    old, running = job("old", "DONE", 6 * day), job("running", "PROCESSING", day)
    done, new = job("running", "DONE", day), job("new", "DONE", timedelta(0))
    too_old = job("too old", "DONE", 8 * day)
    readings = iter(
        [
            flows.ListReading([running, old, too_old], pages=1000, complete=True),
            flows.ListReading([new, done], pages=5, complete=False),
        ]
    )

    class Driver:
        async def run(self, flow: Any) -> Any:
            flow.close()
            return next(readings)

    async def looks() -> list[dict[str, Snapshot]]:
        watcher = SentinelHubBatchWatcherTrigger(sentinelhub_conn_id="of this test alone", lookback=7 * 86_400)
        hook: Any = SimpleNamespace(generation=lambda name: generation_of("v2"))
        driver: Any = Driver()
        return [dict((await watcher.look(hook, driver)).things) for _ in range(2)]

    whole, newest = asyncio.run(looks())
    assert set(whole) == {"running", "old", "too old"}
    assert newest == {"running": done, "old": old, "new": new}


class Service:
    """Answers the list of an account with so many requests, a hundred a page, newest first."""

    def __init__(self, count: int) -> None:
        self.pages = 0
        self.bodies = [
            {
                "id": f"{number:08d}-0000-4000-8000-000000000000",
                "status": "DONE",
                "userAction": "START",
                "created": f"2026-01-{28 - number * 27 // count:02d}T00:00:00Z",
                "request": {"description": f"number {number}"},
            }
            for number in range(count)
        ]


def test_ten_thousand_requests_are_read_to_the_end_now_and_then() -> None:
    """In between, the newest five pages are; the calls of an hour stay in the hundreds, not in the thousands."""
    service, since = Service(10_000), datetime(2026, 1, 1, tzinfo=timezone.utc)
    del service.bodies[7]["created"]  # what does not say its time counts, too

    def read(most: int | None) -> Any:
        flow = flows.requests_since(generation_of("v2"), since, most)
        step = next(flow)
        try:
            while True:
                if isinstance(step, Send):
                    service.pages += 1
                    start = int(step.call.params().get("viewtoken", 0))
                    page = {"data": service.bodies[start : start + 100], "links": {}}
                    if start + 100 < len(service.bodies):
                        page["links"] = {"nextToken": str(start + 100)}
                    step = flow.send(Reply(200, {}, json.dumps(page).encode()))
                else:
                    step = flow.send(0.0 if isinstance(step, Now) else None)
        except StopIteration as end:
            return end.value

    whole, short = read(None), read(5)
    assert (len(whole.jobs), whole.pages, whole.complete) == (10_000, 100, True)
    assert (len(short.jobs), short.pages, short.complete) == (500, 5, False)
    assert read(100).complete is False  # it cannot know that this was the last one
    # A look a minute: what an hour costs by the pace that the trigger keeps.
    assert 3600 / (whole.pages * watchers.SECONDS_A_PAGE) * 100 + 60 * watchers.PAGES < 700


@once
@pytest.mark.parametrize(
    "description",
    [
        "",
        " ",
        'Kåre\'s "maps" <b>&amp;</b> {{ params.x }} %s {0} \\',
        "\u202e\U0001f6f0\ufe0f 卫星\n\tnext line",
        "x" * 9_000,
    ],
)
def test_odd_descriptions_are_told_as_they_are(bench: Bench, live: Live, description: str) -> None:
    live(SentinelHubBatchWatcherTrigger, 1)
    request_id = bench.ended(description=description)
    word = description.strip()[:20] or None
    (event,) = live(SentinelHubBatchWatcherTrigger, 200, description=None)
    assert event["request_id"] == request_id
    assert event["description"] == description.strip() or event["description"] == description
    if word:
        live(SentinelHubBatchWatcherTrigger, 1, description=word)
        again = bench.ended(description=description)
        assert ids(live(SentinelHubBatchWatcherTrigger, 200, description=word)) == [again]


@once
def test_an_event_counts_as_told_only_when_airflow_has_answered_after_it(bench: Bench, live: Live) -> None:
    """It stands in no database yet when it is told: a memory that says so before would lose it by a kill."""
    live(SentinelHubBatchWatcherTrigger, 1)
    request_id = bench.ended()
    Store.asked.clear()
    assert ids(live(SentinelHubBatchWatcherTrigger, 200)) == [request_id]
    assert Store.asked[1:] == ["sending", "event", "read", "read", "sent"]


@once
def test_while_airflow_does_not_answer_an_event_stays_on_its_way(bench: Bench, live: Live) -> None:
    live(SentinelHubBatchWatcherTrigger, 1)
    bench.ended()
    began = bench.clock.now
    bench.clock.at(1, lambda: Store.broken.add("read"))  # after the memory was read, and the event told
    live(SentinelHubBatchWatcherTrigger, 1000)
    assert bench.clock.now - began >= 1000
    (kept,) = Store.kept.values()
    assert json.loads(kept)["sending"]
    Store.broken.clear()
    (again,) = live(SentinelHubBatchWatcherTrigger, 200)
    assert again["repeated"] is True


@pytest.mark.parametrize("outage", [{"kind": "status", "status": 503}, {"kind": "status", "status": 200, "body": "5"}])
def test_what_cannot_be_read_again_is_told_as_soon_as_it_can(
    bench: Bench, live: Live, outage: dict[str, Any], logged: Callable[[], str]
) -> None:
    """A list shows the end, and the request itself cannot be read; others that end are told meanwhile."""
    live(SentinelHubBatchWatcherTrigger, 1)
    hidden, other = bench.ended(description="hidden"), bench.ended(description="other")
    bench.sim.fault(**outage, path=f"{hidden}$", times=None)
    assert ids(live(SentinelHubBatchWatcherTrigger, 600)) == [other]
    assert f"could not read {hidden} again" in logged()
    bench.sim.clear_faults()
    assert ids(live(SentinelHubBatchWatcherTrigger, 200)) == [hidden]
