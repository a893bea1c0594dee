"""What each argument may be: one table, name -> kind, for operators, sensors, the group and the hook.

Out of a template everything comes as text (or, where a DAG renders native objects, text comes as a number or a list).
`taken` turns a value into what its argument wants, by the kind of the argument. A new argument needs a line in `KINDS`;
a test walks all signatures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from airflow_sentinelhub.api.rings import number_of, shown, told
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_CLOCK = re.compile(r"(?ia)(?:(\d+)\s+days?\s*,\s*)?(\d+):([0-5]?\d):([0-5]?\d(?:\.\d+)?)")
_ISO = re.compile(
    r"(?ia)P(?=.)(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?=.)(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)
_SPANS = "give seconds, a timedelta, or text such as '90', '1:30:00' or 'PT5M'"
_AN_ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
_LONGEST = 100 * 365 * 86400.0
"""Seconds. What is longer cannot be added to a date."""


def number(value: Any) -> float | int:
    """A finite number, also from text.

    :raises ValueError: it is none; True and False are none either.
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

    :raises ValueError: it is none.
    """
    read = number(value)
    if read != int(read):
        raise ValueError(value)
    return int(read)


def truth(value: Any) -> bool:
    """A boolean, also from text (`true`, `no`, `on`, `0` and so on), 0 and 1.

    :raises ValueError: it is none.
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

    :raises ValueError: it is none, or longer than a hundred years.
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


def _literal_text(value: Any) -> str:
    """Text as it stands in a DAG: a number may be meant as one, a list is a mistake."""
    if isinstance(value, (list, tuple, dict, bool)):
        raise ValueError(value)
    return text(value)


def _any(value: Any) -> Any:
    return value


def request_id(value: Any) -> str:
    """The id of a request, also out of the result of a task that has it as `request_id`.

    :raises ValueError: it is no UUID, which all ids of the service are.
    """
    return str(UUID(str(value.get("request_id") if isinstance(value, Mapping) else value).strip()))


def _within(read: Callable[[Any], Any], fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    """The same reading, of which only some values are let through."""

    def within(value: Any) -> Any:
        found = read(value)
        if not fits(found):
            raise ValueError(value)
        return found

    return within


@dataclass(frozen=True)
class Kind:
    """What an argument may be.

    :param read: turns a value into it, and raises ValueError for what is none.
    :param says: what it must be, as the rest of a sentence that begins with the name of the argument.
    :param hint: how it can be written. :param literal: reads a value that stands in the DAG, if it is stricter there.
    :param empties: what a template means that renders to nothing: True, that the argument was left out; False, a
        mistake, since leaving it out has another meaning. :param needed: None is no value of it, in the DAG either.
    """

    read: Callable[[Any], Any]
    says: str
    hint: str = ""
    literal: Callable[[Any], Any] | None = None
    empties: bool = False
    needed: bool = False


_TEXT = Kind(text, "must be text", literal=_literal_text, empties=True)
_NAME = Kind(text, "must be text", literal=_literal_text)
_POLL = Kind(_within(seconds, lambda found: found > 0), "must be above 0 seconds", _SPANS, needed=True)
_FLAG = Kind(truth, "is True or False", needed=True)
_LIMIT = Kind(_within(number, lambda found: found >= 0), "must be a number from 0")
_COUNT = Kind(_within(whole, lambda found: found >= 0), "must be a number from 0 and a whole number")
_WORD = Kind(text, "must be a word", literal=_literal_text)
_PART = Kind(_any, "", empties=True)
"""A part of the payload; what is in it is read by `members`."""

KINDS: dict[str, Kind] = {
    # the connection and the request
    "sentinelhub_conn_id": _NAME,
    "batch_api": _TEXT,
    "aws_conn_id": _TEXT,
    "iam_role_arn": _TEXT,
    "request_id": Kind(_any, f"is the id of a batch request, a UUID such as {_AN_ID}", literal=request_id),
    "collection_id": _NAME,
    # the job
    "process_request": _PART,
    "tiling_grid": _PART,
    "geopackage": _PART,
    "destination": _PART,
    "output": _PART,
    "area": _PART,
    "evalscript": _PART,
    "payload_extra": _PART,
    "data": _PART,
    "aggregation": _PART,
    "calculations": _PART,
    "collection": _PART,
    "simplify": Kind(_within(number, lambda found: found > 0), "is a number of metres above 0", empties=True),
    "bucket_name": _TEXT,
    "description": _TEXT,
    "name": _NAME,
    # limits; `decide.policy` checks one against the other
    "max_processing_units": _LIMIT,
    "max_processing_units_per_month": _LIMIT,
    "on_over_budget": _WORD,
    "require_estimate": _FLAG,
    "max_restarts": _COUNT,
    "max_failed": _COUNT,
    "max_failed_tiles": _COUNT,
    "max_failed_features": _COUNT,
    "min_success_ratio": _LIMIT,
    "on_partial": _WORD,
    # new imagery
    "max_cloud_coverage": Kind(
        _within(number, lambda found: 0 <= found <= 100), "must be a number from 0 to 100 (percent)", empties=True
    ),
    "min_count": Kind(_within(whole, lambda found: found >= 1), "is a number of acquisitions from 1"),
    # tiles and features
    "status": _WORD,
    "chunk_size": Kind(_within(whole, lambda found: found >= 1), "is a number of tiles from 1"),
    "with_paths": _FLAG,
    "target_status": _WORD,
    "tile_status": _WORD,
    "tile": Kind(text, "is the name or the id of a tile", literal=_literal_text),
    "count": Kind(_within(whole, lambda found: found >= 1), "is a number of tiles from 1"),
    "share": Kind(_within(number, lambda found: 0 < found <= 1), "is a number above 0 and at most 1"),
    # how it runs
    "check_tiles": _FLAG,
    "check_features": _FLAG,
    "check_results": _FLAG,
    "resume_stopped": _WORD,
    "wait_for_completion": _FLAG,
    "wait_for_start": _FLAG,
    "cancel_on_kill": _FLAG,
    "cancel_on_timeout": _FLAG,
    "deferrable": Kind(truth, "is True or False", empties=True),
    "poll_interval": _POLL,
    "analysis_poll_interval": _POLL,
    "poke_interval": Kind(_within(seconds, lambda found: found >= 0), "must be 0 seconds or more", _SPANS, needed=True),
    "timeout": Kind(_within(seconds, lambda found: found > 0), "must be above 0 seconds", _SPANS),
    "max_unknown_time": Kind(
        _within(seconds, lambda found: found >= 0), "must be 0 seconds or more", _SPANS, needed=True
    ),
}


PARTS = frozenset(name for name, kind in KINDS.items() if kind is _PART)
"""Arguments that become a part of the payload, or name a file in which it stands."""


def check_part(name: str, value: Any) -> None:
    """Check the type of a part of the payload.

    :raises InvalidInputError: it is neither an object nor text nor a path.
    """
    if value is None or isinstance(value, (Mapping, str, os.PathLike)) or is_late(value) or name == "area":
        return
    if isinstance(value, (list, tuple)) and name == "data":
        return
    what = "its text or the name of a file" if name == "evalscript" else "an object of the payload or text"
    raise InvalidInputError(f"{name} must be {what}, not {shown(value)}.")


def as_object(value: Any, name: str) -> dict[str, Any]:
    """A part of a payload that is an object; empty for None.

    :raises InvalidInputError: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{name} must be an object of the payload, not {told(value)}.")
    return dict(value)


def nothing(value: Any) -> bool:
    """Whether a template that has come out as this has come out as nothing."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))


def origin(template: Any) -> str:
    """Where a value comes from, as a part of a message; empty for a value that stands in the DAG itself."""
    return f" from {shown(str(template))}" if is_late(template) else ""


def check_literal(name: str, value: Any) -> None:
    """Check a value that stands in a DAG while that is parsed. What is known only in the run is let through.

    :raises InvalidInputError: the argument cannot have this value.
    """
    kind = KINDS.get(name)
    if kind is None or is_late(value) or (value is None and not kind.needed):
        return
    try:
        (kind.literal or kind.read)(value)
    except (ValueError, TypeError, OverflowError):
        raise _refusal(name, kind, value) from None


def taken(name: str, value: Any, template: Any = None) -> Any:
    """The value of an argument while the task runs, as what the argument wants.

    :param template: what stands for it in the DAG, None where that is not known.
    :raises InvalidInputError: it is none, or has come out as nothing where it must be there.
    """
    kind = KINDS.get(name)
    if kind is None:
        return value
    if nothing(value) and (value is None or is_late(template)):
        if template is not None and not kind.empties:
            raise came_out_empty(name, value, template)
        if value is not None or not kind.needed:
            return None
    try:
        return kind.read(value)
    except (ValueError, TypeError, OverflowError):
        raise _refusal(name, kind, value, template) from None


def all_taken(values: Mapping[str, Any], templates: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All of these arguments as `taken` reads each of them."""
    return {name: taken(name, value, (templates or {}).get(name)) for name, value in values.items()}


def came_out_empty(name: str, value: Any, template: Any = None) -> InvalidInputError:
    """The error for an argument that is given in the DAG, and has rendered to nothing."""
    limit = ", which does not mean no limit" if KINDS.get(name) in (_LIMIT, _COUNT) else ""
    return InvalidInputError(
        f"{name} is given in the DAG, but has come out as {value!r}{origin(template)}{limit}; "
        f"correct the template or XCom that it comes from, or leave {name} out."
    )


def empty_ones(values: Mapping[str, Any], templates: Mapping[str, Any]) -> str:
    """A sentence about the arguments that are given in the DAG and have rendered to nothing; empty for none."""
    names = [name for name, value in values.items() if nothing(value) and is_late(templates.get(name))]
    told = ", ".join(f"{name} is{origin(templates[name]).replace(' from', '')} in the DAG" for name in names)
    return f" Nothing came out of templates: {told}." if told else ""


def _refusal(name: str, kind: Kind, value: Any, template: Any = None) -> InvalidInputError:
    hint = f"; {kind.hint}" if kind.hint else ""
    source = f", which came{origin(template)}" if is_late(template) else ""
    return InvalidInputError(f"{name} {kind.says}, not {shown(value)}{source}{hint}.")


# Members of a payload


_MEMBERS: dict[str, Kind] = {
    "maxCloudCoverage": Kind(_within(number, lambda found: 0 <= found <= 100), "is a percentage from 0 to 100"),
    **dict.fromkeys(
        (
            "width",
            "height",
            "nBins",
            "overviewMinSize",
            "blockxsize",
            "blockysize",
            "windowSizeX",
            "windowSizeY",
        ),
        Kind(_within(whole, lambda found: found > 0), "is a whole number above 0"),
    ),
    **dict.fromkeys(("resx", "resy"), Kind(_within(number, lambda found: found > 0), "is a number above 0")),
    **dict.fromkeys(("lowEdge", "highEdge", "binWidth", "noData", "minQa"), Kind(number, "is a number")),
    **dict.fromkeys(
        (
            "overwrite",
            "skipExisting",
            "cogOutput",
            "createCollection",
            "usePredictor",
            "orthorectify",
            "harmonizeValues",
            "egm",
            "clampNegative",
            "logo",
        ),
        Kind(truth, "is true or false"),
    ),
    **dict.fromkeys(
        ("description", "bucketName", "collectionId", "name", "s3Bucket", "defaultTilePath", "tilePath", "url"),
        Kind(text, "must be text"),
    ),
}
_OF_A_GRID: dict[str, Kind] = {
    "id": Kind(_within(whole, lambda found: found >= 0), "is the number of a grid"),
    "resolution": Kind(_within(number, lambda found: found > 0), "is a positive number"),
    **dict.fromkeys(
        ("bufferX", "bufferY"), Kind(_within(whole, lambda found: found >= 0), "is a number of pixels from 0")
    ),
}
_NOT_OURS = ("area", "bounds", "geometry")
"""Parts that are read elsewhere, see `areas`; the properties of a feature may have any names."""
_ALWAYS = {"maxCloudCoverage", *_OF_A_GRID}
"""Members whose values are checked even if they are no text; the rest is for the service, or for `plain`."""


def members(value: Any, name: str, template: Any = None, *, grid: bool = False) -> Any:
    """A part of a payload with numbers and booleans in place of the text that templates render to.

    :param name: of the argument; members are called by their path in it.
    :param template: the same part as it stands in the DAG, None where that is not known; :param grid: it is a tiling
        grid. Templates (while a DAG is parsed) are left as they are.
    :raises InvalidInputError: a member that wants a number or a boolean has come out as something else.
    """
    if name.rpartition(".")[2] in _NOT_OURS:
        return value
    if isinstance(value, Mapping):
        kinds = {**_MEMBERS, **_OF_A_GRID} if grid else _MEMBERS
        return {
            key: _member(item, f"{name}.{key}", _at(template, key), kinds.get(key) if isinstance(key, str) else None)
            for key, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        read = [members(item, f"{name}[{index}]", _at(template, index)) for index, item in enumerate(value)]
        return read if isinstance(value, (list, tuple)) else value
    return value


def member_taken(member: str, value: Any, name: str) -> Any:
    """The value of a member of a payload that is given as the argument `name` of a builder.

    :raises InvalidInputError: it cannot have this value. None and templates are returned as they are.
    """
    return value if value is None else _member(value, name, None, _MEMBERS[member], checked=True)


def _member(value: Any, path: str, template: Any, kind: Kind | None, *, checked: bool = False) -> Any:
    if is_late(value) or kind is None or (isinstance(value, (Mapping, list)) and not checked):
        return members(value, path, template)
    if kind.read is not text and is_late(template) and nothing(value):
        raise came_out_empty(path, value, template)
    always = path.rpartition(".")[2] in _ALWAYS and isinstance(value, (int, float)) and value == value
    checked = checked or isinstance(value, str) or always
    wanted = not isinstance(value, str) if kind.read is text else checked
    if value is None or not wanted:
        return value
    if kind.read is text:
        return text(value) if isinstance(value, (int, float, Decimal)) else value
    try:
        return kind.read(value)
    except (ValueError, TypeError, OverflowError):
        raise _refusal(path, kind, value, template) from None


def _at(template: Any, key: Any) -> Any:
    """The part of what stands in the DAG; a template that renders to a whole object is the origin of each part."""
    if isinstance(template, Mapping):
        return template.get(key)
    if isinstance(template, (list, tuple)):
        return template[key] if isinstance(key, int) and key < len(template) else None
    return template if is_late(template) else None
