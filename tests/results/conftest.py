"""Finished and running v2 jobs in a simulated service, and an S3 that speaks the real protocol (a moto server)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests import plain_http

EVALSCRIPT = """//VERSION=3
function setup() { return {input: ["B04"], output: [{id: "ndvi", bands: 1}, {id: "mask", bands: 1}]}; }
function evaluatePixel(sample) { return {ndvi: [sample.B04], mask: [1]}; }
"""
RESPONSES = [
    {"identifier": "ndvi", "format": {"type": "image/tiff"}},
    {"identifier": "userdata", "format": {"type": "application/json"}},
]


@pytest.fixture(autouse=True)
def _no_credentials_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


class Jobs:
    """v2 jobs over 6 tiles of the 20 km grid."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.http = plain_http.Client(base_url=simulator.url, timeout=30)
        who = {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
        reply = self.http.post(simulator.auth_url, data={"grant_type": "client_credentials", **who})
        self.http.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"

    def create(self, url: str = "s3://maps/ndvi", **output: Any) -> str:
        """Id of a new request that delivers to `url`."""
        body = {
            "processRequest": {
                "input": {"bounds": {"bbox": [8.9, 41.92, 9.3, 42.2]}, "data": [{"type": "sentinel-2-l2a"}]},
                "output": {"responses": RESPONSES},
                "evalscript": EVALSCRIPT,
            },
            "input": {"type": "tiling-grid", "id": 0, "resolution": 60},
            "output": {
                "type": "raster",
                "delivery": {"s3": {"url": url, "accessKey": "AKIA", "secretAccessKey": "hush"}},
                **output,
            },
        }
        reply = self.http.post("/batch/v2/process", json=body)
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])

    def act(self, request_id: str, action: str) -> None:
        reply = self.http.post(f"/batch/v2/process/{request_id}/{action}")
        assert reply.status_code == 204, reply.text

    def task(self, request_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/batch/v2/process/{request_id}").json()
        return found

    def finished(self, url: str = "s3://maps/ndvi", **output: Any) -> str:
        """Id of a new request that is DONE."""
        request_id = self.create(url, **output)
        self.act(request_id, "start")
        self.simulator.step(3600)
        assert self.task(request_id)["status"] == "DONE"
        return request_id


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Simulator]:
    with Simulator(speed=0) as simulator:
        yield simulator


@pytest.fixture
def simulator(_simulator: Simulator) -> Simulator:
    """Buckets in a folder, and a clock that stands still."""
    _simulator.reset()
    return _simulator


@pytest.fixture
def jobs(simulator: Simulator) -> Iterator[Jobs]:
    found = Jobs(simulator)
    with closing(found.http):
        yield found


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """URL of an S3 service in a thread of this process, on a free port."""
    server_class = pytest.importorskip("moto.server").ThreadedMotoServer
    server = server_class(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_url: str) -> str:
    """The same, without any buckets."""
    plain_http.post(f"{s3_url}/moto-api/reset")
    return s3_url


@pytest.fixture
def s3_jobs(s3: str) -> Iterator[Jobs]:
    """Jobs that deliver to that S3."""
    with Simulator(speed=0, s3_endpoint=s3) as simulator:
        found = Jobs(simulator)
        with closing(found.http):
            yield found


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Callable[..., Path]:
    """Makes an SQLite file of some statements and rows."""
    import sqlite3

    def make(*statements: str, name: str = "made.sqlite", rows: Any = (), into: str = "") -> Path:
        path = tmp_path / name
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database:
            for statement in statements:
                database.execute(statement)
            if into:
                database.executemany(into, rows)
            database.commit()
        return path

    return make
