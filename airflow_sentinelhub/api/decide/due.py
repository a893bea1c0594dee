"""Which results of a job have to be there by now: what is missing of them is unknown, not empty."""

from __future__ import annotations

from enum import IntEnum

from airflow_sentinelhub.api.decide.verdict import nothing_to_do
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S


class Due(IntEnum):
    """What of a v2 job has to be in the bucket; each needs more than the one before."""

    NOTHING = 0
    """Nothing, before the analysis or where nothing was processed: what is there is read."""
    MANIFEST = 1
    """The feature manifest, or a database instead. Without a database no feature has been worked on."""
    EXECUTION = 2
    """The execution database, as it is."""
    WHOLE = 3
    """The execution database, in which every feature is at its end."""


def due_of(job: Snapshot) -> Due:
    """What a v2 request must have left in its bucket by now."""
    if job.status in (S.CREATED, S.ANALYSING):
        return Due.NOTHING
    if job.status == S.DONE:
        return Due.MANIFEST if nothing_to_do(job) else Due.WHOLE
    if job.status.is_final:  # an analysis that failed leaves nothing; what has cost something was worked on
        return Due.EXECUTION if job.cost else Due.NOTHING
    return Due.MANIFEST


def behind(job: Snapshot, listed: int, unfinished: int) -> str | None:
    """Why v1's list of tiles is not the whole truth about a request that has ended; None if it may be.

    :param listed: tiles in the list; :param unfinished: those that are neither PROCESSED nor FAILED.
    """
    if job.status not in (S.DONE, S.PARTIAL):
        return None
    if not listed:
        return "the list of its tiles shows none."
    if listed < (job.tile_count or 0):
        return f"the list of its tiles shows {listed} of {job.tile_count}."
    if unfinished and job.status == S.DONE:
        return f"{unfinished} of {listed} tiles are not said to be at their end yet."
    return None
