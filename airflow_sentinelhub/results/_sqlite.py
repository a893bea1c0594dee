"""SQLite files that somebody else has written: opened for reading only, and every fault as one error of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_sentinelhub.exceptions import ResultsError

_HALF = "it is damaged, or only half of it has been uploaded yet; try again later."


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
    if not _is_whole(source.path):
        raise source.error(_HALF)
    try:
        # immutable: no locks, and no look for a journal beside the copy.
        address = f"{source.path.resolve().as_uri()}?mode=ro&immutable=1"
        # A reader that nobody has read to its end may be closed, by the garbage collector, in any thread.
        with closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as database:
            yield database
    except sqlite3.Error as err:
        raise source.error(_why(err)) from err


def _is_whole(path: Path) -> bool:
    """Whether the file is as long as its header says; True for what has no such header.

    SQLite itself notices missing pages, but takes a last page that is cut off for one that ends in zeros. Page size and
    number of pages stand in the header, the latter only if two counters agree (sqlite.org/fileformat.html, 1.3).
    """
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError:
        return True  # SQLite says what is wrong with it
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0") or head[24:28] != head[92:96]:
        return True
    page = int.from_bytes(head[16:18], "big")
    return path.stat().st_size >= (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")


def _why(err: sqlite3.Error) -> str:
    text = str(err)
    if "not a database" in text:
        return "it is not an SQLite file."
    if "malformed" in text or "disk I/O" in text:
        return _HALF
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
