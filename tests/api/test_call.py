"""One call, carried through: what is repeated, what is waited for, what becomes which error."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import (
    ONCE,
    PATIENT,
    RETRY_AFTER_CAP,
    RETRY_AFTER_DEFAULT,
    RETRY_AFTER_FLOOR,
    Call,
    Lost,
    Patience,
    Reply,
    error_of,
    exchange,
    retry_after,
)
from airflow_sentinelhub.api.decoding import an_object
from tests.api.feeding import Fed, done, error, feed, html, lost, ok

GET: Call[Any] = Call("GET", "/api/v1/batch/process/7", lambda body: body, repeatable=True, about="batch request 7")
POST: Call[Any] = Call("POST", "/api/v1/batch/process/7/start", lambda body: "started", about="batch request 7")
CUT = "\N{HORIZONTAL ELLIPSIS}"
BACKOFF = list(PATIENT.backoff)


def carry(call: Call[Any], *script: Any, patience: Patience = PATIENT) -> Fed:
    return feed(exchange(call, patience), script)


# Success


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_a_success(status: int) -> None:
    assert carry(GET, Reply(status, {}, b'{"a": 1}')).result == {"a": 1}


@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_an_empty_body_is_none(body: bytes) -> None:
    assert carry(GET, Reply(204, {}, body)).result is None


# 429


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3398", 3.398),
        ("1500.5", 1.5005),
        ("250", RETRY_AFTER_FLOOR),
        ("100", RETRY_AFTER_FLOOR),
        ("0", RETRY_AFTER_FLOOR),
        ("30", 30.0),
        ("99", RETRY_AFTER_CAP),
        ("-5000", RETRY_AFTER_DEFAULT),
        ("3600000", RETRY_AFTER_CAP),
        ("1e12", RETRY_AFTER_CAP),
        ("Wed, 21 Oct 2026 07:28:00 GMT", RETRY_AFTER_DEFAULT),
        ("soon", RETRY_AFTER_DEFAULT),
        ("", RETRY_AFTER_DEFAULT),
        ("nan", RETRY_AFTER_DEFAULT),
        (None, RETRY_AFTER_DEFAULT),
    ],
)
def test_retry_after_is_in_milliseconds(header: str | None, seconds: float) -> None:
    """But a value that makes no sense in milliseconds is a gateway's, in seconds."""
    headers = {} if header is None else {"retry-after": header}
    assert retry_after(headers) == pytest.approx(seconds)
    assert carry(GET, error(429, headers=headers), ok(1)).slept == pytest.approx([seconds])


def test_the_pause_grows_with_each_429_in_a_row() -> None:
    assert [retry_after({"retry-after": "1000"}, before) for before in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert retry_after({"retry-after": "20000"}, 3) == 20
    assert retry_after({"retry-after": "1000"}, 100_000) == RETRY_AFTER_CAP
    limited = [error(429, headers={"retry-after": "1000"})] * 4
    assert carry(GET, *limited, ok(1)).slept == pytest.approx([1, 2, 4, 8])


def test_a_service_that_stays_limited_is_asked_a_few_times_in_ten_minutes() -> None:
    fed = carry(GET, error(429, headers={"retry-after": "1000"}), ...)
    assert isinstance(fed.error, errors.RateLimitError)
    assert len(fed.sent) < 20
    assert 500 < fed.waited <= PATIENT.rate_limited


def test_498_is_a_rate_limit_too() -> None:
    assert carry(GET, error(498, headers={"retry-after": "2000"}), ok(1)).slept == pytest.approx([2])


@pytest.mark.parametrize("call", [GET, POST], ids=["repeatable", "not repeatable"])
@pytest.mark.parametrize(
    "reply",
    [
        error(429, "You have exceeded your rate limit", "RATE_LIMIT_EXCEEDED"),
        Reply(429, {}, b'{"status":429,"reason":"Too Many Requests","message":"spent","code":"RATE_LIMIT_EXCEEDED"}'),
        html(429, "429 Too Many Requests"),
        Reply(429),
    ],
    ids=["wrapped", "bare", "html", "empty"],
)
def test_429_is_waited_out_for_every_call_whatever_its_body(call: Call[Any], reply: Reply) -> None:
    fed = carry(call, reply, reply, reply, reply, reply, ok("x"))
    assert fed.result == call.parse("x")
    assert fed.slept == [RETRY_AFTER_DEFAULT] * 5
    assert "429" in fed.notes[0]
    assert not fed.warnings


def test_429_is_waited_for_no_longer_than_patience_has() -> None:
    slow = error(429, headers={"retry-after": "60000"})
    fed = carry(GET, slow, ..., patience=Patience(rate_limited=150))
    assert fed.slept == [60, 60]
    assert isinstance(fed.error, errors.RateLimitError)
    assert fed.error.retry_helps


def test_429_does_not_use_up_the_repetitions_of_5xx() -> None:
    fed = carry(GET, error(503), error(429), error(503), error(429), error(503), ok(1))
    assert fed.result == 1
    assert [pause for pause in fed.slept if pause != RETRY_AFTER_DEFAULT] == BACKOFF


def test_a_call_that_is_tried_once_waits_for_nothing() -> None:
    for bad in (error(429), error(503), lost(), lost(ambiguous=False), error(400, "Request body should be non-empty.")):
        fed = carry(GET, bad, patience=ONCE)
        assert fed.slept == []
        assert fed.error is not None


# 5xx, lost replies


@pytest.mark.parametrize(
    "bad", [error(500), error(502), error(503), html(504), error(408), error(425), lost(), lost(ambiguous=False)]
)
def test_a_repeatable_call_is_repeated(bad: Reply | Lost) -> None:
    fed = carry(GET, bad, bad, bad, ok("here"))
    assert fed.result == "here"
    assert fed.slept == BACKOFF
    assert len(fed.warnings) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 408, 425])
def test_a_call_that_is_not_repeatable_is_sent_once_when_a_5xx_may_hide_its_effect(status: int) -> None:
    fed = carry(POST, error(status, "boom"))
    assert fed.calls == ["POST /api/v1/batch/process/7/start"]
    assert isinstance(fed.error, errors.ServerError)
    assert fed.error.ambiguous


def test_a_call_that_is_not_repeatable_is_sent_once_when_its_reply_was_lost() -> None:
    fed = carry(POST, lost())
    assert len(fed.calls) == 1
    assert isinstance(fed.error, errors.UnreachableError)
    assert fed.error.ambiguous
    assert "Whether it was carried out is not known." in str(fed.error)


def test_a_call_that_never_left_is_sent_again_even_if_it_is_not_repeatable() -> None:
    fed = carry(POST, lost(ambiguous=False), lost(ambiguous=False), ok())
    assert fed.result == "started"
    assert fed.slept == BACKOFF[:2]


def test_an_unreachable_host_is_not_ambiguous() -> None:
    fed = carry(POST, lost(ambiguous=False), ...)
    assert len(fed.calls) == 1 + len(BACKOFF)
    assert isinstance(fed.error, errors.UnreachableError)
    assert not fed.error.ambiguous
    assert "not known" not in str(fed.error)


def test_a_repeatable_call_is_never_ambiguous() -> None:
    fed = carry(GET, lost(), ...)
    assert isinstance(fed.error, errors.UnreachableError)
    assert not fed.error.ambiguous


def test_a_lost_reply_after_one_that_never_left_ends_the_repeating() -> None:
    fed = carry(POST, lost(ambiguous=False), lost())
    assert len(fed.calls) == 2
    assert isinstance(fed.error, errors.UnreachableError)
    assert fed.error.ambiguous


# Replies that cannot be read


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, {}, b'{"id": "5f2a4c1e", "sta'),
        html(200, "Maintenance"),
        Reply(201, {}, b"\xff\xfe\x00"),
    ],
    ids=["cut off", "html", "not text"],
)
def test_an_unreadable_success_is_repeated_or_ambiguous(reply: Reply) -> None:
    assert carry(GET, reply, ok("whole")).result == "whole"
    fed = carry(POST, reply)
    assert isinstance(fed.error, errors.UnreadableReplyError)
    assert fed.error.ambiguous
    assert "batch request 7" in str(fed.error)


@pytest.mark.parametrize("body", [None, [], "text", 7, {}, {"id": "x"}, {"id": "x", "status": 12}])
def test_a_success_of_another_shape_is_an_error_of_ours(body: Any) -> None:
    """A waiting task must not die of a library's KeyError."""
    from airflow_sentinelhub.api.service import v1, v2

    for call in (v1.get_request("7"), v2.get_request("7")):
        fed = carry(call, ok(body), ...)
        assert isinstance(fed.error, errors.UnreadableReplyError)
        assert "batch request 7" in str(fed.error)
    fed = carry(v1.create({}), ok(body, 201))
    assert isinstance(fed.error, errors.UnreadableReplyError)
    assert len(fed.sent) == 1


PLAIN: Call[Any] = Call("GET", "/p", lambda body: body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": 00}',
        b"\x00\x01",
        b'{"a": "' + b"x" * 1000,
    ],
    ids=["brackets", "objects", "no number", "binary", "cut off"],
)
def test_a_success_that_no_decoder_reads_is_an_error_of_ours(body: bytes) -> None:
    for call in (GET, POST):
        fed = carry(call, Reply(200, {}, body), ..., patience=ONCE)
        assert isinstance(fed.error, errors.UnreadableReplyError)
        assert "is cut off or is not JSON" in str(fed.error)


@pytest.mark.parametrize(
    "raised",
    [KeyError("x"), RecursionError(), OverflowError(), AssertionError("no"), UnicodeEncodeError("a", "b", 0, 1, "c")],
)
def test_whatever_a_parser_raises_the_reply_is_unreadable(raised: Exception) -> None:
    def parse(body: Any) -> Any:
        raise raised

    fed = carry(Call("GET", "/p", parse, about="a thing"), ok({}))
    assert isinstance(fed.error, errors.UnreadableReplyError)
    assert f"not what was asked for ({type(raised).__name__}" in str(fed.error)


def test_a_success_of_another_shape_is_asked_for_again_before_it_is_an_error() -> None:
    """A balancer that answers in the place of the service for a moment must not fail anybody."""
    whole = Call("GET", "/p", an_object, repeatable=True)
    assert carry(whole, ok(["maintenance"]), ok(None), ok({"a": 1})).result == {"a": 1}
    once = Call("POST", "/p", an_object)
    assert isinstance(carry(once, ok([])).error, errors.UnreadableReplyError)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"n": ' + b"9" * 400 + b"}", {"n": math.inf}),
        (b'{"n": -' + b"9" * 10_000 + b"}", {"n": -math.inf}),
        (b'{"n": 1e999}', {"n": math.inf}),
        (b'{"n": Infinity}', {"n": math.inf}),
        (b'{"n": 9007199254740993}', {"n": 9007199254740993}),
        (b'{"a": "\\ud83c\\udf0d"}', {"a": "\U0001f30d"}),
        (b'{"a": "x\\ud800y"}', {"a": "x?y"}),
        (b'{"a": "x\\u0000y", "\\u0000": "\\\\u0000"}', {"a": "x y", " ": "\\u0000"}),
        (b'{"a\\udfff": [1]}', {"a?": [1]}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    ],
)
def test_odd_values_do_not_spoil_the_rest_of_a_reply(body: bytes, read: Any) -> None:
    result = carry(PLAIN, Reply(200, {}, body)).result
    assert result == read
    json.dumps(result, ensure_ascii=False).encode()


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_as_one(status: int) -> None:
    """A login page or a proxy answers: that says nothing of the request, and a POST may have been carried out."""
    away = Reply(status, {"location": "https://login.example/start\n?state=hush"}, b"<html>moved</html>")
    for call in (GET, POST):
        fed = carry(call, away)
        assert type(fed.error) is errors.RedirectedError
        assert isinstance(fed.error, (errors.ApiError, errors.ServerError))
        assert (fed.error.status, fed.error.retry_helps, fed.error.ambiguous) == (status, True, True)
        assert f"was redirected to https://login.example/start (HTTP {status})" in str(fed.error)
        assert "batch request 7" in str(fed.error)
        assert "hush" not in str(fed.error)
    nowhere = carry(GET, Reply(304)).error
    assert "was redirected to another place (HTTP 304)" in str(nowhere)


# 401


def test_a_refused_token_is_renewed_once() -> None:
    for call in (GET, POST):
        fed = carry(call, error(401), ok("x"))
        assert fed.result == call.parse("x")
        assert (fed.renewed, fed.slept) == (1, [])


def test_a_second_refusal_is_an_error() -> None:
    fed = carry(GET, error(401), error(401, "still"))
    assert fed.renewed == 1
    assert isinstance(fed.error, errors.AuthenticationError)
    assert not fed.error.retry_helps


def test_a_token_is_renewed_even_after_5xx_and_429() -> None:
    fed = carry(GET, error(503), error(401), error(429), ok(1))
    assert fed.result == 1
    assert fed.renewed == 1


def test_the_call_for_a_token_is_not_sent_again_with_the_same_credentials() -> None:
    fed = feed(exchange(GET, signed=False), [error(401)])
    assert fed.renewed == 0
    assert isinstance(fed.error, errors.AuthenticationError)


# 4xx


@pytest.mark.parametrize(
    ("status", "kind", "retry_helps"),
    [
        (400, errors.BadRequestError, False),
        (403, errors.ForbiddenError, False),
        (404, errors.NotFoundError, True),
        (405, errors.BadRequestError, False),
        (409, errors.ConflictError, True),
        (415, errors.BadRequestError, False),
        (418, errors.BadRequestError, False),
        (408, errors.ServerError, True),
        (425, errors.ServerError, True),
        (500, errors.ServerError, True),
        (503, errors.ServerError, True),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[errors.ApiError], retry_helps: bool) -> None:
    fed = carry(POST, error(status, "the reason", "COMMON_BAD_PAYLOAD"))
    assert type(fed.error) is kind
    assert isinstance(fed.error, errors.ApiError)
    assert fed.error.status == status
    assert fed.error.code == "COMMON_BAD_PAYLOAD"
    assert fed.error.reason == "the reason"
    assert fed.error.about == "batch request 7"
    assert fed.error.retry_helps is retry_helps
    for part in ("POST /api/v1/batch/process/7/start", "batch request 7", str(status), "the reason"):
        assert part in str(fed.error)


@pytest.mark.parametrize("message", ["Request body should be non-empty.", "Missing grant_type parameter"])
def test_400s_that_are_accidents_of_the_service_are_repeated(message: str) -> None:
    accident = error(400, message, "COMMON_BAD_PAYLOAD")
    assert carry(POST, accident, accident, ok()).slept == BACKOFF[:2]
    fed = carry(POST, accident, ...)
    assert len(fed.calls) == 1 + len(BACKOFF)
    assert isinstance(fed.error, errors.BadRequestError)


def test_any_other_400_is_final() -> None:
    fed = carry(POST, error(400, "Illegal to change userAction from START to STOP with task status CREATED"))
    assert len(fed.calls) == 1
    assert isinstance(fed.error, errors.BadRequestError)


# What the service says


@pytest.mark.parametrize(
    ("body", "reason", "code"),
    [
        ('{"error":{"message":"too big\\n","code":"COMMON_BAD_PAYLOAD"}}', "too big", "COMMON_BAD_PAYLOAD"),
        (
            '{"error":{"message":"joined","code":"C","errors":[{"parameter":"output->resx","violation":"too large"},'
            '{"parameter":"input","violation":"missing"},{"violation":"alone"},"odd"]}}',
            "output->resx: too large; input: missing; alone",
            "C",
        ),
        ('{"error":{"message":"m","errors":{"a":1}}}', "m", None),
        ('{"error":{"message":"m","errors":[]}}', "m", None),
        (
            '{"status":429,"message":"You have exceeded your rate limit","code":"R"}',
            "You have exceeded your rate limit",
            "R",
        ),
        ('{"code":400,"description":"of the catalog"}', "of the catalog", "400"),
        ('{"error":"invalid_client","error_description":"Invalid client"}', "Invalid client", "invalid_client"),
        ('{"error":"invalid_client"}', "invalid_client", "invalid_client"),
        ('{"error":{"reason":"Not Found"}}', "Not Found", None),
        ("{}", "no details", None),
        ("[]", "[]", None),
        ("null", "null", None),
        ("", "no details", None),
        ("plain   words\nof a proxy", "plain words of a proxy", None),
        ("<html><head><title> 502 Bad Gateway </title></head></html>", "502 Bad Gateway", None),
        ("<html><h1>429 Too Many Requests</h1></html>", "429 Too Many Requests", None),
        ("<html><body>nothing</body></html>", "no JSON in the reply", None),
        ("<html><title>" + "x" * 5000, "x" * 199 + CUT, None),
        ('{"error":["a","b"]}', '["a", "b"]', None),
        ('{"error":7}', "7", None),
        ('{"error":null,"message":"m"}', "m", None),
        ('{"error":{"message":{"why":"w"},"code":5}}', '{"why": "w"}', "5"),
        ('{"error":{"message":["a"],"code":{"x":1}}}', '["a"]', None),
        ('{"error":{"message":"m","errors":[1,2,null,[]]}}', "m", None),
        ('{"error":{"message":"m","errors":[{"parameter":{"a":1},"violation":["v"]}]}}', '{"a": 1}: ["v"]', None),
        ('{"error":{"message":"a\\r\\nb\\u0000\\u001b[31mc\\u2028d","code":"C\\nD"}}', "a b [31mc d", "C D"),
        ('{"error":{"message":"\\ud800"}}', "?", None),
        ('{"error":{"message":NaN}}', "NaN", None),
        ("[" * 100_000, "[" * 199 + CUT, None),
        ('{"error":' * 100_000, ('{"error":' * 23)[:199] + CUT, None),
    ],
)
def test_the_services_own_words_are_found_in_every_shape(body: str, reason: str, code: str | None) -> None:
    fed = carry(POST, Reply(400, {}, body.encode()))
    assert isinstance(fed.error, errors.BadRequestError)
    assert (fed.error.reason, fed.error.code) == (reason, code)
    assert reason in str(fed.error)
    assert ".." not in str(fed.error)


def test_a_long_body_is_bounded() -> None:
    for body in (b"x" * 100_000, b'{"error":{"message":"' + b"y" * 100_000 + b'"}}'):
        fed = carry(POST, Reply(400, {}, body))
        assert isinstance(fed.error, errors.ApiError)
        assert len(fed.error.body) <= errors.BODY_LIMIT
        assert len(str(fed.error)) < errors.BODY_LIMIT + 300


# Secrets


@pytest.mark.parametrize(
    "body",
    [
        '{"error":{"message":"bad s3: {\\"secretAccessKey\\": \\"hush\\"}"}}',
        '{"error":{"message":"client_secret=hush&grant_type=x"}}',
        '{"error":{"message":"no"},"echo":{"secretAccessKey":"hush","accessKey":"hush"}}',
        '{"access_token":"hush","error":{"message":"Authorization: Bearer hush, sorry"}}',
        "secretAccessKey: hush",
        "<html><title>client_secret=hush</title></html>",
        '{"error":"x","error_description":"password=hush"}',
        '{"secretAccessKey":"' + "hush" * 600,
    ],
)
def test_errors_carry_no_secret(body: str) -> None:
    for status in (400, 500, 200):
        fed = carry(POST, Reply(status, {}, body.encode()))
        if status == 200 and fed.error is None:
            continue
        assert isinstance(fed.error, errors.ApiError)
        told = f"{fed.error} {fed.error!r} {fed.error.body} {fed.error.reason} {fed.error.__dict__} {fed.notes}"
        assert "hush" not in told


def test_values_that_carry_secrets_do_not_show_them() -> None:
    from airflow_sentinelhub.api.call import Send
    from airflow_sentinelhub.api.service.specification import Access

    call = Call("POST", "/p", lambda body: body, json={"output": {"secretAccessKey": "hush"}})
    reply = Reply(200, {}, b'{"access_token": "hush"}')
    for value in (call, Send(call), reply, Access("AKIA", "hush")):
        assert "hush" not in repr(value)


# Values


def test_query_parameters_without_value_are_left_out() -> None:
    call = Call("GET", "/p", lambda body: body, {"search": None, "count": 0, "sort": "created:desc"})
    assert call.params() == {"count": "0", "sort": "created:desc"}


@pytest.mark.parametrize("kind", [errors.BadRequestError, errors.ServerError, errors.UnreadableReplyError])
def test_api_errors_travel_between_processes(kind: type[errors.ApiError]) -> None:
    sent = kind("message", status=400, reason="r", code="c", about="a", body="b")
    for copied in (pickle.loads(pickle.dumps(sent)), copy.copy(sent)):
        assert type(copied) is kind
        assert str(copied) == "message"
        assert copied.__dict__ == sent.__dict__


def test_other_errors_travel_between_processes() -> None:
    job = errors.JobPartialError("partial", request_id="7", snapshot=object())
    copied = pickle.loads(pickle.dumps(job))
    assert (type(copied), str(copied), copied.request_id) == (errors.JobPartialError, "partial", "7")
    gone = pickle.loads(pickle.dumps(errors.UnreachableError("gone", ambiguous=True)))
    assert (str(gone), gone.ambiguous) == ("gone", True)
    full = errors.UnreachableError("x", ambiguous=False, over=True, nowhere="y", busy=True)
    assert pickle.loads(pickle.dumps(full)).__dict__ == copy.copy(full).__dict__ == full.__dict__


def test_an_action_answers_nothing() -> None:
    from airflow_sentinelhub.api.service import v1, v2

    for call in (v1.start("7"), v1.analyse("7"), v1.cancel("7"), v2.start("7"), v2.stop("7")):
        assert carry(call, done()).result is None
        assert carry(call, Reply(200, {}, b'""')).result is None


def test_an_error_leads_to_the_reply() -> None:
    """As the vendor's errors do: `error.request_exception.response.status_code`."""
    said = {"error": {"status": 409, "message": "no", "code": "X", "secretAccessKey": "hush-hush"}}
    headers = {
        "Content-Type": "application/json",
        "x-request-id": "7",
        "retry-after": "400",
        "set-cookie": "session=hush-hush",
        "authorization": "Bearer hush-hush-hush",
        "x-amz-security-token": "hush-hush",
        "location": "https://h/?sig=hush-hush",
        "x-echo": "the key is hush-hush, line\nbreak",
    }
    call = Call("POST", "/a", lambda body: body, json={"secretAccessKey": "hush-hush"})
    error = error_of(call, Reply(409, headers, json.dumps(said).encode()))
    for one in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        response = one.request_exception.response
        assert (response.status_code, response.status, response.ok) == (409, 409, False)
        assert response.headers == {
            "content-type": "application/json",
            "x-request-id": "7",
            "retry-after": "400",
            "x-echo": "the key is ***, line break",
        }
        assert response.json()["error"] == {"status": 409, "message": "no", "code": "X", "secretAccessKey": "***"}
        assert response.text.encode() == response.content
        assert "hush" not in f"{response.text}{response.headers}{response!r}"
    lost = errors.UnreachableError("gone", ambiguous=False)
    assert lost.request_exception.response is None
    with pytest.raises(ValueError, match="Expecting"):
        errors.ApiError("m", status=502, body="<html>").response.json()


@pytest.mark.parametrize("kind", [one for one in vars(errors).values() if isinstance(one, type)])
def test_errors_of_jobs_are_runtime_errors(kind: type) -> None:
    assert issubclass(kind, RuntimeError) == issubclass(kind, errors.JobError)
