"""The identity of a try of a task: its marker, the dates of its run, and the request that earlier tries have stored."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from airflow_sentinelhub._compat import conf
from airflow_sentinelhub._compat.links import airflow_url
from airflow_sentinelhub._compat.tasks import first_begin, start_of_run
from airflow_sentinelhub.api.decide.marker import (
    Mark,
    Relation,
    cleared_since,
    dag_word,
    identity,
    mark_of,
    relation,
    short_digest,
    task_word,
)
from airflow_sentinelhub.api.decide.policy import policy_from
from airflow_sentinelhub.api.times import Run
from airflow_sentinelhub.exceptions import InvalidInputError


def deployment_name() -> str:
    """The unique name of this Airflow, the same on its machines: `[sentinelhub] deployment`; empty if not set."""
    return str(conf.get("sentinelhub", "deployment", fallback=None) or "")


PER_MONTH = "max_processing_units_per_month"


def month_by_default() -> str | None:
    """The budget of a month for each DAG (PU), by `[sentinelhub] max_processing_units_per_month`; None: no limit.

    :raises InvalidInputError: the option is not a number above 0; the message names the option, which no DAG contains.
    """
    budget = str(conf.get("sentinelhub", PER_MONTH, fallback=None) or "").strip() or None
    try:
        policy_from(max_processing_units_per_month=budget)
    except InvalidInputError as err:
        raise InvalidInputError(f"Airflow's configuration, section [sentinelhub]: {err}") from None
    return budget


def airflow_word() -> str | None:
    """A digest of this Airflow's base URL; None if the URL is not set or local, or if a deployment name is set.

    It is not part of the identity: a machine that lacks the setting would not find the requests of the others.
    """
    url = airflow_url()
    if deployment_name() or not url or _is_local(url):
        return None
    return short_digest(url.rstrip("/"))


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or url) in ("localhost", "127.0.0.1", "0.0.0.0", "::1")


def could_be_any_airflow() -> bool:
    """Whether only the start times of its runs distinguish this Airflow from others: no name, no base URL."""
    return not deployment_name() and airflow_word() is None


def tried(context: Any) -> int:
    """The number of this try, from 1."""
    number = getattr(context["ti"], "try_number", 1)
    return number if isinstance(number, int) and number > 0 else 1


def mark_for(context: Any, job: str = "", limit: float | None = None) -> Mark:
    """The marker of this try for a job with this digest; `api.decide.marker.relation` explains its numbers.

    :param limit: PU that the job may cost, None for no limit.
    """
    ti, run = context["ti"], context.get("dag_run")
    index = int(getattr(ti, "map_index", -1))
    round_ = int(getattr(ti, "max_tries", 0) or 0)
    start, clears = start_of_run(context), getattr(run, "clear_number", None)
    mark = Mark(
        identity(deployment_name(), ti.dag_id, ti.run_id, ti.task_id, index),
        round_,
        job,
        tried=tried(context),
        clears=clears if isinstance(clears, int) else None,
        born=round(start.timestamp() * 1_000_000) if start else None,
        airflow=airflow_word(),
        limit=limit,
        dag=dag_word(deployment_name(), ti.dag_id),
        task=task_word(deployment_name(), ti.dag_id, ti.task_id),
    )
    return replace(mark, ended=_ended_in(context, mark))


def mark_by_name(name: str, limit: float | None = None) -> Mark:
    """The marker of a job that runs outside of a task: all calls with this name share it.

    :param limit: PU that the job may cost, None for no limit.
    """
    return Mark(identity(deployment_name(), "", name, "", -1), 0, "", limit=limit)


SKEW = timedelta(hours=1)
"""Maximal difference of the clocks of Airflow and the service, chosen generously."""


def earliest(context: Any, mark: Mark) -> datetime | None:
    """The time before which no request of this task was created; None if it is not known.

    - The first try of a task, also in a run that was cleared before it came to this task, has no request from before
      it began, nor from before the run was started, however old the date of the run is.
    - For a later try of a catch-up run the first one has stored that time where Airflow has a store (3.3), see
      `note_begin`. That outlasts clears, and that a user sets the run to queued; so does `run_after` in other runs.
    - On 2.11 the tables tell when each earlier try began, see `first_begin`.
    - Without either a run that was never cleared has no request from before its start. A clear changes all times of the
      run except `run_after` (Airflow 3), which is as old as the date of a catch-up run. On 2.11 every time changes:
      if the tables lack a try, only the number of pages bounds the search after a clear.
    """
    run = context.get("dag_run")
    if (begun := _first_begin(context) or _begin(context) or first_begin(context["ti"])) is not None:
        return begun - SKEW
    lasting, start = getattr(run, "run_after", None), getattr(run, "start_date", None)
    if mark.clears == 0 and isinstance(start, datetime) and context.get("task_state_store") is None:
        return start - SKEW
    if mark.clears and not isinstance(lasting, datetime):
        return None
    times: list[Any] = [lasting, start, getattr(run, "queued_at", None)]
    known = [time for time in times if isinstance(time, datetime)]
    return min(known) - SKEW if known else None


def _begin(context: Any) -> datetime | None:
    """When the first try of a task began, for that try itself; None for a later one, or if that is not known."""
    ti = context["ti"]
    times = [getattr(ti, "start_date", None), getattr(context.get("dag_run"), "start_date", None)]
    known = [time for time in times if isinstance(time, datetime)]
    return min(known) if getattr(ti, "try_number", None) == 1 and len(known) == len(times) else None


_BEGIN_KEY = "sentinelhub_begin"
LONG_BEFORE = timedelta(days=1)
"""How much older than its start the date of a run may be for its use as a bound of the search."""


def note_begin(context: Any) -> None:
    """Store when the first try of a task began (Airflow 3.3), before it creates anything. See `earliest`.

    Only for a run whose `run_after`, which outlasts a clear too, is much older: a catch-up run. What is stored already
    stays: a copy of the first try that runs later must not hide what the first has created.
    """
    store, begun = context.get("task_state_store"), _begin(context)
    lasting = getattr(context.get("dag_run"), "run_after", None)
    if store is None or begun is None or (isinstance(lasting, datetime) and begun - lasting < LONG_BEFORE):
        return
    if _first_begin(context) is None:
        store.set(_BEGIN_KEY, begun.isoformat())


def _first_begin(context: Any) -> datetime | None:
    """What `note_begin` has stored; None without a store, or for what is no time with its zone."""
    store = context.get("task_state_store")
    kept: Any = store.get(_BEGIN_KEY) if store is not None else None
    try:
        begun = datetime.fromisoformat(kept)
    except (TypeError, ValueError):
        return None
    return begun if begun.tzinfo is not None else None


def run_of(context: Any) -> Run:
    """The run of the DAG that a task belongs to, for time ranges.

    Its moment is the end of the data interval, else the logical date, else `run_after`. A retry or a clear changes none
    of them: 2.11 has the first two for every run, Airflow 3 has the third for every run. If none is known, it is the
    start of the run, which a clear changes.
    """
    start, end = _known(context, "data_interval_start"), _known(context, "data_interval_end")
    others = (_known(context, name) for name in ("logical_date", "run_after", "start_date"))
    return Run(
        interval=(start, end) if start and end else None,
        moment=end or next((moment for moment in others if moment), None),
        now=datetime.fromtimestamp(time.time(), tz=timezone.utc),
    )


def _known(context: Any, name: str) -> datetime | None:
    """A date from the context, else from the run: on Airflow 3 the context lacks dates without a logical date."""
    for value in (context.get(name), getattr(context.get("dag_run"), name, None)):
        if isinstance(value, datetime):
            return value
    return None


_STORE_KEY = "sentinelhub_request"


@dataclass(frozen=True)
class Kept:
    """What an earlier try has stored: a request, its generation, and its deployment.

    :param place: see `transport.settings.Settings.place`.
    """

    request_id: str
    batch_api: str
    place: dict[str, str]


def remember(context: Any, mark: Mark, kept: Kept, *, over: bool = False) -> None:
    """Store the request in Airflow 3.3's task state store, where the next try finds it without a search.

    The entry stays after a success, a clear and even the run, so the marker with the round is stored with it.

    :param over: the task has ended, so that it runs again only if it is cleared.
    """
    store = context.get("task_state_store")
    if store is not None:
        what = {"request_id": kept.request_id, "batch_api": kept.batch_api, "place": kept.place}
        store.set(_STORE_KEY, {**what, "marker": str(mark), "over": over})


def remembered(context: Any, mark: Mark) -> Kept | None:
    """The entry that an earlier try of this round has stored, None if there is none or no store (before 3.3)."""
    kept, stored_mark = _stored(context)
    return _kept(kept) if stored_mark is not None and relation(stored_mark, mark) is Relation.SAME else None


def kept_before(context: Any, mark: Mark) -> Kept | None:
    """The entry that a try of an earlier round has stored, None if there is none."""
    kept, stored_mark = _stored(context)
    return _kept(kept) if stored_mark is not None and relation(stored_mark, mark) is Relation.EARLIER else None


def _kept(kept: dict[str, Any]) -> Kept | None:
    """None for a note of another version, with other members: then the request is searched for, by its marker."""
    request_id, batch_api, place = kept.get("request_id"), kept.get("batch_api"), kept.get("place") or {}
    if not isinstance(place, dict) or not (request_id and batch_api):
        return None
    if not all(isinstance(text, str) for text in (request_id, batch_api, *place.values())):
        return None
    return Kept(request_id, batch_api, dict(place))


def _ended_in(context: Any, mark: Mark) -> int | None:
    """The try that by the store has ended the task in a round with this number, if the run was cleared since."""
    kept, stored_mark = _stored(context)
    if stored_mark is None or not kept.get("over") or stored_mark.round != mark.round:
        return None
    return stored_mark.tried if cleared_since(stored_mark, mark) else None


def _stored(context: Any) -> tuple[dict[str, Any], Mark | None]:
    store = context.get("task_state_store")
    kept: Any = store.get(_STORE_KEY) if store is not None else None
    marker = kept.get("marker") if isinstance(kept, dict) else None
    return (kept, mark_of(marker)) if isinstance(marker, str) else ({}, None)
