"""Running a flow on a script of replies: no socket, no clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_sentinelhub.api.call import Call, Flow, Lost, Note, Now, Renew, Reply, Send, Shared, Sleep, Work
from airflow_sentinelhub.api.service import statistical
from airflow_sentinelhub.api.service import v1 as service_v1
from airflow_sentinelhub.api.service import v2 as service_v2
from airflow_sentinelhub.api.snapshot import Snapshot

EPOCH = 1_700_000_000.0
ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
OTHER = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b11"

Answer = Reply | Lost | BaseException | Callable[[Call[Any]], "Reply | Lost"]


def snapshot(request: Any) -> Snapshot:
    """The reading of what a model of any generation writes."""
    readers = {
        "v1": service_v1.read_request,
        "v2": service_v2.read_request,
        "statistical": statistical.read_request,
    }
    return readers[request.generation](request.to_dict())


@dataclass
class Fed:
    """What a flow did: `did` holds calls (`GET /path`), sleeps, notes and renewals in their order."""

    did: list[Any] = field(default_factory=list)
    sent: list[Call[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    renewed: int = 0
    now: float = EPOCH
    error: BaseException | None = None
    _result: Any = None

    @property
    def result(self) -> Any:
        """What the flow returned; its error is raised."""
        if self.error is not None:
            raise self.error
        return self._result

    @property
    def calls(self) -> list[str]:
        """`GET /path` of everything that was sent."""
        return [f"{call.method} {call.path}" for call in self.sent]

    @property
    def waited(self) -> float:
        return sum(self.slept)


def feed(flow: Flow[Any], script: Iterable[Answer] = (), *, now: float = EPOCH) -> Fed:
    """Run the flow to its end; each call gets the script's next answer, and the script must be used up.

    The last answer of a script may be `...`: the one before it is then given for ever.
    """
    answers = list(script)
    fed, used = Fed(now=now), 0

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal used
        at = used
        if used < len(answers) and answers[used] is ...:
            at = used - 1
        else:
            used += 1
        assert at < len(answers), f"The script ends before {call.method} {call.path}; sent: {fed.calls}"
        given = answers[at]
        if isinstance(given, BaseException):
            raise given
        return given if isinstance(given, (Reply, Lost)) else given(call)

    received: Any = None
    thrown: BaseException | None = None
    try:
        while True:
            step = flow.send(received) if thrown is None else flow.throw(thrown)
            received, thrown = None, None
            if isinstance(step, Send):
                fed.sent.append(step.call)
                fed.did.append(fed.calls[-1])
                try:
                    received = answer(step.call)
                except AssertionError:
                    raise
                except BaseException as err:
                    thrown = err
            elif isinstance(step, Sleep):
                fed.slept.append(step.seconds)
                fed.did.append(step.seconds)
                fed.now += step.seconds
            elif isinstance(step, Now):
                received = fed.now
            elif isinstance(step, Note):
                (fed.warnings if step.warning else fed.notes).append(step.message)
                fed.did.append(step)
            elif isinstance(step, Work):
                try:
                    received = step.function()
                except Exception as err:
                    thrown = err
            elif isinstance(step, Shared):
                received = None  # as a worker, which has no poller
            elif isinstance(step, Renew):
                fed.renewed += 1
                fed.did.append(step)
            else:
                raise AssertionError(f"{step!r} is no step")
    except StopIteration as end:
        fed._result = end.value
    except AssertionError:
        raise
    except Exception as err:
        fed.error = err
    left = [one for one in answers[used:] if one is not ...]
    assert not left, f"The flow ended before {left[0]!r} of the script; sent: {fed.calls}"
    return fed


# Replies


def ok(body: Any = None, status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/json"}, b"" if body is None else json.dumps(body).encode())


def done() -> Reply:
    """The answer to an action."""
    return Reply(204)


def error(status: int, message: str = "no", code: str | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    body = {"error": {"status": status, "reason": "Reason", "message": message, "code": code or "COMMON_EXCEPTION"}}
    return Reply(status, dict(headers or {}), json.dumps(body).encode())


def html(status: int, title: str = "Bad Gateway") -> Reply:
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(status, {"content-type": "text/html"}, page.encode())


def lost(*, ambiguous: bool = True) -> Lost:
    return Lost("the connection was cut" if ambiguous else "the host cannot be reached", ambiguous=ambiguous)


def page(items: Iterable[Any], next_token: str | None = None) -> Reply:
    links = {} if next_token is None else {"nextToken": next_token}
    return ok({"data": list(items), "links": links})


# Bodies


def v1(status: str = "CREATED", action: str = "NONE", id: str = ID, **members: Any) -> dict[str, Any]:
    """A request as v1 shows it."""
    body: dict[str, Any] = {
        "id": id,
        "userId": "1b1d4b5e-7a51-4f43-8c8f-6a6d4b1f0c11",
        "created": "2020-12-21T22:28:38.824Z",
        "processRequest": {
            "input": {"bounds": {"bbox": [8.44, 41.31, 9.66, 43.1]}, "data": [{"type": "sentinel-2-l2a"}]},
            "output": {"responses": [{"identifier": "default", "format": {"type": "image/tiff"}}]},
            "evalscript": "//VERSION=3 ...",
        },
        "tilingGrid": {"id": 0, "resolution": 60.0},
        "output": {"defaultTilePath": "s3://my-bucket/ndvi"},
        "description": "max NDVI",
        "tileCount": 9,
        "userAction": action,
        "userActionUpdated": "2020-12-21T22:31:02.117Z",
        "status": status,
    }
    return {key: value for key, value in {**body, **members}.items() if value is not None}


def v2(status: str = "CREATED", action: str = "NONE", id: str = ID, **members: Any) -> dict[str, Any]:
    """A task as v2 shows it; `description` goes where v2 keeps it."""
    request = {
        "processRequest": {
            "input": {"bounds": {"bbox": [8.44, 41.31, 9.66, 43.1]}, "data": [{"type": "sentinel-2-l2a"}]},
            "evalscript": "//VERSION=3 ...",
        },
        "input": {"type": "tiling-grid", "id": 0, "resolution": 60.0},
        "output": {
            "type": "raster",
            "delivery": {"s3": {"url": "s3://my-bucket/ndvi", "accessKey": "*****", "secretAccessKey": "*****"}},
        },
        "description": members.pop("description", "max NDVI"),
    }
    body: dict[str, Any] = {
        "id": id,
        "request": request,
        "domainAccountId": "e024f6e1-0000-4000-8000-000000000002",
        "status": status,
        "userAction": action,
        "created": "2025-08-14T14:01:12.306339Z",
        "completionPercentage": 0,
        "costPU": 0.0,
    }
    return {key: value for key, value in {**body, **members}.items() if value is not None}
