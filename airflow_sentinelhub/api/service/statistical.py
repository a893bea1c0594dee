"""Endpoints of batch statistical, how its requests are read, and where they carry a description.

An endpoint describes a call, nothing more.

Paths are written in the older form (`/api/v1/statistics/batch`); the transport turns them into `/statistics/batch/v1`
where the connection asks for the form of 2026 (both answer).

A statistical request has no description, and nothing about it can be changed later. What our other requests say in
their description stands here in the last line of the evalscript, as a comment: free text that the service keeps and
shows again on each request and in the list.
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
"""Bytes from which on the service refuses an evalscript."""
_NOTE = "// task: "


def read_request(body: Any) -> Snapshot:
    """The reading in a body of batch statistical. It needs an id and a status; whatever else is odd is not said.

    :raises ValueError: the body describes no request.
    """
    return Snapshot(
        generation="statistical",
        description=note_in(words_at(body, "request", "aggregation", "evalscript")),
        output_url=place_of(member(body, "request")),
        **common(body),
        **spent(body),
    )


def create(payload: Json) -> Call[Snapshot]:
    """Create a request. Free of charge, but refused to accounts with less than 1,000 PU. Not repeatable."""
    about = "create a batch statistical request"
    return Call("POST", ROOT, read_request, json=payload, about=about)


def create_described(payload: Json) -> Call[Snapshot]:
    """The same for a payload with a `description`, which is put into the evalscript."""
    return create(described(payload))


def get_request(request_id: str) -> Call[Snapshot]:
    """The whole request. This is what is polled: the status part alone (`get_status`) lacks the user action.

    For minutes after a start the status says CREATED; only the user action tells such a request from one that nobody
    has started. The rest of the request is small: an evalscript of some kilobytes.
    """

    return Call("GET", _one(request_id), only(request_id, read_request), repeatable=True, about=_about(request_id))


def get_body(request_id: str) -> Call[Json]:
    """The request in the service's own words, for what a reading of it leaves out. It must be one that can be read."""
    parse = readable(only(request_id, read_request))
    return Call("GET", _one(request_id), parse, repeatable=True, about=_about(request_id))


def get_status(request_id: str) -> Call[Json]:
    """The status part of the request: status, cost, share done, times; no user action."""
    return Call("GET", f"{_one(request_id)}/status", an_object, repeatable=True, about=_about(request_id))


def list_requests(*, sort: str | None = None, viewtoken: str | None = None, **query: Any) -> Call[Page[Snapshot]]:
    """A page of requests. There is no search."""
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
    """Start processing. **This bills.** `flows.start_once` is the way to call it."""
    return _action(request_id, "start")


def stop(request_id: str) -> Call[None]:
    """Stop processing: what is finished or running is charged."""
    return _action(request_id, "stop", repeatable=True)


def _action(request_id: str, word: str, repeatable: bool = False) -> Call[None]:
    path = f"{_one(request_id)}/{word}"
    return Call("POST", path, lambda _: None, repeatable=repeatable, about=_about(request_id))


def _one(request_id: str) -> str:
    return f"{ROOT}/{path_part(request_id)}"


def _about(request_id: str) -> str:
    return f"batch statistical request {request_id}"


def described(payload: Mapping[str, Any]) -> Json:
    """The payload with its `description` moved into the evalscript's last line.

    :raises InvalidInputError: there is no evalscript as text to write it into, or it gets too long.
    """
    rest = {name: value for name, value in payload.items() if name != "description"}
    words = " ".join(str(payload.get("description") or "").split())
    if not words:
        return rest
    aggregation = dict(rest.get("aggregation") or {})
    script = aggregation.get("evalscript")
    if not isinstance(script, str) or not script.strip():
        raise InvalidInputError(
            "A task finds its statistical request again by a comment in the evalscript, so the evalscript has to be "
            "given as text (or as a .js file beside the DAG), not as evalscriptReference."
        )
    noted = f"{without_note(script).rstrip()}\n{_NOTE}{words}\n"
    if len(noted.encode()) >= EVALSCRIPT_LIMIT:
        raise InvalidInputError(
            f"The evalscript has {len(noted.encode()):,} bytes with the comment that marks the task; batch statistical "
            f"takes less than {EVALSCRIPT_LIMIT:,}."
        )
    return {**rest, "aggregation": {**aggregation, "evalscript": noted}}


def without_note(script: str) -> str:
    """The evalscript as the user wrote it."""
    head, found, tail = script.rstrip().rpartition("\n")
    return head + "\n" if found and tail.startswith(_NOTE) else script


def note_in(script: str) -> str:
    """The description that stands in an evalscript, empty if none does."""
    last = script.rstrip().rpartition("\n")[2]
    return last[len(_NOTE) :] if last.startswith(_NOTE) else ""


def place_of(request: Any) -> str | None:
    """Where the results go, as it stands in the request; None where it names no place."""
    return text(member(request, "output", "s3", "url")) or None


def features_of(request: Any) -> str | None:
    """Where the GeoPackage lies, as it stands in the request; None where it names none."""
    return text(member(request, "input", "features", "s3", "url")) or None
