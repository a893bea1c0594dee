"""One simulator and one clock for these tests: whoever waits moves the clock, so that nobody really waits.

Service, client and Airflow's own sensors share the clock. Two minutes or two days pass at once and always alike.
Nothing of ours is mocked; of Airflow only what a running task is given: its context.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import pkgutil
import shutil
import sys
import time as real_time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import airflow_sentinelhub
from airflow_sentinelhub._compat import HAS_PAGES, BaseEventTrigger, BaseOperator, BaseSensorOperator
from airflow_sentinelhub.simulator import Simulator
from tests.airflow.short_way import short_way_to
from tests.in_process import InProcess

try:
    from airflow.sdk._shared.module_loading import import_string
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
except ImportError:  # 2.11, 3.0
    from airflow.exceptions import AirflowRescheduleException, TaskDeferred
    from airflow.utils.module_loading import import_string

NDVI = """//VERSION=3
function setup() {
  return {input: [{bands: ["B04", "B08"]}], output: {bands: 1, sampleType: "FLOAT32"}};
}
function evaluatePixel(sample) {
  return [(sample.B08 - sample.B04) / (sample.B08 + sample.B04)];
}
"""
AREA = [8.9, 41.9, 9.3, 42.3]
"""Some thirty tiles of 10 km."""
AWS = {"conn_type": "aws", "login": "AKIAQ7EXAMPLE+KEY", "password": "wJalr/XUtn+FEMI %26 bPxRfiCY&KEY"}
"""Keys of a bucket with all that percent-encoding changes."""


@cache
def modules() -> tuple[ModuleType, ...]:
    """Every module of the package but the simulator's, and but those that this Airflow has no use for.

    Looked for once: nearly each test needs them.
    """
    names = [info.name for info in pkgutil.walk_packages(airflow_sentinelhub.__path__, "airflow_sentinelhub.")]
    left_out = [".simulator"] + ([] if HAS_PAGES else [".web.app"])
    left_out += [] if BaseEventTrigger else [".triggers._watcher", ".triggers.watchers", ".triggers.imagery"]
    return tuple(importlib.import_module(name) for name in names if not any(part in name for part in left_out))


@cache
def modules_with_time() -> tuple[ModuleType, ...]:
    """Those whose time is the real one, as long as no test changes it."""
    base = sys.modules[BaseSensorOperator.__module__]
    return tuple(module for module in (*modules(), base) if getattr(module, "time", None) is real_time)


def operators() -> list[type[BaseOperator]]:
    """Every public operator and sensor of the package, so that new ones are tested without being named here."""
    found = {
        value
        for module in modules()
        for name, value in vars(module).items()
        if name.startswith("SentinelHub")
        and isinstance(value, type)
        and value.__module__.startswith("airflow_sentinelhub.")
        and issubclass(value, BaseOperator)
    }
    return sorted(found, key=lambda cls: cls.__name__)


class _Stand:
    """A module with some of its members replaced."""

    def __init__(self, module: ModuleType, **members: Any) -> None:
        self.__dict__.update(members)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class Clock:
    """The time of everybody. `at` has something happen on the way."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.now: float = simulator.clock()["seconds"]
        self.slept: list[float] = []
        self._events: list[tuple[float, Callable[[], Any]]] = []

    def time(self) -> float:
        return self.now

    def utcnow(self) -> datetime:
        return datetime.fromtimestamp(self.now, tz=timezone.utc)

    def at(self, seconds: float, happening: Callable[[], Any]) -> None:
        """Have something happen so many seconds from now."""
        self._events.append((self.now + seconds, happening))
        self._events.sort(key=lambda event: event[0])

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            moment, happening = self._events.pop(0)
            self._move(moment - self.now)
            happening()
        self._move(end - self.now)

    def _move(self, seconds: float) -> None:
        if seconds > 0:
            self._simulator.step(seconds)
            self.now += seconds


@pytest.fixture(scope="session")
def server() -> Iterator[InProcess]:
    with InProcess(speed=0) as simulator:
        yield simulator


@pytest.fixture
def sim(server: InProcess, request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """Empty and frozen."""
    server.begin(request.node.nodeid)
    for bucket in Path(server.bucket_dir).iterdir():
        shutil.rmtree(bucket)
    with short_way_to(server):
        yield server


@pytest.fixture
def clock(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The simulator's clock, for the whole package and for Airflow's sensors."""
    from airflow_sentinelhub.api.call import Shared, Sleep
    from airflow_sentinelhub.transport import aio, sync
    from airflow_sentinelhub.transport.process import PROCESS

    clock = Clock(sim)
    stand = _Stand(real_time, time=clock.time, monotonic=clock.time, sleep=clock.sleep)
    base = sys.modules[BaseSensorOperator.__module__]
    for module in modules_with_time():
        monkeypatch.setattr(module, "time", stand)
    monkeypatch.setattr(base, "timezone", _Stand(base.timezone, utcnow=clock.utcnow))
    sync_perform, async_perform = sync.SyncDriver._perform, aio.AsyncDriver._perform

    def perform(self: Any, step: Any) -> Any:
        if isinstance(step, Sleep):
            clock.sleep(step.seconds)
            step = replace(step, seconds=0)
        return sync_perform(self, step)

    async def perform_in_loop(self: Any, step: Any) -> Any:
        if isinstance(step, Shared):
            return None  # a poller waits in real time
        if isinstance(step, Sleep):
            clock.sleep(step.seconds)
            step = replace(step, seconds=0)
        return await async_perform(self, step)

    monkeypatch.setattr(sync.SyncDriver, "_perform", perform)
    monkeypatch.setattr(aio.AsyncDriver, "_perform", perform_in_loop)
    PROCESS.looked_up.clear()
    PROCESS.tokens.clear()  # those of the service before it was reset
    return clock


class TI:
    """What a running task sees of its task instance."""

    def __init__(self, clock: Clock, **members: Any) -> None:
        self.dag_id, self.task_id, self.run_id, self.map_index = "maps", "task", "manual__1", -1
        self.try_number, self.max_tries = 1, 3
        self.start_date = clock.utcnow()
        self.first_reschedule: datetime | None = None
        self.xcoms: dict[str, Any] = {}
        self.__dict__.update(members)

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *_: Any, key: str = "return_value", **__: Any) -> Any:
        return self.xcoms.get(key)

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_reschedule


Make = Callable[[], BaseOperator]


class Bench:
    """Runs tasks as Airflow does, against the simulator, by the connections `sentinelhub_default` and `my_bucket`."""

    ndvi, area = NDVI, AREA

    def __init__(self, sim: Simulator, clock: Clock, generation: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sim, self.clock, self.api = sim, clock, generation
        self._monkeypatch = monkeypatch
        self.legs: list[str] = []
        self.triggers: list[Any] = []
        self.events: list[Any] = []
        self.born = clock.utcnow()
        self.connect(batch_api=generation)
        self.connection("my_bucket", **AWS)

    # Connections

    def connection(self, conn_id: str, **members: Any) -> None:
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(members))

    def connect(self, conn_id: str = "sentinelhub_default", **extra: Any) -> None:
        """A connection to the simulator."""
        self.connection(
            conn_id,
            conn_type="sentinelhub",
            login=self.sim.client_id,
            password=self.sim.client_secret,
            host=self.sim.url,
            extra={"token_url": self.sim.auth_url, "bucket_mount": str(self.sim.bucket_dir), **extra},
        )

    @property
    def hook(self) -> Any:
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

        return SentinelHubHook()

    # Tasks

    def context(self, **members: Any) -> dict[str, Any]:
        """A try of a task with three retries. `run`: what differs of its run (`start_date`, `clear_number`)."""
        run = SimpleNamespace(
            **{"start_date": self.born, "clear_number": 0, "run_after": self.born} | members.pop("run", {})
        )
        ti = TI(self.clock, **members)
        return {"ti": ti, "task_instance": ti, "run_id": ti.run_id, "dag_run": run}

    def run(self, make: Make, context: dict[str, Any] | None = None) -> Any:
        """Run a task to its end, whatever it is: every leg gets a new object, as in a new process.

        Triggers are built again from their serialised arguments, and events travel as JSON.
        """
        context = context or self.context()
        self._orig_start_date(context["ti"])
        method: str | None = None
        kwargs: dict[str, Any] = {}
        self.legs.clear()
        while True:
            operator = make()
            try:
                if method is None:
                    self.legs.append("execute")
                    return operator.execute(context)
                self.legs.append(method)
                return operator.resume_execution(method, kwargs, context)
            except TaskDeferred as deferred:
                event = self.fire(deferred.trigger)
                method, kwargs = deferred.method_name, {**(deferred.kwargs or {}), "event": event}
            except AirflowRescheduleException as again:
                ti = context["ti"]
                ti.first_reschedule = ti.first_reschedule or self.clock.utcnow()
                self.clock.sleep((again.reschedule_date - self.clock.utcnow()).total_seconds())

    def made(self, make: Make, context: dict[str, Any] | None = None) -> str:
        """Run a step; the id of the request that it was about."""
        return str(self.run(make, context)["request_id"])

    def fire(self, trigger: Any) -> Any:
        """The payload of the one event of a trigger, which is built again as the triggerer does."""
        path, kwargs = trigger.serialize()
        assert json.loads(json.dumps(kwargs)) == kwargs
        self.triggers.append((path, kwargs))
        built = import_string(path)(**kwargs)

        async def events() -> list[Any]:
            return [event.payload async for event in built.run()]

        (event,) = asyncio.run(events())
        self.events.append(event)
        return json.loads(json.dumps(event))

    def _orig_start_date(self, ti: TI) -> None:
        base = sys.modules[BaseSensorOperator.__module__]
        if hasattr(base, "_orig_start_date"):  # 2.11 asks the database
            self._monkeypatch.setattr(base, "_orig_start_date", lambda **_: ti.first_reschedule)

    # The service

    def payload(self, **members: Any) -> dict[str, Any]:
        """The body of a create call of this generation."""
        from airflow_sentinelhub.api.service.payloads import process_request, tiling_grid
        from airflow_sentinelhub.api.service.specification import Access, BatchSpecification, render

        job = BatchSpecification(
            process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
            area=members.pop("area", AREA),
            evalscript=members.pop("evalscript", NDVI),
            tiling_grid=members.pop("tiling_grid", tiling_grid(1, 10)),
            output=members.pop("output", "s3://maps/ndvi"),
            **members,
        )
        return render(job, self.api, Access(access_key="AKIA", secret_access_key="hush"))

    def create(self, **members: Any) -> str:
        """A request that nobody has acted on; its id."""
        from airflow_sentinelhub.api.call import exchange
        from airflow_sentinelhub.api.service.generations import generation

        made = self.hook.run(exchange(generation(self.api).create(self.payload(**members))))
        return str(made.request_id)

    def act(self, request_id: str, word: str) -> None:
        """Somebody else acts on the request: `analyse`, `start`, `end`."""
        from airflow_sentinelhub.api.call import exchange
        from airflow_sentinelhub.api.service.generations import generation

        self.hook.run(exchange(getattr(generation(self.api), word)(request_id)))

    def started(self, **members: Any) -> str:
        """A request that somebody has started."""
        request_id = self.create(**members)
        self.act(request_id, "start")
        return request_id

    def ended(self, **members: Any) -> str:
        """A request that has run to its end."""
        request_id = self.started(**members)
        self.clock.sleep(3600)
        return request_id

    def shown(self, request_id: str) -> dict[str, Any]:
        """The service's answer to who asks for the request."""
        from airflow_sentinelhub.api.call import Call, exchange
        from airflow_sentinelhub.api.service.generations import generation

        path = generation(self.api).get(request_id).path
        body: dict[str, Any] = self.hook.run(exchange(Call("GET", path, lambda body: body)))
        return body

    def body(self, request_id: str) -> dict[str, Any]:
        """The request as it was sent."""
        shown = self.shown(request_id)
        return shown if self.api == "v1" else shown["request"]

    def tile_statuses(self, request_id: str) -> dict[str, str]:
        """Name -> status of all tiles."""
        if self.api == "v1":
            tiles = list(self.hook.batch.iter_tiles(request_id))
        else:
            with self.hook.results(request_id, None) as results:
                tiles = list(results.tiles(None))
        return {tile["name"]: str(tile["status"]) for tile in tiles}

    def tile_names(self, request_id: str) -> list[str]:
        return list(self.tile_statuses(request_id))

    def state(self, request_id: str) -> dict[str, Any]:
        """What the simulator knows about the request."""
        return next(item for item in self.sim.requests() if item["id"] == request_id)

    def status(self, request_id: str) -> str:
        return str(self.state(request_id)["status"])

    def effects(self, since: int = 0) -> list[str]:
        """What really happened at the service, in order."""
        return [call["effect"] for call in self.sim.journal(since) if call["effect"]]

    def calls(self, method: str, path: str) -> list[dict[str, Any]]:
        """Calls whose path ends so."""
        return [call for call in self.sim.journal() if call["method"] == method and call["path"].endswith(path)]

    def faults_left(self) -> list[dict[str, Any]]:
        """Faults that have been ordered and not met, or not as often."""
        return [fault for fault in self.sim._control("GET", "/faults")["faults"] if fault["times"] != 0]

    def mark(self) -> int:
        """Where the journal is now."""
        calls = self.sim.journal()
        return int(calls[-1]["n"]) if calls else 0


@pytest.fixture(params=["v1", "v2"])
def generation(request: pytest.FixtureRequest) -> str:
    """Both generations; a test for one of them parametrises this."""
    return str(request.param)


@pytest.fixture
def bench(sim: Simulator, clock: Clock, generation: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(sim, clock, generation, monkeypatch)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """All that was logged: Airflow 3 writes its logs to the standard output, 2.11 by Python's logging, 3.0 by both."""
    caplog.set_level("DEBUG")

    def text() -> str:
        known = tuple({record.getMessage() for record in caplog.records} - {""})
        printed = "".join(capsys.readouterr()).splitlines(keepends=True)
        return caplog.text + "".join(line for line in printed if not line.rstrip("\n").endswith(known))

    return text


@pytest.fixture
def operator_classes() -> list[type[BaseOperator]]:
    return operators()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`operator_class`: one test for each operator and sensor of the package."""
    if "operator_class" in metafunc.fixturenames:
        classes = operators()
        metafunc.parametrize("operator_class", classes, ids=[cls.__name__ for cls in classes])
