"""Calls as values, and the one flow that carries a call through: retry, 429, expired tokens, errors.

A `Call` describes an endpoint's request and does nothing. A flow is a generator: it yields steps (`Send`, `Sleep`,
`Now`, `Note`, `Work`, `Mask`, `Renew`), receives what a driver made of each, and returns a result. Two drivers run
flows (`transport/sync.py`, `transport/aio.py`); tests run them by feeding replies, without socket or clock.

How the service behaves is taken from recordings of the live service and from its clients' code:
`Retry-After` is in milliseconds; 5xx and lost replies may hide an effect; some 400s are accidents of the service.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from airflow_sentinelhub.api.decoding import decoded, said_in
from airflow_sentinelhub.api.plain import plain
from airflow_sentinelhub.exceptions import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RateLimitError,
    RedirectedError,
    SentinelHubError,
    ServerError,
    UnreachableError,
    UnreadableReplyError,
    one_line,
)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Reply:
    """What came back. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)  # may hold an access token

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The decoded body, None if it is empty; ValueError if it is not JSON that can be read."""
        return decoded(self.body)


@dataclass(frozen=True)
class Lost:
    """Nothing usable came back. `ambiguous`: the call may have reached the service."""

    why: str
    ambiguous: bool


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request to the service, as a value.

    :param method: HTTP method.
    :param path: path below the deployment's base URL.
    :param parse: turns the decoded JSON body into the result; what it raises makes the reply an unreadable one.
    :param query: query parameters; None values are left out.
    :param json: JSON body, None for none.
    :param repeatable: True if sending it twice does no more than sending it once. Others are never sent again after
        an ambiguous failure: the caller looks up what became of them.
    :param about: what it is about, for messages: `batch request 5f2a...`.
    """

    method: str
    path: str
    parse: Callable[[Any], T]
    query: Mapping[str, str | int | None] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)  # payloads may hold storage keys
    repeatable: bool = False
    about: str = ""

    def params(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.query.items() if value is not None}


def path_part(identifier: Any) -> str:
    """An id as a part of a path.

    :raises InvalidInputError: it is none: a dot stands for a folder, so the call would be about something else.
    """
    text = str(identifier).strip()
    if text in ("", ".", ".."):
        raise InvalidInputError(f"{identifier!r} is no id.")
    return quote(text, safe="")


@dataclass(frozen=True)
class Send:
    """Send the call; receive a `Reply` or a `Lost`."""

    call: Call[Any]


@dataclass(frozen=True)
class Sleep:
    """Wait; the driver adds up to `jitter` of the time at random, so that many waiting tasks do not poll together."""

    seconds: float
    jitter: float = 0.1


@dataclass(frozen=True)
class Now:
    """Receive the time, in seconds since 1970."""


@dataclass(frozen=True)
class Note:
    """A line for the task's log."""

    message: str
    warning: bool = False


@dataclass(frozen=True)
class Work:
    """Call a function that blocks (it reads a bucket), off the event loop; receive what it returns."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Mask:
    """A secret that no log may show from now on."""

    secret: str = field(repr=False)


@dataclass(frozen=True)
class Renew:
    """Forget the access token that was refused; the next call gets a new one."""


Step = Send | Sleep | Now | Note | Work | Mask | Renew
Flow = Generator[Step, Any, R]


@dataclass(frozen=True)
class Patience:
    """How long one call is tried. Waiting tasks are patient in the wait (`flows.wait`), not in a call.

    :param backoff: seconds before each repetition after a 5xx or a lost reply.
    :param rate_limited: seconds in all that a call waits because of 429.
    """

    backoff: tuple[float, ...] = (1, 3, 9)
    rate_limited: float = 600.0


PATIENT = Patience()
ONCE = Patience(backoff=(), rate_limited=0)
"""For a call that has only seconds to live, such as a cancel while the task is being killed."""

RETRY_AFTER_DEFAULT, RETRY_AFTER_FLOOR, RETRY_AFTER_CAP = 30.0, 1.0, 60.0
_ACCIDENTS = ("Request body should be non-empty.", "Missing grant_type parameter")
"""Messages of 400s that the live service has given to correct calls now and then; nothing was done."""


@dataclass(frozen=True)
class _Again:
    after: float
    renew: bool = False
    rate_limited: bool = False
    why: str = ""


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait after a 429. The service counts `Retry-After` in milliseconds, unlike RFC 9110."""
    try:
        seconds = float(headers["retry-after"]) / 1000
    except (KeyError, ValueError):
        return RETRY_AFTER_DEFAULT
    if seconds != seconds:  # "nan" is a number to float()
        return RETRY_AFTER_DEFAULT
    return min(max(seconds, RETRY_AFTER_FLOOR), RETRY_AFTER_CAP)


def decide(
    call: Call[Any],
    outcome: Reply | Lost,
    error: SentinelHubError,
    failures: int,
    waited: float,
    renewed: bool,
    patience: Patience,
) -> _Again | SentinelHubError:
    """What to do about an outcome that stands for this error: `_Again` to repeat the call, or the error to raise.

    :param failures: how often this call has failed before.
    :param waited: seconds already spent on 429.
    """
    left = failures < len(patience.backoff)
    wait = patience.backoff[failures] if left else 0.0
    if isinstance(outcome, Lost):
        return _Again(wait, why=outcome.why) if left and (call.repeatable or not outcome.ambiguous) else error
    if isinstance(error, RateLimitError):
        pause = retry_after(outcome.headers)
        return _Again(pause, rate_limited=True) if waited + pause <= patience.rate_limited else error
    if outcome.status == 401 and not renewed:
        return _Again(0, renew=True)
    if isinstance(error, ServerError) and not isinstance(error, RedirectedError):
        why = f"HTTP {outcome.status}{', unreadable' if isinstance(error, UnreadableReplyError) else ''}"
        return _Again(wait, why=why) if left and call.repeatable else error
    if isinstance(error, BadRequestError) and any(text in error.reason for text in _ACCIDENTS) and left:
        return _Again(wait, why=error.reason)
    return error


def exchange(call: Call[T], patience: Patience = PATIENT, *, signed: bool = True) -> Flow[T]:
    """Carry one call through and return what it parses to.

    :param signed: it carries an access token, which is renewed once if the service refuses it.
    :raises ApiError: the service refused, or kept failing; :raises UnreachableError: no reply. Both may be
        *ambiguous* for a call that is not repeatable: look up what became of it before you send it again.
    :raises InvalidInputError: its payload holds what JSON does not have; nothing was sent.
    """
    if call.json is not None:
        call = replace(call, json=plain(call.json))
    failures, waited, renewed = 0, 0.0, not signed
    while True:
        outcome: Reply | Lost = yield Send(call)
        taken = _lost(call, outcome) if isinstance(outcome, Lost) else _taken(call, outcome)
        if isinstance(taken, _Result):
            return taken.value
        verdict = decide(call, outcome, taken, failures, waited, renewed, patience)
        if not isinstance(verdict, _Again):
            raise verdict
        if verdict.renew:
            renewed = True
            yield Renew()
            continue
        if verdict.rate_limited:
            waited += verdict.after
            yield Note(f"Sentinel Hub asks to slow down (429); waiting {verdict.after:.1f} s before going on")
        else:
            failures += 1
            yield Note(f"{_what(call)} failed ({verdict.why}); trying again in {verdict.after:.0f} s", warning=True)
        yield Sleep(verdict.after)


@dataclass(frozen=True)
class _Result(Generic[T]):
    value: T


def _taken(call: Call[T], reply: Reply) -> _Result[T] | ApiError:
    """What the reply says: the result, or an error. Whatever goes wrong with reading a success, it is unreadable."""
    if not 200 <= reply.status < 300:
        return error_of(call, reply)
    try:
        body = reply.json()
    except ValueError:
        return _unreadable(call, reply, "is cut off or is not JSON")
    try:
        return _Result(call.parse(body))
    except Exception as err:
        why = str(err) if type(err) is ValueError else f"{type(err).__name__}: {err}"
        return _unreadable(call, reply, f"is JSON, but not what was asked for ({one_line(why, 200)})")


def _unreadable(call: Call[Any], reply: Reply, why: str) -> UnreadableReplyError:
    return UnreadableReplyError(
        f"{_what(call)}: the reply (HTTP {reply.status}) {why}.", status=reply.status, about=call.about, body=reply.text
    )


def error_of(call: Call[Any], reply: Reply) -> ApiError:
    """The error that a reply stands for which is no success."""
    reason, code = said_in(reply.body)
    if 300 <= reply.status < 400:
        place = one_line(reply.headers.get("location", "").partition("?")[0], 200) or "another place"
        return RedirectedError(
            f"{_what(call)} was redirected to {place} (HTTP {reply.status}), which is not followed; does a proxy or a "
            "login page answer in the place of Sentinel Hub? Check the connection's host, and the way to it.",
            status=reply.status,
            reason=reason,
            code=code,
            about=call.about,
            body=reply.text,
        )
    said = f"{reply.status}" + (f" {code}" if code else "") + f": {reason}"
    kind, advice = _KINDS.get(reply.status, (ServerError if reply.status >= 500 else BadRequestError, ""))
    return kind(
        f"{_what(call)} was answered with {said}" + ("" if said.endswith((".", "!", "?")) else ".") + advice,
        status=reply.status,
        reason=reason,
        code=code,
        about=call.about,
        body=reply.text,
    )


_KINDS: dict[int, tuple[type[ApiError], str]] = {
    401: (
        AuthenticationError,
        " Check the connection's client id and secret, and that they belong to this deployment.",
    ),
    403: (ForbiddenError, " Batch processing needs an account that is entitled to it; ask Sentinel Hub's support."),
    404: (
        NotFoundError,
        " Check the id and that the connection names the right deployment; the service also removes old requests.",
    ),
    408: (ServerError, ""),
    409: (ConflictError, " It is not possible in the present state."),
    425: (ServerError, ""),
    429: (RateLimitError, " The account's rate limit is spent; run fewer tasks at a time (an Airflow pool)."),
}


def _what(call: Call[Any]) -> str:
    return f"{call.method} {call.path}" + (f" ({call.about})" if call.about else "")


def _lost(call: Call[Any], lost: Lost) -> UnreachableError:
    ambiguous = lost.ambiguous and not call.repeatable
    tail = " Whether it was carried out is not known." if ambiguous else ""
    return UnreachableError(f"{_what(call)} got no reply: {lost.why}.{tail}", ambiguous=ambiguous)
