"""One real Airflow and one simulator for all end-to-end tests of a run."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster import VERSION, Cluster
from dev.simulator import Simulator
from tests.order import first

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = "sentinelhub_ndvi_corsica"
WATCHING = ("sentinelhub_when_a_job_ends", "sentinelhub_new_imagery")
CONNECTIONS = {"v1": "sentinelhub_v1", "v2": "sentinelhub_default"}
SPEED = 60
"""A job of ten minutes takes ten seconds, unless a test moves the clock."""
EXAMPLES = [(batch_api, deferrable) for batch_api in CONNECTIONS for deferrable in (True, False)]


def example_id(batch_api: str, deferrable: bool) -> str:
    return f"{EXAMPLE}_{batch_api}_{'deferrable' if deferrable else 'plain'}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/e2e/"):
            item.add_marker(pytest.mark.e2e)
            # Starting the processes counts as part of the first test; 2.11 needs some seconds for every single task.
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))
    # The first starts no cluster, which would idle meanwhile; the second wants one in which nothing has happened yet.
    first(items, "tests/e2e/", "test_wheel.py", "test_watchers.py")


@pytest.fixture(scope="session")
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the fixtures, so that it ends what they started."""

    def leave(number: int, frame: object) -> None:
        pytest.exit("ended by SIGTERM", returncode=128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="package")
def simulator(ended_by_sigterm: None) -> Iterator[Simulator]:
    with Simulator(speed=SPEED) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def e2e_dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DAGs of these tests and the examples, in one folder as Airflow wants it."""
    folder = tmp_path_factory.mktemp("dags")
    for source in (ROOT / "tests" / "e2e" / "dags", ROOT / "example_dags"):
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    if VERSION < (3, 0):  # they cannot be imported there
        for name in WATCHING:
            (folder / f"{name}.py").unlink()
    group = (folder / "sentinelhub_batch_group.py").read_text()
    approved, number = re.subn(r"(?m)^APPROVE = .*$", "APPROVE = True", group)
    assert number == 1
    if VERSION >= (3, 1):
        approved = approved.replace('dag_id="sentinelhub_batch_group"', 'dag_id="sentinelhub_batch_group_approved"')
        (folder / "sentinelhub_batch_group_approved.py").write_text(approved)
    text = (folder / f"{EXAMPLE}.py").read_text()
    for batch_api, deferrable in EXAMPLES:
        # The same DAG, but for its name and what its environment decides: where to wait, and for which service.
        variant = text
        for pattern, new in (
            (rf'dag_id="{EXAMPLE}"', f'dag_id="{example_id(batch_api, deferrable)}"'),
            (r"(?m)^DEFERRABLE = .*$", f"DEFERRABLE = {deferrable}"),
            (r"(SentinelHub\w+)\(", rf'\1(sentinelhub_conn_id="{CONNECTIONS[batch_api]}", '),
        ):
            variant, number = re.subn(pattern, new, variant)
            assert number, f"the example DAG no longer has {pattern}"
        (folder / f"{example_id(batch_api, deferrable)}.py").write_text(variant)
    return folder


@pytest.fixture(scope="package")
def cluster(simulator: Simulator, e2e_dags: Path) -> Iterator[Cluster]:
    """Airflow with a connection to the simulator for each generation: sentinelhub_default (v2) and sentinelhub_v1."""
    env = {
        **simulator.connections("v2"),
        "AIRFLOW_CONN_SENTINELHUB_V1": simulator.connections("v1")["AIRFLOW_CONN_SENTINELHUB_DEFAULT"],
        "SENTINELHUB_EXAMPLE_POLL_INTERVAL": "2",
    }
    settings: dict[str, object] = {
        # Else a new triggerer waits half a minute before it takes over what a killed one had.
        "triggerer.triggerer_health_check_threshold": 12,
        # Files that change are parsed at once all the same. To parse all the others again takes a tenth of a core.
        "dag_processor.min_file_process_interval": 600,
    }
    with Cluster(e2e_dags, env=env, settings=settings) as cluster:
        yield cluster
    assert not any(process.members() for process in cluster.processes.values())
    assert not cluster.home.exists()
