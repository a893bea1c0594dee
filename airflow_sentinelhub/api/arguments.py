"""What each argument may be: one table, name -> kind, for operators, sensors, the group and the hook.

Out of a template everything comes as text (or, where a DAG renders native objects, text comes as a number or a list).
`taken` turns a value into what its argument wants, by the kind of the argument. A new argument needs a line in `KINDS`;
a test walks all signatures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from airflow_sentinelhub.api.reports import is_place, report_place
from airflow_sentinelhub.api.rings import number_of, shown, told
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError

ON_OVER_BUDGET = ("fail", "skip", "stop")
ON_PARTIAL = ("fail", "skip", "accept")
ON_UNWRITTEN = ("warn", "fail")
RESUMES = ("never", "if_accepted", "when_accepted")
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


def report(value: Any) -> str | bool:
    """Where a report goes: a place in a bucket, or True for beside the output.

    :raises ValueError: it is neither.
    """
    return report_place(value) if is_place(value) else truth(value)


def _literal_text(value: Any) -> str:
    """Text as it stands in a DAG: a number may be meant as one, a list is a mistake."""
    if isinstance(value, (list, tuple, dict, bool)):
        raise ValueError(value)
    return text(value)


def _role(value: Any) -> str:
    """The ARN of a role.

    :raises ValueError: it is not even the beginning of one, such as the name of a role.
    """
    found = text(value).strip()
    if found and not found.startswith("arn"):
        raise ValueError(value)
    return found


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
    :param hint: how it can be written.
    :param literal: reads a value that stands in the DAG, if it is stricter there.
    :param empties: what a template means that renders to nothing: True, that the argument was left out; False, a
        mistake, since leaving it out has another meaning.
    :param needed: None is no value of it, in the DAG either.
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


def _one_of(words: Sequence[str]) -> Kind:
    """One of these words."""
    fits = _within(text, lambda found: found in words)
    return Kind(fits, f"must be one of {', '.join(words)}")


_PART = Kind(_any, "", empties=True)
"""A part of the payload; what is in it is read by `members`."""

KINDS: dict[str, Kind] = {
    # the connection and the request
    "sentinelhub_conn_id": _NAME,
    "batch_api": _TEXT,
    "aws_conn_id": _TEXT,
    "iam_role_arn": Kind(_role, "is the ARN of a role, such as arn:aws:iam::123456789012:role/name", empties=True),
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
    "on_over_budget": _one_of(ON_OVER_BUDGET),
    "require_estimate": _FLAG,
    "max_restarts": _COUNT,
    "max_failed": _COUNT,
    "max_failed_tiles": _COUNT,
    "max_failed_features": _COUNT,
    "min_success_ratio": _LIMIT,
    "on_partial": _one_of(ON_PARTIAL),
    # new imagery; `times.resolved_range` reads the time range
    "time_range": Kind(_any, "", empties=True),
    "max_cloud_coverage": Kind(
        _within(number, lambda found: 0 <= found <= 100), "must be a number from 0 to 100 (percent)", empties=True
    ),
    "min_count": Kind(_within(whole, lambda found: found >= 1), "is a number of acquisitions from 1"),
    # tiles and features
    "status": _WORD,
    "chunk_size": Kind(_within(whole, lambda found: found >= 1), "is a number of tiles from 1"),
    "with_paths": _FLAG,
    "check_collection": _FLAG,
    "approve": _FLAG,
    "as_references": _FLAG,
    "target_status": _WORD,
    "tile_status": _WORD,
    "tile": Kind(
        _within(text, lambda found: found.strip() != ""),
        "is the name or the id of a tile",
        literal=_within(_literal_text, lambda found: found.strip() != ""),
    ),
    "count": Kind(_within(whole, lambda found: found >= 1), "is a number of tiles from 1"),
    "share": Kind(_within(number, lambda found: 0 < found <= 1), "is a number above 0 and at most 1"),
    # the report of a job
    "report": Kind(
        report,
        "is True, or s3://bucket/path of a folder, or of a file that ends in .html, .svg, .png or .geojson",
        empties=True,
    ),
    "on_unwritten": _one_of(ON_UNWRITTEN),
    # how it runs
    "check_tiles": _FLAG,
    "check_features": _FLAG,
    "check_results": _FLAG,
    "resume_stopped": _one_of(RESUMES),
    "wait_for_completion": _FLAG,
    "wait_for_start": _FLAG,
    "cancel_on_kill": _FLAG,
    "cancel_on_timeout": _FLAG,
    "deferrable": Kind(truth, "is True or False", empties=True),
    "poll_interval": _POLL,
    "analysis_poll_interval": _POLL,
    "max_poll_interval": Kind(_within(seconds, lambda found: found > 0), "must be above 0 seconds", _SPANS),
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


def check_word(name: str, value: Any, words: Sequence[str | None]) -> None:
    """Check an argument that is one of some words. What is known only in the run is let through.

    :param words: None among them means all.
    :raises InvalidInputError: it is another word.
    """
    if not is_late(value) and value not in words:
        told = ", ".join(word for word in words if word is not None) + (", or be None for all" if None in words else "")
        raise InvalidInputError(f"{name} is {shown(value)}; it must be one of {told}.")


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


def templates_told(message: str, values: Mapping[str, Any], templates: Mapping[str, Any]) -> str:
    """What to add to a message about arguments: the text of the templates that its values came from.

    :param message: of the error.
    :param values: arguments as they were rendered.
    :param templates: as they stand in the DAG.
    :returns: sentences that name argument and template, of those whose value the message shows and of those that came
        out as nothing; empty for none.
    """
    empty, shows = [], []
    for path, value, template in _templated(values, templates):
        text = f"{path} is {shown(str(template))} in the DAG"
        if shown(str(template)) in message:
            continue
        if nothing(value):
            empty.append(text)
        elif _mentions(message, value) or ("." not in path and _is_about(message, path)):
            shows.append(text)
    told = f" Out of templates: {', '.join(shows)}." if shows else ""
    return told + (f" Nothing came out of templates: {', '.join(empty)}." if empty else "")


def _templated(values: Any, templates: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each part that is a template in the DAG: its path, what it has rendered to, and the template."""
    if is_late(templates):
        yield path, values, templates
    elif isinstance(templates, Mapping) and isinstance(values, Mapping):
        for key, template in templates.items():
            if key in values:
                yield from _templated(values[key], template, f"{path}.{key}".removeprefix("."))
    elif isinstance(templates, (list, tuple)) and isinstance(values, (list, tuple)):
        for index, (value, template) in enumerate(zip(values, templates, strict=False)):
            yield from _templated(value, template, f"{path}[{index}]")


_LONGEST_SHOWN = 200
_OTHER_NAMES = {"area": ("The area", "the area", "bounding box"), "evalscript": ("evalscript",)}


def _mentions(message: str, value: Any) -> bool:
    """Whether a message shows a value: by itself, not as a part of another number or word."""
    if isinstance(value, (Mapping, list, tuple, bool)):
        return False
    texts = {shown(value), str(value)[:_LONGEST_SHOWN].strip()}
    return any(re.search(rf"(?<![\w.]){re.escape(text)}(?!\w|\.\d)", message) for text in texts) or (
        isinstance(value, str) and len(value.strip()) > _SHORT and value.strip() in message
    )


_SHORT = 5
"""Characters. What is longer is hardly in a message by chance, even at the beginning of another word."""


def _is_about(message: str, name: str) -> bool:
    """Whether a message is about an argument, whose value it need not show."""
    if message.startswith((f"{name} ", f"{name}.", f"{name}[")):
        return True
    if "_" in name and re.search(rf"\b{re.escape(name)}\b", message):
        return True
    return any(text in message for text in _OTHER_NAMES.get(name, ()))


def _refusal(name: str, kind: Kind, value: Any, template: Any = None) -> InvalidInputError:
    hint = f"; {kind.hint}" if kind.hint else ""
    source = f", which came{origin(template)}" if is_late(template) else ""
    return InvalidInputError(f"{name} {kind.says}, not {shown(value)}{source}{hint}.")


# Members of a payload


def _written_so(*words: str) -> Kind:
    """A member that the service takes as one of these words, written so."""

    def read(value: Any) -> str:
        word = value.strip() if isinstance(value, str) else ""
        if word not in words:
            raise ValueError(value)
        return word

    return Kind(read, f"is one of {', '.join(words)}")


_WORDS: dict[str, Kind] = {
    "mosaickingOrder": _written_so("mostRecent", "leastRecent", "leastCC"),
    **dict.fromkeys(("upsampling", "downsampling"), _written_so("NEAREST", "BILINEAR", "BICUBIC")),
    "orbitDirection": _written_so("ASCENDING", "DESCENDING"),
    "backCoeff": _written_so("BETA0", "SIGMA0_ELLIPSOID", "GAMMA0_ELLIPSOID", "GAMMA0_TERRAIN"),
}
"""Members whose words are the same for all collections that have them."""
_MEMBERS: dict[str, Kind] = {
    **_WORDS,
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


def members(value: Any, name: str, template: Any = None, *, grid: bool = False) -> Any:
    """A part of a payload with numbers and booleans in place of the text that templates render to.

    :param name: of the argument; members are called by their path in it.
    :param template: the same part as it stands in the DAG, None where that is not known.
    :param grid: it is a tiling grid. Templates (while a DAG is parsed) are left as they are.
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
    is_number = isinstance(value, (int, float)) and value == value  # what JSON does not have is left to `plain`
    checked = checked or isinstance(value, str) or is_number
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
