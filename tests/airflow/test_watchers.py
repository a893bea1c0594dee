"""Watchers in one process: what is news, what is told once, and what a restart does. Real triggerers: tests/e2e."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub._compat import BaseEventTrigger, TriggerEvent
from airflow_sentinelhub.api.decide.watching import Memory, Sight
from airflow_sentinelhub.api.flows.imagery import find_acquisitions, where_of
from airflow_sentinelhub.api.service.catalog import Acquisition
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.exceptions import InvalidInputError
from tests.airflow.conftest import Bench

if BaseEventTrigger is None:
    pytest.skip("this Airflow has no watchers", allow_module_level=True)

from airflow_sentinelhub.triggers import _watcher, imagery
from airflow_sentinelhub.triggers.imagery import SentinelHubNewImageryWatcherTrigger
from airflow_sentinelhub.triggers.watchers import SentinelHubBatchWatcherTrigger
from tests.airflow.watching import Store
from tests.told import things_of

Watch = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def watch(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """What a watcher tells that a triggerer has built anew; `kill` ends it before its n-th event is written down."""
    monkeypatch.setattr(_watcher, "WatcherStore", Store)
    monkeypatch.setattr(_watcher, "SETTLE", 0)
    monkeypatch.setattr(_watcher.time, "time", bench.clock.time)
    Store.empty()

    def look(
        watcher: Any = SentinelHubBatchWatcherTrigger, *, kill: int | None = None, looks: int = 1, **arguments: Any
    ) -> list[dict[str, Any]]:
        if watcher is SentinelHubBatchWatcherTrigger:
            arguments.setdefault("batch_api", bench.api)
        _, kwargs = watcher(**arguments).serialize()
        assert json.loads(json.dumps(kwargs)) == kwargs
        built = watcher(**kwargs)

        async def run() -> list[dict[str, Any]]:
            hook = built._hook()

            async def seen() -> AsyncIterator[Any]:
                for _ in range(looks):
                    yield await built.look(hook, await hook.async_driver())

            told: list[dict[str, Any]] = []
            events = 0
            async for event in built.filter_shared_stream(seen()):
                told.extend(things_of(json.loads(json.dumps(event.payload))))
                events += 1
                if events == kill:
                    return told
            return told

        return asyncio.run(run())

    return look


def test_what_ends_is_told_once(bench: Bench, watch: Watch) -> None:
    before = bench.ended(description="before")
    running = bench.started(description="runs at the first look")
    assert watch() == []
    assert watch() == []
    bench.clock.sleep(7200)
    later = bench.ended(description="maps")
    told = watch(looks=3)
    assert [(event["request_id"], event["status"], event["repeated"]) for event in told] == [
        (running, "DONE", False),
        (later, "DONE", False),
    ]
    assert told[1]["description"] == "maps"
    assert watch(looks=2) == []
    assert before not in {event["request_id"] for event in told}


def test_what_ends_together_is_one_event(bench: Bench, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several events within a turn of the scheduler, a run of Airflow gets the first: the others wait for a next."""
    told: list[int] = []
    monkeypatch.setattr(
        _watcher, "TriggerEvent", lambda payload: (told.append(len(payload["requests"])), TriggerEvent(payload))[1]
    )
    watch()
    ids = [bench.ended() for _ in range(3)]
    assert [event["request_id"] for event in watch(looks=2)] == ids
    assert told == [3]
    monkeypatch.setattr(_watcher, "MOST_TOLD", 2)
    ids = [bench.ended() for _ in range(5)]
    assert [event["request_id"] for event in watch(looks=4)] == ids
    assert told == [3, 2, 2, 1]


def test_killed_on_the_way_it_is_repeated_and_says_so(bench: Bench, watch: Watch) -> None:
    watch()
    ids = [bench.ended(), bench.ended()]
    assert [event["request_id"] for event in watch(kill=1)] == ids
    again = watch(looks=2)
    assert [(event["request_id"], event["repeated"]) for event in again] == [(ids[0], True), (ids[1], True)]
    assert watch() == []


@pytest.mark.parametrize("odd", ["read", "write"])
def test_a_store_that_fails_is_not_an_empty_one(bench: Bench, watch: Watch, odd: str) -> None:
    watch()
    done = bench.ended()
    Store.broken = {odd}
    told = watch(looks=2)
    assert [event["request_id"] for event in told] == ([] if odd == "read" else [done])
    Store.broken = set()
    assert [event["request_id"] for event in watch(looks=2)] == [done]
    assert watch() == []


@pytest.mark.parametrize(
    "kept",
    [
        "{}",
        "[]",
        '"x"',
        '{"version": 2, "sent": {}, "sending": {}}',
        '{"version": 1}',
        '{"version": 1, "sent": {}, "sending": {}, "since": "x"}',
    ],
)
def test_a_memory_that_cannot_be_read_tells_nothing(
    bench: Bench, watch: Watch, kept: str, logged: Callable[[], str]
) -> None:
    watch()
    bench.ended()
    (key,) = Store.kept
    Store.kept[key] = kept
    assert watch(looks=2) == []
    assert Store.kept[key] == kept
    said = " ".join(logged().split())
    assert f"{key} cannot read what it has told" in said
    assert "delete it (docs/watchers.md" in said


def test_filters(bench: Bench, watch: Watch) -> None:
    only: list[dict[str, Any]] = [{"status": "FAILED"}, {"description": "MAPS of"}, {"dag_id": "d"}, {}]
    for arguments in only:
        watch(**arguments)
    done = bench.ended(description="Maps of Corsica")
    assert [len(watch(**arguments)) for arguments in only] == [0, 1, 0, 1]
    assert done


@pytest.mark.parametrize(("generation", "status"), [("v1", "STOPPED"), ("v2", "PARTIAL")], indirect=["generation"])
def test_a_status_that_no_request_of_the_connection_ends_with_is_told_in_the_log(
    bench: Bench, watch: Watch, logged: Callable[[], str], status: str
) -> None:
    bench.ended()
    assert watch(batch_api=None, status=status) == []
    assert f"tells nothing by the connection sentinelhub_default: requests of {bench.api} end with " in logged()
    assert watch(batch_api=None, status=[status, "DONE"]) == []
    assert logged().count("tells nothing by") <= 1


def test_a_change_of_pace_forgets_nothing(bench: Bench, watch: Watch) -> None:
    watch(poll_interval=60)
    done = bench.ended()
    assert [event["request_id"] for event in watch(poll_interval=30, lookback=86400 * 3)] == [done]
    assert watch(poll_interval=60) == []


DAY = 86_400.0


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_a_longer_lookback_tells_nothing_of_before(bench: Bench, watch: Watch) -> None:
    bench.ended(description="before the watcher began")
    bench.clock.sleep(5 * DAY)
    assert watch(lookback=DAY) == []
    assert watch(lookback=30 * DAY, looks=2) == []
    later = bench.ended()
    assert [event["request_id"] for event in watch(lookback=30 * DAY)] == [later]


def test_what_ends_after_the_lookback_was_made_longer_is_told_after_a_restart_too(bench: Bench, watch: Watch) -> None:
    bench.sim.settings(tile_seconds=20_000.0)
    running = bench.started()
    bench.clock.sleep(7200)
    assert watch(lookback=600) == []
    bench.clock.sleep(60)
    assert watch(lookback=5 * DAY) == []
    bench.clock.sleep(2 * DAY)
    assert [event["request_id"] for event in watch(lookback=5 * DAY)] == [running]


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_a_lookback_that_was_shorter_for_a_while_repeats_nothing(bench: Bench, watch: Watch) -> None:
    watch(lookback=30 * DAY)
    bench.ended()
    assert len(watch(lookback=30 * DAY)) == 1
    bench.clock.sleep(5 * DAY)
    bench.ended()
    assert len(watch(lookback=DAY)) == 1
    assert watch(lookback=30 * DAY, looks=2) == []


def test_what_has_left_the_window_is_remembered_for_a_day() -> None:
    """A clock that is set back, or a longer lookback, shows it again."""
    kept, forgotten = Sight("kept", 1_000_000.0), Sight("forgotten", 900_000.0)
    memory = Memory()
    memory.end([kept, forgotten], 900_000.0)
    memory.end([], 1_000_000.0 + 3600)
    assert [memory.is_news(sight) for sight in (kept, forgotten)] == [False, True]


def test_what_was_on_its_way_when_a_watcher_was_killed_is_not_taken_for_told_by_a_longer_lookback() -> None:
    old, on_its_way = Sight("old", 10.0), Sight("on its way", 20.0)
    memory = Memory(since=100.0)
    memory.begin([on_its_way])
    assert memory.look_back([old, on_its_way], 0.0)
    assert [memory.is_news(sight) for sight in (old, on_its_way)] == [False, True]
    assert memory.begin([on_its_way]) == [on_its_way]


@pytest.mark.usefixtures("watch")
def test_an_end_that_only_the_list_shows_is_told_once_the_request_itself_shows_it() -> None:
    """A list that is newer than the answer of another machine: told by that answer, it would be told at each look."""
    first = Snapshot("id", "v2", BatchRequestStatus.DONE, acted=datetime(2026, 1, 1, tzinfo=timezone.utc))
    again = replace(first, acted=datetime(2026, 1, 2, tzinfo=timezone.utc))
    watcher = SentinelHubBatchWatcherTrigger()

    async def events() -> list[Any]:
        async def seen() -> AsyncIterator[Any]:
            for listed, itself in ((first, first), (again, first), (again, first), (again, again), (again, again)):

                async def confirm(name: str, itself: Snapshot = itself) -> Snapshot:
                    return itself

                yield _watcher.Look(_watcher.time.time(), {"id": listed}, confirm)

        return [event.payload async for event in watcher.filter_shared_stream(seen())]

    assert len(asyncio.run(events())) == 1


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_what_the_catalog_shows_of_before_the_window_is_told_once(
    bench: Bench, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalog may show what lasts into the time of a search, and what has no one time at all."""
    shown: list[Acquisition] = []
    monkeypatch.setattr(imagery, "find_acquisitions", lambda *_: (yield from ()) or list(shown))

    def told(*looks: int) -> list[list[str]]:
        arguments = {"collection": "byoc-months", "area": [8.9, 41.9, 9.0, 42.0]}
        found = (watch(SentinelHubNewImageryWatcherTrigger, looks=number, **arguments) for number in looks)
        return [[event["id"] for event in events] for events in found]

    def of(day: float) -> datetime:
        return datetime.fromtimestamp(bench.clock.now + day * DAY, tz=timezone.utc)

    shown.append(Acquisition("January", "byoc-months", of(-20)))
    assert told(3) == [[]]
    shown += [Acquisition("January, late", "byoc-months", of(-19)), Acquisition("no time", "byoc-months")]
    assert told(2, 2) == [["January, late", "no time"], []]
    bench.clock.sleep(40 * DAY)
    shown.append(Acquisition("March", "byoc-months", of(0)))
    assert told(2, 2) == [["March"], []]


@pytest.mark.parametrize(
    "arguments",
    [
        {"status": "PROCESED"},
        {"status": []},
        {"status": "PROCESSING"},
        {"status": 5},
        {"status": ["PARTIAL", "CANCELED"], "batch_api": "v2"},
        {"status": "CANCELED", "batch_api": "statistical"},
        {"status": "STOPPED", "batch_api": "v1"},
        {"description": ""},
        {"dag_id": 5},
        {"task_id": "t"},
        {"poll_interval": 0},
        {"poll_interval": "soon"},
        {"lookback": -1},
        {"batch_api": "v3"},
        {"description": "{{ ds }}"},
        {"dag_id": "{{ dag.dag_id }}"},
        {"sentinelhub_conn_id": ""},
        {"sentinelhub_conn_id": None},
        {"sentinelhub_conn_id": "{{ params.account }}"},
        {"lookback": 30, "poll_interval": 60},
    ],
)
def test_bad_arguments_are_refused_when_the_dag_is_read(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as said:
        SentinelHubBatchWatcherTrigger(**arguments)
    assert next(iter(arguments)) in str(said.value)
    assert isinstance(said.value, TypeError), "any other error ends the triggerer that builds a stored one"


def test_those_that_look_at_the_same_share_a_stream() -> None:
    one, two = SentinelHubBatchWatcherTrigger(status="DONE"), SentinelHubBatchWatcherTrigger(description="x")
    assert one.shared_stream_key() == two.shared_stream_key()
    assert one.shared_stream_key() != SentinelHubBatchWatcherTrigger(batch_api="v1").shared_stream_key()
    assert one._key() != two._key()


def test_watchers_of_one_process_share_a_look_where_airflow_has_no_shared_streams(bench: Bench) -> None:
    one, two, other = (
        SentinelHubBatchWatcherTrigger(status="DONE", batch_api=bench.api),
        SentinelHubBatchWatcherTrigger(description="x", batch_api=bench.api),
        SentinelHubBatchWatcherTrigger(batch_api="v1" if bench.api == "v2" else "v2"),
    )

    async def first_looks() -> list[Any]:
        streams = [watcher._looks() for watcher in (one, two, other)]
        looks = await asyncio.gather(*(anext(stream) for stream in streams))
        for stream in streams:
            await stream.aclose()
        return looks

    looks = asyncio.run(first_looks())
    assert looks[0] is looks[1]
    assert looks[0] is not looks[2]


@pytest.mark.parametrize("shared", ["the look", "what is read again"])
def test_a_watcher_that_ends_takes_a_reading_from_no_other(shared: str) -> None:
    async def two() -> tuple[bool, Any]:
        begun, goes_on = asyncio.Event(), asyncio.Event()

        async def read(*_: Any) -> Any:
            begun.set()
            await goes_on.wait()
            return "as it is now"

        look: _watcher.Look[Any] = _watcher.Look(0.0, {}, read)
        watcher = SentinelHubBatchWatcherTrigger()
        asked = [watcher._shared_look(read, 60.0) if shared == "the look" else look.confirmed("id") for _ in range(2)]
        ends, stays = map(asyncio.ensure_future, asked)
        await begun.wait()
        ends.cancel()
        await asyncio.wait({ends})
        goes_on.set()
        return ends.cancelled(), await stays

    assert asyncio.run(two()) == (True, "as it is now")


AREA = [8.5, 41.3, 9.6, 43.1]


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
@pytest.mark.thorough
def test_imagery_is_told_as_it_is_published_late_and_out_of_order(bench: Bench, watch: Watch) -> None:
    """Forty days, looked at every twelve hours by a watcher that is always built anew."""
    s2 = {"collection": "sentinel-2-l2a", "area": AREA}
    assert watch(SentinelHubNewImageryWatcherTrigger, **s2) == []
    told: list[dict[str, Any]] = []
    for _ in range(80):
        bench.clock.sleep(43_200)
        told += watch(SentinelHubNewImageryWatcherTrigger, **s2)
    ids, times = [event["id"] for event in told], [event["datetime"] for event in told]
    assert len(ids) == len(set(ids)) > 20
    assert times != sorted(times)
    assert {event["collection"] for event in told} == {"sentinel-2-l2a"}
    assert {event["repeated"] for event in told} == {False}
    # All that was taken since the first look and is published is among them.
    where, end = where_of(AREA), bench.clock.utcnow()
    flow = find_acquisitions("sentinel-2-l2a", where, end - timedelta(days=40), end, None)
    assert {item.id for item in bench.hook.run(flow)} <= set(ids)


def test_imagery_by_its_clouds(bench: Bench, watch: Watch) -> None:
    clear = {"collection": "sentinel-2-l2a", "area": AREA, "max_cloud_coverage": 20}
    radar = {"collection": "sentinel-1-grd", "area": AREA}
    for arguments in (clear, radar):
        watch(SentinelHubNewImageryWatcherTrigger, **arguments)
    bench.clock.sleep(13 * 86_400)
    told = watch(SentinelHubNewImageryWatcherTrigger, **clear)
    assert told
    assert all(event["cloud_cover"] <= 20 for event in told)
    told = watch(SentinelHubNewImageryWatcherTrigger, **radar)
    assert told
    assert all(event["cloud_cover"] is None for event in told)


def test_a_search_is_read_page_by_page(bench: Bench) -> None:
    end = bench.clock.utcnow()
    flow = find_acquisitions("sentinel-2-l2a", where_of([0, 40, 9, 49]), end - timedelta(days=20), end, None)
    found = bench.hook.run(flow)
    assert len(found) > 200
    assert len(bench.calls("POST", "/catalog/1.0.0/search")) > 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"collection": ""},
        {"collection": None},
        {"collection": "{{ params.collection }}"},
        {"area": "{{ params.area }}"},
        {"area": "corsica.geojson"},
        {"area": Path("maps/corsica.gpkg")},
        {"area": b"\x01\x03"},
        {"area": "POINT (9 42)"},
        {"area": {"bbox": [0, 0, 9000, 9000], "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/3857"}}},
        {"max_cloud_coverage": 101},
        {"max_cloud_coverage": "few"},
    ],
)
def test_bad_arguments_of_imagery_are_refused_when_the_dag_is_read(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as said:
        SentinelHubNewImageryWatcherTrigger(**{"collection": "sentinel-2-l2a", "area": AREA} | arguments)
    assert next(iter(arguments)) in str(said.value)
    assert isinstance(said.value, TypeError), "any other error ends the triggerer that builds a stored one"


SQUARE = [[[8.5, 41.3], [9.6, 41.3], [9.6, 43.1], [8.5, 41.3]]]
FEATURE = {"type": "Feature", "properties": {"name": "Corsica"}, "geometry": {"type": "Polygon", "coordinates": SQUARE}}


@pytest.mark.parametrize(
    "area",
    [
        AREA,
        [8.5, 41.3, 9.6, 43.1],
        FEATURE["geometry"],
        FEATURE,
        {"type": "FeatureCollection", "features": [FEATURE]},
        json.dumps(FEATURE),
        "/maps/corsica.geojson",
        Path("/maps/corsica.gpkg"),
        "/maps/corsica.gpkg|layername=coast",
    ],
    ids=str,
)
def test_a_triggerer_gets_the_area_as_a_text(area: Any) -> None:
    """Airflow 3.1 and 3.2 store another object in the place of one, and the triggerer ended when that was refused."""
    given = SentinelHubNewImageryWatcherTrigger(collection="sentinel-2-l2a", area=area)
    _, kwargs = given.serialize()
    assert isinstance(kwargs["area"], str)
    built = SentinelHubNewImageryWatcherTrigger(**kwargs)
    assert built.area == given.area
    assert built.serialize() == given.serialize()
    assert built.shared_stream_key() == given.shared_stream_key()


@pytest.mark.parametrize(
    "trigger",
    [
        SentinelHubNewImageryWatcherTrigger(collection="sentinel-2-l2a", area=AREA, max_cloud_coverage=20),
        SentinelHubBatchWatcherTrigger(status=("DONE", "FAILED"), description="maps", dag_id="d", task_id="t"),
    ],
    ids=lambda trigger: type(trigger).__name__,
)
def test_what_airflow_stores_of_a_watcher_has_no_object(trigger: Any) -> None:
    _, kwargs = trigger.serialize()
    for name, value in kwargs.items():
        single = value if isinstance(value, list) else [value]
        assert all(one is None or isinstance(one, (str, int, float)) for one in single), name
