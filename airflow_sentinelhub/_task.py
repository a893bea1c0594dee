"""Base of our operators and sensors: the connection, the request of the task, and errors as Airflow expects them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException
from airflow_sentinelhub._compat.tasks import DEFERRAL_FAILED, deferral_error
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task_arguments import TakesArguments
from airflow_sentinelhub.api.call import Call, Flow
from airflow_sentinelhub.api.decide.errors import with_fate
from airflow_sentinelhub.api.decide.verdict import ended_by_itself, fate, is_paid
from airflow_sentinelhub.api.flows.actions import end
from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.flows.read import if_answered, left_alone, outlast
from airflow_sentinelhub.api.flows.reread import every
from airflow_sentinelhub.api.paging import Page
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
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
from airflow_sentinelhub.links import REPORT_KEY as REPORT_KEY
from airflow_sentinelhub.links import push_link

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

T = TypeVar("T")

_LEFT_ALONE = (
    "The request was left alone: if it was started, it runs on and bills. A retry of this task attaches to it again."
)
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
    except (AirflowFailException, AirflowSkipException):
        raise  # it was turned into one before
    except SentinelHubError as err:
        if task is not None and err.snapshot is not None and err.snapshot.request_id == task.about:
            task.known = err.snapshot  # told as lineage
        if err.skip:
            raise AirflowSkipException(str(err)) from None
        job: Snapshot | None = err.snapshot or (task.known if task and not err.retry_helps else None)
        at_work = job if job is not None and job.started and not job.status.is_final else None
        if err.retry_helps and (at_work is None or at_work.request_id in str(err)):
            raise
        cause = None if isinstance(err, AuthenticationError) else err  # its traceback tells nothing more
        if at_work is not None:
            raise StillRunningError(
                with_fate(str(err), at_work), request_id=at_work.request_id, snapshot=at_work
            ) from cause
        if task is not None and job is None and task.may_have_started(err):
            raise StillRunningError(
                f"{err} {task.its_request()} may be running: its state could not be read. It was left alone; if it was "
                "started, it runs on and bills. A retry of this task looks at it again.",
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
            message += with_fate(str(err), job).removeprefix(str(err))
        elif task is not None and task.about:
            message += f" Batch request {task.about} was left alone; if it was started, it runs on and bills."
        raise _final(err, message) from cause
    except Exception as err:  # of Airflow, such as a connection that it does not find, or of the user's code
        if task is not None:
            task.mention_running(err)
        raise


def _final(err: SentinelHubError, message: str) -> AirflowFailException:
    """The error with this message that Airflow does not retry."""
    if not isinstance(err, AuthenticationError):
        return AirflowFailException(message)
    refused = CredentialsRefused(
        message, status=err.status, reason=err.reason, code=err.code, about=err.about, body=err.body
    )
    refused.snapshot = err.snapshot
    return refused


def waited_in(event: Any) -> int | None:
    """The number of the try whose trigger has sent this event, None if the event does not contain it."""
    state = event.get("resume_state") if isinstance(event, dict) else None
    try_number = state.get("tried") if isinstance(state, dict) else None
    return try_number if isinstance(try_number, int) else None


class SentinelHubTask(TakesArguments):
    """Mixed into operators and sensors: the connection, the request that they are about, and patience with both."""

    about: str | None = None
    """Id of the task's request, as soon as it is known."""
    waited_for: str | None = None
    """Id of the request whose wait in the triggerer has ended, however it has."""
    known: Snapshot | None = None
    """The last reading of the request that this task is responsible for."""
    progress: KeptInWorker | None = None
    """What this task has read of its request, for the page of the job; None until the request is known."""
    _may_have_started = False
    _tried = 1
    _old = _resumed = False
    _pinned: tuple[str, dict[str, str]] | None = None

    if TYPE_CHECKING:

        @property
        def output(self) -> Any:
            """The result of the task, as an argument of other tasks.

            Airflow calls it an XComArg. It is given to functions under `@task`, whose parameters have the type of the
            result, and `output["request_id"]` is one, too: for a type checker it may be anything.
            """

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

    def its_request(self) -> str:
        """The request of this task, for messages in which it may not be known yet."""
        return f"Batch request {self.about}" if self.about else "A batch request of this task"

    def mention_running(self, err: Exception) -> None:
        """Log that a request of this task runs on, or may do so, if the error of the try says nothing of it."""
        job = self.known
        if job is None and self._may_have_started:
            about, what_of_it = self.its_request(), "It was left alone; if it was started, it runs on and bills."
        elif job is not None and job.started and not job.status.is_final:
            about, what_of_it = f"Batch request {job.request_id}", fate(job)
        else:
            return
        self.log.warning(  # type: ignore[attr-defined]
            "%s may be running while this try ends with %s. %s A retry of this task looks at it again.",
            about,
            type(err).__name__,
            what_of_it,
        )

    def patiently(
        self,
        flow: Callable[[], Flow[T]],
        request_id: str | None = None,
        about: str | None = None,
        *,
        refused: bool = False,
    ) -> T:
        """Run a flow; repeat it while the service is out of reach, for `max_unknown_time` seconds (see `outlast`)."""

        untouched = None if about is None else f"{about} was not touched."
        return self.reach(outlast(flow, self.max_unknown_time, request_id, about, refused=refused), untouched)

    def reach(self, flow: Flow[T], untouched: str | None = None) -> T:
        """Run the first flow of a task that creates no request: given up soon, in a first try, if nothing answers.

        :param untouched: a sentence on what it means that nothing was reached; default: for the request of the task.
        """
        if untouched is None and self.about is not None:
            untouched = left_alone(str(self.about))
        first = self._tried <= 1 and not self._resumed and untouched is not None
        return self.hook.run(if_answered(flow, str(untouched)) if first else flow)

    def all_items(
        self,
        list_page: Callable[[str | None], Call[Page[T]]],
        request_id: str | None = None,
        about: str | None = None,
    ) -> list[T]:
        """All items of a list; each page is retried by itself, as `patiently` does.

        :param list_page: the call for the page with this token, such as `api.batch.list_tiles`.
        """
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
        self.waited_for = origin.get("request_id")
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

        :param message: begin of the error message.
        :param origin: the request, its generation and its deployment.
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
        self.known = job
        if ended_by_itself(job):
            return
        error = DeadlineError(
            f"{message} The time allowed is over. Batch request {request_id} is {job.status}. {fate(job)}",
            request_id=request_id,
            snapshot=job,
        )
        error.retry_helps = not job.status.is_final
        raise error

    @property
    def has_pushed(self) -> bool:
        """Whether this try may have pushed XComs: since it knows its request, or before it has waited."""
        return self._resumed or self.progress is not None

    def keep_progress(self, context: Any, request_id: str) -> None:
        """Record what this task reads of the request from now on, for the page of the task in Airflow."""
        record = Progress(request_id, self.api.name, tried(context))
        self.progress = KeptInWorker(context, record, resumed=self._resumed)

    def announce(self, context: Any, request_id: str) -> None:
        """Push the request's id and address to XCom, once they are known, so that a failed task shows them.

        From now on the task uses the generation of the request: an edit of the connection, which is read again when the
        service refuses the secret, changes neither where the task waits nor where `on_kill` cancels.
        """
        self.about, self._tried, self._old = request_id, tried(context), self.is_old(context)
        self.pin(self.api.name)
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
