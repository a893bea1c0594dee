"""What the page of a job is given: by the task that waits, and by its own readings of service and bucket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub import kept_progress
from airflow_sentinelhub._compat import HAS_PAGES
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.flows.wait import WaitPlan, Watch
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.exceptions import InvalidInputError, ResultsError
from airflow_sentinelhub.hooks import job_map
from airflow_sentinelhub.hooks.account import dags_by_word
from airflow_sentinelhub.hooks.job_map import RequestSource
from airflow_sentinelhub.kept_progress import KEY, KeptInTriggerer
from airflow_sentinelhub.web import reading
from airflow_sentinelhub.web.accounts import AGAIN as ACCOUNT_AGAIN
from airflow_sentinelhub.web.accounts import Accounts
from airflow_sentinelhub.web.reading import AGAIN, FORGOTTEN, LASTING, MOST_KEPT, Readings
from tests.airflow.conftest import AWS
from tests.airflow.job import job, modes

ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


@pytest.fixture
def readings(clock: Any, monkeypatch: pytest.MonkeyPatch) -> Readings:
    """Readings that are made at once, in this thread."""
    made = Readings(clock.time)
    monkeypatch.setattr(made._threads, "submit", lambda function, *arguments: function(*arguments))
    return made


def source(bench: Any, request_id: str, **members: Any) -> RequestSource:
    place = tuple(sorted(bench.hook.settings.place().items()))
    return RequestSource(request_id, bench.api, "sentinelhub_default", "my_bucket", place, **members)


def look(readings: Readings, where: RequestSource) -> Any:
    """What a viewer sees who asks, and asks again as soon as the reading has ended."""
    readings.of(where)
    return readings.of(where)


@pytest.mark.skipif(not HAS_PAGES, reason="this Airflow shows no pages")
@modes
def test_a_task_keeps_what_it_has_read(bench: Any, deferrable: bool) -> None:
    context = bench.context()
    result = bench.run(job(bench, deferrable=deferrable, max_processing_units=50_000), context)
    kept = context["ti"].xcoms[KEY]
    assert kept["request_id"] == result["request_id"]
    assert kept["job"]["status"] == "DONE"
    assert kept["counts"] == {"PROCESSED": result["processed"], "FAILED": 0}
    assert kept["budget"] == 50_000
    states = [state for _, state, _ in kept["states"]]
    assert states[0] == "CREATED"
    assert states[-1] == "DONE"
    origin = context["ti"].xcoms["sentinelhub_request"]
    assert (origin["sentinelhub_conn_id"], origin["aws_conn_id"]) == ("sentinelhub_default", "my_bucket")
    text = json.dumps(kept) + json.dumps(origin)
    assert not any(secret in text for secret in (AWS["login"], AWS["password"], bench.sim.client_secret))


@pytest.mark.skipif(not HAS_PAGES, reason="this Airflow shows no pages")
def test_a_record_that_cannot_be_written_fails_no_wait(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context = bench.context()
    push = type(context["ti"]).xcom_push

    def refuse(self: Any, key: str, value: Any, **more: Any) -> Any:
        if key == KEY:
            raise RuntimeError("XCom backend is out of order")
        return push(self, key=key, value=value, **more)

    monkeypatch.setattr(type(context["ti"]), "xcom_push", refuse)
    assert bench.run(job(bench, deferrable=False), context)["status"] == "DONE"


def test_tiles_are_those_of_the_service(bench: Any, readings: Readings) -> None:
    request_id = bench.ended()
    known = look(readings, source(bench, request_id))
    assert known.job.status == "DONE"
    assert dict(zip(known.table.names, known.table.statuses, strict=True)) == bench.tile_statuses(request_id)
    assert known.table.unplaced == 0
    west, south, east, north = bench.area
    for _, ring in known.table.rings:
        assert all(west - 0.3 < x < east + 0.3 and south - 0.3 < y < north + 0.3 for x, y in ring)
    assert len(known.area) == 1
    assert all(paths for paths in known.table.paths)
    assert "hush" not in json.dumps(known.payload)


def test_all_viewers_share_one_reading(bench: Any, readings: Readings) -> None:
    request_id = bench.started()
    bench.clock.sleep(120)
    before = bench.mark()
    for _ in range(50):
        look(readings, source(bench, request_id))
    assert len(bench.sim.journal(before)) == (2 if bench.api == "v1" else 1)
    bench.clock.sleep(AGAIN + 1)
    for _ in range(50):
        look(readings, source(bench, request_id))
    assert len(bench.sim.journal(before)) == (4 if bench.api == "v1" else 2)


def test_what_has_ended_is_read_seldom(bench: Any, readings: Readings) -> None:
    request_id = bench.ended()
    look(readings, source(bench, request_id))
    before = bench.mark()
    bench.clock.sleep(LASTING - 60)
    look(readings, source(bench, request_id))
    assert not bench.sim.journal(before)


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
def test_a_list_that_breaks_off_is_a_part(bench: Any, readings: Readings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_map, "EVERY", 100)
    request_id = bench.ended(area=[8.5, 41.3, 9.6, 43.1])
    all_of_them = reading.tiles_of

    def breaks_off(*arguments: Any) -> Iterator[Any]:
        yield next(all_of_them(*arguments))
        raise ResultsError("The list broke off.")

    monkeypatch.setattr(reading, "tiles_of", breaks_off)
    known = look(readings, source(bench, request_id))
    assert (known.partly, known.tiles_error, len(known.table.names)) == (True, "The list broke off.", 100)
    monkeypatch.setattr(reading, "tiles_of", all_of_them)
    bench.clock.sleep(AGAIN + 1)
    known = look(readings, source(bench, request_id))
    assert (known.partly, known.tiles_error, len(known.table.names)) == (False, "", 214)
    monkeypatch.setattr(reading, "tiles_of", breaks_off)
    bench.clock.sleep(LASTING + 1)
    known = look(readings, source(bench, request_id))
    assert (known.partly, len(known.table.names)) == (False, 214), "what was read as a whole stays"


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
def test_a_list_that_nobody_looks_at_is_not_read_on(
    bench: Any, readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_map, "EVERY", 100)
    request_id = bench.ended(area=[8.5, 41.3, 9.6, 43.1])
    all_of_them = reading.tiles_of

    def slow(*arguments: Any) -> Iterator[Any]:
        for table in all_of_them(*arguments):
            bench.clock.sleep(FORGOTTEN + 1)
            yield table

    monkeypatch.setattr(reading, "tiles_of", slow)
    known = look(readings, source(bench, request_id))
    assert (known.partly, len(known.table.names)) == (True, 100)
    assert len(bench.calls("GET", "/tiles")) == 1


def test_an_outage_is_said_and_what_was_known_stays(bench: Any, readings: Readings) -> None:
    request_id = bench.started()
    bench.clock.sleep(120)
    first = look(readings, source(bench, request_id))
    bench.sim.fault(kind="status", status=503, times=None)
    bench.clock.sleep(AGAIN + 1)
    before = bench.mark()
    second = look(readings, source(bench, request_id))
    assert second.error
    assert second.read_at == first.read_at
    assert second.table is not None
    tried = len(bench.sim.journal(before))
    look(readings, source(bench, request_id))
    assert len(bench.sim.journal(before)) == tried, "not again at once"


def test_credentials_go_nowhere_else_whatever_an_xcom_says(bench: Any, readings: Readings) -> None:
    place = (("account", bench.hook.settings.place()["account"]), ("base_url", "http://127.0.0.1:9"))
    known = look(readings, RequestSource(bench.create(), bench.api, "sentinelhub_default", None, place))
    assert "names" in known.error
    assert "127.0.0.1:9" in known.error
    assert known.job is None


@pytest.mark.parametrize("conn_id", ["missing", "my_bucket"])
def test_a_connection_that_is_none_is_said(bench: Any, readings: Readings, conn_id: str) -> None:
    known = look(readings, RequestSource(bench.create(), bench.api, conn_id))
    assert known.error
    assert AWS["password"] not in known.error


def test_an_unknown_generation_is_said(bench: Any, readings: Readings) -> None:
    assert "batch_api" in look(readings, RequestSource(ID, "v9", "sentinelhub_default")).error


def test_few_requests_are_kept(bench: Any, readings: Readings) -> None:
    for number in range(3 * MOST_KEPT):
        readings.of(RequestSource(f"{ID[:-2]}{number:02}", bench.api, "sentinelhub_default"))
    assert len(readings._known) == MOST_KEPT
    assert len(readings._again) <= MOST_KEPT


def test_a_map_is_one_file_that_loads_nothing(bench: Any, tmp_path: Any) -> None:
    request_id = bench.ended(description="</script><script>alert(1)</script><!--")
    made = bench.hook.map(request_id, batch_api=bench.api, aws_conn_id="my_bucket")
    text = made.save(tmp_path / "map.html").read_text()
    assert text.count("<script") == 2
    assert "<script>alert" not in text
    assert "hush" not in text
    assert bench.tile_names(request_id)[0] in text
    features = json.loads(made.save(tmp_path / "map.geojson").read_text())["features"]
    assert {item["properties"]["name"] for item in features} == set(bench.tile_names(request_id))
    with pytest.raises(InvalidInputError, match="is saved as"):
        made.save(tmp_path / "map.doc")


# The lists of accounts


@pytest.fixture
def accounts(clock: Any, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    """Lists that are read at once, in this thread."""
    made = Accounts(clock.time)
    monkeypatch.setattr(made._threads, "submit", lambda function, *arguments: function(*arguments))
    return made


def calls(bench: Any) -> int:
    return len(bench.sim.journal())


def test_the_account_lists_the_jobs_of_all_dags_and_of_cleared_tries(bench: Any, accounts: Accounts) -> None:
    context = bench.context()
    first = bench.run(job(bench), context)["request_id"]
    bench.create(description="somebody else's")
    (found,) = accounts.of([source(bench, first)])
    assert found.account is not None
    assert [cost.request_id for _, cost in found.account.requests] == [first]
    assert dags_by_word([context["ti"].dag_id]) == {found.account.requests[0][0]: context["ti"].dag_id}
    assert (found.error, found.reading) == ("", False)


def test_an_account_is_read_once_for_all_viewers_and_jobs(bench: Any, accounts: Accounts, clock: Any) -> None:
    where = [source(bench, f"{ID[:-2]}{number:02}") for number in range(5)]
    before = calls(bench)
    assert len(accounts.of(where)) == 1
    once = calls(bench) - before
    assert once > 0
    for _ in range(10):
        accounts.of(where[::-1])
    assert calls(bench) - before == once
    clock.sleep(ACCOUNT_AGAIN)
    accounts.of(where)
    assert calls(bench) - before == 2 * once or calls(bench) - before == 2 * once - 1  # the token may be kept


def test_viewers_of_other_dags_take_nothing_from_each_other(bench: Any, accounts: Accounts) -> None:
    mine = source(bench, ID)
    (before,) = accounts.of([mine])
    accounts.of([])
    accounts.of([RequestSource(ID, bench.api, "another", None, mine.place)])
    accounts.of([RequestSource(ID, "statistical", mine.conn_id, "my_bucket", mine.place)])
    assert accounts.of([mine]) == [before]
    for number in range(3 * MOST_KEPT):
        accounts.of([RequestSource(ID, bench.api, f"another_{number}", None, mine.place)])
    assert len(accounts._known) == len(accounts._again) == MOST_KEPT


def test_what_was_listed_stays_while_the_service_is_out_of_reach(bench: Any, accounts: Accounts, clock: Any) -> None:
    request_id = bench.run(job(bench), bench.context())["request_id"]
    (before,) = accounts.of([source(bench, request_id)])
    clock.sleep(ACCOUNT_AGAIN)
    bench.sim.fault(kind="status", status=503, times=None)
    (after,) = accounts.of([source(bench, request_id)])
    assert after.error
    assert (after.account, after.read_at) == (before.account, before.read_at)


def test_an_accounts_secret_is_sent_to_no_other_deployment(bench: Any, accounts: Accounts) -> None:
    elsewhere = RequestSource(ID, bench.api, "sentinelhub_default", None, (("base_url", "https://elsewhere.example"),))
    before = calls(bench)
    (found,) = accounts.of([elsewhere])
    assert "elsewhere.example" in found.error
    assert calls(bench) == before


# In the triggerer


class Store:
    """The XCom of a trigger's task; the supervisor is replaced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.value: Any = None
        self.writes = 0
        self.error: Exception | None = None
        monkeypatch.setattr(kept_progress, "xcom_in_triggerer", self)
        monkeypatch.setattr(kept_progress, "HAS_PAGES", True)

    async def __call__(self, ti: Any, key: str, value: Any = None) -> Any:
        if self.error is not None:
            raise self.error
        if value is None:
            return self.value
        self.writes += 1
        self.value = json.loads(json.dumps(value))


TI = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)


def watch(kept: KeptInTriggerer, now: float, status: str = "PROCESSING", share: float = 0.0) -> None:
    """A poll of a wait, as its flow tells of it."""
    seen = Watch(ID, WaitPlan(), 0.0)
    seen.read(Waited(Outcome.WAITING, Snapshot(ID, "v2", BatchRequestStatus(status), share_done=share)), now)
    kept(seen, now)


def test_a_trigger_writes_what_changed_and_otherwise_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch)

    async def polls() -> None:
        kept = KeptInTriggerer(TI, Progress(ID, "v2"))
        for second in range(0, 120, 2):
            watch(kept, float(second), share=second / 120)
            if kept._writing is not None:
                await kept._writing
        assert 4 <= store.writes <= 6
        watch(kept, 119.0, "DONE", 1.0)
        await kept.flush()

    asyncio.run(polls())
    assert store.value["job"]["status"] == "DONE"
    assert store.value["states"][-1][1] == "DONE"


def test_another_triggerer_goes_on_with_the_course(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch)

    async def leg(begin: float) -> None:
        kept = KeptInTriggerer(TI, Progress(ID, "v2"))
        watch(kept, begin, share=begin / 1000)
        await kept.flush()

    asyncio.run(leg(100.0))
    asyncio.run(leg(200.0))
    assert [point[0] for point in store.value["course"]] == [100.0, 200.0]


def test_a_store_that_is_out_of_order_does_not_hold_up_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch)
    store.error = RuntimeError("no")

    async def leg() -> None:
        kept = KeptInTriggerer(TI, Progress(ID, "v2"))
        watch(kept, 1.0)
        await asyncio.wait_for(kept.flush(), 2)

    asyncio.run(leg())


def test_a_supervisor_that_is_silent_does_not_hold_up_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    Store(monkeypatch)
    monkeypatch.setattr(kept_progress, "PATIENCE", 0.05)

    async def silent(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(kept_progress, "xcom_in_triggerer", silent)

    async def leg() -> None:
        kept = KeptInTriggerer(TI, Progress(ID, "v2"))
        watch(kept, 1.0)
        await asyncio.wait_for(kept.flush(), 2)

    asyncio.run(leg())


def test_a_thousand_triggers_write_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch)
    monkeypatch.setattr(kept_progress, "GAP", 0.01)

    async def all_of_them() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        every = [KeptInTriggerer(TI, Progress(ID, "v2")) for _ in range(50)]
        for kept in every:
            watch(kept, 1.0)
        await asyncio.gather(*(kept.flush() for kept in every))
        return loop.time() - began

    assert asyncio.run(all_of_them()) > 0.4
    assert store.writes >= 50
