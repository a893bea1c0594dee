"""Endpoints of batch v2, and the reading of its tasks. An endpoint is a function that returns a `Call`.

Paths have the older form (`/api/v2/batch`). The transport changes them to `/batch/v2` if the connection is set to the
form of 2026; the service supports both.
"""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub.api.call import Call, path_part
from airflow_sentinelhub.api.decoding import member, text, words_at
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.api.snapshot import Snapshot, common, only, readable, spent

Json = dict[str, Any]
ROOT = "/api/v2/batch"


def read_request(body: Any) -> Snapshot:
    """The task in a reply of v2. Members other than id and status are None if they are not valid.

    :raises ValueError: the reply has no id or no status.
    """
    return Snapshot(
        generation="v2",
        description=words_at(body, "request", "description") or words_at(body, "description"),
        output_url=place_of(member(body, "request")),
        store=member(body, "request", "output", "type") == "zarr",
        **common(body),
        **spent(body),
    )


def place_of(request: Any) -> str | None:
    """The place of the results that the request names, None if it names none."""
    delivery = member(request, "output", "delivery")
    places = delivery.values() if isinstance(delivery, dict) else ()
    return next((url for place in places if (url := text(member(place, "url")))), None)


def create(payload: Json) -> Call[Snapshot]:
    """Create a task. Free of charge, but the service refuses accounts with less than 1,000 PU. Not repeatable."""
    return Call("POST", f"{ROOT}/process", read_request, json=payload, about="create a batch request")


def get_request(request_id: str) -> Call[Snapshot]:
    parse = only(request_id, read_request)
    return Call("GET", _request_path(request_id), parse, repeatable=True, about=f"batch request {request_id}")


def get_body(request_id: str) -> Call[Json]:
    """Read the task as JSON, for members that a `Snapshot` lacks. The reply must have an id and a status."""
    parse = readable(only(request_id, read_request))
    return Call("GET", _request_path(request_id), parse, repeatable=True, about=f"batch request {request_id}")


def list_requests(*, sort: str | None = None, viewtoken: str | None = None, **query: Any) -> Call[Page[Snapshot]]:
    """Read a page of the list of tasks, which cannot be searched."""
    return Call(
        "GET",
        f"{ROOT}/process",
        page_of(read_request),
        {"sort": sort, **query, "viewtoken": viewtoken},
        repeatable=True,
        about="list batch requests",
    )


def update_request(request_id: str, payload: Json) -> Call[Any]:
    """Change the description. The reply is the `request` part of the task, not the task."""
    about = f"batch request {request_id}"
    return Call("PUT", _request_path(request_id), lambda body: body, json=payload, repeatable=True, about=about)


def analyse(request_id: str) -> Call[None]:
    return _action(request_id, "analyse")


def start(request_id: str) -> Call[None]:
    """Start processing. **This bills.** Call it through `flows.start_once`, which never starts a task twice."""
    return _action(request_id, "start")


def stop(request_id: str) -> Call[None]:
    """Stop processing. Tiles that are processed or being processed are billed.

    The service refuses (400) while the task is CREATED.
    """
    return _action(request_id, "stop", ends=True)


def _action(request_id: str, action: str, ends: bool = False) -> Call[None]:
    """An action on a request.

    :param ends: it ends the request, so it may be repeated, and does not wait long.
    """
    path = f"{_request_path(request_id)}/{action}"
    return Call("POST", path, lambda _: None, repeatable=ends, urgent=ends, about=f"batch request {request_id}")


def _request_path(request_id: str) -> str:
    return f"{ROOT}/process/{path_part(request_id)}"
