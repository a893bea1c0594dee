"""Kinds of arguments: how a value is read that a template may have made text, and what is said of a wrong one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from airflow_sentinelhub.api.rings import number_of, shown
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_CLOCK = re.compile(r"(?ia)(?:(\d+)\s+days?\s*,\s*)?(\d+):([0-5]?\d):([0-5]?\d(?:\.\d+)?)")
_ISO = re.compile(
    r"(?ia)P(?=.)(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?=.)(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
SPANS = "give seconds, a timedelta, or text such as '90', '1:30:00' or 'PT5M'"
_LONGEST = 100 * 365 * 86400.0
"""Seconds. What is longer cannot be added to a date."""


def number(value: Any) -> float | int:
    """A finite number, also from text.

    :raises ValueError: it is no number; True and False are no numbers either.
    """
    if isinstance(value, str):
        text = value.strip()
        if "_" in text:
            raise ValueError(text)
        try:
            value = int(text)
        except ValueError:
            value = float(text)
    read = number_of(value)
    if read is None:
        raise ValueError(value)
    return int(read) if isinstance(read, int) else float(read)


def whole(value: Any) -> int:
    """A whole number, also from text.

    :raises ValueError: it is no whole number.
    """
    read = number(value)
    if read != int(read):
        raise ValueError(value)
    return int(read)


def truth(value: Any) -> bool:
    """A boolean, also from text (`true`, `no`, `on`, `0` and so on), 0 and 1.

    :raises ValueError: it is something else.
    """
    if isinstance(value, bool):
        return value
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "item"):
        return truth(value.item())
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(value)


def seconds(value: Any) -> float:
    """A length of time in seconds, from seconds, a timedelta or text: `90`, `1:30:00`, `1 day, 0:00:00`, `PT5M`.

    :raises ValueError: it is no length of time, or is longer than a hundred years.
    """
    if isinstance(value, timedelta):
        read = value.total_seconds()
    elif isinstance(value, str) and (clock := _CLOCK.fullmatch(value.strip())):
        days, hours, minutes, rest = clock.groups()
        read = int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)
    elif isinstance(value, str) and (iso := _ISO.fullmatch(value.strip())):
        read = sum(
            float(part or 0) * unit for part, unit in zip(iso.groups(), (604800, 86400, 3600, 60, 1), strict=True)
        )
    else:
        read = float(number(value))
    if abs(read) > _LONGEST:
        raise ValueError(value)
    return read


def text(value: Any) -> str:
    """Text; what a native rendering has made a number, a list or the like is text again.

    :raises ValueError: it is bytes or some object, which no template gives.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float, Decimal, date, timedelta, list, tuple, dict)):
        return str(value)
    raise ValueError(value)


def literal_text(value: Any) -> str:
    """Text as it stands in a DAG: a number may be meant as one, a list is a mistake."""
    if isinstance(value, (list, tuple, dict, bool)):
        raise ValueError(value)
    return text(value)


def within(read: Callable[[Any], Any], fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    """The same reading, of which only some values are let through."""

    def checked(value: Any) -> Any:
        found = read(value)
        if not fits(found):
            raise ValueError(value)
        return found

    return checked


@dataclass(frozen=True)
class Kind:
    """What an argument may be.

    :param read: turns a value into it, and raises ValueError for what is none.
    :param says: what it must be, as the rest of a sentence that begins with the name of the argument.
    :param hint: how it can be written.
    :param literal: reads a value that stands in the DAG, if it is stricter there.
    :param empties: what a template means that renders to nothing: True, that the argument was left out; False, a
        mistake, since leaving it out has another meaning.
    :param needed: None is no value of it, in the DAG either.
    :param limit: it is a limit, so a template that renders to nothing must not mean that there is none.
    """

    read: Callable[[Any], Any]
    says: str
    hint: str = ""
    literal: Callable[[Any], Any] | None = None
    empties: bool = False
    needed: bool = False
    limit: bool = False


def nothing(value: Any) -> bool:
    """Whether a template that has come out as this has come out as nothing."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))


def origin(template: Any) -> str:
    """Where a value comes from, as a part of a message; empty for a value that stands in the DAG itself."""
    return f" from {written(template)}" if is_late(template) else ""


def written(template: Any) -> str:
    """What stands in the DAG for a value, as a part of a message."""
    argument = getattr(template, "_key", None) if hasattr(template, "_input") else None  # whose text names no task
    return shown(str(template)) if argument is None else f"the argument {argument} of a mapped task group"


def came_out_empty(name: str, kind: Kind, value: Any, template: Any = None) -> InvalidInputError:
    """The error for an argument that is given in the DAG, and has rendered to nothing."""
    limit = ", which does not mean no limit" if kind.limit else ""
    return InvalidInputError(
        f"{name} is given in the DAG, but has come out as {value!r}{origin(template)}{limit}; "
        f"correct the template or XCom that it comes from, or leave {name} out."
    )


def refusal(name: str, kind: Kind, value: Any, template: Any = None) -> InvalidInputError:
    hint = f"; {kind.hint}" if kind.hint else ""
    source = f", which came{origin(template)}" if is_late(template) else ""
    return InvalidInputError(f"{name} {kind.says}, not {shown(value)}{source}{hint}.")
