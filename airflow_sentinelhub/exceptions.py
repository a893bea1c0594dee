"""The error tree. Everything this package raises on purpose is a `SentinelHubError`.

A message says what happened, to which request, whether that request still runs and bills, and what to do.
Errors never carry credentials: bodies are cut to `BODY_LIMIT` characters and known secret fields are blanked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_sentinelhub.redaction import redacted

BODY_LIMIT = 2_000
"""Characters of a reply's body that an error keeps."""


def one_line(text: str, limit: int = BODY_LIMIT, clean: Callable[[str], str] | None = None) -> str:
    """Somebody else's text as a part of a message: in one line, without control characters and credentials, cut.

    :param clean: takes known secrets out of the text, before any of them is cut in two.
    """
    if clean is not None:
        text = clean(text[: 4 * limit + BODY_LIMIT])
    line = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit])
    line = redacted(" ".join(line.split()))
    return line if len(line) <= limit else f"{line[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


class SentinelHubError(Exception):
    """Root of all errors of this package.

    `retry_helps` tells Airflow's side whether another try of the task can end differently; `skip`, whether the user's
    policy has the task skipped instead of failed. `snapshot` is the last reading of the request that it is about, None
    where there was none.
    """

    retry_helps = True
    skip = False
    snapshot: Any = None


class SettingsError(SentinelHubError):
    """The Airflow connection, or what it names, cannot be used as it is."""

    retry_helps = False


class EstimateError(SentinelHubError):
    """The cost of a job cannot be estimated before its start; the text says why, as a sentence."""


class MovedError(SettingsError):
    """The connection was edited and cannot reach the deployment any more at which the task's request is."""

    retry_helps = True


class InvalidInputError(SentinelHubError, ValueError):
    """An argument is wrong; nothing was sent."""

    retry_helps = False


class NoIdError(InvalidInputError, KeyError):
    """A payload that stands for a request or a collection has no id. A KeyError too, as the vendor's client raises."""

    __str__ = Exception.__str__


class Interrupted(SentinelHubError):
    """The task is being ended; the flow it was in is left where it was."""


_BLANKED = re.compile(r"(?<=:)\s*\*\*\*(?=\s*[,}])")
"""The value of a member of JSON that was blanked with its quotes."""


@dataclass(frozen=True)
class ErrorResponse:
    """The reply that an error stands for, with the names of a response of `requests`.

    :param status_code: HTTP status.
    :param headers: the reply's headers with lower-case names, without cookies and credentials.
    :param text: the reply's body, bounded (`BODY_LIMIT`) and without credentials.
    """

    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    text: str = field(default="", repr=False)

    @property
    def status(self) -> int:
        return self.status_code

    @property
    def body(self) -> str:
        return self.text

    @property
    def content(self) -> bytes:
        return self.text.encode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        return self.status_code < 400

    def json(self) -> Any:
        """The decoded body, with `***` for credentials.

        :raises ValueError: it is not JSON, or was cut.
        """
        return json.loads(_BLANKED.sub('"***"', self.text))


class UnreachableError(SentinelHubError):
    """No usable reply came: connection refused, cut, timed out.

    `ambiguous` is True when the service may have carried out the call all the same; `over` when the call was given up
    because the time for it was over. `nowhere` says where nothing answers, and why; empty for a call that was sent.
    `busy` is True when we have held it back: the service asks to slow down (429), or the connection's rate is spent.
    `response` is None, as `request_exception.response` of the vendor's client then.
    """

    response: ErrorResponse | None = None

    def __init__(
        self, message: str, *, ambiguous: bool, over: bool = False, nowhere: str = "", busy: bool = False
    ) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous
        self.over = over
        self.nowhere = nowhere
        self.busy = busy

    @property
    def request_exception(self) -> UnreachableError:
        """This error itself: `error.request_exception.response` is how the vendor's errors lead to the reply."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_unreachable, (type(self), str(self), self.ambiguous, self.over, self.nowhere, self.busy)


def _rebuild_unreachable(
    kind: type[UnreachableError], message: str, ambiguous: bool, over: bool, nowhere: str = "", busy: bool = False
) -> UnreachableError:
    """Pickle an UnreachableError: Airflow carries exceptions between processes."""
    return kind(message, ambiguous=ambiguous, over=over, nowhere=nowhere, busy=busy)


class ApiError(SentinelHubError):
    """The service answered, and the answer is an error (the envelope of its REST API).

    :param status: HTTP status.
    :param code: the service's code, an open set of words such as `COMMON_BAD_PAYLOAD`; None if there was none.
    :param reason: what the service said, its list of violations included.
    :param about: what the call was about, for example `batch request 5f2a4c1e-...`.
    :param body: the reply's body, bounded and without credentials.
    :param headers: the reply's headers; those that hold cookies or credentials are not kept.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        reason: str = "",
        code: str | None = None,
        about: str = "",
        body: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.code = code
        self.about = about
        self.body = redacted(body[: 4 * BODY_LIMIT])[:BODY_LIMIT]
        self.headers = _kept_headers(headers or {})

    @property
    def response(self) -> ErrorResponse:
        """The reply: `status_code`, `headers`, `text`, `json()`."""
        return ErrorResponse(self.status, self.headers, self.body)

    @property
    def request_exception(self) -> ApiError:
        """This error itself: `error.request_exception.response` is how the vendor's errors lead to the reply."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        members = (self.status, self.reason, self.code, self.about, self.body, self.headers)
        return _rebuild, (type(self), str(self), *members)


_HEADERS_LEFT_OUT = ("cookie", "auth", "token", "secret", "key", "signature", "credential", "location", "link", "refer")
"""Parts of the names of headers that may hold credentials, or addresses with credentials in them."""


def _kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name.lower(): one_line(str(value), 200)
        for name, value in list(headers.items())[:50]
        if not any(part in name.lower() for part in _HEADERS_LEFT_OUT)
    }


def _rebuild(
    kind: type[ApiError],
    message: str,
    status: int,
    reason: str,
    code: str | None,
    about: str,
    body: str,
    headers: Mapping[str, str] | None = None,
) -> ApiError:
    """Pickle an ApiError: Airflow carries exceptions between processes."""
    return kind(message, status=status, reason=reason, code=code, about=about, body=body, headers=headers)


class BadRequestError(ApiError):
    """400, and each other 4xx that has no error of its own: the call cannot succeed as it is."""

    retry_helps = False


class AuthenticationError(ApiError):
    """401, or the token endpoint refused the credentials."""

    retry_helps = False


class ForbiddenError(ApiError):
    """403: the account may not do this (batch needs an enterprise or Copernicus Service account)."""

    retry_helps = False


class NotFoundError(ApiError):
    """404: unknown id, removed by retention, or created so recently that the service does not know it yet."""


class NoRequestError(NotFoundError, ValueError):
    """The account has no batch request yet. A ValueError too, as the vendor's client raises."""


class NoEvalscriptError(SentinelHubError, KeyError):
    """A request has no evalscript. A KeyError too, as the vendor's client raises."""

    retry_helps = False
    __str__ = Exception.__str__


class ConflictError(ApiError):
    """409: not allowed in the present state."""


class RateLimitError(ApiError):
    """429 or 498, for longer than we were willing to wait."""


class ServerError(ApiError):
    """5xx, 408, 425: it may pass. `ambiguous`: the call may have been carried out all the same."""

    ambiguous = True


class RedirectedError(ServerError):
    """3xx, which is not followed: somebody else answers in the place of the service.

    It says nothing of a request, and seconds do not mend it: a call is not repeated, a wait goes on for its time.
    """


class UnreadableReplyError(ServerError):
    """A success whose body cannot be read (cut off, HTML, JSON of another shape): it has probably been carried out."""


class ListTooLongError(SentinelHubError):
    """A list has more pages than are read: the entries of the other pages are not known."""


class JobError(SentinelHubError, RuntimeError):
    """A job did not end as it should. `request_id` is the request, `snapshot` the last thing read about it.

    It is a RuntimeError too: the vendor's `raise_for_status` and monitors raise one.
    """

    def __init__(self, message: str, *, request_id: str = "", snapshot: Any = None) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.snapshot = snapshot

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_job, (type(self), str(self), self.request_id)


def _rebuild_job(kind: type[JobError], message: str, request_id: str) -> JobError:
    return kind(message, request_id=request_id)


class JobFailedError(JobError):
    """FAILED: the service gave up, in analysis (an evalscript with an error) or in processing."""

    retry_helps = False


class JobPartialError(JobError):
    """Some tiles failed, more than the policy accepts."""


class JobCancelledError(JobError):
    """CANCELED (v1) or STOPPED (v2) while somebody waited for its end.

    A retry does not start it again, unless the service itself has stopped it (no processing units, unhealthy).
    """

    retry_helps = False


class JobNotStartedError(JobError):
    """Somebody waits for the end of a request that nobody has started: it would wait for ever."""

    retry_helps = False


class UnknownStateError(JobError):
    """The state could not be read for longer than `max_unknown_time`; the request runs on and bills."""


class StillRunningError(JobError):
    """A retry does not mend what is wrong, but a request of the task is at work, or may be: retry to attach to it."""


class DeadlineError(JobError):
    """The wait's deadline passed before the request got there."""


class OverBudgetError(JobError):
    """The estimate or the cost passes `max_processing_units`."""

    retry_helps = False


class ResultsError(SentinelHubError):
    """What a job left in the bucket cannot be read: no such bucket, no right to it, or a file not whole (yet).

    `request_id` is the request and `snapshot` the last thing read about it, where those are known.
    """

    def __init__(self, message: str, *, request_id: str = "", snapshot: Any = None) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.snapshot = snapshot

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_results, (type(self), str(self), self.request_id)


def _rebuild_results(kind: type[ResultsError], message: str, request_id: str) -> ResultsError:
    return kind(message, request_id=request_id)


class UnreadResultsError(ResultsError):
    """Results could not be read for longer than `max_unknown_time`. What is done is paid; another try reads again."""


class TilesChangedError(ResultsError):
    """The tiles that a reference stands for are not those any more for which it was made."""

    retry_helps = False


_MEMBERS = ("status", "reason", "code", "about", "ambiguous", "over", "nowhere", "request_id")
"""Members that errors are made of besides their message, and that are plain JSON."""


def as_plain(error: SentinelHubError) -> dict[str, Any]:
    """The error as plain JSON, for another process; without the body of a reply, and without a snapshot."""
    members = {name: value for name, value in vars(error).items() if name in _MEMBERS}
    return {"kind": type(error).__name__, "message": str(error), "retry_helps": error.retry_helps, **members}


def from_plain(given: Any) -> SentinelHubError:
    """The error that `as_plain` has written; a plain `SentinelHubError` for a kind that this version does not have."""
    given = given if isinstance(given, dict) else {}
    message, kind = str(given.get("message")), _kinds().get(str(given.get("kind")), SentinelHubError)
    members = {name: given[name] for name in _MEMBERS if name in given}
    try:
        error = kind(message, **members)
    except TypeError:
        error = SentinelHubError(message)
    error.retry_helps = bool(given.get("retry_helps", True))
    return error


def _kinds(root: type[SentinelHubError] = SentinelHubError) -> dict[str, type[SentinelHubError]]:
    """The errors of this module by name."""
    found = {root.__name__: root} if root.__module__ == __name__ else {}
    for kind in root.__subclasses__():
        found |= _kinds(kind)
    return found
