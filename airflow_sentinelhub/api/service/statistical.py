"""Endpoints of batch statistical, the reading of its requests, and the description in their evalscript.

An endpoint is a function that returns a `Call`; it sends nothing.

Paths have the older form (`/api/v1/statistics/batch`). The transport changes them to `/statistics/batch/v1` if the
connection is set to the form of 2026; the service supports both.

A statistical request has no description, and it cannot be changed later. So its description, with the task's marker, is
a comment in the last line of the evalscript: the service returns the evalscript with each request and in the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_sentinelhub.api.call import Call, path_part
from airflow_sentinelhub.api.decoding import an_object, member, text, words_at
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.api.snapshot import Snapshot, common, only, readable, spent
from airflow_sentinelhub.exceptions import InvalidInputError

Json = dict[str, Any]
ROOT = "/api/v1/statistics/batch"
EVALSCRIPT_LIMIT = 32 * 1024
"""Size in bytes from which the service refuses an evalscript."""
_NOTE = "// task: "


def read_request(body: Any) -> Snapshot:
    """The request in a reply of batch statistical. Members other than id and status are None if they are not valid.

    :raises ValueError: the reply has no id or no status.
    """
    return Snapshot(
        generation="statistical",
        description=note_in(words_at(body, "request", "aggregation", "evalscript")),
        output_url=place_of(member(body, "request")),
        **common(body),
        **spent(body),
    )


def create(payload: Json) -> Call[Snapshot]:
    """Create a request. Free of charge, but the service refuses accounts with less than 1,000 PU. Not repeatable."""
    about = "create a batch statistical request"
    return Call("POST", ROOT, read_request, json=payload, about=about)


def create_described(payload: Json) -> Call[Snapshot]:
    """Create a request from a payload with a `description`, which is moved into the evalscript."""
    return create(described(payload))


def get_request(request_id: str) -> Call[Snapshot]:
    """Read the whole request. Each poll uses this call, because the reply of `get_status` lacks the user action.

    For minutes after a start the status is still CREATED, and only the user action shows that the request was started.
    The whole request is small: its evalscript has some kilobytes.
    """

    return Call(
        "GET", _request_path(request_id), only(request_id, read_request), repeatable=True, about=_about(request_id)
    )


def get_body(request_id: str) -> Call[Json]:
    """Read the request as JSON, for members that a `Snapshot` lacks. The reply must have an id and a status."""
    parse = readable(only(request_id, read_request))
    return Call("GET", _request_path(request_id), parse, repeatable=True, about=_about(request_id))


def get_status(request_id: str) -> Call[Json]:
    """Read the status, the cost, the completed share and the times of the request, without the user action."""
    return Call("GET", f"{_request_path(request_id)}/status", an_object, repeatable=True, about=_about(request_id))


def list_requests(*, sort: str | None = None, viewtoken: str | None = None, **query: Any) -> Call[Page[Snapshot]]:
    """Read a page of the list of requests, which cannot be searched."""
    return Call(
        "GET",
        ROOT,
        page_of(read_request),
        {"sort": sort, **query, "viewtoken": viewtoken},
        repeatable=True,
        about="list batch statistical requests",
    )


def analyse(request_id: str) -> Call[None]:
    return _action(request_id, "analyse")


def start(request_id: str) -> Call[None]:
    """Start processing. **This bills.** Call it through `flows.start_once`, which never starts a request twice."""
    return _action(request_id, "start")


def stop(request_id: str) -> Call[None]:
    """Stop processing. Features that are processed or being processed are billed."""
    return _action(request_id, "stop", ends=True)


def _action(request_id: str, action: str, ends: bool = False) -> Call[None]:
    """An action on a request.

    :param ends: it ends the request, so it may be repeated, and does not wait long.
    """
    path = f"{_request_path(request_id)}/{action}"
    return Call("POST", path, lambda _: None, repeatable=ends, urgent=ends, about=_about(request_id))


def _request_path(request_id: str) -> str:
    return f"{ROOT}/{path_part(request_id)}"


def _about(request_id: str) -> str:
    return f"batch statistical request {request_id}"


def described(payload: Mapping[str, Any]) -> Json:
    """The payload with its `description` moved into the last line of the evalscript.

    :raises InvalidInputError: the evalscript is not given as text, or gets too long.
    """
    members = {name: value for name, value in payload.items() if name != "description"}
    description = " ".join(str(payload.get("description") or "").split())
    if not description:
        return members
    aggregation = dict(members.get("aggregation") or {})
    script = aggregation.get("evalscript")
    if not isinstance(script, str) or not script.strip():
        raise InvalidInputError(
            "A task finds its statistical request again by a comment in the evalscript, so the evalscript has to be "
            "given as text (or as a .js file beside the DAG), not as evalscriptReference."
        )
    marked_script = f"{without_note(script).rstrip()}\n{_NOTE}{description}\n"
    if len(marked_script.encode()) >= EVALSCRIPT_LIMIT:
        raise InvalidInputError(
            f"The evalscript has {len(marked_script.encode()):,} bytes with the comment that marks the task; batch "
            f"statistical takes less than {EVALSCRIPT_LIMIT:,}."
        )
    return {**members, "aggregation": {**aggregation, "evalscript": marked_script}}


def without_note(script: str) -> str:
    """The evalscript without the comment that contains the description."""
    head, newline, last = script.rstrip().rpartition("\n")
    return head + "\n" if newline and last.startswith(_NOTE) else script


def note_in(script: str) -> str:
    """The description in the last line of an evalscript, empty if there is none."""
    last = script.rstrip().rpartition("\n")[2]
    return last[len(_NOTE) :] if last.startswith(_NOTE) else ""


def place_of(request: Any) -> str | None:
    """The place of the results that the request names, None if it names none."""
    return text(member(request, "output", "s3", "url")) or None


def features_of(request: Any) -> str | None:
    """The place of the GeoPackage that the request names, None if it names none."""
    return text(member(request, "input", "features", "s3", "url")) or None
