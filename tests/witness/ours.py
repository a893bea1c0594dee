"""Our clients on a simulator whose clock runs when they sleep: the other side of `patterns.py`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from airflow_sentinelhub.api.call import Sleep, Step
from airflow_sentinelhub.hooks import statistical, v1, v2
from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.sync import SyncDriver
from tests.witness.patterns import Control, World


class Stepping(SyncDriver):
    """A driver that steps the simulator's clock instead of sleeping."""

    control: Control

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            return self.control.step(step.seconds)
        return super()._perform(step)


def our_world(simulator: Simulator, given: dict[str, Any]) -> World:
    settings = Settings(simulator.url, simulator.auth_url, simulator.client_id, simulator.client_secret)
    driver = Stepping(settings)
    driver.control = control = Control(simulator.url)
    if given["generation"] == "v1":
        one = v1.SentinelHubBatch(driver.run)
        return World(
            one,
            SimpleNamespace(**vars(v1)),
            control,
            lambda request: one.monitor_batch_analysis(request, sleep_time=5),
            lambda request: one.monitor_batch_job(request, sleep_time=60, analysis_sleep_time=5),
            given,
        )
    if given["generation"] == "v2":
        two = v2.BatchProcessClient(driver.run)
        return World(
            two,
            SimpleNamespace(**vars(v2)),
            control,
            lambda request: two.monitor_batch_process_analysis(request, sleep_time=5),
            lambda request: two.monitor_batch_process_job(request, sleep_time=60, analysis_sleep_time=5),
            given,
        )
    three = statistical.SentinelHubBatchStatistical(driver.run)
    return World(
        three,
        SimpleNamespace(**vars(statistical)),
        control,
        lambda request: three.monitor_batch_statistical_analysis(request, sleep_time=5),
        lambda request: three.monitor_batch_statistical_job(request, sleep_time=15, analysis_sleep_time=5),
        given,
    )
