"""On 2.11 Airflow's tables tell when the first try of a task began: they bound the search after a clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy

from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS
from airflow_sentinelhub._compat.tasks import first_begin
from airflow_sentinelhub._identity import SKEW, earliest, mark_for
from tests.airflow.home import have_own_tables

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
old = pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="a task of Airflow 3 cannot read the tables")


def task(try_number: Any = 3, map_index: int = -1, **more: Any) -> Any:
    where = {"dag_id": "maps", "run_id": "run", "task_id": "job", "map_index": map_index}
    return SimpleNamespace(**where, try_number=try_number, max_tries=4, start_date=NOON + 60 * DAY, **more)


@pytest.fixture
def put() -> Iterator[Callable[..., None]]:
    """Writes an old try into the tables."""
    have_own_tables()
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.utils.session import create_session

    table = TaskInstanceHistory.__table__

    def write(number: int, begin: datetime | None, **more: Any) -> None:
        where = {"dag_id": "maps", "run_id": "run", "task_id": "job", "map_index": -1, **more}
        with create_session() as session:
            session.execute(sqlalchemy.text("PRAGMA foreign_keys=OFF"))
            row = {**where, "try_number": number, "start_date": begin, "pool": "p", "pool_slots": 1}
            session.execute(table.insert(), row)

    yield write
    with create_session() as session:
        session.execute(table.delete())


@old
def test_after_a_clear_the_search_goes_back_to_the_begin_of_the_first_try(put: Callable[..., None]) -> None:
    put(1, NOON)
    put(2, NOON + 9 * DAY)
    put(1, NOON - 9 * DAY, task_id="other")
    put(1, NOON - 9 * DAY, run_id="other")
    put(1, NOON - 9 * DAY, map_index=4)
    assert first_begin(task()) == NOON
    run = SimpleNamespace(start_date=NOON + 59 * DAY, queued_at=NOON + 59 * DAY, clear_number=1)
    context = {"ti": task(), "dag_run": run}
    assert earliest(context, mark_for(context)) == NOON - SKEW


@old
def test_a_try_that_was_never_run_has_no_begin_and_a_later_one_may_have_the_earliest(put: Callable[..., None]) -> None:
    put(1, None)
    put(2, NOON + DAY)
    assert first_begin(task()) == NOON + DAY
    assert first_begin(task(try_number=2)) is not None


@old
@pytest.mark.parametrize("known", [(), (1,), (2,), (1, 3)])
def test_a_try_that_misses_in_the_tables_could_have_been_the_first(known: Any, put: Callable[..., None]) -> None:
    for number in known:
        put(number, NOON + number * DAY)
    assert first_begin(task()) is None


@old
def test_a_clock_that_was_set_back_between_tries(put: Callable[..., None]) -> None:
    put(1, NOON)
    put(2, NOON - DAY)
    assert first_begin(task()) == NOON - DAY


@old
@pytest.mark.parametrize(
    "error", [RuntimeError("no direct access"), sqlalchemy.exc.OperationalError("x", {}, Exception())]
)
def test_a_worker_that_is_kept_from_the_tables_searches_further(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept_from() -> Any:
        raise error

    monkeypatch.setattr("airflow.utils.session.create_session", kept_from)
    assert first_begin(task()) is None


@pytest.mark.parametrize("number", [None, 1, 0, "2", 2.0])
def test_a_first_try_and_an_unknown_number_ask_for_nothing(number: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow.utils.session.create_session", lambda: pytest.fail("asked"))
    assert first_begin(task(try_number=number)) is None


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="2.11 has the tables")
def test_airflow_3_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow.utils.session.create_session", lambda: pytest.fail("asked"))
    assert first_begin(task()) is None
