"""The simulator as a process of its own: command line, signals, and what a SIGKILL leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from airflow_sentinelhub.simulator import ControlPlane, Simulator, SimulatorError
from airflow_sentinelhub.simulator.__main__ import PORT, _parser, main
from airflow_sentinelhub.simulator.store import Store
from dev.processes import wait_for
from tests import plain_http

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow_sentinelhub.simulator", *arguments]


@contextmanager
def running(*arguments: str, expect: int = 0) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        command("--port", "0", "--output", "json", *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert first, process.stderr.read() if process.stderr else ""
        yield process, json.loads(first)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            _, errors = process.communicate(timeout=20)
        finally:
            # Nothing is left running, not even by a test that fails.
            process.kill()
        assert process.returncode == expect, errors
        assert "Traceback" not in errors


def login(info: dict[str, Any]) -> httpx.Client:
    form = {"grant_type": "client_credentials", "client_id": info["client_id"], "client_secret": info["client_secret"]}
    token = plain_http.post(info["auth_url"], data=form).json()["access_token"]
    return plain_http.Client(base_url=info["url"], headers={"Authorization": f"Bearer {token}"})


BODY = {
    "processRequest": {
        "input": {"bounds": {"bbox": [8.9, 41.9, 9.3, 42.3]}, "data": [{"type": "sentinel-2-l2a"}]},
        "evalscript": "//VERSION=3\nfunction setup() {}\nfunction evaluatePixel() {}",
    },
    "tilingGrid": {"id": 1, "resolution": 10},
    "bucketName": "maps",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_cleanly(number: int) -> None:
    with running("--speed", "600", "--seed", "7") as (process, info):
        addresses = {"url", "auth_url", "token_url", "airflow_connection_uri"}
        assert set(info) == {*addresses, "client_id", "client_secret", "bucket_dir"}
        assert info["token_url"] == info["auth_url"], "the old name stays for scripts"
        uri = urlsplit(info["airflow_connection_uri"])
        assert uri.scheme == "sentinelhub"
        assert (unquote(uri.username or ""), unquote(uri.password or "")) == (info["client_id"], info["client_secret"])
        assert f"{uri.path.strip('/')}://{uri.hostname}:{uri.port}" == info["url"]
        assert parse_qs(uri.query)["auth_url"] == [info["auth_url"]]
        assert login(info).get("/batch/v2/process").status_code == 200
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert not Path(info["bucket_dir"]).exists(), "a temporary folder is removed"


def test_text_is_for_people() -> None:
    process = subprocess.Popen(command("--port", "0", "--speed", "600"), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = list(iter(process.stdout.readline, "A first DAG for them:\n"))
    process.terminate()
    try:
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
    text = "".join(lines)
    assert text.startswith("Sentinel Hub simulator")
    assert "600 times as fast" in text
    assert "--speed 60" in text
    assert "/_simulator/journal\n" in text
    assert "\nexport AIRFLOW_CONN_SENTINELHUB_DEFAULT='sentinelhub://" in text
    assert "\nexport AIRFLOW_CONN_MY_BUCKET='aws://" in text


def test_a_connection_survives_the_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a simulator that was told nothing: port, client and folder of the buckets are the same at each start."""
    assert _parser().parse_args([]).port == PORT
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
    found = []
    for _ in range(2):
        with running("--port", port) as (_, info):
            found.append(info)
    assert found[0] == found[1]
    assert Path(found[0]["bucket_dir"]).is_relative_to(tmp_path)


def test_a_state_holds_its_buckets(tmp_path: Path) -> None:
    with running("--state", str(tmp_path / "state")) as (_, info):
        assert Path(info["bucket_dir"]) == tmp_path / "state" / "buckets"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "colour=1"], "There is no setting 'colour'"),
        (["--set", "action_lag"], "--set takes NAME=VALUE"),
        (["--set", "action_lag=fast"], "--set takes NAME=VALUE"),
        (["--token-lifetime", "-1"], "token_lifetime cannot be"),
        (["--speed", "-1"], "speed is a number of 0 or more"),
        (["--host", "nowhere.invalid"], "cannot listen on nowhere.invalid"),
        (["--port", "99999"], "cannot listen on 127.0.0.1"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.out == ""


def test_a_taken_port() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        result = subprocess.run(command("--port", port), cwd=ROOT, capture_output=True, text=True, timeout=30)
        with pytest.raises(SimulatorError, match="already in use"):
            Simulator(port=int(port)).start()
    assert result.returncode == 2
    assert result.stderr == (
        f"The simulator cannot listen on 127.0.0.1 port {port}: Address already in use;"
        " take another port, or 0 for a free one.\n"
    )


def test_nothing_is_lost_by_a_kill(tmp_path: Path) -> None:
    options = ["--state", str(tmp_path / "state"), "--bucket-dir", str(tmp_path / "buckets"), "--speed", "0"]
    with running(*options, expect=-signal.SIGKILL) as (process, info):
        client = login(info)
        plain_http.post(f"{info['url']}/_simulator/settings", json={"balance": 5000})
        plain_http.post(f"{info['url']}/_simulator/faults", json={"kind": "drop_after", "path": "/start$", "times": 2})
        path = f"/api/v1/batch/process/{client.post('/api/v1/batch/process', json=BODY).json()['id']}"
        client.post("/api/v1/batch/collections", json={"name": "c", "s3Bucket": "maps"})
        with pytest.raises(httpx.TransportError):
            client.post(f"{path}/start")
        plain_http.post(f"{info['url']}/_simulator/clock", json={"step": 100})
        reads = ["journal", "requests", "settings", "faults", "clock"]
        before = [plain_http.get(f"{info['url']}/_simulator/{name}").json() for name in reads]
        shown = client.get(path).json()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with running(*options, "--port", info["url"].rpartition(":")[2]) as (_, again):
        assert again == info
        # The old token is still good.
        assert client.get(path).json() == shown
        assert shown["userAction"] == "START"
        assert len(client.get("/api/v1/batch/collections").json()["data"]) == 1
        after = [plain_http.get(f"{info['url']}/_simulator/{name}").json() for name in reads]
        kept = len(before[0]["calls"])
        assert after[0]["calls"][:kept] == before[0]["calls"]
        assert after[1:] == before[1:]
        assert after[3]["faults"][0]["times"] == 1
        assert after[1]["requests"][0]["billed_starts"] == 1
        plain_http.post(f"{info['url']}/_simulator/clock", json={"step": 3600})
        assert client.get(path).json()["status"] == "DONE"
        # New things get new names.
        assert client.post("/api/v1/batch/process", json=BODY).json()["id"] != shown["id"]


def test_every_reply_was_on_disk_first(tmp_path: Path) -> None:
    """Killed while many create, in the middle of whatever it was doing: who got an id finds the request again."""
    options = ["--state", str(tmp_path / "state"), "--bucket-dir", str(tmp_path / "buckets")]
    created: list[str] = []
    with running(*options, expect=-signal.SIGKILL) as (process, info):
        client = login(info)

        def create() -> None:
            try:
                while True:
                    created.append(client.post("/api/v1/batch/process", json=BODY).json()["id"])
            except httpx.HTTPError:
                return

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        enough = wait_for(lambda: len(created) > 20, timeout=60, every=0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for thread in threads:
            thread.join(timeout=20)
    assert enough, created
    with running(*options) as (_, info):
        kept = {one["id"] for one in plain_http.get(f"{info['url']}/_simulator/requests").json()["requests"]}
        journal = plain_http.get(f"{info['url']}/_simulator/journal").json()["calls"]
    assert set(created) <= kept
    assert kept == {call["request_id"] for call in journal if call["effect"] == "created"}


def test_time_goes_on_while_nobody_can_reach_it(tmp_path: Path) -> None:
    with Simulator(state=tmp_path, speed=1000) as simulator:
        first = simulator.client_id
        before = simulator.clock()["seconds"]
    time.sleep(0.2)
    with Simulator(state=tmp_path, seed=9) as simulator:
        assert simulator.client_id == first, "the seed is part of the state"
        assert simulator.clock()["speed"] == simulator.started_speed == 1000
        assert simulator.clock()["seconds"] >= before + 200


class TestStore:
    def test_half_a_line_is_no_call(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        store.append([("a", "1", {"x": 1}), ("a", "2", None)])
        store.append([("b", "", [1, 2])])
        store.close()
        with (tmp_path / "state.jsonl").open("ab") as file:
            file.write(b'[["a", "3", ')
        assert Store(tmp_path).load() == [("a", "1", {"x": 1}), ("a", "2", None), ("b", "", [1, 2])]

    def test_replacing_is_whole(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        store.append([("a", "1", 1)])
        store.replace([("a", "2", 2)])
        store.append([("a", "3", 3)])
        assert Store(tmp_path).load() == [("a", "2", 2), ("a", "3", 3)]
        assert [file.name for file in tmp_path.iterdir()] == ["state.jsonl"]
        assert (tmp_path / "state.jsonl").stat().st_mode & 0o077 == 0, "nobody else reads it"

    def test_without_a_folder_nothing_is_kept(self) -> None:
        store = Store(None)
        store.append([("a", "1", 1)])
        store.replace([("a", "1", 1)])
        assert store.load() == []


def test_it_imports_nothing_of_the_package_but_the_reading_of_scripts_and_little_at_first() -> None:
    code = """
import sys
import airflow_sentinelhub.simulator
heavy = {'numpy', 'shapely', 'pyproj', 'starlette', 'uvicorn', 'quickjs', 'airflow', 'requests', 'httpx'}
heavy &= set(sys.modules)
assert not heavy, heavy
with airflow_sentinelhub.simulator.Simulator() as simulator:
    simulator.requests()
ours = {name for name in sys.modules if name.startswith('airflow_sentinelhub.')}
allowed = tuple('airflow_sentinelhub.' + name for name in ('_version', 'simulator', 'evalscripts', 'grids'))
others = {name for name in ours if not name.startswith(allowed)}
assert not others, others
assert 'airflow' not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_a_missing_extra_is_one_sentence() -> None:
    code = """
import sys
sys.modules['shapely'] = None
from airflow_sentinelhub.simulator.__main__ import main
sys.exit(main([]))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr == "The simulator needs shapely: pip install 'airflow-sentinelhub[simulator]'.\n"


def test_without_the_engine_it_says_that_costs_are_a_guess() -> None:
    code = """
import sys
sys.modules['quickjs'] = None
from airflow_sentinelhub.simulator import Simulator
Simulator.serve = lambda self: None
from airflow_sentinelhub.simulator.__main__ import main
sys.exit(main(['--port', '0']))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "costs are a guess: quickjs-ng is missing" in result.stderr


def test_another_process_is_driven_the_same_way() -> None:
    with running("--speed", "0") as (_, info):
        plane = ControlPlane(info["url"])
        path = f"/api/v1/batch/process/{login(info).post('/api/v1/batch/process', json=BODY).json()['id']}"
        plane.fault("status", "/start$", status=503)
        assert login(info).post(f"{path}/start").status_code == 503
        assert login(info).post(f"{path}/start").status_code == 204
        plane.step(3600)
        assert [one["status"] for one in plane.requests()] == ["DONE"]
        assert [call["effect"] for call in plane.journal() if call["effect"]] == ["created", "billed_start"]
        with pytest.raises(SimulatorError, match="no setting"):
            plane.settings(colour=1)


def test_the_fixture_for_dag_tests(tmp_path: Path) -> None:
    (tmp_path / "test_dag.py").write_text(
        """
def test_one(sentinelhub_simulator):
    before = sentinelhub_simulator.clock()["seconds"]
    assert sentinelhub_simulator.clock()["speed"] == 0
    assert sentinelhub_simulator.step(60)["seconds"] == before + 60
    sentinelhub_simulator.fault("status", times=None)

def test_two(sentinelhub_simulator):
    assert sentinelhub_simulator.requests() == sentinelhub_simulator.journal() == []
    assert sentinelhub_simulator.airflow_connection_uri.startswith("sentinelhub://")
"""
    )
    plugin = "airflow_sentinelhub.simulator.pytest_plugin"
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", plugin, "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "2 passed" in result.stdout, result.stdout + result.stderr


class TestInProcess:
    def test_before_it_is_started(self) -> None:
        with pytest.raises(SimulatorError, match="not been started"):
            Simulator().url  # noqa: B018

    def test_the_port_is_free_again(self) -> None:
        with Simulator() as simulator:
            port = simulator.port
        with Simulator(port=port) as simulator:
            assert simulator.port == port

    def test_settings_of_the_constructor(self) -> None:
        with Simulator(speed=0, action_lag=1) as simulator:
            assert simulator.settings()["action_lag"] == 1
            simulator.settings(action_lag=3)
            simulator.reset()
            assert simulator.settings()["action_lag"] == 1
        with pytest.raises(SimulatorError, match="There is no setting"):
            Simulator(colour=1).start()

    def test_the_seed_decides(self) -> None:
        def ids(seed: int) -> tuple[str, str]:
            with Simulator(speed=0, seed=seed) as simulator:
                return simulator.client_id, login(simulator.as_dict()).post("/api/v1/batch/process", json=BODY).json()[
                    "id"
                ]

        one, again, other = ids(1), ids(1), ids(2)
        assert one == again
        assert one[0] != other[0]
        assert one[1] != other[1]
