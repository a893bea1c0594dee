"""Intervals below what the service advises are raised to it, with one warning; hosts of one's own know none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub.api.flows.wait import WaitPlan, Watch
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.operators.batch import SentinelHubStartBatchOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor
from airflow_sentinelhub.transport import settings
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import DEPLOYMENTS, LEAST_INTERVAL, Settings
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger
from tests.airflow.job import job, v2


@pytest.mark.parametrize(
    ("url", "least"),
    [
        *((url, LEAST_INTERVAL) for url, _ in DEPLOYMENTS.values()),
        ("https://new.sentinel-hub.com", LEAST_INTERVAL),
        ("http://127.0.0.1:8765", 0.0),
        ("http://localhost:8765", 0.0),
        ("https://[::1]:8765", 0.0),
        ("https://maps.example.org", 0.0),
        ("https://sentinel-hub.com.example.org", 0.0),
    ],
)
def test_only_the_service_has_a_least_interval(url: str, least: float) -> None:
    assert Settings(url, f"{url}/token", "id", "secret").least_interval == least


@pytest.fixture
def as_the_service(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The simulator counts as the service; returns the intervals of all waits."""
    monkeypatch.setattr(settings, "_SERVICE_DOMAINS", ("127.0.0.1", "localhost"))
    monkeypatch.setattr(PROCESS, "warned", set())
    waits, begin = list[float](), Watch.__init__

    def noted(watch: Watch, request_id: str, plan: Any, *args: Any, **how: Any) -> None:
        waits.append(plan.poll_interval)
        begin(watch, request_id, plan, *args, **how)

    monkeypatch.setattr(Watch, "__init__", noted)
    return waits


def the_job(bench: Any, **how: Any) -> Any:
    return bench.run(job(bench, poll_interval=0.5, analysis_poll_interval=0.5, **how))


def a_sensor(bench: Any, **how: Any) -> Any:
    request_id = bench.ended()
    return bench.run(lambda: SentinelHubBatchSensor(task_id="wait", request_id=request_id, poke_interval=0.5, **how))


def a_start(bench: Any) -> Any:
    request_id = bench.ended()
    return bench.run(
        lambda: SentinelHubStartBatchOperator(
            task_id="start", request_id=request_id, wait_for_completion=True, poll_interval=0.5
        )
    )


def a_client(bench: Any) -> Any:
    return SentinelHubHook().batch_v2.monitor_batch_process_job(bench.ended(), sleep_time=0.5, analysis_sleep_time=0.5)


def a_trigger(bench: Any) -> Any:
    """As it was stored before the connection was edited to name the service."""
    given = {"sentinelhub_conn_id": "sentinelhub_default", "batch_api": bench.api, "request_id": bench.ended()}
    return bench.fire(SentinelHubBatchTrigger(**given, plan=WaitPlan(poll_interval=0.5)))


WAITS: dict[str, Callable[[Any], Any]] = {
    "job": the_job,
    "deferred job": lambda bench: the_job(bench, deferrable=True),
    "sensor": a_sensor,
    "deferred sensor": lambda bench: a_sensor(bench, deferrable=True),
    "start": a_start,
    "client": a_client,
    "trigger": a_trigger,
}


@v2
@pytest.mark.parametrize("kind", WAITS)
def test_every_wait_is_raised_with_one_warning(
    bench: Any, kind: str, as_the_service: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            WAITS[kind](bench)
    assert as_the_service
    assert min(as_the_service) >= LEAST_INTERVAL
    lines = [line.getMessage() for line in caplog.records if "is raised to" in line.getMessage()]
    assert lines
    assert len(lines) == len(set(lines)), "one for each interval"


@v2
@pytest.mark.thorough
def test_the_simulator_is_polled_as_often_as_one_likes(
    bench: Any, as_the_service: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_SERVICE_DOMAINS", ())
    the_job(bench)
    assert min(as_the_service) == 0.5
