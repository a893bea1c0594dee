from __future__ import annotations

import pytest

from tests.contract.checker import Contract, the_contract


@pytest.fixture(scope="session")
def contract() -> Contract:
    return the_contract()
