"""Base of the operators that run a whole job in one task: it runs the flow `api.flows.run_job`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import Context
from airflow_sentinelhub._identity import run_of, tried
from airflow_sentinelhub._task import airflow_errors
from airflow_sentinelhub._task_arguments import checked_id
from airflow_sentinelhub._types import Rendered
from airflow_sentinelhub.api.arguments import all_taken
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.adoption import Stopped
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.api.decide.policy import (
    Policy,
    check_literals,
    check_resume,
    policy_from,
)
from airflow_sentinelhub.api.decide.price import Price
from airflow_sentinelhub.api.decide.results import Results
from airflow_sentinelhub.api.decide.verdict import Waited
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.flows.job_life import JobPlan, Listener, Woken
from airflow_sentinelhub.api.flows.run_job import answered, run_job
from airflow_sentinelhub.api.flows.task_request import Own
from airflow_sentinelhub.api.flows.wait import Await, look_before_deferring, wait
from airflow_sentinelhub.api.service.generations import NAMES, Generation, generation
from airflow_sentinelhub.api.service.statistical_specification import data_objects
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.times import resolved, resolved_range
from airflow_sentinelhub.assets import event_extra, tell_outlets
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.lineage import Source, sources_of
from airflow_sentinelhub.links import LINKS, push_results_link
from airflow_sentinelhub.operators._arguments import check_payload
from airflow_sentinelhub.operators._costs import cost_reader, of_dag, push_price, rendered_limits
from airflow_sentinelhub.operators._lineage import TellsLineage
from airflow_sentinelhub.operators._own_request import OwnsRequest
from airflow_sentinelhub.operators._report import ReportsAtEnd, check_form
from airflow_sentinelhub.operators._waiting import WaitingTask
from airflow_sentinelhub.results.root import output_folder
from airflow_sentinelhub.triggers.events import read_event, resume_state_of

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.job_results import ResultsReader


class RunsWholeJob(TellsLineage, ReportsAtEnd, WaitingTask, OwnsRequest):
    """Mixed into the operators of a whole job. Each of them declares its arguments, `limits` and `reads_by`."""

    operator_extra_links: Any = LINKS
    ui_color = "#dbeef4"
    aws_conn_id: Rendered[str | None]
    analysis_poll_interval: Rendered[float]
    resume_stopped: Rendered[str]
    reads_by: str
    outlets: Any
    read: Callable[[str], Any]
    _so_far: dict[str, Any]

    def check_job(self) -> None:
        """Check the arguments while Airflow parses the DAG, except templates.

        :raises InvalidInputError: an argument is invalid, or contradicts another one.
        """
        with self.literals():
            check_payload(self)
            by_status = self.batch_api not in NAMES or generation(self.batch_api).restart is not None
            check_literals(restarts_by_status=by_status, **self._limits())
            check_resume(self.resume_stopped)

    def policy(self) -> Policy:
        """The policy made from the limits as they are rendered now.

        :raises InvalidInputError: a limit is invalid, or its template has rendered to nothing.
        """
        return policy_from(**all_taken(self._limits(), self._in_dag))

    def _limits(self) -> dict[str, Any]:
        return rendered_limits(self, (*self.limits, self.reads_by))

    def results_reader(self) -> ResultsReader:
        """The reader of the job's results."""
        from airflow_sentinelhub.hooks.job_results import ResultsReader
        from airflow_sentinelhub.hooks.sentinelhub import reader_now

        reader = partial(reader_now, self.sentinelhub_conn_id, self.aws_conn_id)
        return ResultsReader(reader, getattr(self, self.reads_by), self.reads_by, self.max_unknown_time)

    def run_whole_job(self, context: Context) -> Any:
        """The body of `execute`. Each operator defines `execute` itself: 2.11 wraps only a class's own `execute`.

        :returns: the result, whose members differ between the kinds of jobs.
        """
        with self.ends_its_round(context), airflow_errors(self), self.report_at_end(context):
            self._may_have_started = tried(context) > 1
            self.take_arguments()
            check_resume(self.resume_stopped)
            return self._run_job(context)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Airflow calls this after the trigger's event: continue the job from the end of its wait."""
        with self.ends_its_round(context), airflow_errors(self), self.report_at_end(context):
            self._may_have_started = True
            self.take_arguments()
            state = resume_state_of(event)
            self.about = state["request_id"]
            self.pin(state["batch_api"], state["place"])
            self.responsible_for(state["request_id"], context)
            self.keep_progress(context, state["request_id"])
            waited = read_event(event, state["request_id"])
            self.known = waited.job
            return self._run_job(context, Woken(waited, state))

    def _run_job(self, context: Any, woken: Woken | None = None, *, may_start: bool = True) -> dict[str, Any]:
        """Run the flow; does not return if the task defers.

        :param woken: how a deferred wait ended; None at the beginning of a try.
        :param may_start: False: never start the request that the argument `request_id` names.
        """
        request_id = None if self.request_id is None else checked_id(self.request_id)
        self._sources = self._find_sources(context)
        deadline = {"deadline": woken.state["deadline"]} if woken is not None else {}
        self._so_far = dict((woken.state.get("price") if woken is not None else None) or {})
        wait_plan = self.plan(context, **deadline)
        search, policy = request_id is None and woken is None, self._policy_or_error()
        limit = policy.max_processing_units if isinstance(policy, Policy) else None  # the flow says what is invalid
        stopped = Stopped(limit, resume=self.resume_stopped != "never")
        wanted = self.wanted(context, limit=limit, stopped=stopped, look=search)
        if search:
            self.responsible_for(None, context, wanted.mark)
        elif woken is None and request_id is not None:
            self.announce(context, request_id)
            self.responsible_for(request_id, context)
        plan = JobPlan(
            policy=policy,
            read_results=self.results_reader().read,
            estimating=cost_reader(self).prepared,
            dag=of_dag(self, context),
            request_id=request_id,
            old_request=request_id is not None and woken is None and self._old,
            may_start=may_start,
            resume_stopped=self.resume_stopped,
            wait=wait_plan,
            analysis_poll_interval=self.hook.interval(self.analysis_poll_interval, "analysis_poll_interval"),
            listener=Listener(
                settled=partial(self._settled, context),
                read=self._read,
                priced=partial(self._priced, context),
                reported=partial(self._reported, context, limit),
                spent=partial(self._spent, context),
            ),
        )
        result: Await | dict[str, Any] = self.hook.run(answered(run_job(self.api, wanted, plan, woken), self._answer))
        if not isinstance(result, Await):
            return result
        state = {
            **result.state,
            "place": self.hook.settings.place(),
            "deadline": result.plan.deadline,
        }
        self.defer_for(result, resume_state=state)

    def _answer(self, awaited: Await) -> Flow[Waited | None]:
        """Wait in this worker; a deferrable task reads the request once and returns None if it has to defer."""
        flow = look_before_deferring if self.deferrable else wait
        api = generation(awaited.state["batch_api"])
        return flow(api, awaited.request_id, awaited.target, awaited.plan, on_poll=self.progress)

    def _policy_or_error(self) -> Policy | InvalidInputError:
        try:
            return self.policy()
        except InvalidInputError as err:
            return err

    def writes(self, job: Snapshot) -> bool:
        """The output is reported as lineage even if the job failed, since the task exists to write it."""
        return True

    def _find_sources(self, context: Any) -> tuple[Source, ...]:
        """The collections and times of this run; none where they cannot be told, which the job itself reports."""
        try:
            run = run_of(context)
            if getattr(self, "process_request", None) is not None:
                return sources_of(resolved(member(self.read("process_request"), "input", "data"), run))
            times = member(self.read("aggregation"), "timeRange")
            data = resolved(data_objects(self.read("data")), run)
            return sources_of(data, times and resolved_range(times, run, divided=True))
        except (InvalidInputError, AttributeError):
            return ()

    def checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """Check the report and the payload before anything is created."""
        check_form(self.report)
        yield from self.payload_checks(api, payload)

    def _settled(self, context: Any, own: Own) -> None:
        request_id = own.settled.job.request_id
        if self.request_id is None or request_id != checked_id(self.request_id):
            self.settle_on(context, own)
        self._show_place(context, own.settled.job)
        self.responsible_for(request_id, context)

    def _read(self, job: Any) -> None:
        self.known = job
        mark = mark_of(job.description)
        self._so_far["restarts"] = mark.restarts if mark is not None else None
        if self.progress is not None:
            self.progress.last(job)

    def _priced(self, context: Any, price: Price) -> None:
        push_price(context, price)
        self._so_far |= price.as_result()

    def _spent(self, context: Any, cost: float) -> None:
        context["ti"].xcom_push(key="processing_units", value=cost)
        self._so_far["processing_units"] = cost

    def _show_place(self, context: Any, job: Any) -> None:
        """Have the task link to the folder in which the results of the request will be."""
        if folder := output_folder(job):
            push_results_link(context, self.hook.settings.base_url, folder)

    def _reported(self, context: Any, limit: float | None, results: Results) -> None:
        """Push the cost and the failed part to XCom, and write the result into the events of the asset outlets.

        :param limit: PU that the job may cost, for the page of the job; None for no limit.
        """
        result: Mapping[str, Any] = results.as_result()
        push_price(context, results.price)
        for name in ("processing_units", f"failed_{results.things}"):
            context["ti"].xcom_push(key=name, value=result[name])
        if self.progress is not None:
            self.progress.last(results.job, result["processed"], result["failed"], limit)
        self._outcome, self.known = result, results.job
        tell_outlets(context, self.outlets, event_extra(result, output_folder(results.job)))
