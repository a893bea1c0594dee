"""One Airflow and one simulator for all of these tests, and the matrix of what came out as the session's report."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.stage import CELLS, Cell, Run, Service, Stage, a_stage

Matrix = dict[str, dict[Cell, str]]
_matrix: Matrix = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            if item.get_closest_marker("e2e") is None:
                item.add_marker(pytest.mark.chaos)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _matrix:
        terminalreporter.section("what was killed or done, and what came of it")
        for line in markdown(_matrix):
            terminalreporter.write_line(line)


def markdown(matrix: Matrix) -> Iterator[str]:
    """The matrix as a table."""
    yield f"| | {' | '.join(cell.name for cell in CELLS)} |"
    yield f"| --- |{' --- |' * len(CELLS)}"
    for row, outcomes in matrix.items():
        yield f"| {row} | {' | '.join(outcomes.get(cell, '') for cell in CELLS)} |"


Record = Callable[[str, Cell, str], None]


@pytest.fixture(scope="session")
def record() -> Record:
    def keep(row: str, cell: Cell, outcome: str) -> None:
        _matrix.setdefault(row, {})[cell] = outcome

    return keep


@pytest.fixture(scope="session")
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the fixtures, so that it ends what they started."""

    def leave(number: int, frame: object) -> None:
        pytest.exit("ended by SIGTERM", returncode=128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def service(ended_by_sigterm: None) -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture(scope="session")
def whole_stage(service: Service) -> Iterator[Stage]:
    with a_stage(service) as stage:
        yield stage
    assert not stage.cluster.home.exists()


@pytest.fixture
def stage(whole_stage: Stage) -> Iterator[Stage]:
    yield from swept(whole_stage)


def swept(whole: Stage) -> Iterator[Stage]:
    """The stage, with nothing of the test left on it afterwards."""
    runs: list[Run] = []
    begin = whole.begin

    def remember(*arguments: object, **named: object) -> list[Run]:
        begun = begin(*arguments, **named)  # type: ignore[arg-type]
        runs.extend(begun)
        return begun

    whole.begin = remember  # type: ignore[method-assign]
    yield whole
    del whole.begin
    whole.close(runs)
