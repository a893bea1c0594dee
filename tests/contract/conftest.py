from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.checker import Contract

PLACE = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "sentinelhub-batch.openapi.yaml"


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The OpenAPI file of the service. It is not ours to ship, and lies beside the project where it is known."""
    if not PLACE.exists():
        pytest.skip("there is no OpenAPI file of the service (shared/reference beside the project)")
    return Contract.read(PLACE)
