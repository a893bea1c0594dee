"""Access tokens, by oauthlib: one per process and credential, renewed early, shared by all tasks and triggers.

oauthlib's `BackendApplicationClient` does no I/O: it writes the body of the token request and reads the reply. The
request itself goes through the same driver and the same patience as any other call. Neither looks at a URL, so that a
connection may name plain http (a simulator, a test host) without `OAUTHLIB_INSECURE_TRANSPORT`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from oauthlib.oauth2 import BackendApplicationClient
from oauthlib.oauth2.rfc6749.tokens import prepare_bearer_headers

from airflow_sentinelhub.api.call import Call, Flow, Lost, Mask, Now, Reply, exchange
from airflow_sentinelhub.api.decoding import an_object, number
from airflow_sentinelhub.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
)
from airflow_sentinelhub.transport.settings import Settings

MARGIN = 120.0
"""Seconds before its end at which a token is renewed; a short-lived one at half of its life."""

TOKEN_LIMIT = 32 << 10
"""Characters of an access token. Those of the service have some 1,500; servers take headers of 8 to 64 KiB."""

REREAD_AFTER = 30.0
"""Seconds after which a connection whose credentials were refused is read again, once for all tasks of a process."""


_REFUSALS = (AuthenticationError, BadRequestError, ConflictError, ForbiddenError, NotFoundError)
_TOKEN = re.compile(r"[!-~]+")
"""What a header can carry as a token: visible letters of ASCII."""


@dataclass(frozen=True)
class Token:
    """An access token; `renew_at` is in seconds since 1970, `lifetime` the seconds for which it was issued.

    A lifetime of 0 is one that is not known.
    """

    value: str
    renew_at: float
    lifetime: float = 0.0

    def __repr__(self) -> str:
        return f"Token(***, renew_at={self.renew_at})"


def authorization(token: str) -> dict[str, str]:
    """The Authorization header of a call, as oauthlib writes it, for https and http."""
    return prepare_bearer_headers(token)


class TokenCall(Call[tuple[str, float]]):
    """The token request: its body is a form, it goes to the token URL and carries no token itself."""


class Tokens:
    """The present token of one credential. No I/O and no lock: the drivers bring both."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = BackendApplicationClient(client_id=settings.client_id)
        self._token: Token | None = None
        self._reread_at: float | None = None
        self.trouble = ""
        """Why the last request for a token brought none, in a few words; empty if it brought one."""
        self.successor: Settings | None = None
        """The settings that replace these, after the connection was read again; None if there are none."""

    def is_replaced_by(self, other: Settings) -> bool:
        """Whether the other settings replace these: they have a new secret or client id for the same connection."""
        ours = self._settings
        if (ours.client_id, ours.client_secret) == (other.client_id, other.client_secret):
            return False
        same_client = (ours.token_url, ours.client_id) == (other.token_url, other.client_id)
        return same_client or bool(ours.conn_id and ours.conn_id == other.conn_id)

    def may_be_outdated(self, now: float) -> bool:
        """Whether to read the connection again, since these credentials were refused: now and then, not at each poll.

        :param now: seconds of a clock that runs evenly.
        """
        if self._reread_at is not None and now - self._reread_at < REREAD_AFTER:
            return False
        self._reread_at = now
        return True

    def succeeded_by(self, other: Settings) -> None:
        """The connection was read again. Nothing changes if it holds the same credentials."""
        if self.is_replaced_by(other):
            self.successor = other

    def current(self, now: float) -> Token | None:
        """The token if it need not be renewed yet."""
        return self._token if self._token and now < self._token.renew_at else None

    def refused(self, value: str | None) -> None:
        """The service refused this token (401). One that has been renewed meanwhile is kept."""
        if self._token and self._token.value == value:
            self._token = None

    def note_reply(self, answer: Reply | Lost) -> None:
        """Keep how a request for a token ended, for the message of `not_in_time`."""
        if isinstance(answer, Reply):
            self.trouble = "" if answer.status == 200 else f"HTTP {answer.status}"
        elif not answer.over:
            self.trouble = answer.why

    def not_in_time(self) -> Lost:
        """The result of a call that was given up while it waited for a token."""
        why = "no access token was got before the time for waiting was over"
        return Lost(f"{why} ({self.trouble})" if self.trouble else why, ambiguous=False, over=True)

    def form(self) -> str:
        """The body of the token request: the credentials stand in it, not in a header."""
        return str(
            self._client.prepare_request_body(include_client_id=True, client_secret=self._settings.client_secret)
        )

    def fetch(self) -> Flow[Token]:
        """Ask for a new token. 429 (HTML), 5xx and lost replies are waited out as for any call.

        :raises AuthenticationError: the credentials are wrong.
        :raises UnreadableReplyError: the reply holds no token.
        """
        path = urlsplit(self._settings.token_url).path
        secrets = (self._settings.client_secret,)
        call = TokenCall(
            "POST", path, self._read, repeatable=True, about="access token", secrets=secrets, brings_secret=True
        )
        asked = yield Now()
        try:
            value, life = yield from exchange(call, signed=False)
        except _REFUSALS as err:
            # Whatever the status, it is about the token: a 404 must not be taken for one of a request.
            refused, check = "Sentinel Hub refused the credentials", "client id and secret, and that"
            if isinstance(err, NotFoundError):
                refused, check = "There is no token endpoint for the credentials", "that"
            raise AuthenticationError(
                f"{refused} of connection {self._settings.conn_id!r} at {self._settings.token_url}: {err.reason}. "
                f"Check {check} the token endpoint (auth_url) belongs to the deployment.",
                status=err.status,
                reason=err.reason,
                code=err.code,
                about="access token",
            ) from None
        token = Token(value, asked + max(life - MARGIN, life / 2), life)
        yield Mask(token.value)
        self._token = token
        return token

    def _read(self, body: Any) -> tuple[str, float]:
        """Token, and seconds of its life, in the reply of the token endpoint; whatever is raised, it has none."""
        read = self._client.parse_request_body_response(json.dumps(an_object(body)))
        value = read["access_token"]
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise ValueError("its access_token is not a token")
        if len(value) > TOKEN_LIMIT:
            raise ValueError(f"its access_token has {len(value):,} characters, too many for a header")
        return value, number(float(read.get("expires_in") or 3600)) or 3600.0
