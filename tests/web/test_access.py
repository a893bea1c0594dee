"""Who may see the pages: exactly those who may read the task's XComs, on every route."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount

from airflow_sentinelhub.web import app
from airflow_sentinelhub.web.app import HEADERS, make_app

Login = Callable[..., dict[str, str]]
WHERE = {"dag_id": "a", "run_id": "r", "task_id": "t", "map_index": "-1", "index": "0"}


def _routes(routes: Any) -> Iterator[Any]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        yield from _routes(inner.routes) if inner is not None else (route,)


def paths(dag_id: str = "a") -> list[str]:
    """Every route but the static files; of those of a job, for one DAG."""
    found = [route for route in _routes(make_app().routes) if isinstance(route, APIRoute)]
    return [route.path.format(**{**WHERE, "dag_id": dag_id}) for route in found]


def of_a_job(dag_id: str = "a") -> list[str]:
    return [path for path in paths(dag_id) if not path.startswith("/jobs")]


def test_every_route_is_known_to_this_test() -> None:
    others = [route for route in _routes(make_app().routes) if not isinstance(route, APIRoute)]
    assert [route.path for route in others if isinstance(route, Mount)] == ["/static"]
    assert len(others) == 1
    assert len(paths()) >= 4


@pytest.mark.parametrize("path", paths())
def test_without_a_login_401(pages: Any, path: str) -> None:
    reply = pages.get(path)
    assert reply.status_code == 401
    assert "Sentinel" not in reply.text


@pytest.mark.parametrize("path", of_a_job())
def test_without_a_right_403(pages: Any, login: Login, path: str) -> None:
    assert pages.get(path, headers=login(None)).status_code == 403


@pytest.mark.parametrize("path", paths())
def test_a_viewer_may_look(pages: Any, login: Login, path: str) -> None:
    assert pages.get(path, headers=login("VIEWER")).status_code in (200, 404)  # 404: there is no such task


@pytest.mark.parametrize("path", of_a_job("secret"))
def test_another_dag_is_another_right(pages: Any, login: Login, managed: Any, path: str) -> None:
    asked = []

    def may(*, method: str, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        asked.append((method, access_entity.name, details.id))
        return bool(details.id != "secret")

    managed.is_authorized_dag = may
    assert pages.get(path, headers=login("ADMIN")).status_code == 403
    assert set(asked) == {("GET", "XCOM", "secret")}


def test_the_right_to_another_dag_in_the_query_does_not_help(pages: Any, login: Login, managed: Any) -> None:
    managed.is_authorized_dag = lambda *, details, **_: details.id != "secret"
    assert pages.get(f"{of_a_job('secret')[1]}?dag_id=a", headers=login("ADMIN")).status_code == 403


@pytest.mark.parametrize("path", paths())
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(pages: Any, login: Login, path: str, method: str) -> None:
    assert pages.request(method, path, headers=login("ADMIN")).status_code == 405


@pytest.mark.parametrize("path", paths())
def test_each_reply_has_the_policy(pages: Any, login: Login, path: str) -> None:
    reply = pages.get(path, headers=login("VIEWER"))
    if reply.status_code == 200:
        assert {name: reply.headers[name] for name in HEADERS} == HEADERS


def test_the_policy_allows_nothing_from_elsewhere() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_of_all_jobs_leaves_out_other_dags(
    pages: Any, login: Login, managed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = []

    def tasks_with(key: str, keys: Any, most: int, dag_ids: Callable[[Any], set[str]]) -> list[Any]:
        chosen.append(dag_ids(["a", "secret", "b"]))
        return []

    monkeypatch.setattr(app, "tasks_with", tasks_with)
    assert pages.get("/jobs/facts", headers=login(None)).json()["jobs"] == []
    assert pages.get("/jobs/facts", headers=login("VIEWER")).status_code == 200
    managed.is_authorized_dag = lambda *, details, **_: details.id != "secret"
    assert pages.get("/jobs/facts", headers=login("VIEWER")).status_code == 200
    assert chosen == [set(), {"a", "b", "secret"}, {"a", "b"}]


@pytest.fixture
def of_another_team(tables: None) -> Iterator[str]:
    """A DAG in Airflow's tables, whose bundle belongs to the team `red`."""
    from airflow.models.dag import DagModel

    if not hasattr(DagModel, "get_team_name"):
        pytest.skip("teams came with Airflow 3.2")
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.team import Team
    from airflow.utils.session import create_session

    with create_session() as session:
        bundle, team = DagBundleModel(name="bundle_of_red"), Team(name="red")
        bundle.teams = [team]
        session.add_all([team, bundle])
        session.flush()
        session.add(DagModel(dag_id="maps_of_red", bundle_name="bundle_of_red"))
    yield "maps_of_red"
    with create_session() as session:
        session.delete(session.get(DagModel, "maps_of_red"))
        bundle = session.get(DagBundleModel, "bundle_of_red")
        bundle.teams = []
        session.flush()
        session.delete(bundle)
        session.delete(session.get(Team, "red"))


def test_another_team_is_another_right(
    of_another_team: str, pages: Any, login: Login, managed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The team that Airflow's tables name for a DAG reaches the auth manager, on every route."""
    managed.is_authorized_dag = lambda *, details, **_: details.team_name != "red"
    for path in of_a_job(of_another_team):
        assert pages.get(path, headers=login("ADMIN")).status_code == 403, path
    chosen = []

    def tasks_with(key: str, keys: Any, most: int, dag_ids: Callable[[Any], set[str]]) -> list[Any]:
        chosen.append(dag_ids(["a", of_another_team]))
        return []

    monkeypatch.setattr(app, "tasks_with", tasks_with)
    assert pages.get("/jobs/facts", headers=login("ADMIN")).status_code == 200
    assert chosen == [{"a"}]
