"""What tasks tell OpenLineage: whole jobs, and the single steps and sensors that see a request work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub.lineage import FACTS, Lineage, Source, as_openlineage
from airflow_sentinelhub.results.root import output_folder

if TYPE_CHECKING:
    from airflow_sentinelhub.api.snapshot import Snapshot
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook


class TellsLineage:
    """Mixed into tasks on a request. Nothing is read from the service for it: it tells what the task knows.

    A step or a sensor knows the request's status, cost and folder, and not what the request reads: it names no inputs.
    """

    about: str | None
    waited_for: str | None
    known: Snapshot | None
    hook: SentinelHubHook
    _pinned: tuple[str, dict[str, str]] | None
    _outcome: Mapping[str, Any] | None = None
    _so_far: Any = None  # dict: what is known as long as there is no outcome
    _sources: tuple[Source, ...] = ()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What the listener of the OpenLineage provider tells about this task; None if it has no request."""
        lineage = self.lineage()
        return None if lineage is None else as_openlineage(lineage)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """The same after a failure: what the request was and has cost by the last reading."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def lineage(self) -> Lineage | None:
        """What the job has read and written, and what it has cost, by what this task knows; None without a request."""
        job, result = self.last_reading(), self._outcome or {}
        request_id = job.request_id if job is not None else self.about or self.waited_for
        if request_id is None:
            return None
        facts: dict[str, Any] = {name: result.get(name) for name in FACTS} | {"request_id": request_id}
        if job is not None and not result:
            facts |= {"batch_api": job.generation, "status": str(job.status), "processing_units": job.cost}
            facts |= {name: value for name, value in (self._so_far or {}).items() if name in FACTS}
        folder = output_folder(job) if job is not None and self.writes(job) else None
        return Lineage(self._place(), self._sources, folder, facts)

    def _place(self) -> str:
        """The deployment by which sources are named, which is known although the connection may be gone by now."""
        pinned = self._pinned[1].get("base_url") if self._pinned else None
        return pinned or (self.hook.settings.base_url if self._sources else "")

    def last_reading(self) -> Snapshot | None:
        """The last reading of the request, None if there is none."""
        return self.known

    def writes(self, job: Snapshot) -> bool:
        """Whether the output of the request is to be told: a step tells it once the request was started."""
        return job.started or bool(job.cost)
