from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_sentinelhub._compat import HAS_PAGES
from tests.airflow.home import have_own_tables

collect_ignore_glob = [] if HAS_PAGES else ["test_access.py", "test_hostile.py", "test_replies.py", "test_tables.py"]


@pytest.fixture(scope="session")
def tables() -> None:
    """Airflow's tables, in the home of this process."""
    have_own_tables()


@pytest.fixture
def managed(tables: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Airflow's simple auth manager, as its api-server makes it."""
    from airflow.api_fastapi import app as airflow_app
    from fastapi import FastAPI

    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "x" * 64)
    airflow_app.create_auth_manager()
    outer = FastAPI()
    airflow_app.init_auth_manager(outer)
    outer.state.secret_key = "y" * 64
    yield outer.state.auth_manager
    airflow_app.purge_cached_app()


@pytest.fixture
def pages(managed: Any) -> Iterator[Any]:
    """A client of the pages, without a login."""
    from starlette.testclient import TestClient

    from airflow_sentinelhub.web.app import make_app

    with TestClient(make_app()) as client:
        yield client


@pytest.fixture
def login(managed: Any) -> Callable[..., dict[str, str]]:
    """The headers of a user of Airflow with a role."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def headers(role: str | None, name: str = "somebody") -> dict[str, str]:
        token = managed.generate_jwt(SimpleAuthManagerUser(username=name, role=role))
        return {"Authorization": f"Bearer {token}"}

    return headers
