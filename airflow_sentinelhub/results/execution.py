"""Read the execution database, which holds the status of each feature. Works on a local copy.

Table `features(id INTEGER, name TEXT, status TEXT, error TEXT, delivered BOOLEAN)`; `status` is PENDING, DONE or FATAL;
DONE with "No data" in `error` means that the feature has no data; `delivered` means that its outputs are in the bucket
(the service's documentation). A DONE request may have FATAL features, which are listed in this file only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from airflow_sentinelhub.results._sqlite import ANY_BUT_BINARY, TEXT, TEXT_OR_NULL, DatabaseFile, opened, shown

_TABLE = "features"
_COLUMNS = {"name": TEXT, "status": TEXT_OR_NULL, "error": TEXT_OR_NULL, "delivered": ANY_BUT_BINARY}
_NO_DATA = "No data"
_WORDS = {"FATAL": "FAILED"}
ENDS = ("PROCESSED", "FAILED")
"""Final statuses of a tile, in v1's words."""


@dataclass(frozen=True)
class FeatureState:
    """The state of a feature. `status` may be a word that this package does not know."""

    name: str
    status: str
    error: str | None = None
    delivered: bool = False

    @property
    def no_data(self) -> bool:
        """The feature is done, but has no data, so nothing was delivered."""
        return self.status == "DONE" and self.error is not None and _NO_DATA.lower() in self.error.lower()

    @property
    def tile_status(self) -> str:
        """The status in v1's words for tiles; an unknown status is returned unchanged.

        DONE is PROCESSED when the outputs are there, or when there is nothing to deliver; PROCESSING until then.
        """
        if self.status == "DONE":
            return "PROCESSED" if self.delivered or self.no_data else "PROCESSING"
        return _WORDS.get(self.status, self.status)


def source(path: Path, request_id: str, url: str = "") -> DatabaseFile:
    """The file, for the readers below."""
    return DatabaseFile(path, "execution database", request_id, url)


def read_states(file: DatabaseFile) -> Iterator[FeatureState]:
    """All features, ordered by name, one at a time.

    :raises ResultsError: the file cannot be read.
    """
    with opened(file) as database:
        database.require(_TABLE, _COLUMNS)
        for row in database.rows(f"SELECT name, status, error, delivered FROM {_TABLE} ORDER BY name COLLATE BINARY"):
            yield _state(*row)


def state_of(file: DatabaseFile, name: str) -> FeatureState | None:
    """The state of the feature with this name, by one look-up; None if the database does not contain it.

    :raises ResultsError: the file cannot be read, or has the name twice.
    """
    with opened(file) as database:
        database.require(_TABLE, _COLUMNS)
        found = database.rows_named("status, error, delivered", _TABLE, "name", name)
        if len(found) > 1:
            raise file.error(f"the feature {shown(name)} is listed twice.")
        return _state(name, *found[0]) if found else None


def count_states(file: DatabaseFile) -> dict[str, int]:
    """How many features there are by status, in the service's words (PENDING, DONE, FATAL)."""
    return _summed((state.status, count) for state, count in _groups(file))


def count_tiles(file: DatabaseFile) -> dict[str, int]:
    """How many features there are by status, in v1's words for tiles (PENDING, PROCESSING, PROCESSED, FAILED)."""
    return _summed((state.tile_status, count) for state, count in _groups(file))


def failed_names(file: DatabaseFile, limit: int | None = None) -> list[str]:
    """Names of the features that failed for good, in order, at most so many."""
    with opened(file) as database:
        database.require(_TABLE, _COLUMNS)
        rows = database.rows(
            f"SELECT name FROM {_TABLE} WHERE status = 'FATAL' ORDER BY name COLLATE BINARY LIMIT ?",
            (-1 if limit is None else limit,),
        )
        return [str(name) for (name,) in rows]


def unfinished(file: DatabaseFile, limit: int | None = None) -> list[tuple[str, str]]:
    """Names of the features that are not at their end, in order, at most so many, each with its status as a tile."""
    states = ((state.name, state.tile_status) for state in read_states(file))
    return list(islice((pair for pair in states if pair[1] not in ENDS), limit))


def _groups(file: DatabaseFile) -> Iterator[tuple[FeatureState, int]]:
    """Kinds of states and how many features are in each: one pass over the table, whatever its size."""
    with opened(file) as database:
        database.require(_TABLE, _COLUMNS)
        rows = database.rows(
            f"SELECT status, error LIKE '%{_NO_DATA}%', delivered, count(*) FROM {_TABLE} GROUP BY 1, 2, 3"
        )
        for status, no_data, delivered, count in rows:
            yield _state("", status, _NO_DATA if no_data else None, delivered), int(count)


def _state(name: object, status: object, error: object, delivered: object) -> FeatureState:
    return FeatureState(
        name=str(name),
        status="UNKNOWN" if status is None else str(status),
        error=None if error is None or error == "" else str(error),
        delivered=str(delivered).lower() in ("1", "true"),
    )


def _summed(pairs: Iterator[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word, count in pairs:
        found[word] = found.get(word, 0) + count
    return found
