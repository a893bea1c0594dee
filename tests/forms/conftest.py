"""The web page of an Airflow of each major version, without any other process of it, and a real browser."""

from __future__ import annotations

import os
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from dev.cluster import as_env
from dev.processes import Process, free_ports, wait_for
from tests.chromium import browser as browser
from tests.chromium import mark

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENTS = {"3.3": ".venv", "2.11": ".venv-2.11"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items, HERE)


class Web:
    """An Airflow that only shows its web page. Everybody is an administrator, and may test connections."""

    def __init__(self, version: str, home: Path) -> None:
        self.version, self.home = version, home
        self.program = ROOT / ENVIRONMENTS[version] / "bin" / "airflow"
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        settings: dict[str, object] = {
            "core.dags_folder": home,
            "core.load_examples": False,
            "core.test_connection": "Enabled",
            "core.simple_auth_manager_all_admins": True,
            "usage_data_collection.enabled": False,
            "api.host": "127.0.0.1",
            "api.port": port,
            "api.workers": 1,
            "api.base_url": self.url,
            "api_auth.jwt_secret": secrets.token_hex(32),
            "webserver.web_server_host": "127.0.0.1",
            "webserver.web_server_port": port,
            "webserver.workers": 1,
            "webserver.secret_key": secrets.token_hex(32),
            "webserver.base_url": self.url,
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        path = os.pathsep.join([str(self.program.parent), clean.get("PATH", "")])
        self.environment = {
            **clean,
            **as_env(settings),
            "AIRFLOW_HOME": str(home),
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def airflow(self, *arguments: str) -> str:
        command = [str(self.program), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self) -> Process:
        (self.home / "webserver_config.py").write_text("AUTH_ROLE_PUBLIC = 'Admin'\nWTF_CSRF_ENABLED = True\n")
        self.airflow("db", "migrate")
        command = [self.program, "webserver" if self.version == "2.11" else "api-server"]
        return Process("web", command, env=self.environment, log=self.home / "web.log")

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=10) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="session", params=list(ENVIRONMENTS))
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    web = Web(request.param, tmp_path_factory.mktemp(f"airflow-{request.param}"))
    if not web.program.exists():
        pytest.skip(f"there is no environment with Airflow {web.version}")
    process = web.start()
    try:
        assert wait_for(web.answers, timeout=300, every=1), process.tail()
        yield web
    finally:
        process.end(grace=5)


@pytest.fixture
def page(browser: Any, web: Web) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 900, "height": 900}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(30_000)
    if web.version != "2.11":
        page.request.get(f"{web.url}/auth/token/login")
    yield page
    context.close()
