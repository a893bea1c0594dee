"""OAuth 2 client credentials: tokens are signed, so that nothing about a single token needs to be kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from .replies import Reply

# Type of an account as the vendor's pages read it from the token: this one and those above it may use batch (client).
_ENTERPRISE, _TRIAL = 14000, 11000


@dataclass(frozen=True)
class Client:
    """The one OAuth client of a simulator, and the user and account it belongs to (UUIDs)."""

    id: str
    secret: str
    user: str
    account: str


def token_reply(
    client: Client, body: bytes, number: int, lifetime: float, real: float, is_enterprise: bool = True
) -> Reply:
    """The answer to a token request. ``number`` is the token's, ``real`` the time by the clients' clocks.

    Credentials are read from the body alone, never from a Basic header (doc). What a wrong one gets: 400 or 401 and the
    quoted sentence (seen), in an OAuth error, not in the service's own wrapper.
    """
    form = dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
    if not form.get("grant_type"):
        return Reply(400, {"error": "invalid_request", "error_description": "Missing grant_type parameter"})
    if form["grant_type"] != "client_credentials":
        return Reply(400, {"error": "unsupported_grant_type", "error_description": "Unsupported grant_type"})
    if not _same(form.get("client_id", ""), client.id) or not _same(form.get("client_secret", ""), client.secret):
        description = "Invalid client or Invalid client credentials"
        return Reply(401, {"error": "invalid_client", "error_description": description})
    claims = {
        "exp": real + lifetime,
        "iat": real,
        "jti": number,
        "sub": client.user,
        "account": client.account,
        "d": {"1": {"t": _ENTERPRISE if is_enterprise else _TRIAL}},
        "azp": client.id,
    }
    return Reply(
        200,
        {
            "access_token": _signed(claims, client.secret),
            "expires_in": int(lifetime),
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": "email profile",
        },
    )


def accepts(client: Client, authorization: str | None, revoked: int, real: float) -> bool:
    """Whether the header carries a token of ours that is alive; those up to the number ``revoked`` are not."""
    kind, _, token = (authorization or "").partition(" ")
    claims = _claims(token.strip(), client.secret) if kind.lower() == "bearer" else None
    return claims is not None and claims["exp"] > real and claims["jti"] > revoked


def _signed(claims: dict[str, Any], secret: str) -> str:
    head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{head}.{_encode(json.dumps(claims).encode())}"
    return f"{signed}.{_signature(signed, secret)}"


def _claims(token: str, secret: str) -> dict[str, Any] | None:
    signed, _, signature = token.rpartition(".")
    if not signed or not _same(signature, _signature(signed, secret)):
        return None
    # Signed by us, so it holds what _signed put in.
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
    return claims


def _signature(text: str, secret: str) -> str:
    return _encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
