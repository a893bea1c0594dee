"""Reads SQLite files that others have written and that may be broken or hostile. Each fault is a `ResultsError`.

Only plain tables are read: no view, virtual table, trigger, computed column, or function beyond a few. The work that a
file can cause, and the length of a value in it, are limited, so that a broken or hostile file ends in a sentence.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_sentinelhub.exceptions import ResultsError, one_line

LONGEST_VALUE = 1 << 27
"""Bytes of a text or of a geometry that are read."""
_STEP = 10_000
_FEWEST_STEPS = 20_000_000
_STEPS_A_BYTE = 20
# Steps of SQLite's machine. The readers of this package need less than 3 for a byte of a large file.

_HALF = "it is damaged, or only half of it has been uploaded yet; try again later."
_TOO_MUCH = "it takes more work than a file of its size can need, so it is damaged, or was made to do harm."
_NOT_PLAIN = "it computes what should stand in a plain table (a view, a virtual table or a computed column)."

TEXT = frozenset({"text", "integer"})
"""What a column of texts may hold, in SQLite's words for types: a name that is all digits may be kept as a number."""
TEXT_OR_NULL = TEXT | {"null"}
ANY_BUT_BINARY = TEXT_OR_NULL | {"real"}
_TYPES = {"null": "nothing (NULL)", "blob": "binary data", "real": "a decimal number", "integer": "a number"}

_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
_FUNCTIONS = frozenset({"count", "typeof", "like"})
_PRAGMAS = frozenset({"table_xinfo"})


@dataclass(frozen=True)
class DatabaseFile:
    """A file to read, and what messages say about it: `what` it is, of which request, from where (`url`)."""

    path: Path
    what: str
    request_id: str
    url: str = ""

    def error(self, why: str) -> ResultsError:
        where = f" at {self.url}" if self.url else ""
        return ResultsError(f"Batch request {self.request_id}: the {self.what}{where} cannot be read: {why}")


class Database:
    """The plain tables of a file that is open. Every method raises the error of its source, and no other."""

    def __init__(self, source: DatabaseFile, connection: sqlite3.Connection, steps: int) -> None:
        self.source = source
        self._connection = connection
        self._left = steps // _STEP
        connection.set_progress_handler(self._count, _STEP)

    def rows(self, sql: str, parameters: Collection[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, one at a time."""
        try:
            for row in self._connection.execute(sql, tuple(parameters)):  # noqa: UP028, it closes the cursor, too:
                yield row  # an error where a generator is forgotten whose connection is closed already
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as err:
            raise self.source.error(self._why(err)) from err

    def names(self) -> list[str]:
        """Names of the tables and views."""
        rows = self.rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND typeof(name) = 'text'")
        return [name for (name,) in rows]

    def columns_of(self, table: str) -> dict[str, str]:
        """The columns of a plain table as it names them, each with its declared type; none if there is no such table.

        :raises ResultsError: it is no plain table.
        """
        rows = self.rows(
            "SELECT type, sql LIKE 'CREATE TABLE%' FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name = ? COLLATE NOCASE",
            (table,),
        )
        found = list(rows)
        if any(kind != "table" or not plain for kind, plain in found):
            raise self.source.error(f"{shown(table)} is no plain table, but a view or a virtual table.")
        if not found:
            return {}
        columns: dict[str, str] = {}
        for _, name, declared, _, _, _, hidden in self.rows(f"PRAGMA table_xinfo({quoted(table)})"):
            if hidden:
                raise self.source.error(f"column {shown(name)} of table {shown(table)} is computed, not stored.")
            columns[str(name)] = str(declared)
        return columns

    def rows_named(self, columns: str, table: str, column: str, name: str) -> list[tuple[Any, ...]]:
        """The rows whose column holds this name, at most two of them, found by SQLite: by an index if there is one.

        A name that is all digits may be kept as a number, and a column may compare without regard to case: the names
        are compared once more as they are.

        :param columns: what is wanted of each row, as SQL.
        :param table, column: names that are no SQL yet.
        """
        forms = (name, int(name)) if name.isascii() and name.isdigit() and len(name) <= 18 else (name,)
        wanted, found = quoted(column), list[tuple[Any, ...]]()
        sql = f"SELECT {wanted}, {columns} FROM {quoted(table)} WHERE {wanted} IN ({', '.join('?' * len(forms))})"
        for given, *row in self.rows(sql, forms):
            if str(given) == name:
                found.append(tuple(row))
                if len(found) == 2:
                    break
        return found

    def require(self, table: str, columns: Mapping[str, Collection[str]]) -> None:
        """Check that a table can be read, and that its columns hold nothing but these types (SQLite's words).

        :raises ResultsError: it cannot.
        """
        found = {name.lower() for name in self.columns_of(table)}
        if not found:
            raise self.source.error(f"it has another schema, without the table {shown(table)}.")
        missing = [name for name in columns if name.lower() not in found]
        if missing:
            raise self.source.error(f"it has another schema: table {shown(table)} has no column {', '.join(missing)}.")
        types = ", ".join(f"typeof({quoted(name)})" for name in columns)
        wrong = " OR ".join(
            f"typeof({quoted(name)}) NOT IN ({', '.join(repr(kind) for kind in sorted(kinds))})"
            for name, kinds in columns.items()
        )
        for row in self.rows(f"SELECT {types} FROM {quoted(table)} WHERE {wrong} LIMIT 1"):
            name, kind = next(
                (name, kind) for (name, kinds), kind in zip(columns.items(), row, strict=True) if kind not in kinds
            )
            raise self.source.error(
                f"a row of table {shown(table)} holds {_TYPES.get(kind, kind)} in the column {name}."
            )

    def _count(self) -> bool:
        """Count a few steps; True, which ends the query, when there were too many."""
        self._left -= 1
        return self._left < 0

    def _why(self, err: Exception) -> str:
        text = str(err)
        if self._left < 0:
            return _TOO_MUCH
        if "not a database" in text:
            return "it is not an SQLite file."
        if "malformed" in text or "disk I/O" in text:
            return _HALF
        if "too big" in text:
            return f"it holds a value of more than {LONGEST_VALUE:,} bytes."
        if isinstance(err, UnicodeError) or "decode to UTF-8" in text:
            return "it holds text that is not UTF-8."
        if "not authorized" in text or "prohibited" in text:
            return _NOT_PLAIN
        return f"SQLite says {one_line(text, 200)!r}."


@contextmanager
def opened(source: DatabaseFile) -> Iterator[Database]:
    """A file that nobody changes meanwhile (a copy of ours), opened for reading only.

    :raises ResultsError: it is no SQLite file, damaged, or half uploaded; also in the middle of reading.
    """
    path = source.path.absolute()
    if path.exists() and not path.is_file():
        raise source.error("it is no file.")  # to open a pipe would wait for ever
    if not _is_whole(path):
        raise source.error(_HALF)
    try:
        # immutable: no locks, and no look for a journal beside the copy.
        # A generator that was not read to its end may be closed, by the garbage collector, in any thread.
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    except sqlite3.Error as err:
        raise source.error(f"SQLite says {one_line(str(err), 200)!r}.") from err
    with closing(connection):
        steps = _FEWEST_STEPS + _STEPS_A_BYTE * path.stat().st_size
        yield _guarded(Database(source, connection, steps), connection)


def _guarded(database: Database, connection: sqlite3.Connection) -> Database:
    """The same, with all the guards that this SQLite and this Python have."""
    if hasattr(connection, "setlimit"):  # Python 3.11
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    if hasattr(connection, "setconfig"):  # Python 3.12
        for name, on in (("DEFENSIVE", True), ("ENABLE_TRIGGER", False), ("ENABLE_VIEW", False)):
            connection.setconfig(getattr(sqlite3, f"SQLITE_DBCONFIG_{name}"), on)
    for setting in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
        for _ in database.rows(f"PRAGMA {setting}"):
            pass
    connection.set_authorizer(_allowed)
    return database


def _allowed(action: int, name: str | None, more: str | None, database: str | None, within: str | None) -> int:
    """Whether SQLite may do this for a query. The words are those of the action; `within` is a view or a trigger."""
    if within is None and (
        action in _ALLOWED
        or (action == sqlite3.SQLITE_FUNCTION and str(more).lower() in _FUNCTIONS)
        or (action == sqlite3.SQLITE_PRAGMA and name in _PRAGMAS)
    ):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


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


def quoted(name: str) -> str:
    """A name for use in SQL."""
    return '"' + name.replace('"', '""') + '"'


def shown(name: object) -> str:
    """A name or a value out of a file, for use in a message."""
    return repr(one_line(str(name), 60))
