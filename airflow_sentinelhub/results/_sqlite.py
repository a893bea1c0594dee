"""SQLite files that somebody else has written: opened for reading only, and every fault as one error of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_sentinelhub.exceptions import ResultsError


@dataclass(frozen=True)
class Source:
    """A file to read, and how to speak of it: `what` it is, of which request, from where (`url`)."""

    path: Path
    what: str
    request_id: str
    url: str = ""

    def error(self, why: str) -> ResultsError:
        where = f" at {self.url}" if self.url else ""
        return ResultsError(f"Batch request {self.request_id}: the {self.what}{where} cannot be read: {why}")


@contextmanager
def opened(source: Source) -> Iterator[sqlite3.Connection]:
    """A read-only connection to a file that nobody changes meanwhile (a copy of ours).

    :raises ResultsError: it is no SQLite file, damaged, or half uploaded; also in the middle of reading.
    """
    try:
        # immutable: no locks, and no look for a journal beside the copy.
        address = f"{source.path.resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(address, uri=True)) as database:
            yield database
    except sqlite3.Error as err:
        raise source.error(_why(err)) from err


def _why(err: sqlite3.Error) -> str:
    text = str(err)
    if "not a database" in text:
        return "it is not an SQLite file."
    if "malformed" in text or "disk I/O" in text:
        return "it is damaged, or only half of it has been uploaded yet; try again later."
    return f"SQLite says {text!r}."


def columns_of(database: sqlite3.Connection, table: str) -> set[str]:
    """Names of the columns of a table; none if there is no such table."""
    return {str(row[1]) for row in database.execute(f"PRAGMA table_info({quoted(table)})")}


def require(source: Source, database: sqlite3.Connection, table: str, columns: Collection[str]) -> None:
    """:raises ResultsError: the table is missing, or some of its columns."""
    found = columns_of(database, table)
    missing = [name for name in columns if name not in found]
    if not found:
        raise source.error(f"it has another schema, without the table {table!r}.")
    if missing:
        raise source.error(f"it has another schema: table {table!r} has no column {', '.join(missing)}.")


def quoted(name: str) -> str:
    """A name for use in SQL."""
    return '"' + name.replace('"', '""') + '"'
