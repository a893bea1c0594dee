"""One Airflow and one simulator for all of these tests, and the matrix of what came out as the session's report."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from dev.cluster import VERSION
from tests.chaos import matrix
from tests.chaos.stage import Cell, Run, Service, Stage, a_stage
from tests.order import first

_rows: dict[str, matrix.Row] = {}
_passed: set[str] = set()
Record = Callable[[str, Cell, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-matrix", action="store_true", help="keep what came of kills and cancels for the docs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/chaos/"):
            if item.get_closest_marker("e2e") is None:
                item.add_marker(pytest.mark.chaos)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))
    first(items, "tests/chaos/", "test_big.py")  # it has an Airflow of its own: that of the others starts later


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        _passed.add(report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not _rows:
        return
    version = ".".join(map(str, VERSION))
    shown = {name: {f"{version} {cell}": outcome for cell, outcome in row.items()} for name, row in _rows.items()}
    terminalreporter.section("what was killed or done, and what came of it")
    for line in matrix.lines(shown, [version]):
        terminalreporter.write_line(line)
    if config.getoption("--keep-matrix", default=False):
        matrix.keep(version, {name: row for name, row in _rows.items() if row["test"] in _passed})


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Tells what came of a row for one cell."""

    def tell(row: str, cell: Cell, outcome: str) -> None:
        _rows.setdefault(row, {"test": request.node.nodeid})[cell.name] = outcome

    return tell


@pytest.fixture(scope="session")
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the fixtures, so that it ends what they started."""

    def leave(number: int, frame: object) -> None:
        pytest.exit("ended by SIGTERM", returncode=128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="package")
def service(ended_by_sigterm: None) -> Iterator[Service]:
    with Service() as service:
        yield service


@pytest.fixture(scope="package")
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
