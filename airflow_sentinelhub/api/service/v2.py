"""Endpoints of batch v2. Each function describes one call and does nothing.

Paths are written in the older form (`/api/v2/batch`); the transport turns them into `/batch/v2` where the connection
asks for the form of 2026 (both answer).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.models import BatchProcessRequest
from airflow_sentinelhub.api.paging import Page, page_of

Json = dict[str, Any]
ROOT = "/api/v2/batch"


def create(payload: Json) -> Call[BatchProcessRequest]:
    """Create a task. Free of charge, but refused to accounts with less than 1,000 PU. Not repeatable."""
    return Call("POST", f"{ROOT}/process", BatchProcessRequest.from_dict, json=payload, about="create a batch request")


def get_request(request_id: str) -> Call[BatchProcessRequest]:
    about = f"batch request {request_id}"
    return Call("GET", _one(request_id), BatchProcessRequest.from_dict, repeatable=True, about=about)


def list_requests(
    *, sort: str | None = None, viewtoken: str | None = None, **query: Any
) -> Call[Page[BatchProcessRequest]]:
    """A page of tasks. There is no search."""
    return Call(
        "GET",
        f"{ROOT}/process",
        page_of(BatchProcessRequest.from_dict),
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
    return f"{ROOT}/process/{quote(request_id, safe='')}"
