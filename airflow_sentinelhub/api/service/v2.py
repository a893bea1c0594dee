"""Endpoints of batch v2, and how its tasks are read. An endpoint describes a call, nothing more.

Paths are written in the older form (`/api/v2/batch`); the transport turns them into `/batch/v2` where the connection
asks for the form of 2026 (both answer).
"""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub.api.call import Call, path_part
from airflow_sentinelhub.api.decoding import member, text, words_at
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.api.snapshot import Snapshot, common, only, spent

Json = dict[str, Any]
ROOT = "/api/v2/batch"


def read_request(body: Any) -> Snapshot:
    """The reading in a body of v2. It needs an id and a status; whatever else is odd counts as not said.

    :raises ValueError: the body describes no task.
    """
    return Snapshot(
        generation="v2",
        description=words_at(body, "request", "description") or words_at(body, "description"),
        output_url=place_of(member(body, "request")),
        **common(body),
        **spent(body),
    )


def place_of(request: Any) -> str | None:
    """Where the results go, as it stands in the request; None where it names no place."""
    delivery = member(request, "output", "delivery")
    places = delivery.values() if isinstance(delivery, dict) else ()
    return next((url for place in places if (url := text(member(place, "url")))), None)


def create(payload: Json) -> Call[Snapshot]:
    """Create a task. Free of charge, but refused to accounts with less than 1,000 PU. Not repeatable."""
    return Call("POST", f"{ROOT}/process", read_request, json=payload, about="create a batch request")


def get_request(request_id: str) -> Call[Snapshot]:
    parse = only(request_id, read_request)
    return Call("GET", _one(request_id), parse, repeatable=True, about=f"batch request {request_id}")


def list_requests(*, sort: str | None = None, viewtoken: str | None = None, **query: Any) -> Call[Page[Snapshot]]:
    """A page of tasks. There is no search."""
    return Call(
        "GET",
        f"{ROOT}/process",
        page_of(read_request),
        {"sort": sort, **query, "viewtoken": viewtoken},
        repeatable=True,
        about="list batch requests",
    )


def update_request(request_id: str, payload: Json) -> Call[Any]:
    """Change the description. The answer is the request, not the task."""
    about = f"batch request {request_id}"
    return Call("PUT", _one(request_id), lambda body: body, json=payload, repeatable=True, about=about)


def analyse(request_id: str) -> Call[None]:
    return _action(request_id, "analyse")


def start(request_id: str) -> Call[None]:
    """Start processing. **This bills.** `flows.start_once` is the way to call it."""
    return _action(request_id, "start")


def stop(request_id: str) -> Call[None]:
    """Stop processing: what is finished or running is charged. 400 while the task is still CREATED."""
    return _action(request_id, "stop", repeatable=True)


def _action(request_id: str, word: str, repeatable: bool = False) -> Call[None]:
    path = f"{_one(request_id)}/{word}"
    return Call("POST", path, lambda _: None, repeatable=repeatable, about=f"batch request {request_id}")


def _one(request_id: str) -> str:
    return f"{ROOT}/process/{path_part(request_id)}"
