"""What v2 leaves in the bucket while it processes: the execution database, an SQLite file (doc).

One table, ``features(id, name, status, error, delivered)``: PENDING; DONE, with "No data" in ``error`` when there was
nothing; FATAL for a feature that failed for good. It is uploaded periodically (the period is not published) and is not
there before the first time.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Iterator
from typing import Any

from .gpkg import database_file
from .ledger import FAILED, PROCESSED, Codes, Ledger
from .units import Units

NO_DATA = "No data"
# The wording is ours: no text of a failed feature was recorded.
_FAILED_FOR_GOOD = "Internal error: the feature could not be processed."


def execution_database(units: Units, codes: Codes, empty: Collection[int]) -> bytes:
    """The file. ``codes``: what the ledger says of each unit; ``empty``: units for which there is no data."""

    def fill(database: sqlite3.Connection) -> None:
        database.execute(
            "CREATE TABLE features (id INTEGER PRIMARY KEY, name TEXT, status TEXT, error TEXT, delivered BOOLEAN)"
        )
        database.executemany("INSERT INTO features VALUES (?, ?, ?, ?, ?)", _rows(units, codes, empty))

    return database_file(fill)


def _rows(units: Units, codes: Codes, empty: Collection[int]) -> Iterator[tuple[Any, ...]]:
    for index, code in enumerate(codes.tolist()):
        if code == PROCESSED and index in empty:
            yield index + 1, units.name(index), "DONE", NO_DATA, False
        elif code == PROCESSED:
            yield index + 1, units.name(index), "DONE", None, True
        elif code == FAILED:
            yield index + 1, units.name(index), "FATAL", _FAILED_FOR_GOOD, False
        else:
            yield index + 1, units.name(index), "PENDING", None, False


def other_schema() -> bytes:
    """A database with another table: what a client must not mistake for progress."""

    def fill(database: sqlite3.Connection) -> None:
        database.execute("CREATE TABLE feature_states (feature TEXT, state INTEGER)")
        database.execute("INSERT INTO feature_states VALUES ('a', 1)")

    return database_file(fill)


def last_upload(book: Ledger, now: float, period: float) -> float | None:
    """For which moment the newest upload is true: the last whole period of processing, or its end; None before it."""
    moments: list[float] = []
    for times in book.times:
        begin, end = times.run.begin, times.end
        if now < begin or end <= begin:
            continue
        if now >= end:
            moments.append(end)
        elif period <= 0:
            moments.append(now)
        elif now >= begin + period:
            moments.append(begin + math.floor((now - begin) / period) * period)
    return max(moments, default=None)
