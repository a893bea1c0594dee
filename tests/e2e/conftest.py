"""One real Airflow and one simulator for all end-to-end tests of a run."""

from __future__ import annotations

import importlib.util
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # Starting the processes counts as part of the first test; 2.11 needs some seconds for every single task.
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(420))


@pytest.fixture(scope="session")
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the fixtures, so that it ends what they started."""

    def leave(number: int, frame: object) -> None:
        pytest.exit("ended by SIGTERM", returncode=128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def simulator(ended_by_sigterm: None) -> Iterator[Simulator]:
    if importlib.util.find_spec("airflow_sentinelhub.simulator.__main__") is None:
        pytest.skip("the simulator is not there yet")
    with Simulator(speed=600) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def e2e_dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DAGs of these tests and the examples, in one folder as Airflow wants it."""
    folder = tmp_path_factory.mktemp("dags")
    for source in (ROOT / "tests" / "e2e" / "dags", ROOT / "example_dags"):
        if source.exists():
            shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder
