"""Faults, journal and control plane over a socket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from airflow_sentinelhub.simulator import Simulator, SimulatorError
from airflow_sentinelhub.simulator import faults as ordered
from tests import plain_http

if TYPE_CHECKING:
    from .conftest import Api

PROCESS = "/batch/v2/process"


def last(sim: Simulator) -> dict[str, Any]:
    return sim.journal()[-1]


class TestStatus:
    def test_429_in_milliseconds(self, api: Api, sim: Simulator) -> None:
        sim.fault("status", "/process$", status=429, retry_after_ms=3398)
        reply = api.get(PROCESS)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "3398")
        assert reply.json()["error"] == {
            "status": 429,
            "reason": "Too Many Requests",
            "message": "You have exceeded your rate limit",
            "code": "RATE_LIMIT_EXCEEDED",
        }
        assert api.get(PROCESS).status_code == 200, "once means once"

    def test_429_without_header_and_without_wrapper(self, api: Api, sim: Simulator) -> None:
        sim.fault("status", status=429, retry_after_ms=None, bare=True)
        reply = api.get(PROCESS)
        assert "retry-after" not in reply.headers
        assert reply.json()["code"] == "RATE_LIMIT_EXCEEDED"
        sim.fault("status", status=429)
        assert api.get(PROCESS).headers["retry-after"] == "1000"

    @pytest.mark.parametrize(("when", "effect"), [("before", None), ("after", "created")])
    def test_5xx_before_and_after_the_effect(self, api: Api, sim: Simulator, when: str, effect: str | None) -> None:
        sim.fault("status", "/process$", method="post", status=503, when=when)
        assert api.post(PROCESS, json=api.v2_body()).status_code == 503
        assert len(api.get(PROCESS).json()["data"]) == (1 if effect else 0)
        call = sim.journal()[-2]
        assert (call["status"], call["fault"], call["effect"]) == (503, "status", effect)
        assert (call["request_id"] is not None) == (effect is not None)

    def test_any_body_and_message(self, api: Api, sim: Simulator) -> None:
        sim.fault("status", status=400, message="Missing grant_type parameter", code="OAUTH_ERROR")
        assert api.get(PROCESS).json()["error"]["message"] == "Missing grant_type parameter"
        sim.fault("status", status=502, body="upstream gone")
        assert api.get(PROCESS).text == "upstream gone"
        sim.fault("status", status=403)
        assert api.post(PROCESS, json={}).json()["error"]["code"] == "COMMON_INSUFFICIENT_PERMISSIONS"


class TestCuts:
    @pytest.mark.parametrize(("kind", "count"), [("drop_before", 0), ("drop_after", 1)])
    def test_the_connection_is_cut_without_a_reply(self, api: Api, sim: Simulator, kind: str, count: int) -> None:
        sim.fault(kind, "/process$", method="POST")
        with pytest.raises(httpx.TransportError):
            api.post(PROCESS, json=api.v2_body())
        assert len(api.get(PROCESS).json()["data"]) == count
        call = sim.journal()[-2]
        assert (call["status"], call["fault"], call["effect"]) == (None, kind, "created" if count else None)

    def test_a_reply_that_ends_in_the_middle(self, api: Api, sim: Simulator) -> None:
        path = api.create("v2")
        sim.fault("truncate")
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            api.get(path)
        assert last(sim)["status"] == 200
        assert api.get(path).status_code == 200

    def test_cuts_combine_with_what_goes_wrong_at_work(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        sim.fault("fail_tiles", share=1)
        sim.fault("drop_after", "/start$")
        with pytest.raises(httpx.TransportError):
            api.post(f"{path}/start")
        assert (last(sim)["fault"], last(sim)["effect"]) == ("fail_tiles,drop_after", "billed_start")
        assert api.post(f"{path}/start").status_code == 204
        assert last(sim)["effect"] is None
        sim.step(3600)
        assert api.state(path)[0] == "FAILED"
        assert sim.requests()[0]["billed_starts"] == 1


def test_html(api: Api, sim: Simulator) -> None:
    sim.fault("html", "/token$", status=429)
    reply = plain_http.post(sim.auth_url)
    assert reply.status_code == 429
    assert reply.headers["content-type"].startswith("text/html")
    assert "<h1>429 Too Many Requests</h1>" in reply.text


def test_delay(api: Api, sim: Simulator) -> None:
    sim.fault("delay", "/process$", seconds=0.4)
    begin = time.monotonic()
    # The effect does not wait: whoever gives up has still created a request.
    with pytest.raises(httpx.ReadTimeout):
        api.post(PROCESS, json=api.v2_body(), timeout=0.1)
    assert len(api.get(PROCESS).json()["data"]) == 1
    sim.fault("delay", "/process$", seconds=0.4)
    assert api.get(PROCESS).status_code == 200
    assert time.monotonic() - begin > 0.4


class TestLag:
    def test_what_was_just_created_is_not_found(self, api: Api, sim: Simulator) -> None:
        sim.fault("lag", seconds=10, times=None)
        path = api.create("v2")
        assert api.get(path).status_code == 404
        assert api.post(f"{path}/start").status_code == 404
        assert api.get(PROCESS).json()["data"] == []
        assert sim.requests()[0]["billed_starts"] == 0
        sim.step(10)
        assert api.get(path).status_code == 200
        assert len(api.get(PROCESS).json()["data"]) == 1

    def test_status_action_and_description_are_old(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        sim.step(60)
        sim.fault("lag", seconds=10, times=None)
        api.put(path, json={"description": "new words"})
        assert api.post(f"{path}/start").status_code == 204
        assert api.state(path) == ("CREATED", "NONE")
        assert api.get(path).json()["description"] == "max NDVI"
        sim.clear_faults()
        assert api.state(path) == ("CREATED", "START")
        assert api.get(path).json()["description"] == "new words"


class TestTokens:
    def test_all_tokens_expire_at_once(self, api: Api, sim: Simulator) -> None:
        sim.fault("expire_tokens")
        reply = api.get(PROCESS)
        assert reply.status_code == 401
        assert (reply.json()["error"]["reason"], reply.json()["error"]["code"]) == (
            "Unauthorized",
            "COMMON_UNAUTHORIZED",
        )
        assert api.get(PROCESS).status_code == 401
        api.login()
        assert api.get(PROCESS).status_code == 200

    def test_tokens_expire_in_real_time(self, api: Api, sim: Simulator) -> None:
        sim.settings(token_lifetime=0.3)
        api.login()
        assert api.get(PROCESS).status_code == 200
        sim.step(86_400)
        assert api.get(PROCESS).status_code == 200, "a simulated day is no time for a client's clock"
        time.sleep(0.35)
        assert api.get(PROCESS).status_code == 401

    @pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi"])
    def test_no_token_of_ours(self, sim: Simulator, header: str | None) -> None:
        headers = {} if header is None else {"Authorization": header}
        for path in (PROCESS, "/api/v1/batch/tilinggrids/", "/api/v1/batch/process"):
            assert plain_http.get(sim.url + path, headers=headers).status_code == 401

    def test_a_token_with_another_lifetime_written_into_it(self, api: Api, sim: Simulator) -> None:
        head, claims, signature = api.http.headers["Authorization"].removeprefix("Bearer ").split(".")
        forged = f"{head}.{claims[:-4]}AAAA.{signature}"
        assert plain_http.get(sim.url + PROCESS, headers={"Authorization": f"Bearer {forged}"}).status_code == 401

    def test_token_reply(self, sim: Simulator) -> None:
        form = {"grant_type": "client_credentials", "client_id": sim.client_id, "client_secret": sim.client_secret}
        for url in (sim.auth_url, f"{sim.url}/oauth/token"):
            reply = plain_http.post(url, data=form)
            assert reply.status_code == 200
            body = reply.json()
            assert body.pop("access_token").count(".") == 2
            assert body == {
                "expires_in": 3600,
                "refresh_expires_in": 0,
                "token_type": "Bearer",
                "not-before-policy": 0,
                "scope": "email profile",
            }

    def test_wrong_credentials(self, sim: Simulator) -> None:
        good = {"grant_type": "client_credentials", "client_id": sim.client_id, "client_secret": sim.client_secret}
        for wrong in ({"client_secret": "x"}, {"client_id": "x"}, {"client_id": ""}):
            reply = plain_http.post(sim.auth_url, data={**good, **wrong})
            assert reply.status_code == 401
            assert reply.json()["error_description"] == "Invalid client or Invalid client credentials"
        basic = plain_http.post(
            sim.auth_url, data={"grant_type": "client_credentials"}, auth=(sim.client_id, sim.client_secret)
        )
        assert basic.status_code == 401, "credentials go in the body"
        missing = plain_http.post(sim.auth_url, data={**good, "grant_type": ""})
        assert (missing.status_code, missing.json()["error_description"]) == (400, "Missing grant_type parameter")
        assert plain_http.post(sim.auth_url, data={**good, "grant_type": "password"}).status_code == 400
        assert plain_http.get(sim.auth_url).status_code == 405


class TestTiles:
    def test_share_and_stuck(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        sim.fault("fail_tiles", share=0.25)
        sim.fault("stuck_tiles", share=0.1, rounds=1)
        api.post(f"{path}/start")
        sim.step(7200)
        statuses = api.statuses(path)
        assert statuses.count("FAILED") == round(0.25 * len(statuses))

    def test_a_fault_at_work_waits_for_work(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1")
        sim.fault("fail_tiles", share=0.2)
        sim.fault("status", "/start$", status=503)
        assert api.post(f"{path}/start").status_code == 503
        assert api.post(f"{path}/start").status_code == 204
        sim.step(3600)
        assert api.state(path)[0] == "PARTIAL"

    @pytest.mark.parametrize(("share", "count"), [(0, 0), (0.001, 1), (0.5, 5), (0.999, 9), (1, 10)])
    def test_shares_never_round_to_none_or_all(self, share: float, count: int) -> None:
        assert len(ordered.share_of(share, list(range(10)), "seed")) == count


class TestControlPlane:
    def test_journal(self, api: Api, sim: Simulator) -> None:
        mark = sim.journal()[-1]["n"]
        path = api.create("v2")
        api.get(f"{path}?x=1")
        sim.requests()
        calls = sim.journal(since=mark)
        assert [call["n"] for call in calls] == [mark + 1, mark + 2], "the control plane is not in it"
        assert set(calls[0]) == {"n", "at", "method", "path", "query", "status", "fault", "request_id", "effect"}
        assert (calls[0]["method"], calls[0]["path"], calls[0]["status"], calls[0]["effect"]) == (
            "POST",
            PROCESS,
            201,
            "created",
        )
        assert calls[0]["request_id"] == calls[1]["request_id"] == path.rpartition("/")[2]
        assert calls[1]["query"] == "x=1"
        assert sim.journal(since=mark + 2) == []

    def test_requests(self, api: Api, sim: Simulator) -> None:
        path = api.create("v1", description="one")
        api.post(f"{path}/start")
        (found,) = sim.requests()
        assert (found["generation"], found["status"], found["user_action"]) == ("v1", "CREATED", "START")
        assert (found["description"], found["billed_starts"], found["cost"]) == ("one", 1, 0)
        assert found["planned_cost"] >= 100
        api.create("v2")
        assert [one["generation"] for one in sim.requests()] == ["v1", "v2"]

    def test_clock(self, sim: Simulator) -> None:
        before = sim.clock()["seconds"]
        time.sleep(0.02)
        assert sim.clock()["seconds"] == before, "frozen"
        assert sim.step(3600)["seconds"] == before + 3600
        sim.speed(1000)
        time.sleep(0.05)
        assert sim.clock()["seconds"] > before + 3600 + 50
        assert sim.speed(0)["speed"] == 0

    def test_reset(self, api: Api, sim: Simulator) -> None:
        first = api.create("v1")
        sim.fault("status", status=500, times=None)
        sim.settings(balance=5)
        now = sim.clock()["seconds"]
        sim.reset()
        assert sim.requests() == sim.journal() == []
        assert sim.settings()["balance"] == 1_000_000
        assert sim.clock()["seconds"] >= now
        assert api.get(PROCESS).json()["data"] == []
        assert api.create("v1") != first, "ids never come again"

    def test_settings(self, sim: Simulator) -> None:
        assert sim.settings(action_lag=1)["action_lag"] == 1
        for wrong in (
            {"nonsense": 1},
            {"action_lag": "x"},
            {"action_lag": -1},
            {"wrap_collections": 1},
            {"page_size": 0},
        ):
            with pytest.raises(SimulatorError, match="setting"):
                sim.settings(**wrong)

    @pytest.mark.parametrize(
        "order",
        [
            {"kind": "nonsense"},
            {"kind": "status", "status": 99},
            {"kind": "status", "colour": "red"},
            {"kind": "status", "when": "later"},
            {"kind": "status", "path": "("},
            {"kind": "status", "times": 0},
            {"kind": "delay", "seconds": -1},
            {"kind": "fail_tiles"},
            {"kind": "fail_tiles", "share": 2},
            {"kind": "fail_tiles", "names": "30TVM"},
            {"kind": "stuck_tiles", "share": 0.1, "rounds": 4},
        ],
    )
    def test_wrong_faults_are_refused_in_a_sentence(self, sim: Simulator, order: dict[str, Any]) -> None:
        with pytest.raises(SimulatorError, match=r"fault|A fault"):
            sim.fault(**order)
        assert plain_http.get(f"{sim.url}/_simulator/faults").json() == {"faults": []}

    def test_faults_are_listed_and_cleared(self, api: Api, sim: Simulator) -> None:
        assert sim.fault("status", "/x", times=3) == "1"
        assert sim.fault("lag", times=None) == "2"
        listed = plain_http.get(f"{sim.url}/_simulator/faults").json()["faults"]
        assert [(one["id"], one["kind"], one["times"]) for one in listed] == [("1", "status", 3), ("2", "lag", None)]
        sim.clear_faults()
        assert plain_http.get(f"{sim.url}/_simulator/faults").json() == {"faults": []}

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("GET", "/nonsense", None, 404),
            ("POST", "/clock", {}, 400),
            ("POST", "/clock", {"step": -1}, 400),
            ("POST", "/clock", {"jump": 1}, 400),
            ("GET", "/journal?since=x", None, 400),
            ("POST", "/requests", {"id": "x", "status": "DONE"}, 400),
            ("POST", "/settings", [], 400),
        ],
    )
    def test_nonsense(self, sim: Simulator, method: str, path: str, body: Any, status: int) -> None:
        reply = plain_http.request(method, f"{sim.url}/_simulator{path}", json=body)
        assert reply.status_code == status
        assert reply.json()["error"].endswith(".")

    def test_force_knows_what_is_possible(self, api: Api, sim: Simulator) -> None:
        number = api.create("v2").rpartition("/")[2]
        for wrong in (
            {"status": "DONE"},
            {"status": "STOPPED", "reason": "BORED"},
            {"status": "FAILED", "reason": "OUT_OF_PU"},
        ):
            with pytest.raises(SimulatorError):
                sim.force(number, **wrong)
        assert sim.force(number, "FAILED", error="gone")["error"] == "gone"


def test_unknown_paths(api: Api) -> None:
    for path in ("/", "/api/v3/batch/process", "/api/v2/batch", "/api/v2/batch/processes"):
        assert api.get(path).status_code == 404
    assert api.patch(PROCESS).status_code == 405
