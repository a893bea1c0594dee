"""The bench of the Airflow tests, with statistical requests on it: one clock for service, client and Airflow."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub import aggregation
from airflow_sentinelhub.simulator import Simulator
from tests.airflow.conftest import Bench, Clock, clock, logged, server, sim
from tests.statistical.fields import DATA, GEOPACKAGE, NDVI, OUTPUT, put_fields

__all__ = ["clock", "logged", "server", "sim"]


class StatisticalBench(Bench):
    """Runs tasks over six field parcels that lie in the bucket."""

    def __init__(self, sim: Simulator, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(sim, clock, "v2", monkeypatch)
        self.api = "statistical"
        put_fields(sim.bucket_dir)

    def run(self, make: Any, context: dict[str, Any] | None = None) -> Any:
        self._orig_start_date(None)  # nothing has been rescheduled yet; 2.11 would ask its database
        return super().run(make, context)

    def payload(self, **members: Any) -> dict[str, Any]:
        from airflow_sentinelhub.api.service.specification import Access
        from airflow_sentinelhub.api.service.statistical_specification import (
            StatisticalSpecification,
            render_statistical,
        )

        job = {"geopackage": GEOPACKAGE, "data": DATA, "output": OUTPUT, "evalscript": NDVI, **members}
        job.setdefault("aggregation", aggregation(("2024-06-01", "2024-06-30"), "P10D", resolution=10))
        return render_statistical(StatisticalSpecification(**job), Access(access_key="AKIA", secret_access_key="hush"))

    def arguments(self, **more: Any) -> dict[str, Any]:
        """What the operator for whole jobs is given."""
        return {
            "task_id": "statistics",
            "geopackage": GEOPACKAGE,
            "data": DATA,
            "aggregation": aggregation(("2024-06-01", "2024-06-30"), "P10D", resolution=10),
            "evalscript": NDVI,
            "destination": OUTPUT,
            "aws_conn_id": "my_bucket",
            "deferrable": False,
            **more,
        }

    def whole(self, **arguments: Any) -> Any:
        """A maker of the operator for whole jobs."""
        from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator

        given = self.arguments(**arguments)
        return lambda: SentinelHubBatchStatisticalOperator(**given)

    def results(self, request_id: str) -> Any:
        return self.hook.statistical_results(request_id)


@pytest.fixture
def bench(sim: Simulator, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> StatisticalBench:
    return StatisticalBench(sim, clock, monkeypatch)
