"""The helper that all tests of flows stand on can itself fail a test."""

from __future__ import annotations

import pytest

from airflow_sentinelhub.api.call import Call, Flow, Send
from tests.api.feeding import feed, ok


def _two_calls() -> Flow[str]:
    yield Send(Call("GET", "/a", lambda body: body))
    yield Send(Call("GET", "/b", lambda body: body))
    return "end"


def test_a_script_that_is_too_short_or_too_long_fails() -> None:
    with pytest.raises(AssertionError, match="ends before GET /b"):
        feed(_two_calls(), [ok()])
    with pytest.raises(AssertionError, match="ended before"):
        feed(_two_calls(), [ok(), ok(), ok()])


def test_an_error_of_the_flow_comes_out_with_its_result() -> None:
    fed = feed(_two_calls(), [ok(), KeyError("thrown into it")])
    assert fed.calls == ["GET /a", "GET /b"]
    with pytest.raises(KeyError, match="thrown into it"):
        _ = fed.result


def test_the_last_answer_can_last() -> None:
    assert feed(_two_calls(), [ok(), ...]).result == "end"
