"""Set before anything imports Airflow: no test reads or writes the developer's own."""

from __future__ import annotations

import atexit
import gc
import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.order import left_out

for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]

home = Path(tempfile.mkdtemp(prefix="airflow-sentinelhub-tests-"))
atexit.register(shutil.rmtree, home, ignore_errors=True)
(home / "dags").mkdir()

os.environ["AIRFLOW_HOME"] = str(home)
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(home / "dags")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

CHANCE = os.environ.get("SENTINELHUB_CHANCE", "")
"""Any text: the tests draw other numbers, so another course of each is tried. Without it a run is like the last."""

# A machine on which others work is slow now and then, which is no fault of what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=not CHANCE
)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, help="at most so many cases of each test without a DAG, drawn by their names")
    parser.addoption("--thorough-cases", type=int, help="the same of what is marked as thorough only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    thorough = [item for item in items if item.get_closest_marker("thorough")]
    plain = [item for item in items if not item.get_closest_marker("dag_test") and not item.get_closest_marker("e2e")]
    for most, concerned in ((config.getoption("--cases"), plain), (config.getoption("--thorough-cases"), thorough)):
        if most is not None:
            out = set(left_out([item.nodeid for item in concerned], most))
            config.hook.pytest_deselected(items=[item for item in items if item.nodeid in out])
            items[:] = [item for item in items if item.nodeid not in out]


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes of a file are no name of a test: they may differ from process to process, by a date in them."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and len(val) > 40 else None


def pytest_collection_finish() -> None:
    """Thousands of collected tests live to the end: a search for garbage need not go through them each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def drawn_numbers(request: pytest.FixtureRequest) -> None:
    """What the package draws in this process, as the spread of polls, is the same in each run of a test."""
    random.seed(f"{request.node.nodeid} {CHANCE}")


@pytest.fixture(autouse=True, scope="session")
def unpaced() -> Iterator[None]:
    """The gate of a connection lets 540 calls a minute through, in real time: no test waits that does not say so."""
    from airflow_sentinelhub.transport.gate import Gate

    Gate.paced = False
    yield
    Gate.paced = True


MASKERS = (
    "airflow.sdk._shared.secrets_masker",
    "airflow._shared.secrets_masker",
    "airflow.sdk.execution_time.secrets_masker",  # 3.0
    "airflow.utils.log.secrets_masker",  # 2.11
)


class Unread:
    """A pattern of many secrets that is compiled when a text is looked through, which few tests have done."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self._pattern)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)


def _compiled_late(masker: object) -> None:
    """Have Airflow's masker, which compiles all that it knows anew with each secret, do so only for a text."""
    home = sys.modules[type(masker).__module__]
    if vars(home).get("re") is re:  # 2.11 has another library for it
        home.re = SimpleNamespace(**{**vars(re), "compile": Unread})


@pytest.fixture(autouse=True)
def forgotten_secrets() -> Iterator[None]:
    """What a test has masked is plain text again in the next one.

    Airflow's masker lasts as long as the process, and 2.11 masks a password of one letter, too: each `b` of all later
    messages would be `***`. The fewer secrets it knows, the cheaper is the next one.
    """
    yield
    for name in MASKERS:
        known = vars(sys.modules[name]).get("_secrets_masker") if name in sys.modules else None
        if known is not None:
            masker = known()
            masker.patterns, masker.replacer = set(), None
            _compiled_late(masker)


@pytest.fixture
def unpriced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No evalscript can be read for an estimate: the cost of v2 and statistical jobs is not known before the start."""
    from airflow_sentinelhub.exceptions import EstimateError

    def unread(script: str) -> None:
        raise EstimateError("There is neither pen nor paper.")

    monkeypatch.setattr("airflow_sentinelhub.hooks.prices.read_setup", unread)
