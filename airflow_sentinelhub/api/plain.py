"""What a user puts into a payload becomes JSON, or a sentence that names the member that cannot be JSON.

The drivers encode a payload by different rules: one refuses NaN while it sends, the other one before, and neither takes
a date. What cannot be sent must be known before anything is sent: an error of an encoder looks like a lost connection,
after which a request may or may not have been created.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

from airflow_sentinelhub.api.times import is_late, written
from airflow_sentinelhub.exceptions import InvalidInputError

_DEEPEST = 200
"""Levels of lists and objects. No payload of the service has more than twenty; an encoder fails at a thousand."""


def plain(value: Any, name: str = "payload") -> Any:
    """The same value, made of what JSON has: objects with text as keys, lists, text, finite numbers, booleans, null.

    Converted is what has one meaning: datetimes and dates (a date is its midnight in UTC) to text as the service writes
    times; scalars and arrays of numpy; Decimals to numbers; members of an Enum to their values; tuples and other
    sequences to lists.

    :param name: what messages call the value itself; members are called by their path in it.
    :raises InvalidInputError: a member is none of these, is not finite, contains itself, or has a key that is no text.
        The message names the member and its type, and no value: it could be a secret.
    """
    return _Reading(name).read(value, "", ())


def check_plain(value: Any, name: str) -> None:
    """Check a part of a payload while a DAG is parsed: what can never become JSON. What is known later passes.

    :param name: of the argument; members are called by their path in it.
    :raises InvalidInputError: as `plain`. Objects of types that may be converted later pass.
    """
    _Reading(name, early=True).read(value, name, ())


_NEVER = (set, frozenset, bytes, bytearray, memoryview, complex)
"""Types that no rendering changes, and that JSON does not have."""
_NULLABLE = ("fill_value",)
"""Members that may be null: of the metadata of a Zarr array, where null is a value."""


def refuse_nulls(payload: Any, path: str = "", but: Sequence[str] = ()) -> None:
    """Refuse what has come out as None somewhere in a payload that is made of what JSON has.

    :param but: members that may be None, since something else may take their place.
    :raises InvalidInputError: a member is None. The service refuses it, too, in words that do not name the cure.
    """
    parts: Any = payload.items() if isinstance(payload, Mapping) else enumerate(payload)
    for key, item in parts:
        where = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".removeprefix(".")
        if item is None and key not in _NULLABLE and key not in but:
            raise InvalidInputError(f"{where} is None, which the service refuses; give a value, or leave it out.")
        if isinstance(item, (Mapping, list, tuple)):
            refuse_nulls(item, where, but)


def refuse_circles(value: Any, name: str) -> None:
    """Look for what Airflow itself would walk for ever while it reads a DAG.

    :raises InvalidInputError: a list or an object contains itself, or is nested too deep.
    """
    _Reading(name).walk(value, name, ())


def _comes_later(value: Any) -> bool:
    """Whether a value may become another one until the task runs: a template, a file, an output, an unknown object."""
    known = (str, int, float, Decimal, date, Mapping, Sequence, *_NEVER)
    return is_late(value) or not (isinstance(value, known) or type(value).__module__.partition(".")[0] == "numpy")


class _Reading:
    def __init__(self, name: str, *, early: bool = False) -> None:
        """:param early: values that are known only in the run are left as they are."""
        self._name, self._early = name, early

    def read(self, value: Any, path: str, within: tuple[int, ...]) -> Any:
        """:param within: identities of the lists and objects that the value is in."""
        if value is None or isinstance(value, bool) or (self._early and _comes_later(value)):
            return value
        if isinstance(value, Enum):
            return self.read(value.value, path, within)
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, int):
            if abs(value) > sys.float_info.max:
                raise self._refusal(path, "is larger than a number of JSON can be")
            return int(value)
        if isinstance(value, (float, Decimal)):
            return self._number(value, path)
        if isinstance(value, date):  # a datetime is one, too
            return self._moment(value, path)
        if isinstance(value, Mapping):
            return self._object(value, path, self._deeper(value, path, within))
        if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
            inner = self._deeper(value, path, within)
            return [self.read(item, f"{path}[{index}]", inner) for index, item in enumerate(value)]
        if type(value).__module__.partition(".")[0] == "numpy":
            return self._of_numpy(value, path, within)
        raise self._refusal(path, f"is of type {type(value).__name__}, which JSON does not have")

    def walk(self, value: Any, path: str, within: tuple[int, ...]) -> None:
        """Only look for circles; what the values are is of no interest."""
        if isinstance(value, Mapping):
            parts: Any = ((f".{str(key)[:100]}", item) for key, item in value.items())
        elif isinstance(value, (list, tuple, set)):
            parts = ((f"[{index}]", item) for index, item in enumerate(value))
        else:
            return
        inner = self._deeper(value, path, within)
        for where, item in parts:
            self.walk(item, path + where, inner)

    def _refusal(self, path: str, what: str) -> InvalidInputError:
        where = path.removeprefix(".") or self._name
        if len(where) > 250:
            where = f"{where[:120]}\N{HORIZONTAL ELLIPSIS}{where[-120:]}"
        return InvalidInputError(f"{where} {what}; nothing was sent.")

    def _text(self, value: str, path: str) -> str:
        text = str.__str__(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise self._refusal(path, "has a half of a character (a lone surrogate) in its text") from None
        return text

    def _number(self, value: float | Decimal, path: str) -> int | float:
        if isinstance(value, Decimal):
            exponent = value.as_tuple().exponent
            if isinstance(exponent, int):  # it is finite
                if exponent >= 0 and abs(value) < 2**63:
                    return int(value)
                if math.isinf(value):
                    raise self._refusal(path, "is larger than a number of JSON can be")
            number = math.nan if value.is_nan() else float(value)
        else:
            number = float(value)
        if math.isfinite(number):
            return number
        word = "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
        raise self._refusal(path, f"is {word}, which JSON does not have")

    def _moment(self, value: date, path: str) -> str:
        if value != value:  # pandas.NaT
            raise self._refusal(path, "is NaT, which is no time")
        try:
            return written(value if isinstance(value, datetime) else datetime.combine(value, time()))
        except OverflowError:
            raise self._refusal(path, "is a time outside the calendar") from None

    def _object(self, value: Mapping[Any, Any], path: str, inner: tuple[int, ...]) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for given, item in value.items():
            key = given.value if isinstance(given, Enum) else given
            if not isinstance(key, str):
                shown = f" ({given!r})" if isinstance(given, (int, float, type(None))) else ""
                raise self._refusal(path, f"has a key of type {type(given).__name__}{shown}; keys of JSON are text")
            name = self._text(key, path)
            read[name] = self.read(item, f"{path}.{name[:100]}", inner)
        return read

    def _of_numpy(self, value: Any, path: str, within: tuple[int, ...]) -> Any:
        if getattr(getattr(value, "dtype", None), "kind", "") == "M":
            value = value.astype("datetime64[us]")  # in nanoseconds it would become a plain number
        listed = value.tolist() if hasattr(value, "tolist") else value
        if listed is None:
            raise self._refusal(path, "is NaT, which is no time")
        if type(listed) is not type(value):
            return self.read(listed, path, within)
        if getattr(getattr(value, "dtype", None), "kind", "") == "f":  # a long double stays one
            return self._number(float(value), path)
        raise self._refusal(path, f"is of type {type(value).__name__}, which JSON does not have")

    def _deeper(self, value: Any, path: str, within: tuple[int, ...]) -> tuple[int, ...]:
        if id(value) in within:
            raise self._refusal(path, "contains itself (a circular reference)")
        if len(within) >= _DEEPEST:
            raise self._refusal(path, f"is nested more than {_DEEPEST} levels deep")
        return (*within, id(value))
