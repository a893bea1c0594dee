"""How a task writes the report of its job, and what becomes of a report that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_sentinelhub._compat import AirflowTaskTimeout
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task import SentinelHubTask
from airflow_sentinelhub.api.reports import ending
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import one_line
from airflow_sentinelhub.links import push_report
from airflow_sentinelhub.redaction import redacted


def put_report(task: SentinelHubTask, context: Any, job: Snapshot, given: str | bool, state: str | None = None) -> str:
    """Write the report of a request, and have the task link to it; returns the URL of the report.

    :param given: the argument `report`.
    :param state: what becomes of the task.
    :raises SentinelHubError: the request cannot be read, or the report cannot be written.
    """
    from airflow_sentinelhub.hooks.job_map import RequestSource
    from airflow_sentinelhub.hooks.report import write_report

    place = tuple(sorted(task.hook.settings.place().items()))
    source = RequestSource(
        job.request_id, job.generation, task.sentinelhub_conn_id, getattr(task, "aws_conn_id", None), place
    )
    kept = task.progress.progress if task.progress is not None else None
    if kept is not None and kept.request_id != job.request_id:
        kept = None
    written = write_report(task.hook, source, given, kept, _facts(task, context, state))
    push_report(context, written.url, written.page)
    return written.url


def _facts(task: Any, context: Any, state: str | None) -> dict[str, Any]:
    """The task that the report belongs to, as the page of the job shows it."""
    ti = context["ti"]
    return {
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": getattr(ti, "map_index", -1),
        "state": state,
        "try_number": tried(context),
        "operator": type(task).__name__,
        "started": None,
        "ended": None,
    }


def check_form(given: Any) -> None:
    """Refuse a report whose form cannot be made here, before a job is created for it.

    :raises InvalidInputError: it is a PNG, and its library is missing.
    """
    if isinstance(given, str) and ending(given):
        from airflow_sentinelhub.hooks.map_file import check_ending

        check_ending(ending(given))


class ReportsAtEnd(SentinelHubTask):
    """Mixed into operators whose job has a report, where the argument `report` asks for one."""

    report: Any

    @contextmanager
    def report_at_end(self, context: Any) -> Iterator[None]:
        """Write the report when the job has ended, well or not. It never decides what becomes of the task."""
        try:
            yield
        except Exception as err:  # a deferral is raised too, and is no error
            self._try_report(context, getattr(err, "snapshot", None), "skipped" if _skips(err) else "failed")
            raise
        self._try_report(context, None, "success")

    def _try_report(self, context: Any, job: Snapshot | None, state: str) -> None:
        job = job or self.known
        if not self.report or job is None or not job.status.is_final:
            return
        try:
            url = put_report(self, context, job, self.report, state)
        except (Exception, AirflowTaskTimeout) as err:  # the job has ended, and is paid
            warn_unwritten(self, job, err)
        else:
            self.log.info("Report of batch request %s: %s", job.request_id, url)  # type: ignore[attr-defined]


def warn_unwritten(task: Any, job: Snapshot, err: BaseException) -> None:
    """Say in the log that there is no report, and that the job is as it is without it."""
    why = redacted(one_line(str(err), 1_000)) or "it gives no reason"
    task.log.warning(
        "The report of batch request %s was not written (%s): %s The job is %s all the same. "
        "SentinelHubBatchReportOperator, or python -m airflow_sentinelhub map, writes it later.",
        job.request_id,
        type(err).__name__,
        why,
        job.status,
    )


def _skips(err: Exception) -> bool:
    return bool(getattr(err, "skip", False))
