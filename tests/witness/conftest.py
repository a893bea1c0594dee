"""The vendor's client is installed by the first test that asks for it, which takes its time on a busy machine."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/witness/"):
            item.add_marker(pytest.mark.timeout(600))
