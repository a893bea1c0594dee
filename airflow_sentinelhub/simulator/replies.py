"""A call and a reply, free of any web library, and the error bodies in the shapes that were seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One HTTP request. ``base`` is scheme and host as the client used them, for the links in replies."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = ""
    # Simulated moment of the call, and the moment its reads are true for (earlier when a replica lags).
    now: float = 0.0
    seen: float = 0.0

    def parameter(self, name: str) -> str | None:
        return next((value for key, value in self.query if key == name), None)

    def url(self, path: str, **changes: str) -> str:
        """An address of this server with this call's query, some parameters changed."""
        kept = [(key, value) for key, value in self.query if key not in changes]
        return f"{self.base}{path}?{urlencode([*kept, *changes.items()])}"


@dataclass(frozen=True)
class Reply:
    """What is answered, and what really happened: ``effect`` on the request ``request_id``."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    effect: str | None = None
    request_id: str | None = None
    media_type: str = "application/json"

    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


class Refusal(Exception):
    """Raised anywhere below a handler to answer with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


# What the service says in general with a status: message and code (seen; those of 401, 409, 413 are ours).
_GENERAL = {
    400: ("Request body should be non-empty.", "COMMON_BAD_PAYLOAD"),
    401: ("The access token is missing, invalid or expired.", "COMMON_UNAUTHORIZED"),
    403: ("You are not authorized to perform this action.", "COMMON_INSUFFICIENT_PERMISSIONS"),
    404: ("Not Found", "COMMON_NOT_FOUND"),
    405: ("HTTP 405 Method Not Allowed", "COMMON_METHOD_NOT_ALLOWED"),
    409: ("The request's state does not allow this.", "COMMON_BAD_PAYLOAD"),
    413: ("The request body is larger than 4 MiB.", "COMMON_BAD_PAYLOAD"),
    415: ("HTTP 415 Unsupported Media Type", "COMMON_UNSUPPORTED_MEDIA_TYPE"),
    429: ("You have exceeded your rate limit", "RATE_LIMIT_EXCEEDED"),
    500: ("java.lang.NullPointerException", "RENDERER_EXCEPTION"),
}


def reason_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def error_body(status: int, message: str | None = None, code: str | None = None, errors: Any = None) -> Json:
    """``{"error": {...}}`` with status, reason, message and code, and a list of violations where there are any."""
    general, general_code = _GENERAL.get(status, (reason_phrase(status), "COMMON_EXCEPTION"))
    error: Json = {
        "status": status,
        "reason": reason_phrase(status),
        "message": general if message is None else message,
        "code": general_code if code is None else code,
    }
    if errors is not None:
        error["errors"] = errors
    return {"error": error}


def error(status: int, message: str | None = None, code: str | None = None, request_id: str | None = None) -> Reply:
    return Reply(status, error_body(status, message, code), request_id=request_id)


def violations(found: list[tuple[str, str]]) -> Reply:
    """400 with a list of violations; the message is all of them, each followed by a line feed (seen)."""
    errors = [{"parameter": parameter, "violation": violation} for parameter, violation in found]
    message = "".join(f"{violation}\n" for _, violation in found)
    return Reply(400, error_body(400, message, errors=errors))


def html(status: int) -> Reply:
    """An error page as a proxy in front of the service sends it (seen at the token endpoint)."""
    title = f"{status} {reason_phrase(status)}"
    head, body = f"<head><title>{title}</title></head>", f"<body>\r\n<center><h1>{title}</h1></center>\r\n</body>"
    page = f"<html>\r\n{head}\r\n{body}\r\n</html>\r\n"
    return Reply(status, page, media_type="text/html")
