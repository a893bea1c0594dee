"""A simulator in this process: a context manager that serves on a real socket from a thread."""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from .access import Access, is_loopback
from .clock import Clock
from .remote import ControlPlane, SimulatorError

if TYPE_CHECKING:
    import uvicorn

    from .world import World

# What the simulator needs and the package itself does not.
_NEEDS = ("pyproj", "shapely", "starlette", "uvicorn")
_START_SECONDS = 10.0


class Simulator(ControlPlane):
    """A Sentinel Hub on this machine.

    ::

        with Simulator(speed=600) as simulator:
            hook = SentinelHubHook(...)  # simulator.airflow_connection_uri

    :param host: Address to listen on.
    :param port: Port to listen on; 0 takes a free one.
    :param speed: Simulated seconds that pass in a real one; 0 is a frozen clock, to be moved by ``step``.
    :param seed: Decides ids, credentials, and all that varies: the same seed makes the same history.
    :param state: Folder that keeps everything. A simulator that is started on a folder with a state goes on with it,
        with the seed, the settings, the speed and the time of that state (time went on meanwhile).
    :param bucket_dir: Folder for the buckets; ``s3://maps/ndvi`` is ``<bucket_dir>/maps/ndvi``. Without it a temporary
        folder that is removed at the end.
    :param s3_endpoint: URL of an S3 service (a moto server, MinIO) that holds the buckets instead; needs boto3.
    :param allow_hosts: Names or addresses, besides loopback and ``host``, by which the control plane may be called, for
        example ``["simulator"]`` for a container that knows this machine by that name. The service itself, which asks
        for a token, answers by any name.
    :param settings: Anything of :class:`~airflow_sentinelhub.simulator.settings.Settings`, such as ``action_lag=1``.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        seed: int = 0,
        state: str | Path | None = None,
        bucket_dir: str | Path | None = None,
        s3_endpoint: str | None = None,
        allow_hosts: Iterable[str] = (),
        **settings: Any,
    ) -> None:
        self._host, self._port, self._speed, self._seed = host, port, speed, seed
        self._state = None if state is None else Path(state)
        self._bucket_dir = None if bucket_dir is None else Path(bucket_dir).resolve()
        self._s3_endpoint = s3_endpoint
        self._allow_hosts = allow_hosts
        self._settings = settings
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._world: World | None = None

    # Life

    def start(self) -> Simulator:
        """Serves from a thread of this process; returns when it answers."""
        self.prepare()
        assert self._server is not None
        self._thread = threading.Thread(target=self.serve, name="sentinelhub-simulator", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise SimulatorError("The simulator's server did not start.")
            time.sleep(0.005)
        return self

    def prepare(self) -> None:
        """Binds the port and makes the world; raises SimulatorError in one sentence when that cannot be."""
        make_server, world_class, bucket_class, settings_class = _load()
        try:
            access = Access(self._host, self._allow_hosts)
            settings = settings_class().updated(self._settings)
            Clock(0.0, 0.0, 0.0).at_speed(self._speed, 0.0)
        except ValueError as problem:
            raise SimulatorError(str(problem)) from None
        self._socket = _bind(self._host, self._port)
        self._port = self._socket.getsockname()[1]
        try:
            if self._state is not None:
                self._state.mkdir(parents=True, exist_ok=True)
            if self._bucket_dir is None and self._s3_endpoint is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="sentinelhub-buckets-")
                self._bucket_dir = Path(self._temporary.name)
            elif self._bucket_dir is not None:
                self._bucket_dir.mkdir(parents=True, exist_ok=True)
            self._world = world_class(
                settings=settings,
                speed=self._speed,
                seed=self._seed,
                bucket=bucket_class(self._bucket_dir) if self._s3_endpoint is None else _s3_bucket(self._s3_endpoint),
                folder=self._state,
            )
        except OSError as problem:
            self._socket.close()
            raise SimulatorError(f"The simulator cannot use {problem.filename}: {problem.strerror}.") from None
        except BaseException:
            self._socket.close()
            raise
        self._server = make_server(self._world, access)
        address = self._socket.getsockname()[0]
        if not is_loopback(address):
            print(
                f"The simulator listens on {address}, not only on this machine: everybody who can reach it there can"
                " use it, and its control plane asks for no token.",
                file=sys.stderr,
            )

    def serve(self) -> None:
        """Serves until somebody asks it to end. In the main thread, SIGTERM and SIGINT do that."""
        assert self._server is not None
        assert self._world is not None
        assert self._socket is not None
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._world.close()
            self._socket.close()
            if self._temporary is not None:
                self._temporary.cleanup()

    def stop(self) -> None:
        """Ends the thread and frees the port."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=_START_SECONDS)
            self._thread = None

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # Where and who

    @property
    def started_speed(self) -> float:
        """The speed it began with: that of the state, if there was one."""
        assert self._world is not None, "The simulator has not been started."
        return self._world.clock.speed

    @property
    def port(self) -> int:
        if self._socket is None:
            raise SimulatorError("The simulator has not been started.")
        return self._port

    @property
    def url(self) -> str:
        """Base URL of the service."""
        return f"http://{self._netloc}"

    @property
    def _netloc(self) -> str:
        # An IPv6 address stands in brackets there.
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    @property
    def auth_url(self) -> str:
        """URL for tokens, at the path of the deployment."""
        assert self._world is not None, "The simulator has not been started."
        return f"{self.url}{self._world.settings.place.token_path}"

    @property
    def token_url(self) -> str:
        """The same, by its old name."""
        return self.auth_url

    @property
    def client_id(self) -> str:
        assert self._world is not None, "The simulator has not been started."
        return self._world.client.id

    @property
    def client_secret(self) -> str:
        assert self._world is not None, "The simulator has not been started."
        return self._world.client.secret

    @property
    def bucket_dir(self) -> Path:
        """Folder of the buckets."""
        assert self._bucket_dir is not None, "The simulator has not been started, or its buckets are in S3."
        return self._bucket_dir

    @property
    def airflow_connection_uri(self) -> str:
        """For ``AIRFLOW_CONN_SENTINELHUB_DEFAULT``; the path ``/http`` becomes the connection's schema."""
        extra = {"auth_url": self.auth_url}
        if self._s3_endpoint is None:
            extra["bucket_mount"] = str(self.bucket_dir)
        address = f"{self.client_id}:{self.client_secret}@{self._netloc}"
        return f"sentinelhub://{address}/http?{urlencode(extra, quote_via=quote, safe='')}"

    def as_dict(self) -> dict[str, str]:
        """What a script needs to know, by public name; `token_url` is the old name of `auth_url`."""
        names = ("url", "auth_url", "token_url", "client_id", "client_secret", "airflow_connection_uri")
        buckets = (
            {"bucket_dir": str(self.bucket_dir)} if self._s3_endpoint is None else {"s3_endpoint": self._s3_endpoint}
        )
        return {name: getattr(self, name) for name in names} | buckets


def _load() -> tuple[Any, Any, Any, Any]:
    """The parts that need the extra; loaded when a simulator starts, so that importing this module stays light."""
    try:
        from .app import make_server
        from .delivery import LocalBucket
        from .settings import Settings
        from .world import World
    except ModuleNotFoundError as missing:
        if missing.name and missing.name.partition(".")[0] in (*_NEEDS, "numpy"):
            raise SimulatorError(
                f"The simulator needs {missing.name}: pip install 'airflow-sentinelhub[simulator]'."
            ) from None
        raise
    return make_server, World, LocalBucket, Settings


def _s3_bucket(endpoint: str) -> Any:
    try:
        from .s3 import S3Bucket

        return S3Bucket(endpoint)
    except ModuleNotFoundError as missing:
        raise SimulatorError(f"Buckets in S3 need {missing.name}: pip install boto3.") from None
    except ValueError as problem:
        raise SimulatorError(f"The S3 endpoint {endpoint} cannot be used: {problem}") from None


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # With the protocol named, asyncio turns off Nagle's algorithm, which costs 40 ms a reply.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as problem:
        raise SimulatorError(f"The simulator cannot listen on {host}: {problem.strerror}.") from None
    try:
        # A port whose last owner was killed is free again at once; one that is in use is not.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except (OSError, OverflowError) as problem:
        bound.close()
        why = getattr(problem, "strerror", None) or problem
        raise SimulatorError(
            f"The simulator cannot listen on {host} port {port}: {why}; take another port, or 0 for a free one."
        ) from None
    return bound
