"""Pytest fixture for DAG tests: ``def test_my_dag(sentinelhub_simulator): ...``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .server import Simulator


@pytest.fixture
def sentinelhub_simulator() -> Iterator[Simulator]:
    """A fresh, empty Sentinel Hub on a free port, whose clock stands still until the test moves it.

    ``sentinelhub_simulator.step(3600)`` lets an hour pass, ``sentinelhub_simulator.speed(600)`` lets it run, ten
    minutes in a second. ``airflow_connection_uri`` is what ``AIRFLOW_CONN_SENTINELHUB_DEFAULT`` takes.
    """
    with Simulator(speed=0) as simulator:
        yield simulator
