"""What commands print: tables for people, JSON for programs. Secrets are blanked in both."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from typing import Any, TextIO

from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.redaction import hidden, redacted

# What steers a terminal: control characters, ends of lines, and those that turn the direction of the text around.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_WIDEST = 60


_OWN: ContextVar[TextIO | None] = ContextVar("own", default=None)


class UnwrittenError(SentinelHubError):
    """Standard output takes nothing more."""


class _Output(io.FileIO):
    """Standard output, whose errors can be told from those of other files; a closed pipe keeps its own."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as err:
            raise UnwrittenError(
                f"The output could not be written ({err.strerror}), so it is not whole. What the command has done so "
                "far stays done."
            ) from None


@contextmanager
def own_stdout() -> Iterator[None]:
    """Standard output for what the command prints (`out`), and nothing else.

    What other processes of the command write to it goes to standard error meanwhile: the output may be JSON for a
    program.
    """
    if sys.stderr is None:  # the shell has closed it; `print` would write notes and errors to the output instead
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    first = sys.__stdout__
    if first is None or sys.stdout is not first:
        token = _OWN.set(sys.stdout)  # somebody else collects the output, such as a test; or the shell has closed it
        try:
            yield
        finally:
            _OWN.reset(token)
        return
    first.flush()
    number = first.fileno()
    kept = os.dup(number)
    raw = io.BufferedWriter(_Output(kept, "w", closefd=False))
    # A terminal that knows fewer letters than a description has is shown their numbers.
    own = io.TextIOWrapper(raw, encoding=first.encoding, errors="backslashreplace", line_buffering=True)
    os.dup2(sys.stderr.fileno(), number)
    sys.stdout = own
    token = _OWN.set(own)
    try:
        yield
        own.flush()
    finally:
        _OWN.reset(token)
        sys.stdout = first
        first.flush()
        os.dup2(kept, number)
        try:
            own.close()
        finally:
            os.close(kept)


def out() -> TextIO | None:
    """Where a command prints its output, wherever `sys.stdout` leads; None where the shell has closed it."""
    return _OWN.get() or sys.stdout


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(hidden(value), indent=2, default=_plain), file=out())


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], whole: Collection[str] = ()) -> None:
    """Print rows with these columns; a cell is one line, and shortened. No rows: a line that says so.

    :param whole: columns that are not shortened, since nobody could do anything with a part.
    """
    if not rows:
        print("None found.", file=out())
        return
    widest = {name: sys.maxsize if name in whole else _WIDEST for name in columns}
    cells = [[_cell(row.get(name), widest[name]) for name in columns] for row in rows]
    widths = [max(len(name), *(len(line[at]) for line in cells)) for at, name in enumerate(columns)]
    for line in [list(columns), ["-" * width for width in widths], *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), file=out())


def print_members(members: Mapping[str, Any]) -> None:
    """Print names and values, a line each."""
    width = max(map(len, members), default=0)
    for name, value in members.items():
        print(f"{name.ljust(width)}  {_cell(value, widest=500)}".rstrip(), file=out())


def show(value: Any, output: str, columns: Sequence[str] | None = None, whole: Collection[str] = ()) -> None:
    """Print rows or members in the form that is asked for.

    :param columns: of a table; None: `value` is one thing.
    :param whole: columns of the table that are not shortened.
    """
    if output == "json":
        print_json(value)
    elif columns is None:
        print_members(value)
    else:
        print_table(value, columns, whole)


def shown(line: str) -> str:
    """A line without what would steer a terminal."""
    return _CONTROL.sub(" ", line)


def one_line(text: str) -> str:
    """A text of the service or an error as one line that a terminal can show."""
    return shown(redacted(text)).strip()


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _cell(value: Any, widest: int = _WIDEST) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, date):
        return value.isoformat(timespec="seconds") if hasattr(value, "hour") else value.isoformat()  # type: ignore[call-arg]
    text = one_line(str(value))
    return text if len(text) <= widest else f"{text[: widest - 3]}..."
