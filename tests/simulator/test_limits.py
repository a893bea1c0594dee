"""Rate limits: token buckets that refuse by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.simulator.limits import Limits, Policy, policies, refusal
from airflow_sentinelhub.simulator.settings import Settings
from tests import plain_http

from .conftest import Api

LIST = "/batch/v2/process"
MINUTE, HOUR = Policy("REQUESTS", 60.0, 60.0, "PT1M"), Policy("REQUESTS", 90.0, 3600.0, "PT1H")


def test_a_bucket_takes_a_burst_and_then_one_call_each_refill() -> None:
    limits = Limits()
    assert [limits.wait([MINUTE], 1000.0) for _ in range(60)] == [0.0] * 60
    assert limits.wait([MINUTE], 1000.0) == pytest.approx(1.0)
    assert limits.wait([MINUTE], 1000.25) == pytest.approx(0.75)
    assert limits.wait([MINUTE], 1001.0) == 0.0
    assert limits.wait([MINUTE], 1001.0) == pytest.approx(1.0)


def test_nothing_is_saved_up() -> None:
    limits = Limits()
    limits.wait([MINUTE], 0.0)
    assert sum(limits.wait([MINUTE], 100_000.0) == 0.0 for _ in range(100)) == 60


def test_all_policies_must_let_a_call_pass_and_a_refused_call_uses_none() -> None:
    limits, now = Limits(), 0.0
    passed = 0
    for _ in range(300):
        passed += limits.wait([MINUTE, HOUR], now) == 0.0
        now += 1.0
    # 90 at once, and the refills of 300 seconds.
    assert passed == 97
    told = {policy.period: limits.wait([policy], now) for policy in (MINUTE, HOUR)}
    assert told["PT1M"] == 0.0
    assert 0 < told["PT1H"] <= 40.0


def test_a_wall_clock_that_is_set_back_fills_nothing() -> None:
    limits = Limits()
    for _ in range(60):
        limits.wait([MINUTE], 1000.0)
    assert limits.wait([MINUTE], 500.0) == pytest.approx(1.0)
    assert limits.wait([MINUTE], 1000.5) == pytest.approx(0.5)


def test_processing_units_are_owed_until_they_have_flowed_in() -> None:
    policy, limits = Policy("PROCESSING_UNITS", 1000.0, 60.0, "PT1M"), Limits()
    assert limits.wait([policy], 0.0, used=0.0) == 0.0
    assert limits.wait([policy], 0.0, used=2999.0) == pytest.approx(120.0)
    assert limits.wait([policy], 119.0, used=2999.0) == pytest.approx(1.0)
    assert limits.wait([policy], 121.0, used=2999.0) == 0.0


@pytest.mark.parametrize("seconds", [1e-9, 0.5, 3.398, 1e300, float("inf")])
def test_the_header_counts_milliseconds(seconds: float) -> None:
    reply = refusal(seconds, Settings())
    assert int(reply.headers["retry-after"]) >= 1
    assert int(reply.headers["retry-after"]) == pytest.approx(min(seconds, 1e7) * 1000, abs=1)


def test_no_limit_unless_somebody_asks() -> None:
    assert policies(Settings()) == []


def test_more_requests_than_a_minute_allows_get_a_429(api: Api, sim: Simulator) -> None:
    sim.settings(requests_per_minute=10)
    replies = [api.get(LIST) for _ in range(12)]
    assert [reply.status_code for reply in replies[:10]] == [200] * 10
    refused = next(reply for reply in replies if reply.status_code == 429)
    told = refused.json()["error"]
    assert (told["reason"], told["code"]) == ("Too Many Requests", "RATE_LIMIT_EXCEEDED")
    # One request each six seconds.
    assert 1 <= int(refused.headers["retry-after"]) <= 6000
    limit = sim.limits()[0]
    assert (limit["type"], limit["capacity"], limit["samplingPeriod"]) == ("REQUESTS", 10.0, "PT1M")
    assert limit["nanosBetweenRefills"] == 6_000_000_000
    assert limit["left"] < 1
    entry = next(call for call in sim.journal() if call["status"] == 429)
    assert (entry["effect"], entry["fault"]) == (None, None)


def test_a_refused_create_makes_nothing(api: Api, sim: Simulator) -> None:
    sim.settings(requests_per_minute=1)
    api.get(LIST)
    assert api.post(LIST, json=api.v2_body()).status_code == 429
    assert sim.requests() == []


def test_a_month_of_requests_and_a_minute_of_them_hold_together(api: Api, sim: Simulator) -> None:
    sim.settings(requests_per_minute=600, requests_per_month=2)
    assert [api.get(LIST).status_code for _ in range(3)] == [200, 200, 429]
    assert {limit["samplingPeriod"] for limit in sim.limits()} == {"PT1M", "PT744H"}


@pytest.mark.parametrize(
    ("settings", "wrapped", "told"),
    [({}, True, True), ({"bare_429": True}, False, True), ({"retry_after": False}, True, False)],
)
def test_forms_of_the_429(api: Api, sim: Simulator, settings: dict[str, Any], wrapped: bool, told: bool) -> None:
    sim.settings(requests_per_minute=1, **settings)
    api.get(LIST)
    reply = api.get(LIST)
    assert reply.status_code == 429
    assert ("error" in reply.json()) is wrapped
    assert ("retry-after" in reply.headers) is told


def test_too_many_tokens_get_a_page_in_html(api: Api, sim: Simulator) -> None:
    sim.settings(tokens_per_minute=2)
    form = {"grant_type": "client_credentials", "client_id": sim.client_id, "client_secret": sim.client_secret}
    replies = [plain_http.post(sim.auth_url, data=form) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[2].headers["content-type"].startswith("text/html")
    assert "429 Too Many Requests" in replies[2].text
    # The API itself has another limit.
    assert api.get(LIST).status_code == 200


def test_used_up_processing_units_hold_back_what_begins_work(api: Api, sim: Simulator) -> None:
    """Reading goes on; after the time that the header names, work may begin again."""
    sim.settings(billing_period=0)
    path = api.create("v2")
    api.post(f"{path}/start")
    sim.step(60)
    # The limit comes while work is going on: it counts what is used from then on.
    sim.settings(pu_per_minute=0.5)
    assert api.post(LIST, json=api.v2_body()).status_code == 201
    sim.step(300)
    refused = api.post(LIST, json=api.v2_body())
    assert refused.status_code == 429
    assert api.get(path).status_code == 200
    for verb in ("start", "analyse"):
        assert api.post(f"{path}/{verb}").status_code == 429
    assert api.post(f"{path}/stop").status_code != 429
    # What ran was charged until its end; then only the header counts.
    sim.step(600)
    sim.step(int(api.post(LIST, json=api.v2_body()).headers["retry-after"]) / 1000)
    assert api.post(LIST, json=api.v2_body()).status_code == 201


@pytest.mark.parametrize("value", ["0", "1e-300", "-1"])
def test_a_rate_that_is_none(value: str, sim: Simulator) -> None:
    with pytest.raises(Exception, match="The setting pu_per_minute"):
        sim.settings(pu_per_minute=float(value))


def test_v1_begins_nothing_when_the_processing_units_of_the_month_are_used_up(api: Api, sim: Simulator) -> None:
    path, other = api.create("v1"), api.create("v1")
    api.post(f"{path}/start")
    sim.step(3000)
    assert api.state(path)[0] == "DONE"
    sim.settings(balance=sim.requests()[0]["cost"])
    for verb in ("analyse", "start"):
        reply = api.post(f"{other}/{verb}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "COMMON_INSUFFICIENT_PERMISSIONS")
    assert api.post("/api/v1/batch/process", json=api.v1_body()).status_code == 403
    assert api.get(other).status_code == 200
    assert api.post(f"{other}/cancel").status_code == 204
    sim.settings(balance=1_000_000)
    assert api.post("/api/v1/batch/process", json=api.v1_body()).status_code == 201
