"""What our operators and sensors share: the connection, the identity of the task, errors as Airflow wants them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from airflow_sentinelhub._compat import AirflowFailException, airflow_urls, conf
from airflow_sentinelhub.exceptions import DeadlineError, SentinelHubError
from airflow_sentinelhub.links import push_link

if TYPE_CHECKING:
    from airflow_sentinelhub.api.call import Call, Flow
    from airflow_sentinelhub.api.generations import Generation
    from airflow_sentinelhub.api.marker import Mark
    from airflow_sentinelhub.api.paging import Page
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

T = TypeVar("T")

BACKSTOP = 300.0
"""Seconds after our own deadline at which Airflow's deferral timeout ends a wait whose trigger is gone."""

REQUEST_ID_KEY = "request_id"
"""XCom key under which the id of the request is pushed the moment it is known."""


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Turn errors that another try cannot mend into `AirflowFailException`, so that Airflow does not retry."""
    try:
        yield
    except SentinelHubError as err:
        if err.retry_helps:
            raise
        raise AirflowFailException(str(err)) from err


def deployment_name() -> str:
    """What tells this Airflow from its copies: `[sentinelhub] deployment`, else the base URLs it is configured with."""
    named = conf.get("sentinelhub", "deployment", fallback=None)
    if named:
        return str(named)
    return " ".join(str(url) for url in airflow_urls() if url)


def could_be_any_airflow(name: str) -> bool:
    """Whether a deployment's name is nothing, or addresses that every Airflow has for itself."""
    hosts = {urlsplit(part).hostname or part for part in name.split()}
    return hosts <= {"localhost", "127.0.0.1", "0.0.0.0", "::1"}


def round_of(context: Any, retries: int) -> int:
    """The number of tries used before the task was last cleared: constant over automatic retries."""
    ti = context["ti"]
    return max(0, int(getattr(ti, "max_tries", 0) or 0) - int(retries or 0))


def mark_for(context: Any, retries: int, job: str) -> Mark:
    """The marker of this task instance for a job with this digest."""
    from airflow_sentinelhub.api.marker import Mark, identity

    ti = context["ti"]
    who = identity(deployment_name(), ti.dag_id, ti.run_id, ti.task_id, int(getattr(ti, "map_index", -1)))
    return Mark(who, round_of(context, retries), job)


_STORE_KEY = "sentinelhub_request"


def remember(context: Any, round_: int, request_id: str) -> None:
    """Keep the id where the next try finds it without a search: Airflow 3.3's task state store, which outlives tries.

    It outlives a success and a clear too, so the round stands beside the id.
    """
    store = context.get("task_state_store")
    if store is not None:
        store.set(_STORE_KEY, {"round": round_, "request_id": request_id})


def remembered(context: Any, round_: int) -> str | None:
    """The id that an earlier try of this round has kept, None if there is none or no store (before 3.3)."""
    store = context.get("task_state_store")
    kept = store.get(_STORE_KEY) if store is not None else None
    return str(kept["request_id"]) if isinstance(kept, dict) and kept.get("round") == round_ else None


class SentinelHubTask:
    """Mixed into operators and sensors that have `sentinelhub_conn_id` and `batch_api`."""

    sentinelhub_conn_id: str
    batch_api: str | None
    max_unknown_time: float = 1800.0

    @cached_property
    def hook(self) -> SentinelHubHook:
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

        return SentinelHubHook(self.sentinelhub_conn_id)

    @property
    def api(self) -> Generation:
        """The generation this task talks to: its own `batch_api`, else the connection's."""
        return self.hook.generation(self.batch_api)

    def patiently(self, flow: Callable[[], Flow[T]], request_id: str | None = None, about: str | None = None) -> T:
        """Run a flow, again and again while the service is out of reach, for `max_unknown_time` (see `outlast`)."""
        from airflow_sentinelhub.api.flows import outlast

        return self.hook.run(outlast(flow, self.max_unknown_time, request_id, about))

    def all_items(
        self,
        list_page: Callable[[str | None], Call[Page[T]]],
        request_id: str | None = None,
        about: str | None = None,
    ) -> list[T]:
        """All items of a list; each page is waited out by itself, as `patiently` does.

        :param list_page: the call for the page with this token, such as `api.batch.list_tiles`.
        """
        from functools import partial

        from airflow_sentinelhub.api.flows import outlast
        from airflow_sentinelhub.api.unread import every

        items: list[T] = []
        page = partial(outlast, seconds=self.max_unknown_time, request_id=request_id, about=about)
        self.hook.run(every(list_page, items.append, page))
        return items

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """As Airflow's, but a wait that Airflow or the trigger has broken off is said in our words."""
        if next_method != "__fail__":
            return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
        with airflow_errors():
            why = str((next_kwargs or {}).get("error") or "Trigger failure")
            kind = DeadlineError if "timeout" in why.lower() else SentinelHubError
            about = getattr(self, "request_id", None) or context["ti"].xcom_pull(
                task_ids=context["ti"].task_id, key=REQUEST_ID_KEY
            )
            raise kind(
                f"Airflow broke off the wait for batch request {about} ({why}). The request was left alone: if it was "
                "started, it runs on and bills. A retry of this task attaches to it again."
            )

    def announce(self, context: Any, request_id: str) -> None:
        """Push the request's id and address as soon as they are known, whatever becomes of the task."""
        context["ti"].xcom_push(key=REQUEST_ID_KEY, value=request_id)
        push_link(context, self.hook.settings.url(self.api.get(request_id).path))


def checked_id(value: Any) -> str:
    """The id of a request as it came out of a template or an XCom.

    :raises InvalidInputError: it is not a UUID, which all ids of the service are.
    """
    from uuid import UUID

    from airflow_sentinelhub.exceptions import InvalidInputError

    text = value.get("request_id") if isinstance(value, dict) else value
    try:
        return str(UUID(str(text).strip()))
    except ValueError:
        raise InvalidInputError(
            f"request_id is {value!r}, which is no id of a batch request (a UUID such as "
            "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10). Does the task it comes from push it?"
        ) from None


def there(name: str, value: Any) -> Any:
    """A rendered argument that was given in the DAG, where None would have meant that it was not.

    :raises InvalidInputError: its template has come out as nothing.
    """
    from airflow_sentinelhub.exceptions import InvalidInputError

    if value is None or (isinstance(value, str) and value.strip() in ("", "None")):
        raise InvalidInputError(
            f"{name} is given in the DAG, but has come out as {value!r}; correct the template or XCom that it comes "
            f"from, or leave {name} out."
        )
    return value


def seconds(value: timedelta | float | None) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value


MARGIN_SHARE, MARGIN_MOST = 0.1, 15.0


def deadline_from(
    context: Any, timeout: timedelta | float | None, execution_timeout: timedelta | None, *, deferring: bool = False
) -> float | None:
    """The absolute end of a wait, in seconds since 1970; None if nothing bounds it.

    `timeout` counts from now, `execution_timeout` from the start of this try, as Airflow counts it. While a task is
    deferred Airflow 3 forgets `execution_timeout` and 2.11 ends the wait by itself without a word: our deadline comes
    a tenth of it (15 seconds at the most) earlier, so that the same happens on all versions.
    """
    ends = []
    if timeout is not None:
        ends.append(time.time() + float(seconds(timeout) or 0))
    if execution_timeout is not None:
        started = getattr(context["ti"], "start_date", None)
        began = started.timestamp() if isinstance(started, datetime) else time.time()
        allowed = execution_timeout.total_seconds()
        margin = min(allowed * MARGIN_SHARE, MARGIN_MOST) if deferring else 0.0
        ends.append(began + allowed - margin)
    return min(ends) if ends else None


def backstop(deadline: float | None) -> timedelta | None:
    """Airflow's own timeout for a deferral, behind our deadline: when it fires, none of our code runs."""
    return None if deadline is None else timedelta(seconds=max(deadline - time.time(), 0) + BACKSTOP)


def default_deferrable() -> bool:
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
