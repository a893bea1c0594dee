"""What each argument may be: one table, name -> kind, for operators, sensors, the group and the hook.

Out of a template everything comes as text (or, where a DAG renders native objects, text comes as a number or a list).
`taken` turns a value into what its argument wants, by the kind of the argument. A new argument needs a line in `KINDS`;
a test walks all signatures.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from airflow_sentinelhub.api.kinds import (
    SPANS,
    Kind,
    came_out_empty,
    literal_text,
    nothing,
    number,
    refusal,
    seconds,
    text,
    truth,
    whole,
    within,
)
from airflow_sentinelhub.api.reports import is_place, report_place
from airflow_sentinelhub.api.rings import described, shown
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError

ON_OVER_BUDGET = ("fail", "skip", "stop")
ON_PARTIAL = ("fail", "skip", "accept")
ON_UNWRITTEN = ("warn", "fail")
RESUMES = ("never", "if_accepted", "when_accepted")
_AN_ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


def report(value: Any) -> str | bool:
    """Where a report goes: a place in a bucket, or True for beside the output.

    :raises ValueError: it is neither.
    """
    return report_place(value) if is_place(value) else truth(value)


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


_TEXT = Kind(text, "must be text", literal=literal_text, empties=True)
_NAME = Kind(text, "must be text", literal=literal_text)
_POLL = Kind(within(seconds, lambda found: found > 0), "must be above 0 seconds", SPANS, needed=True)
_FLAG = Kind(truth, "is True or False", needed=True)
_LIMIT = Kind(within(number, lambda found: found >= 0), "must be a number from 0", limit=True)
_COUNT = Kind(within(whole, lambda found: found >= 0), "must be a number from 0 and a whole number", limit=True)
_WORD = Kind(text, "must be a word", literal=literal_text)


def _one_of(words: Sequence[str]) -> Kind:
    """One of these words."""
    fits = within(text, lambda found: found in words)
    return Kind(fits, f"must be one of {', '.join(words)}")


_PART = Kind(_any, "", empties=True)
"""A part of the payload; what is in it is read by `members`."""

KINDS: dict[str, Kind] = {
    # the connection and the request
    "sentinelhub_conn_id": Kind(
        within(text, lambda found: found.strip() != ""),
        "is the id of an Airflow connection",
        literal=within(literal_text, lambda found: found.strip() != ""),
        needed=True,
    ),
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
    "simplify": Kind(within(number, lambda found: found > 0), "is a number of metres above 0", empties=True),
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
        within(number, lambda found: 0 <= found <= 100), "must be a number from 0 to 100 (percent)", empties=True
    ),
    "min_count": Kind(within(whole, lambda found: found >= 1), "is a number of acquisitions from 1", needed=True),
    # tiles and features
    "status": _WORD,
    "chunk_size": Kind(within(whole, lambda found: found >= 1), "is a number of tiles from 1"),
    "with_paths": _FLAG,
    "check_collection": _FLAG,
    "approve": _FLAG,
    "as_references": _FLAG,
    "target_status": _WORD,
    "tile_status": _WORD,
    "tile": Kind(
        within(text, lambda found: found.strip() != ""),
        "is the name or the id of a tile",
        literal=within(literal_text, lambda found: found.strip() != ""),
    ),
    "count": Kind(within(whole, lambda found: found >= 1), "is a number of tiles from 1"),
    "share": Kind(within(number, lambda found: 0 < found <= 1), "is a number above 0 and at most 1"),
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
    "max_poll_interval": Kind(within(seconds, lambda found: found > 0), "must be above 0 seconds", SPANS),
    "poke_interval": Kind(within(seconds, lambda found: found >= 0), "must be 0 seconds or more", SPANS, needed=True),
    "timeout": Kind(within(seconds, lambda found: found > 0), "must be above 0 seconds", SPANS),
    "max_unknown_time": Kind(
        within(seconds, lambda found: found >= 0), "must be 0 seconds or more", SPANS, needed=True
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
        raise InvalidInputError(f"{name} must be an object of the payload, not {described(value)}.")
    return dict(value)


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
        raise refusal(name, kind, value) from None


def check_word(name: str, value: Any, words: Sequence[str | None]) -> None:
    """Check an argument that is one of some words. What is known only in the run is let through.

    :param words: None among them means all.
    :raises InvalidInputError: it is another word.
    """
    if not is_late(value) and value not in words:
        choices = ", ".join(word for word in words if word is not None) + (
            ", or be None for all" if None in words else ""
        )
        raise InvalidInputError(f"{name} is {shown(value)}; it must be one of {choices}.")


def taken(name: str, value: Any, template: Any = None) -> Any:
    """The value of an argument while the task runs, as what the argument wants.

    :param template: what stands for it in the DAG, None where that is not known.
    :raises InvalidInputError: the argument cannot have this value, or its template has rendered to nothing.
    """
    kind = KINDS.get(name)
    if kind is None:
        return value
    if nothing(value) and (value is None or is_late(template)):
        if template is not None and not kind.empties:
            raise came_out_empty(name, kind, value, template)
        if value is not None or not kind.needed:
            return None
    try:
        return kind.read(value)
    except (ValueError, TypeError, OverflowError):
        raise refusal(name, kind, value, template) from None


def all_taken(values: Mapping[str, Any], templates: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All of these arguments as `taken` reads each of them."""
    return {name: taken(name, value, (templates or {}).get(name)) for name, value in values.items()}
