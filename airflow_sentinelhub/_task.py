"""Base of our operators and sensors: the connection, the deadline, and errors as Airflow expects them."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    mapped_over,
)
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._types import Rendered
from airflow_sentinelhub.api.arguments import KINDS, check_literal, check_word, request_id, taken, templates_told
from airflow_sentinelhub.api.call import Call, Flow
from airflow_sentinelhub.api.decide.verdict import ended_by_itself, fate, is_paid
from airflow_sentinelhub.api.flows.actions import end
from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.flows.read import if_answered, left_alone, outlast
from airflow_sentinelhub.api.flows.reread import every
from airflow_sentinelhub.api.paging import Page
from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import (
    ApiError,
    AuthenticationError,
    DeadlineError,
    InvalidInputError,
    JobError,
    SentinelHubError,
    StillRunningError,
)
from airflow_sentinelhub.kept_progress import KeptInWorker
from airflow_sentinelhub.links import ORIGIN_KEY as ORIGIN_KEY
from airflow_sentinelhub.links import push_link

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

T = TypeVar("T")

_LEFT_ALONE = (
    "The request was left alone: if it was started, it runs on and bills. A retry of this task attaches to it again."
)
BACKSTOP = 300.0
"""Seconds after our own deadline at which Airflow's deferral timeout ends a wait without a running trigger."""

_UNDEFINED = ("jinja2.runtime", "Undefined")
"""Module and name of the class of what Jinja has not found; each use of such an object fails."""

REQUEST_ID_KEY = "request_id"
"""XCom key under which the id of the request is pushed the moment it is known."""


class CredentialsRefused(AirflowFailException, AuthenticationError):
    """The service refuses the credentials: final for Airflow, and still an `AuthenticationError`.

    It takes the place of the error that it is made of, so that the log shows one traceback, that of the message.
    """


@contextmanager
def airflow_errors(task: SentinelHubTask | None = None) -> Iterator[None]:
    """Turn errors that a retry cannot fix into `AirflowFailException`, so that Airflow does not retry.

    If a request of the task is running, or may be, the error stays retryable (`StillRunningError`): the retry attaches
    to the request.
    """
    try:
        yield
    except AirflowFailException:
        raise  # it was turned into one before
    except SentinelHubError as err:
        if err.skip:
            raise AirflowSkipException(str(err)) from None
        job: Snapshot | None = err.snapshot or (task.known if task and not err.retry_helps else None)
        at_work = job if job is not None and job.started and not job.status.is_final else None
        if err.retry_helps and (at_work is None or at_work.request_id in str(err)):
            raise
        cause = None if isinstance(err, AuthenticationError) else err  # its traceback tells nothing more
        if at_work is not None:
            raise StillRunningError(
                _with_fate(err, at_work), request_id=at_work.request_id, snapshot=at_work
            ) from cause
        if task is not None and job is None and task.may_have_started(err):
            about = f"Batch request {task.about}" if task.about else "A batch request of this task"
            raise StillRunningError(
                f"{err} {about} may be running: its state could not be read. It was left alone; if it was started, it "
                "runs on and bills. A retry of this task looks at it again.",
                request_id=task.about or "",
            ) from cause
        if job is not None and is_paid(job) and not isinstance(err, JobError):
            raise StillRunningError(
                f"{err} Batch request {job.request_id} is {job.status} and paid. Correct the error; a retry of this "
                "task then judges the results, while a clear would run the job anew.",
                request_id=job.request_id,
                snapshot=job,
            ) from cause
        message = str(err)
        if isinstance(err, InvalidInputError) and task is not None:
            message += task.templates_told(message)
        if job is not None:
            message += _with_fate(err, job).removeprefix(str(err))
        elif task is not None and task.about:
            message += f" Batch request {task.about} was left alone; if it was started, it runs on and bills."
        raise _final(err, message) from cause


def _final(err: SentinelHubError, message: str) -> AirflowFailException:
    """The error with this message that Airflow does not retry."""
    if not isinstance(err, AuthenticationError):
        return AirflowFailException(message)
    refused = CredentialsRefused(
        message, status=err.status, reason=err.reason, code=err.code, about=err.about, body=err.body
    )
    refused.snapshot = err.snapshot
    return refused


def _with_fate(err: SentinelHubError, job: Snapshot) -> str:
    """The error's message, and the state of the request if the message does not name it."""

    message = str(err)
    running = job.started and not job.status.is_final
    if job.request_id in message and not running:
        return message
    retry = " A retry of this task attaches to it again." if running else ""
    return f"{message} Batch request {job.request_id} is {job.status}. {fate(job)}{retry}"


def waited_in(event: Any) -> int | None:
    """The number of the try whose trigger has sent this event, None if the event does not contain it."""
    state = event.get("resume_state") if isinstance(event, dict) else None
    try_number = state.get("tried") if isinstance(state, dict) else None
    return try_number if isinstance(try_number, int) else None


class SentinelHubTask:
    """Mixed into operators and sensors that have `sentinelhub_conn_id` and `batch_api`."""

    sentinelhub_conn_id: Rendered[str]
    batch_api: Rendered[str | None]
    max_unknown_time: Rendered[float]
    """Given in any form; in seconds once `take_arguments` has run, as all times."""
    words: Mapping[str, Sequence[str | None]] = {}
    """Arguments that are one of some words each, and these words; None among them means all."""
    limits: Sequence[str] = ()
    """Names of arguments that `take_arguments` leaves as they are: they are read together, by `decide.policy`."""

    _in_dag: Mapping[str, Any] = {}
    about: str | None = None
    """Id of the task's request, as soon as it is known."""
    known: Snapshot | None = None
    """The last reading of the request that this task is responsible for."""
    progress: KeptInWorker | None = None
    """What this task has read of its request, for the page of the job; None until the request is known."""
    _may_have_started = False
    _tried = 1
    _old = _resumed = False
    _id_in_dag: Any = None
    _rendered_id: Any = None
    _pinned: tuple[str, dict[str, str]] | None = None

    if TYPE_CHECKING:

        @property
        def output(self) -> Any:
            """The result of the task, as an argument of other tasks.

            Airflow calls it an XComArg. It is given to functions under `@task`, whose parameters have the type of the
            result, and `output["request_id"]` is one, too: for a type checker it may be anything.
            """

    @property
    def request_id(self) -> Any:
        """Id of the request that the task is about, where it is given one.

        The first value is that of the DAG, the later ones come from Airflow's rendering.
        """
        return self._rendered_id

    @request_id.setter
    def request_id(self, value: Any) -> None:
        if self._id_in_dag is None:
            self._id_in_dag = value
        self._rendered_id = value

    def without_request(self) -> Any:
        """A copy of the task, as if the DAG had given it no `request_id`: its job is then one of its own."""
        task: Any = self.prepare_for_execution()  # type: ignore[attr-defined]
        task._id_in_dag = task._rendered_id = None
        task._in_dag = {name: value for name, value in task._in_dag.items() if name != "request_id"}
        return task

    def is_old(self, context: Any) -> bool:
        """Whether the given request was there before this run, so that no 404 comes from a reading that lags.

        Only an id that is written in the DAG itself is known to be old, and only in a task that no other one comes
        before: what a template renders to may have been created a moment ago, by a task upstream or by whatever has
        triggered the run. A retry waits as long as for a new request, in case a file of the DAG gets its id elsewhere.
        """
        written = isinstance(self._id_in_dag, str) and self._id_in_dag == self._rendered_id
        in_dag = getattr(self, "has_dag", lambda: False)() and not getattr(self, "upstream_task_ids", None)
        mapped = getattr(context["ti"], "map_index", -1) >= 0
        return written and in_dag and not mapped and tried(context) <= 1

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Like Airflow's `partial`, but checks literal arguments while the DAG is parsed, not only in the run."""
        with naming_task(kwargs.get("task_id")):
            for name, value in kwargs.items():
                check_literal(name, value)
            _check_generation(kwargs.get("batch_api"))
            cls._check_words(kwargs)
        return super().partial(**kwargs)  # type: ignore[misc]

    @contextmanager
    def literals(self) -> Iterator[None]:
        """Check the arguments that stand in the DAG while that is parsed, and name the task in the error.

        It is entered at the end of each `__init__`; the checks of the operator itself stand in it.

        :raises InvalidInputError: an argument that is no template cannot be right.
        """
        given = self._given()
        self._in_dag = {name: value for name, value in given.items() if value is not None}
        with naming_task(getattr(self, "task_id", None)):
            for name, value in given.items():
                check_literal(name, value)
            _check_generation(given.get("batch_api"))
            self._check_words(given)
            yield

    @classmethod
    def _check_words(cls, given: Mapping[str, Any]) -> None:
        """:raises InvalidInputError: an argument that is one of some words is another one."""
        for name, words in cls.words.items():
            if name in given:
                check_word(name, given[name], words)

    def _given(self) -> dict[str, Any]:
        """The arguments and their values. `request_id` is a property, which not every task has."""
        named = self._rendered_id is not None or "request_id" in self._in_dag
        values = vars(self) | ({"request_id": self._rendered_id} if named else {})
        return {name: value for name, value in values.items() if name in KINDS}

    def templates_told(self, message: str) -> str:
        """What to add to a message about arguments, see `api.arguments`; it holds templates, and no value."""
        return templates_told(message, self._given(), self._in_dag)

    def check_arguments(self) -> None:
        """`literals` for an operator that has no further checks."""
        with self.literals():
            pass

    def render_template(
        self, content: Any, context: Any, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Like Airflow's, but what is undefined is None: out of a native rendering it would fail at any use."""
        rendered = super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]
        undefined = any((kind.__module__, kind.__name__) == _UNDEFINED for kind in type(rendered).__mro__)
        return None if undefined else rendered

    def take_arguments(self) -> None:
        """Replace what templates have rendered to by what the arguments want, such as text by a number.

        It is the first thing that each `execute` does; see `api.arguments`.

        :raises InvalidInputError: a template has rendered to what the argument cannot be.
        """
        self._in_dag = {**self._in_dag, **{name: it for name, it in mapped_over(self).items() if name in KINDS}}
        for name, value in self._given().items():
            if name not in self.limits:
                read = taken(name, value, self._in_dag.get(name))
                if read is not value:
                    setattr(self, name, read)
        _check_generation(self.batch_api)
        self._check_words(self._given())
        if getattr(self, "deferrable", True) is None:
            self.deferrable = default_deferrable()

    @cached_property
    def hook(self) -> SentinelHubHook:
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

        return SentinelHubHook(self.sentinelhub_conn_id, place=self._pinned[1] if self._pinned else None)

    @property
    def api(self) -> Generation:
        """The generation that this task uses: that of its request, else its own `batch_api`, else the connection's."""
        return self.hook.generation(self._pinned[0] if self._pinned else self.batch_api)

    def pin(self, batch_api: str, place: dict[str, str] | None = None) -> None:
        """Use this generation and deployment from now on: the request is there, even if the connection was edited."""
        here = self.hook.settings.place()
        self._pinned = (batch_api, place or here)
        if self._pinned[1] != here:
            self.__dict__.pop("hook", None)  # otherwise the hook is kept, so that its running flow can be interrupted

    def may_have_started(self, err: SentinelHubError) -> bool:
        """Whether a request that this task is responsible for may be running although it was not read."""
        return self._may_have_started or (self.about is not None and isinstance(err, ApiError))

    def patiently(
        self,
        flow: Callable[[], Flow[T]],
        request_id: str | None = None,
        about: str | None = None,
        *,
        refused: bool = False,
    ) -> T:
        """Run a flow; repeat it while the service is out of reach, for `max_unknown_time` seconds (see `outlast`)."""

        return self.reach(outlast(flow, self.max_unknown_time, request_id, about, refused=refused))

    def reach(self, flow: Flow[T]) -> T:
        """Run the first flow of a task on a given request. In a first try it is given up soon if nothing answers."""
        first = self._tried <= 1 and not self._resumed and self.about is not None
        return self.hook.run(if_answered(flow, left_alone(str(self.about))) if first else flow)

    def all_items(
        self,
        list_page: Callable[[str | None], Call[Page[T]]],
        request_id: str | None = None,
        about: str | None = None,
    ) -> list[T]:
        """All items of a list; each page is retried by itself, as `patiently` does.

        :param list_page: the call for the page with this token, such as `api.batch.list_tiles`.
        """
        from functools import partial

        items: list[T] = []
        page = partial(outlast, seconds=self.max_unknown_time, request_id=request_id, about=about)
        self.hook.run(every(list_page, items.append, page))
        return items

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """As Airflow's, but the error for a wait that Airflow or the trigger has broken off names the request.

        Airflow's timeout comes some minutes after our deadline, if no triggerer was running at the deadline: then the
        request is ended here, as the trigger would have done.
        """
        self._tried, self._resumed = tried(context), True
        ti = context["ti"]
        origin = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, key=ORIGIN_KEY)
        origin = origin if isinstance(origin, dict) else {}
        with airflow_errors(self):
            self._take_arguments_again(origin)
        if next_method != DEFERRAL_FAILED:
            if waited_in((next_kwargs or {}).get("event")) in (None, self._tried):
                return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
            return self._begin_anew(context)
        if not origin and self._tried > 1:  # a try that has deferred has pushed its origin
            return self._begin_anew(context)
        with airflow_errors(self):
            why = deferral_error(next_kwargs)
            about = origin.get("request_id") or getattr(self, "request_id", None)
            message = f"Airflow broke off the wait for batch request {about} ({why})."
            if "timeout" not in why.lower():
                raise SentinelHubError(f"{message} {_LEFT_ALONE}")
            if not origin or not getattr(self, "cancel_on_timeout", False):
                raise DeadlineError(f"{message} The time allowed is over. {_LEFT_ALONE}")
            self._end_at_deadline(message, origin)
        return self._begin_anew(context)

    def _take_arguments_again(self, origin: dict[str, Any]) -> None:
        """`take_arguments` after a wait; if one is wrong now, the request of the wait may still be running."""
        try:
            self.take_arguments()
        except InvalidInputError:
            if origin and hasattr(self, "cancel_on_kill"):
                self.about, self._may_have_started = str(origin.get("request_id")), True
            raise

    def _begin_anew(self, context: Any) -> Any:
        """Run from the beginning: the request has ended, or the event is of another try (seen on Airflow 3.0)."""
        return self.execute(context)  # type: ignore[attr-defined]

    def _end_at_deadline(self, message: str, origin: dict[str, Any]) -> None:
        """End the request at its deadline. Returns if the request had ended by itself; its results are then judged.

        :param message: begin of the error message; :param origin: the request, its generation and its deployment.
        :raises DeadlineError: the request was ended, or could not be ended.
        """

        request_id = str(origin["request_id"])
        try:
            self.pin(str(origin["batch_api"]), origin.get("place"))
            job = self.patiently(lambda: end(self.api, request_id), request_id, refused=True)
        except SentinelHubError as err:
            raise DeadlineError(
                f"{message} The time allowed is over, and the request could not be ended: {err}", request_id=request_id
            ) from err
        if ended_by_itself(job):
            return
        error = DeadlineError(
            f"{message} The time allowed is over. Batch request {request_id} is {job.status}. {fate(job)}",
            request_id=request_id,
            snapshot=job,
        )
        error.retry_helps = not job.status.is_final
        raise error

    def keep_progress(self, context: Any, request_id: str) -> None:
        """Show what this task reads of the request from now on to whoever opens its page in Airflow."""
        record = Progress(request_id, self.api.name, tried(context))
        self.progress = KeptInWorker(context, record, resumed=self._resumed)

    def announce(self, context: Any, request_id: str) -> None:
        """Push the request's id and address to XCom, once they are known, so that a failed task shows them."""
        self.about, self._tried, self._old = request_id, tried(context), self.is_old(context)
        context["ti"].xcom_push(key=REQUEST_ID_KEY, value=request_id)
        origin = {
            "request_id": request_id,
            "batch_api": self.api.name,
            "place": self.hook.settings.place(),
            "sentinelhub_conn_id": self.sentinelhub_conn_id,
            "aws_conn_id": getattr(self, "aws_conn_id", None),
        }
        context["ti"].xcom_push(key=ORIGIN_KEY, value=origin)
        self.keep_progress(context, request_id)
        push_link(context, self.hook.settings.url(self.api.get(request_id).path))


def _check_generation(name: Any) -> None:
    """:raises InvalidInputError: there is no such generation. None is that of the connection; templates pass."""
    if name is not None and not is_late(name):
        generation(name)


def checked_id(value: Any) -> str:
    """The id of a request as it came out of a template or an XCom.

    :raises InvalidInputError: it is not a UUID, which all ids of the service are.
    """
    try:
        return request_id(value)
    except ValueError:
        raise InvalidInputError(
            f"request_id is {shown(value)}, which is no id of a batch request (a UUID such as "
            "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10). Does the task it comes from push it?"
        ) from None


class ArgumentError(InvalidInputError, AirflowFailException):
    """An argument of a task in a DAG file is wrong.

    In a mapped task, which Airflow makes only in the run, it fails the task without a retry.
    """


@contextmanager
def naming_task(task_id: Any) -> Iterator[None]:
    """Name the task in the error for an argument: Airflow itself adds only the file of the DAG."""
    try:
        yield
    except ArgumentError:
        raise
    except InvalidInputError as err:
        raise ArgumentError(f"{err} Task: {task_id}{_line_of_dag()}." if task_id is not None else str(err)) from None


def _line_of_dag() -> str:
    """File and line of the DAG that makes a task; empty in the run of a mapped task, which Airflow makes.

    Airflow shows the last two lines of a traceback only, which are ours.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "unmap":
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _NO_DAG:
            return f" ({os.path.basename(frame.f_code.co_filename)}, line {frame.f_lineno})"
        frame = frame.f_back
    return ""


_NO_DAG = ("airflow", "airflow_sentinelhub", "contextlib", "functools")


MARGIN_SHARE, MARGIN_MOST = 0.1, 15.0


def deadline_from(
    context: Any, timeout: float | None, execution_timeout: timedelta | None, *, deferring: bool = False
) -> float | None:
    """The absolute end of a wait, in seconds since 1970; None for no end.

    `timeout` (seconds) counts from now, `execution_timeout` from the start of this try, as Airflow counts it. While a
    task is deferred, Airflow 3 ignores `execution_timeout`, and 2.11 ends the wait without a message. So our deadline
    is a tenth of it (at most 15 seconds) earlier, and the behaviour is the same on all versions.
    """
    ends = []
    if timeout is not None:
        ends.append(time.time() + timeout)
    if execution_timeout is not None:
        started = getattr(context["ti"], "start_date", None)
        began = started.timestamp() if isinstance(started, datetime) else time.time()
        allowed = execution_timeout.total_seconds()
        margin = min(allowed * MARGIN_SHARE, MARGIN_MOST) if deferring else 0.0
        ends.append(began + allowed - margin)
    return min(ends) if ends else None


def backstop(deadline: float | None) -> timedelta | None:
    """Airflow's timeout for a deferral, later than our deadline, for the case that no triggerer runs our trigger."""
    return None if deadline is None else timedelta(seconds=max(deadline - time.time(), 0) + BACKSTOP)


def default_deferrable() -> bool:
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
