"""Calls as values, and the one flow that carries a call through: retry, 429, expired tokens, errors.

A `Call` describes an endpoint's request and does nothing. A flow is a generator: it yields steps (`Send`, `Sleep`,
`Now`, `Note`, `Work`, `Shared`, `Mask`, `Renew`), receives what a driver made of each, and returns a result. Two
drivers run flows (`transport/sync.py`, `transport/aio.py`); tests run them by feeding replies, without socket or clock.

How the service behaves is taken from recordings of the live service and from its clients' code:
`Retry-After` is in milliseconds; 5xx and lost replies may hide an effect; some 400s are accidents of the service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from airflow_sentinelhub.api.decoding import LARGE, decoded, said_in
from airflow_sentinelhub.api.plain import plain
from airflow_sentinelhub.exceptions import (
    BODY_LIMIT,
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
from airflow_sentinelhub.redaction import secrets_in, without

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Reply:
    """What came back. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | bytearray = field(default=b"", repr=False)  # may hold an access token
    unread: str = ""
    """Why the body was not read to its end, such as `is too large`; empty if it was."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets that a driver has sent with the call, and that no message may show."""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The decoded body, None if it is empty; ValueError if it is not JSON that can be read."""
        return decoded(self.body)


@dataclass(frozen=True)
class Lost:
    """Nothing usable came back.

    :param ambiguous: the call may have reached the service.
    :param over: the call's time limit is over, so it is not repeated.
    :param nowhere: where nothing answers, and why, as a sentence; empty for a call that was sent.
    :param busy: we have held it back: the service had asked to slow down (429), or the connection's rate is spent.
    """

    why: str
    ambiguous: bool
    over: bool = False
    nowhere: str = ""
    busy: bool = False


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
    :param undecoded: `parse` gets the body as bytes, to be decoded elsewhere.
    :param secrets: that it carries, and that no message may show, beside those that stand in `json`.
    :param urgent: it ends what bills, so it does not keep the intervals that follow a 429.
    :param brings_secret: its reply holds a secret, so no error keeps a part of a success that cannot be read.
    :param accept: the media type of the reply.
    :param within: seconds that it has from its turn on, if those of the connection are more; None: those.
    """

    method: str
    path: str
    parse: Callable[[Any], T]
    query: Mapping[str, str | int | None] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)  # payloads may hold storage keys
    repeatable: bool = False
    about: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    undecoded: bool = False
    urgent: bool = False
    brings_secret: bool = False
    accept: str = "application/json"
    within: float | None = None

    def params(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.query.items() if value is not None}

    def shown(self, text: str, reply: Reply) -> str:
        """A text of a reply without the secrets that were sent with the call."""
        return without(text, (*self.secrets, *secrets_in(self.json), *reply.secrets))


def path_part(identifier: Any) -> str:
    """An id as a part of a path.

    :raises InvalidInputError: it cannot be an id: a dot stands for a folder, so the call would be about something else.
    """
    text = str(identifier).strip()
    if text in ("", ".", ".."):
        raise InvalidInputError(f"{identifier!r} is no id.")
    return quote(text, safe="")


@dataclass(frozen=True)
class Send:
    """Send the call; receive a `Reply` or a `Lost`.

    :param until: seconds since 1970 at which it is given up, whether it is under way or waits for its turn.
    """

    call: Call[Any]
    until: float | None = None


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
    """Call a function that blocks, off the event loop; receive what it returns.

    :param within: seconds after which it is given up with a `ResultsError`, for one that reads a bucket or a file: it
        then runs in a thread of its own, and must not talk to Airflow. None: it has all the time, in this thread.
    :param until: seconds since 1970 at which it is given up at the latest.
    """

    function: Callable[[], Any]
    within: float | None = None
    until: float | None = None

    def seconds_from(self, now: float) -> float | None:
        """Seconds that it has from now on, None for all."""
        if self.within is None or self.until is None:
            return self.within
        return max(min(self.within, self.until - now), 0.0)


@dataclass(frozen=True)
class Shared:
    """Receive the next reading of a request from the poller of the process, or None from a driver that has none.

    :param api: the generation.
    :param within: seconds within which the reading is wanted.
    :param until: seconds since 1970 at which it is given up.
    """

    api: Any
    request_id: str
    within: float
    until: float | None = None


@dataclass(frozen=True)
class Mask:
    """A secret that no log may show from now on."""

    secret: str = field(repr=False)


@dataclass(frozen=True)
class Renew:
    """Forget the access token that was refused; the next call gets a new one."""


Step = Send | Sleep | Now | Note | Work | Shared | Mask | Renew
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
SECONDS_BELOW = 100.0
"""A `Retry-After` below this is in seconds: no limit of the service refills within so few milliseconds."""
RATE_LIMITED = (429, 498)
"""HTTP statuses that ask to slow down; 498 is what Copernicus Data Space's storage answers."""
RATE_LIMITED_JITTER = 0.5
_ACCIDENTS = ("Request body should be non-empty.", "Missing grant_type parameter")
"""Messages of 400s that the live service has given to correct calls now and then; nothing was done."""


@dataclass(frozen=True)
class _Again:
    after: float
    renew: bool = False
    rate_limited: bool = False
    why: str = ""


def retry_after(headers: Mapping[str, str], in_a_row: int = 0) -> float:
    """Seconds to wait after a 429.

    The service counts `Retry-After` in milliseconds, unlike RFC 9110. A value that would be absurd so is one of a
    gateway in front of it, in seconds.

    :param in_a_row: number of 429s before this one; with each the time at least doubles.
    """
    try:
        value = float(headers["retry-after"])
    except (KeyError, ValueError):
        value = float("nan")
    seconds = value if value < SECONDS_BELOW else value / 1000
    if not value >= 0:  # not a number among them
        seconds = RETRY_AFTER_DEFAULT
    grown = RETRY_AFTER_FLOOR * 2.0 ** min(in_a_row, 10)
    return min(max(seconds, grown), RETRY_AFTER_CAP)


def decide(
    call: Call[Any],
    outcome: Reply | Lost,
    error: SentinelHubError,
    failures: int,
    waited: float,
    renewed: bool,
    patience: Patience,
    limited: int = 0,
) -> _Again | SentinelHubError:
    """Decide about a failed call: `_Again` to repeat it, or the error to raise.

    :param failures: how often this call has failed before.
    :param waited: seconds already spent on 429.
    :param limited: how often this call was answered with 429 before.
    """
    left = failures < len(patience.backoff)
    wait = patience.backoff[failures] if left else 0.0
    if isinstance(outcome, Lost):
        again = left and not outcome.over and (call.repeatable or not outcome.ambiguous)
        return _Again(wait, why=outcome.why) if again else error
    if isinstance(error, RateLimitError):
        pause = retry_after(outcome.headers, limited)
        return _Again(pause, rate_limited=True) if waited + pause <= patience.rate_limited else error
    if outcome.unread:
        return error  # it would be too large again
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
    :raises ApiError: the service refused, or kept failing.
    :raises UnreachableError: no reply. Both may be *ambiguous* for a call that is not repeatable: look up what became
        of it before you send it again.
    :raises InvalidInputError: its payload holds what JSON does not have; nothing was sent.
    """
    if call.json is not None:
        call = replace(call, json=plain(call.json))
    failures, waited, limited, renewed = 0, 0.0, 0, not signed
    cause: SentinelHubError | None = None
    while True:
        outcome: Reply | Lost = yield Send(call)
        if isinstance(outcome, Lost):
            taken: _Result[T] | SentinelHubError = _lost(call, outcome)
        elif len(outcome.body) > LARGE and not call.undecoded:
            taken = yield Work(partial(_taken, call, outcome))  # it would block the event loop
        else:
            taken = _taken(call, outcome)
        if isinstance(taken, _Result):
            return taken.value
        if cause is not None and isinstance(taken, UnreachableError) and taken.over and not taken.ambiguous:
            raise cause  # there was no time to repeat the call
        cause = taken
        verdict = decide(call, outcome, taken, failures, waited, renewed, patience, limited)
        if not isinstance(verdict, _Again):
            raise verdict
        if verdict.renew:
            renewed = True
            yield Renew()
            continue
        if verdict.rate_limited:
            waited, limited = waited + verdict.after, limited + 1
            yield Note(f"Sentinel Hub asks to slow down (429); waiting {verdict.after:.1f} s before going on")
            yield Sleep(verdict.after, RATE_LIMITED_JITTER)
        else:
            failures += 1
            yield Note(f"{_what(call)} failed ({verdict.why}); trying again in {verdict.after:.0f} s", warning=True)
            yield Sleep(verdict.after)


def ends_at(flow: Flow[R], at: float | None) -> Flow[R]:
    """Run a flow whose calls are given up at a time, and whose pauses end then.

    :param at: seconds since 1970; None for no such time. The flow gets a `Lost` for what it sends later.
    """
    if at is None:
        return (yield from flow)
    received: Any = None
    thrown: BaseException | None = None
    try:
        while True:
            step = flow.send(received) if thrown is None else flow.throw(thrown)
            received = thrown = None
            if isinstance(step, (Send, Work, Shared)):
                step = replace(step, until=at if step.until is None else min(at, step.until))
            elif isinstance(step, Sleep) and step.seconds * (1 + step.jitter) > (left := at - (yield Now())):
                step = Sleep(max(min(step.seconds, left), 0.0), 0.0)
            try:
                received = yield step
            except BaseException as err:  # the flow handles its own error
                thrown = err
    except StopIteration as end:
        result: R = end.value
        return result


@dataclass(frozen=True)
class _Result(Generic[T]):
    value: T


def _taken(call: Call[T], reply: Reply) -> _Result[T] | ApiError:
    """The result or the error in a reply. A reply of status 2xx that cannot be parsed is an `UnreadableReplyError`."""
    if not 200 <= reply.status < 300:
        return error_of(call, reply)
    if reply.unread:
        return _unreadable(call, reply, reply.unread)
    try:
        body = reply.body if call.undecoded else reply.json()
    except ValueError:
        return _unreadable(call, reply, "is cut off or is not JSON")
    try:
        return _Result(call.parse(body))
    except Exception as err:
        why = str(err) if type(err) is ValueError else f"{type(err).__name__}: {err}"
        why = one_line(why, 200, partial(call.shown, reply=reply))
        return _unreadable(call, reply, f"is JSON, but not what was asked for ({why})")


def _unreadable(call: Call[Any], reply: Reply, why: str) -> UnreadableReplyError:
    return UnreadableReplyError(
        f"{_what(call)}: the reply (HTTP {reply.status}) {call.shown(why, reply)}.",
        status=reply.status,
        about=call.about,
        body="" if call.brings_secret else _start_of(call, reply),
        headers=_headers_of(call, reply),
    )


def error_of(call: Call[Any], reply: Reply) -> ApiError:
    """The error for a reply with an HTTP status other than 2xx."""
    clean = partial(call.shown, reply=reply)
    reason, code = said_in(reply.body, clean)
    body, headers = _start_of(call, reply), _headers_of(call, reply)
    if 300 <= reply.status < 400:
        place = one_line(reply.headers.get("location", "").partition("?")[0], 200, clean) or "another place"
        return RedirectedError(
            f"{_what(call)} was redirected to {place} (HTTP {reply.status}), which is not followed; does a proxy or a "
            "login page answer in the place of Sentinel Hub? Check the connection's host, and the way to it.",
            status=reply.status,
            reason=reason,
            code=code,
            about=call.about,
            body=body,
            headers=headers,
        )
    answer = f"{reply.status}" + (f" {code}" if code else "") + f": {reason}"
    kind, advice = _KINDS.get(reply.status, (ServerError if reply.status >= 500 else BadRequestError, ""))
    if reply.status == 404 and _SERVICES.search(call.path):
        advice = _NO_SERVICE
    return kind(
        f"{_what(call)} was answered with {answer}" + ("" if answer.endswith((".", "!", "?")) else ".") + advice,
        status=reply.status,
        reason=reason,
        code=code,
        about=call.about,
        body=body,
        headers=headers,
    )


# Paths of a service as a whole: no id in them can be wrong.
_SERVICES = re.compile(r"/(?:process|collections|tilinggrids|statistics/batch(?:/v1)?)/?$")
_NO_SERVICE = (
    " The deployment does not offer this service at this address: batch statistical is not offered in US-West-2, and "
    "batch v1 may have been removed (batch_api='v2'). Check the connection's host."
)
_KINDS: dict[int, tuple[type[ApiError], str]] = {
    401: (
        AuthenticationError,
        " Check the connection's client id and secret, and that they belong to this deployment.",
    ),
    403: (
        ForbiddenError,
        " Batch processing needs an account that is entitled to it, with processing units left (at least 1,000 to "
        "create a request of v2 or batch statistical); ask Sentinel Hub's support.",
    ),
    404: (
        NotFoundError,
        " Either the id is wrong, or it belongs to another account or another deployment than the connection does, or "
        "it was removed, as the service does with old requests. Check the id and the connection.",
    ),
    408: (ServerError, ""),
    409: (ConflictError, " It is not possible in the present state."),
    425: (ServerError, ""),
    **dict.fromkeys(
        RATE_LIMITED,
        (RateLimitError, " The account's rate limit is spent; run fewer tasks at a time (an Airflow pool)."),
    ),
}


def _start_of(call: Call[Any], reply: Reply) -> str:
    """What an error keeps of a body. Only the start of a large one is looked through for secrets."""
    return call.shown(reply.body[: 5 * BODY_LIMIT].decode("utf-8", "replace"), reply)


def _headers_of(call: Call[Any], reply: Reply) -> dict[str, str]:
    return {name: call.shown(value, reply) for name, value in reply.headers.items()}


def _what(call: Call[Any]) -> str:
    return f"{call.method} {call.path}" + (f" ({call.about})" if call.about else "")


def _lost(call: Call[Any], lost: Lost) -> UnreachableError:
    ambiguous = lost.ambiguous and not call.repeatable
    tail = " Whether it was carried out is not known." if ambiguous else ""
    return UnreachableError(
        f"{_what(call)} got no reply: {lost.why}.{tail}",
        ambiguous=ambiguous,
        over=lost.over,
        nowhere=lost.nowhere,
        busy=lost.busy,
    )
