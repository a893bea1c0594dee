"""One call of `SentinelHubHook.run_job`: its arguments, read and checked, and what the flow of a whole job is given."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from airflow_sentinelhub._identity import (
    Kept,
    earliest,
    mark_by_name,
    mark_for,
    month_by_default,
    note_begin,
    remember,
    remembered,
    tried,
)
from airflow_sentinelhub.api.arguments import all_taken
from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.adoption import Stopped
from airflow_sentinelhub.api.decide.marker import Mark
from airflow_sentinelhub.api.decide.pace import check_most
from airflow_sentinelhub.api.decide.policy import Policy, check_resume, policy_from
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.flows.costs import OfDag
from airflow_sentinelhub.api.flows.job_life import JobPlan, Listener
from airflow_sentinelhub.api.flows.task_request import Own, Wanted, check_grid
from airflow_sentinelhub.api.flows.wait import WaitPlan
from airflow_sentinelhub.api.places import check_buckets
from airflow_sentinelhub.api.scripts import script_text
from airflow_sentinelhub.api.service.data_sources import check_offered
from airflow_sentinelhub.api.service.generations import Generation, generation, others, refuse_other_kinds
from airflow_sentinelhub.api.service.specification import BatchSpecification, check_shape
from airflow_sentinelhub.api.service.statistical_specification import StatisticalSpecification
from airflow_sentinelhub.api.times import moment
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks._options import JobOptions
from airflow_sentinelhub.hooks.connection import ConnectedHook
from airflow_sentinelhub.hooks.job_results import ResultsReader
from airflow_sentinelhub.hooks.prices import CostReader
from airflow_sentinelhub.hooks.storage import access_from, bucket_reader, check_geopackage
from airflow_sentinelhub.results.bucket import BucketReader

Specification = BatchSpecification | StatisticalSpecification
_READ = (
    "poll_interval",
    "analysis_poll_interval",
    "timeout",
    "max_unknown_time",
    "check_results",
    "cancel_on_timeout",
    "batch_api",
    "max_poll_interval",
)
"""Options that may be text, and are read as operators read theirs."""
_LIMITS = (
    "max_processing_units",
    "on_over_budget",
    "require_estimate",
    "max_restarts",
    "max_failed",
    "min_success_ratio",
    "on_partial",
)
"""Options that are limits, which are read together."""
UNANSWERED = (
    "Nothing was started by this run. If an earlier run of this job has started a batch request, that runs on and "
    "bills.",
    "Another run of this job tries again, and attaches to its request if there is one.",
)
"""What it means for `run_job` that nothing answers, see `Wanted`."""


class JobRun:
    """One call of `run_job`.

    :raises InvalidInputError: an option is wrong, or contradicts another one; nothing was created.
    """

    def __init__(self, hook: ConnectedHook, specification: Specification, options: JobOptions) -> None:
        self._connected, self._options = hook, options
        self.name, self.context = options["name"], options["context"]
        self._begun = _begun(options)
        self._first = self.context is not None and tried(self.context) <= 1
        try:
            self._take(specification)
        except InvalidInputError as err:
            if not self._first:
                err.args = (f"{err} {UNANSWERED[0]}", *err.args[1:])
            raise

    def _take(self, specification: Specification) -> None:
        """Read and check the options, and what an earlier try has stored."""
        options = self._options
        check_resume(options["resume_stopped"])
        self._read = all_taken({name: value for name, value in options.items() if name in _READ})
        check_most(self._read["poll_interval"], self._read["max_poll_interval"])
        self._specification = with_script(specification)
        self._kind = None if specification.batch_api is None else generation(specification.batch_api)
        if self._kind is None:
            refuse_other_kinds(self._read["batch_api"])
        self._policy = self._limits_or_error()
        self.mark = self._marker()
        self._kept = remembered(self.context, self.mark) if self.context is not None else None
        if self.context is not None:
            note_begin(self.context)
        self.hook = self._connected if self._kept is None else self._connected._at(self._kept.place)
        named = self._kept.batch_api if self._kept else self._read["batch_api"]
        self.api = self.hook.generation(specification.batch_api or named)
        if self._first and isinstance(self._policy, Policy):
            self._policy.check_restarts(self.api.restart is not None)
        if self.context is not None and self.context.setdefault("sentinelhub_job", self._specification) != (
            self._specification
        ):
            raise InvalidInputError("This task has run another job already, and one task runs one; give them names.")

    def _limits_or_error(self) -> Policy | InvalidInputError:
        """The limits. In a later try of a task, what is wrong with them is left to the flow, which names the request.

        :raises InvalidInputError: they are invalid.
        """
        try:
            return self._limits()
        except InvalidInputError as err:
            if self._first or self.context is None:
                raise
            return err

    def _limits(self) -> Policy:
        by_month = self._options["max_processing_units_per_month"]
        if by_month is not None and self.context is None:
            raise InvalidInputError(
                "max_processing_units_per_month is a budget of a DAG: give the context of the task; a job by a name "
                "belongs to no DAG."
            )
        if by_month is None and self.context is not None:
            by_month = month_by_default()
        given: Mapping[str, Any] = self._options
        policy = policy_from(
            **all_taken({name: given[name] for name in _LIMITS}),
            max_processing_units_per_month=by_month,
            check_results=self._read["check_results"],
        )
        if policy.max_restarts and self._kind and self._kind.restart is None and not self._kind.continues:
            what = f"Batch {self._kind.name} has no restart of failed {self._kind.pricing.things}"
            raise InvalidInputError(f"{what}; leave max_restarts out.")
        return policy

    @property
    def _limit(self) -> float | None:
        """PU that the job may cost; None for no limit, or if a limit is invalid."""
        return self._policy.max_processing_units if isinstance(self._policy, Policy) else None

    def _marker(self) -> Mark:
        limit = self._limit
        return mark_by_name(self.name, limit) if self.name is not None else mark_for(self.context, limit=limit)

    def wanted(self) -> Wanted:
        """The request to find or create."""
        kept, first = self._kept, self.context is None or self._first
        looks = kept is None and not self._first  # `batch_api` may have been edited
        return Wanted(
            render=self._render,
            checks=self._checks,
            mark=self.mark,
            again=True,
            unanswered=UNANSWERED if first else None,
            since=earliest(self.context, self.mark) if self.context is not None else self._begun,
            remembered=kept.request_id if kept else None,
            not_found=self.hook.settings.not_found(kept.place, kept.request_id) if kept else None,
            elsewhere=tuple(map(generation, others(self.api.name))) if looks else (),
            stopped=Stopped(self._limit, resume=self._options["resume_stopped"] != "never"),
            patience=self._read["max_unknown_time"],
        )

    def plan(self) -> JobPlan:
        """How to run it."""
        read, hook, prices = self._read, self.hook, CostReader(self._reader, self.hook.settings.base_url)
        patience, allowed = read["max_unknown_time"], read["timeout"]
        return JobPlan(
            policy=self._policy,
            read_results=ResultsReader(self._reader, read["check_results"], "check_results", patience).read,
            estimating=prices.prepared,
            dag=None if self.context is None else OfDag(self.mark.dag or "", hook.all_generations(self.api)),
            resume_stopped=self._options["resume_stopped"],
            wait=WaitPlan(
                poll_interval=hook.interval(read["poll_interval"]),
                deadline=None if allowed is None else hook.driver.now() + allowed,
                max_unknown_time=patience,
                end_at_deadline=read["cancel_on_timeout"],
                known=True,
                max_poll_interval=read["max_poll_interval"],
            ),
            analysis_poll_interval=hook.interval(read["analysis_poll_interval"], "analysis_poll_interval"),
            listener=Listener(settled=self._keep),
        )

    def _reader(self) -> BucketReader:
        """By the current state of both connections, so that a corrected connection is used."""
        return bucket_reader(self._options["aws_conn_id"], self._connected._at(None).settings)

    def _render(self, api: Generation) -> dict[str, Any]:
        process = getattr(self._specification, "process_request", None)
        data = getattr(self._specification, "data", member(process, "input", "data"))
        check_offered(data, self.hook.settings.base_url)
        access = access_from(self._options["aws_conn_id"], self._options["iam_role_arn"]) if api.needs_access else None
        return api.payload(self._specification, access)

    def _checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        if self._kind is None:
            check_shape(payload, api.name)
        check_buckets(payload)
        yield from check_grid(api, payload)
        yield from check_geopackage(payload, self._reader, statistical=api.pricing.statistics)

    def _keep(self, own: Own) -> None:
        """Write down the request for the next try of the task."""
        if self.context is not None:
            kept = Kept(own.settled.job.request_id, own.api.name, self.hook.settings.place())
            remember(self.context, own.mark, kept)


def _begun(options: JobOptions) -> datetime | None:
    """The time after which the job of a name was begun, None where that is not said.

    :raises InvalidInputError: neither a name nor a context is given, or both; or the time cannot be right.
    """
    name, context, since = options["name"], options["context"], options["since"]
    if (name is None) == (context is None) or (name is not None and not name.strip()):
        raise InvalidInputError("Give a name for the job, or the context of the task that runs it.")
    begun = None if since is None else moment(since, "since")
    if begun is not None and (context is not None or begun.timestamp() > time.time()):
        raise InvalidInputError(
            "since is when the job of a name was begun at the earliest: it goes with a name, and lies in the past."
        )
    return begun


def with_script(specification: Specification) -> Specification:
    """The specification with the text of its evalscript, which may be given as a file."""
    if specification.evalscript is None:
        return specification
    return replace(specification, evalscript=script_text(specification.evalscript))
