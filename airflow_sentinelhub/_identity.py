"""Who a try is: the marker of its task, and what is kept of its request for the tries that come after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_sentinelhub._compat import airflow_url, conf, start_of_run

if TYPE_CHECKING:
    from airflow_sentinelhub.api.decide.marker import Mark


def deployment_name() -> str:
    """What tells this Airflow from its copies and is the same on all of its machines: `[sentinelhub] deployment`."""
    return str(conf.get("sentinelhub", "deployment", fallback=None) or "")


def airflow_word() -> str | None:
    """A digest of this Airflow's base URL, None where it has none of its own or a name is set.

    It is no part of the identity: a machine may lack the setting, and would not find the request of another.
    """
    from airflow_sentinelhub.api.decide.marker import short_digest

    url = airflow_url()
    if deployment_name() or not url or _is_local(url):
        return None
    return short_digest(url.rstrip("/"))


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or url) in ("localhost", "127.0.0.1", "0.0.0.0", "::1")


def could_be_any_airflow() -> bool:
    """Whether nothing but the times of its runs tells this Airflow from its copies."""
    return not deployment_name() and airflow_word() is None


def tried(context: Any) -> int:
    """The number of this try, from 1."""
    number = getattr(context["ti"], "try_number", 1)
    return number if isinstance(number, int) and number > 0 else 1


def mark_for(context: Any, job: str = "", limit: float | None = None) -> Mark:
    """The marker of this try for a job with this digest; see `api.marker.relation` for what its numbers mean.

    :param limit: PU that the job may cost.
    """
    from airflow_sentinelhub.api.decide.marker import Mark, identity

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
    )
    return replace(mark, fresh=_is_over(context, mark))


_STORE_KEY = "sentinelhub_request"


@dataclass(frozen=True)
class Kept:
    """What an earlier try of this round has written down: a request, its generation, and where it is.

    :param place: see `transport.settings.Settings.place`.
    """

    request_id: str
    batch_api: str
    place: dict[str, str]


def remember(context: Any, mark: Mark, kept: Kept, *, over: bool = False) -> None:
    """Keep the request where the next try finds it without a search: Airflow 3.3's task state store.

    It outlives a success, a clear and the run itself, so the round stands beside the request.

    :param over: the task has ended, so that it runs again only if it is cleared.
    """
    store = context.get("task_state_store")
    if store is not None:
        what = {"request_id": kept.request_id, "batch_api": kept.batch_api, "place": kept.place}
        store.set(_STORE_KEY, {**what, "marker": str(mark), "over": over})


def remembered(context: Any, mark: Mark) -> Kept | None:
    """What an earlier try of this round has kept, None if there is nothing or no store (before 3.3)."""
    from airflow_sentinelhub.api.decide.marker import Relation, relation

    kept, its = _stored(context)
    return _kept(kept) if its is not None and relation(its, mark) is Relation.SAME else None


def kept_before(context: Any, mark: Mark) -> Kept | None:
    """What a try of a round before has kept, None if there is nothing."""
    from airflow_sentinelhub.api.decide.marker import Relation, relation

    kept, its = _stored(context)
    return _kept(kept) if its is not None and relation(its, mark) is Relation.EARLIER else None


def _kept(kept: dict[str, Any]) -> Kept | None:
    """None for a note of another version, with other members: then the request is searched for, by its marker."""
    request_id, batch_api, place = kept.get("request_id"), kept.get("batch_api"), kept.get("place") or {}
    if not isinstance(place, dict) or not (request_id and batch_api):
        return None
    if not all(isinstance(text, str) for text in (request_id, batch_api, *place.values())):
        return None
    return Kept(request_id, batch_api, dict(place))


def _is_over(context: Any, mark: Mark) -> bool:
    """Whether the task is known to have ended in a round with this number, and the run to be cleared since."""
    from airflow_sentinelhub.api.decide.marker import cleared_since

    kept, its = _stored(context)
    return its is not None and bool(kept.get("over")) and its.round == mark.round and cleared_since(its, mark)


def _stored(context: Any) -> tuple[dict[str, Any], Mark | None]:
    from airflow_sentinelhub.api.decide.marker import mark_of

    store = context.get("task_state_store")
    kept: Any = store.get(_STORE_KEY) if store is not None else None
    marker = kept.get("marker") if isinstance(kept, dict) else None
    return (kept, mark_of(marker)) if isinstance(marker, str) else ({}, None)
