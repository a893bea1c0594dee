"""No error shows a secret that a call carries, however a service or a gateway writes it when it sends it back."""

from __future__ import annotations

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from airflow_sentinelhub import redaction
from airflow_sentinelhub.api.call import Call, Reply, error_of
from airflow_sentinelhub.redaction import without
from tests.growth import assert_linear

SECRETS = [
    'wJalr/XUtn+FEMI %26"b\\\\P<x>RfiCY=\u00e9&KEY',
    "p\u00e4\U0001f600ss\\word\n+xyz",
    "a\\nb\\u0041c%zz&lt;'--",
]


def units(text: str, form: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else form.format(ord(letter)) for letter in text)


FORMS = {
    "plain": lambda secret: secret,
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON with slashes escaped": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    "JSON as Gson writes it": lambda secret: json.dumps(secret)[1:-1].replace("<", "\\u003c").replace("&", "\\u0026"),
    "JSON in JSON": lambda secret: json.dumps(json.dumps(secret))[3:-3],
    "JSON in a URL": lambda secret: quote(json.dumps(secret)[1:-1], safe=""),
    "URL": lambda secret: quote(secret, safe=""),
    "URL with slashes": quote,
    "URL in lower case": lambda secret: units(secret, "%{:02x}") if secret.isascii() else quote(secret),
    "URL in a URL": lambda secret: quote(quote(secret, safe=""), safe=""),
    "form": quote_plus,
    "HTML": html.escape,
    "HTML numbers": lambda secret: units(secret, "&#{};"),
    "XML numbers": lambda secret: units(secret, "&#x{:X};"),
    "Python": lambda secret: repr(secret)[1:-1],
}
PLACES = [
    "echo %s !",
    '{"error": {"message": "bad value %s here"}}',
    '{"error": "invalid", "error_description": "%s"}',
    "<html><title>%s</title></html>",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", PLACES)
def test_a_secret_that_comes_back(form: str, secret: str, place: str) -> None:
    call = Call("POST", "/t", lambda body: body, json={"secretAccessKey": secret})
    body = (place % FORMS[form](secret)).encode()
    error = error_of(call, Reply(400, {}, body))
    for shown in (str(error), error.reason, error.body, repr(error)):
        for part in ("RfiCY", "wJalr", "word", "xyz", "0041c"):
            assert part not in shown or part not in secret, shown
    assert "***" in error.body


@pytest.mark.parametrize("before", [1990, 1999, 7990, 9990])
@pytest.mark.parametrize("letter", ["a", " "])
def test_no_part_of_a_secret_is_left_where_a_text_is_cut(before: int, letter: str) -> None:
    secret = SECRETS[0]
    call = Call("POST", "/t", lambda body: body, secrets=(secret,))
    said = letter * before + secret + " and more" * 2000
    for body in (json.dumps({"error": {"message": said}}), said):
        error = error_of(call, Reply(400, {}, body.encode()))
        for shown in (str(error), error.reason, error.body):
            assert "wJa" not in shown


def test_a_text_without_escapes_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage makes thousands of errors, and each is looked through for the token, header by header."""
    monkeypatch.setattr(redaction, "_in_bytes", lambda text, origins: pytest.fail(f"taken apart: {text[:50]}"))
    call = Call("GET", "/api/v1/batch/process/1", lambda body: body)
    headers = {"date": "Thu, 26 Nov 2026 15:40:21 GMT", "content-type": "application/json", "content-length": "70"}
    reply = Reply(
        503, headers, b'{"error": {"message": "over"}}', secrets=("eyJ" + "a" * 30_000, "s3cr3t-of-the-client")
    )
    assert error_of(call, reply).status == 503


@pytest.mark.parametrize(
    "secret", ["\\\\\\\\\\\\x", "    y", "%%%%%", "%25%25", "&amp;&amp;", "ordinary+secret/of=some length"]
)
@pytest.mark.parametrize("noise", ["\\", "%", "%25", "&amp;", "\\ud83d", " ", "+", "&#0000000", "\\u005c"])
def test_noise_is_looked_through_once(secret: str, noise: str) -> None:
    assert_linear(lambda size: without(noise * (size // len(noise)), [secret]), 10_000)
