from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from airflow_sentinelhub.evalscripts import read_setup


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the engine were not installed."""
    read_setup.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "quickjs", None)
        yield
    read_setup.cache_clear()
