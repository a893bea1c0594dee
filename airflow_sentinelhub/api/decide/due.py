"""Decide which result files of a job must exist in its current state. A missing file means unknown, not empty."""

from __future__ import annotations

from enum import IntEnum

from airflow_sentinelhub.api.decide.verdict import nothing_to_do
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S


class Due(IntEnum):
    """Which files of a v2 job must be in its bucket; each level requires more than the one before."""

    NOTHING = 0
    """None: the analysis has not ended, or nothing was processed. Files that exist are read."""
    MANIFEST = 1
    """The feature manifest, or a database instead. Without a database no feature has been processed."""
    EXECUTION = 2
    """The execution database, in any state."""
    WHOLE = 3
    """The execution database, with a final status for every feature."""


def due_of(job: Snapshot) -> Due:
    """The files that a v2 request in this state must have written to its bucket."""
    if job.status in (S.CREATED, S.ANALYSING):
        return Due.NOTHING
    if job.status == S.DONE:
        return Due.MANIFEST if nothing_to_do(job) else Due.WHOLE
    if job.status.is_final:  # a failed analysis writes no file; a request with a cost has processed something
        return Due.EXECUTION if job.cost else Due.NOTHING
    return Due.MANIFEST


def behind(job: Snapshot, listed: int, unfinished: int) -> str | None:
    """Why v1's list of tiles is incomplete or out of date for a request that has ended; None if it agrees with it.

    :param listed: tiles in the list.
    :param unfinished: those that are neither PROCESSED nor FAILED.
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
