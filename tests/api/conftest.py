"""The fake service, of each generation."""

from __future__ import annotations

import pytest

from tests.api.fake_service import FakeService


@pytest.fixture(params=["v1", "v2"])
def service(request: pytest.FixtureRequest) -> FakeService:
    return FakeService(request.param)


@pytest.fixture
def v1() -> FakeService:
    return FakeService("v1")


@pytest.fixture
def v2() -> FakeService:
    return FakeService("v2")
