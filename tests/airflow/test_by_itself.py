"""What the service does by itself, and what each deployment offers: jobs come through, or the message says why not."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.exceptions import AuthenticationError, ForbiddenError, NotFoundError
from airflow_sentinelhub.simulator.settings import REALISTIC
from tests.airflow.job import job, modes, v2
from tests.statistical.conftest import StatisticalBench

LIMITED = {"requests_per_minute": 4, "tokens_per_minute": 2}
ODD = {"replica_lag": 5, "odd_share": 0.15}


@pytest.fixture
def shared_time(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what the service counts in real seconds goes by the clock of these tests; chance is always the same."""
    monkeypatch.setattr(bench.sim._world, "real", bench.clock.time)
    monkeypatch.setitem(bench.sim._world.counters, "resets", 7)


@modes
@pytest.mark.parametrize("settings", [LIMITED, ODD, {**LIMITED, **ODD}], ids=["limited", "odd", "both"])
def test_a_job_comes_through_and_is_paid_once(
    bench: Any, shared_time: None, deferrable: bool, settings: dict[str, Any]
) -> None:
    bench.sim.settings(**settings)
    result = bench.run(job(bench, deferrable=deferrable))
    (request,) = bench.sim.requests()
    assert request["billed_starts"] == 1
    assert (result["status"], result["request_id"]) == ("DONE", request["id"])
    answers = {call["status"] for call in bench.sim.journal()}
    assert 429 in answers or "requests_per_minute" not in settings
    assert answers & {400, 401, 404, 503} or "odd_share" not in settings


@modes
def test_a_job_comes_through_with_all_that_the_service_does_by_itself(
    bench: Any, shared_time: None, deferrable: bool
) -> None:
    bench.sim.settings(**{**REALISTIC, "tile_failure_share": 0.1, "stuck_share": 0.1})
    result = bench.run(job(bench, deferrable=deferrable, max_restarts=2, on_partial="accept"))
    # v2 does the failed part in further tasks. None of them is started twice.
    requests = bench.sim.requests()
    assert [request["billed_starts"] for request in requests] == [1] * (1 if bench.api == "v1" else len(requests))
    assert result["status"] in ("DONE", "PARTIAL")
    assert result["restarts"] > 0


def test_statistics_come_through_too(sim: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = StatisticalBench(sim, clock, monkeypatch)
    monkeypatch.setattr(sim._world, "real", clock.time)
    monkeypatch.setitem(sim._world.counters, "resets", 3)
    sim.settings(**{**LIMITED, **ODD})
    result = bench.run(bench.whole(poll_interval=20.0))
    (request,) = sim.requests()
    assert (result["status"], request["billed_starts"]) == ("DONE", 1)


# Deployments


def refused(bench: Any, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        bench.create()
    return str(caught.value)


def test_the_token_url_of_another_deployment_is_named(bench: Any) -> None:
    """It must not be taken for a request that does not exist."""
    bench.sim.settings(deployment="cdse")
    message = refused(bench, AuthenticationError)
    assert "There is no token endpoint for the credentials of connection 'sentinelhub_default' at" in message
    assert "Realm does not exist" in message
    assert "Check that the token endpoint (auth_url) belongs to the deployment." in message
    bench.connect(batch_api=bench.api, token_url=bench.sim.auth_url)
    assert bench.status(bench.create()) == "CREATED"


def test_a_service_that_the_deployment_does_not_offer_is_no_missing_request(
    sim: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = StatisticalBench(sim, clock, monkeypatch)
    sim.settings(deployment="aws-us-west-2")
    message = refused(bench, NotFoundError)
    assert "does not offer this service" in message
    assert "batch statistical is not offered in US-West-2" in message
    assert "the id" not in message


def test_v1_that_is_gone(bench: Any) -> None:
    bench.sim.settings(v1_answers=False)
    if bench.api == "v2":
        assert bench.status(bench.create()) == "CREATED"
    else:
        assert "batch v1 may have been removed (batch_api='v2')" in refused(bench, NotFoundError)


@pytest.mark.parametrize("settings", [{"batch_account": False}, {"balance": 10}])
@v2
def test_an_account_that_may_not_or_cannot_pay(bench: Any, settings: dict[str, Any]) -> None:
    bench.sim.settings(**settings)
    message = refused(bench, ForbiddenError)
    assert "an account that is entitled to it, with processing units left (at least 1,000" in message


def test_a_statistical_request_that_was_removed_is_said_to_be(
    sim: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = StatisticalBench(sim, clock, monkeypatch)
    number = bench.create()
    clock.sleep(8 * 86400)
    with pytest.raises(NotFoundError, match="it was removed, as the service does with old requests"):
        bench.act(number, "start")


@v2
def test_results_in_a_destination_kept_at_the_vendor_are_read(bench: Any) -> None:
    kept = {"pl:destinations": {"url": "s3://maps/kept", "ref": "pl:destinations/maps-1"}}
    made = job(bench, destination={"type": "raster", "delivery": kept})
    result = bench.run(made)
    assert (result["status"], result["failed"]) == ("DONE", 0)
    assert result["checked"]
    assert "accessKey" not in str(bench.body(result["request_id"]))
