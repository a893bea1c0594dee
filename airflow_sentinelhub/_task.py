"""What our operators and sensors share: the connection, the identity of the task, errors as Airflow wants them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_sentinelhub._compat import (
    DEFERRAL_FAILED,
    AirflowFailException,
    AirflowSkipException,
    conf,
    deferral_error,
)
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub.exceptions import ApiError, DeadlineError, JobError, SentinelHubError, StillRunningError
from airflow_sentinelhub.links import push_link

if TYPE_CHECKING:
    from airflow_sentinelhub.api.call import Call, Flow
    from airflow_sentinelhub.api.paging import Page
    from airflow_sentinelhub.api.service.generations import Generation
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

T = TypeVar("T")

_LEFT_ALONE = (
    "The request was left alone: if it was started, it runs on and bills. A retry of this task attaches to it again."
)
BACKSTOP = 300.0
"""Seconds after our own deadline at which Airflow's deferral timeout ends a wait whose trigger is gone."""

REQUEST_ID_KEY = "request_id"
"""XCom key under which the id of the request is pushed the moment it is known."""


ORIGIN_KEY = "sentinelhub_request"
"""XCom key of the request's id with its generation and deployment: what a wait that Airflow breaks off is about."""


@contextmanager
def airflow_errors(task: SentinelHubTask | None = None) -> Iterator[None]:
    """Turn errors that another try cannot mend into `AirflowFailException`, so that Airflow does not retry.

    Not while a request of the task is at work, or may be: then another try attaches to it, and the error says so.
    """
    try:
        yield
    except SentinelHubError as err:
        if err.skip:
            raise AirflowSkipException(str(err)) from None
        job: Snapshot | None = err.snapshot or (task.known if task and not err.retry_helps else None)
        at_work = job if job is not None and job.started and not job.status.is_final else None
        if err.retry_helps and (at_work is None or at_work.request_id in str(err)):
            raise
        if at_work is not None:
            raise StillRunningError(_with_fate(err, at_work), request_id=at_work.request_id, snapshot=at_work) from err
        if task is not None and job is None and task.may_have_started(err):
            about = f"Batch request {task.about}" if task.about else "A batch request of this task"
            raise StillRunningError(
                f"{err} {about} may be at work: its state could not be read. It was left alone; if it was started, it "
                "runs on and bills. A retry of this task looks at it again.",
                request_id=task.about or "",
            ) from err
        if job is not None and job.status.value in ("DONE", "PARTIAL") and not isinstance(err, JobError):
            raise StillRunningError(
                f"{err} Batch request {job.request_id} is {job.status} and paid. Mend this; a retry of this task "
                "judges it, while a clear would run the job anew.",
                request_id=job.request_id,
                snapshot=job,
            ) from err
        if job is not None:
            raise AirflowFailException(_with_fate(err, job)) from err
        number = task.about if task is not None else None
        left = f" Batch request {number} was left alone; if it was started, it runs on and bills." if number else ""
        raise AirflowFailException(f"{err}{left}") from err


def _with_fate(err: SentinelHubError, job: Snapshot) -> str:
    """What the error says, and what becomes of the request if it does not say that itself."""
    from airflow_sentinelhub.api.decide.verdict import fate

    said = str(err)
    running = job.started and not job.status.is_final
    if job.request_id in said and not running:
        return said
    retry = " A retry of this task attaches to it again." if running else ""
    return f"{said} Batch request {job.request_id} is {job.status}. {fate(job)}{retry}"


def waited_in(event: Any) -> int | None:
    """The number of the try that has waited for this event, None where it is not told."""
    state = event.get("resume_state") if isinstance(event, dict) else None
    number = state.get("tried") if isinstance(state, dict) else None
    return number if isinstance(number, int) else None


class SentinelHubTask:
    """Mixed into operators and sensors that have `sentinelhub_conn_id` and `batch_api`."""

    sentinelhub_conn_id: str
    batch_api: str | None
    max_unknown_time: float = 1800.0

    about: str | None = None
    """Id of the request that this task is about, as soon as it is known."""
    known: Snapshot | None = None
    """The last reading of the request that this task answers for."""
    _may_have_started = False
    _tried = 1
    _pinned: tuple[str, dict[str, str]] | None = None

    @cached_property
    def hook(self) -> SentinelHubHook:
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

        return SentinelHubHook(self.sentinelhub_conn_id, place=self._pinned[1] if self._pinned else None)

    @property
    def api(self) -> Generation:
        """The generation this task talks to: that of its request, else its own `batch_api`, else the connection's."""
        return self.hook.generation(self._pinned[0] if self._pinned else self.batch_api)

    def pin(self, batch_api: str, place: dict[str, str] | None = None) -> None:
        """From now on talk to this generation, at this place: the request is there, whatever was edited since."""
        here = self.hook.settings.place()
        self._pinned = (batch_api, place or here)
        if self._pinned[1] != here:
            self.__dict__.pop("hook", None)  # else the flow that is being run can still be interrupted

    def may_have_started(self, err: SentinelHubError) -> bool:
        """Whether a request that this task answers for may be at work although nothing was read of it."""
        return self._may_have_started or (self.about is not None and isinstance(err, ApiError))

    def patiently(
        self,
        flow: Callable[[], Flow[T]],
        request_id: str | None = None,
        about: str | None = None,
        *,
        refused: bool = False,
    ) -> T:
        """Run a flow, again and again while the service is out of reach, for `max_unknown_time` (see `outlast`)."""
        from airflow_sentinelhub.api.flows.read import outlast

        return self.hook.run(outlast(flow, self.max_unknown_time, request_id, about, refused=refused))

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

        from airflow_sentinelhub.api.flows.read import outlast
        from airflow_sentinelhub.api.flows.reread import every

        items: list[T] = []
        page = partial(outlast, seconds=self.max_unknown_time, request_id=request_id, about=about)
        self.hook.run(every(list_page, items.append, page))
        return items

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """As Airflow's, but a wait that Airflow or the trigger has broken off is said in our words.

        Airflow's timeout comes some minutes after our deadline, when no triggerer was there to see that: what the
        trigger would have done to the request is done here.
        """
        self._tried = tried(context)
        ti = context["ti"]
        origin = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, key=ORIGIN_KEY)
        origin = origin if isinstance(origin, dict) else {}
        if next_method != DEFERRAL_FAILED:
            if waited_in((next_kwargs or {}).get("event")) in (None, self._tried):
                return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
            return self._begin_anew(context)
        if not origin and self._tried > 1:  # a try that has deferred has said what it waits for
            return self._begin_anew(context)
        with airflow_errors(self):
            why = deferral_error(next_kwargs)
            about = origin.get("request_id") or getattr(self, "request_id", None)
            left = f"Airflow broke off the wait for batch request {about} ({why})."
            if "timeout" not in why.lower():
                raise SentinelHubError(f"{left} {_LEFT_ALONE}")
            if not origin or not getattr(self, "cancel_on_timeout", False):
                raise DeadlineError(f"{left} The time allowed is over. {_LEFT_ALONE}")
            self._end_at_deadline(left, origin)
        return self._begin_anew(context)

    def _begin_anew(self, context: Any) -> Any:
        """Run from the beginning: the request is at its end, or the event is of another try (Airflow 3.0 does that)."""
        return self.execute(context)  # type: ignore[attr-defined]

    def _end_at_deadline(self, left: str, origin: dict[str, Any]) -> None:
        """End the request at its deadline; returns if it had reached its own end by then, which is to be judged.

        :raises DeadlineError: it was ended, or could not be.
        """
        from airflow_sentinelhub.api.decide.verdict import fate
        from airflow_sentinelhub.api.flows.actions import end

        request_id = str(origin["request_id"])
        try:
            self.pin(str(origin["batch_api"]), origin.get("place"))
            job = self.patiently(lambda: end(self.api, request_id), request_id, refused=True)
        except SentinelHubError as err:
            raise DeadlineError(
                f"{left} The time allowed is over, and the request could not be ended: {err}", request_id=request_id
            ) from err
        if job.status.value in ("DONE", "PARTIAL", "FAILED"):
            return
        error = DeadlineError(
            f"{left} The time allowed is over. Batch request {request_id} is {job.status}. {fate(job)}",
            request_id=request_id,
            snapshot=job,
        )
        error.retry_helps = not job.status.is_final
        raise error

    def announce(self, context: Any, request_id: str) -> None:
        """Push the request's id and address as soon as they are known, whatever becomes of the task."""
        self.about, self._tried = request_id, tried(context)
        context["ti"].xcom_push(key=REQUEST_ID_KEY, value=request_id)
        origin = {"request_id": request_id, "batch_api": self.api.name, "place": self.hook.settings.place()}
        context["ti"].xcom_push(key=ORIGIN_KEY, value=origin)
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
