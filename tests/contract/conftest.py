from __future__ import annotations

import pytest

from tests.contract.checker import SOURCES, VENDORS_FILE, Contract, the_contract


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of the contract on every source at hand: a fresh clone has the project's own description alone."""
    if "source" in metafunc.fixturenames:
        metafunc.parametrize("source", [name for name in SOURCES if name == "own" or VENDORS_FILE.exists()])


@pytest.fixture
def contract(source: str) -> Contract:
    return the_contract(source)
