"""`make bench`: measure, and write the table and the picture of the docs.

    python -m dev.bench                 all of it, some minutes
    python -m dev.bench --jobs 10 --interval 1 --seconds 1 --only-ours --output FOLDER       a try

Everything runs on this machine: a service and one side after the other, each in a process of its own. What counts are
the ratios within one run; the numbers themselves depend on the machine and on what else it does.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from airflow_sentinelhub.results.root import execution_url, manifest_url
from dev import env
from dev.bench import report
from dev.bench.files import write
from dev.bench.service import identifier, start_of_run
from dev.bench.sides import IDENTITY

HERE = Path(__file__).resolve().parent
LATENCY = 0.05
ENDS_PER_SECOND = 3.0
"""Jobs that end in a second while it is measured how soon that is noticed: each end takes a call to confirm it, and an
account may make ten calls a second."""
ROUND = 0.97
"""Share of the interval after which the poller reads a list again: a reading is due within the last twentieth of it."""
JOB = 3600.0
"""Seconds that the clock of the service is set forward while the job of the worker slot is waited for."""
NEWER = 350
"""Requests of the account since the first try of a task that was cleared."""
FIRST_TRY = f"crop map {IDENTITY} r3 j00000002 t1 n0 b{start_of_run(NEWER):014x}"
CREATES: dict[str, tuple[float | None, int, dict[str, Any]]] = {
    "create today": (0.0, 1, {}),
    "create after a clear": (-365.0, 2, {"own": {str(NEWER): FIRST_TRY}}),
    "create after a clear, nothing started": (-365.0, 2, {"own": {str(NEWER): FIRST_TRY}, "idle": True}),
    "create after a clear, nothing created": (-365.0, 2, {}),
}
"""Each create: days from the newest request of the account back to the bound of the search that the run gives, the
number of the try, and what the first try has left in the account (options of the service)."""


VENDOR = ("3.11.1", "3.12.0")
"""Versions of the vendor's client: the last one with batch v1, and the first one without."""
SIZES = (1_000, 10_000, 100_000)
"""Tiles of the jobs whose tiles are waited for."""


def python_of(name: str, requirements: Path) -> Path:
    """The Python of an environment with clients that we are compared with, made if need be."""
    folder = env.ROOT / f".venv-{name}"
    stamp, python = folder / env.STAMP, folder / "bin" / "python"
    wanted = hashlib.sha256(requirements.read_bytes() + f"{env.base_python()} {sys.version}".encode()).hexdigest()
    with env.alone():
        if not (stamp.exists() and stamp.read_text() == wanted):
            installer = env.uv()
            env.run(installer, "venv", "--quiet", "--clear", "--python", env.base_python(), folder)
            env.run(installer, "pip", "install", "--quiet", f"--python={python}", "-r", requirements)
            stamp.write_text(wanted)
    return python


def python_of_others() -> Path:
    """The Python with httpx and aiohttp."""
    return python_of("bench", HERE / "requirements.txt")


def python_of_vendor(version: str) -> Path:
    """The Python with the vendor's client; the tests of it use the same environment."""
    return python_of(f"witness-{version}", env.ROOT / "tests" / "witness" / f"requirements-{version}.txt")


@contextlib.contextmanager
def program(python: str | Path, module: str, given: dict[str, Any], **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A module of this folder as a process, which is ended behind the block."""
    command = [str(python), "-m", f"dev.bench.{module}", json.dumps(given)]
    surroundings = {**os.environ, "PYTHONPATH": str(env.ROOT), "PYTHONUNBUFFERED": "1", **environ}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=env.ROOT, env=surroundings
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


@contextlib.contextmanager
def service(**options: Any) -> Iterator[str]:
    """The URL of a service of its own."""
    with program(sys.executable, "service", options) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a side has measured.

    :raises RuntimeError: it has ended without that; its own words are on stderr.
    """
    assert process.stdout is not None
    said = process.stdout.read()
    if process.wait():
        raise RuntimeError(f"a side of the comparison ended with {process.returncode}")
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def measure(what: str, side: str, python: str | Path, options: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Run one side against a service of its own with these options. Beside a watch of lag, an idle loop is watched."""
    with service(latency=LATENCY, **options) as url:
        task = {"what": what, "side": side, "url": url, "jobs": options["jobs"], **given}
        with program(python, "sides", task) as process:
            if not given.get("lag"):
                return result_of(process)
            began = time.monotonic()
            seconds = given["settle"] + given["seconds"] + given["lag"]
            with program(sys.executable, "sides", {"what": "idle", "lag": seconds}) as beside:
                found = result_of(process)
                found["idle"] = result_of(beside)["lag"]
            found["took"] = time.monotonic() - began
            return found


def once(module: str, python: str | Path, options: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Run a program of this folder against a service of its own with these options."""
    with service(**options) as url, program(python, module, {"url": url, **given}) as process:
        return result_of(process)


def together(*steps: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Run steps side by side, that mostly wait."""
    with ThreadPoolExecutor(len(steps)) as pool:
        return [future.result() for future in [pool.submit(step) for step in steps]]


def tiles_of(size: int, polls: int = 5) -> dict[str, dict[str, Any]]:
    """What a poll of our tile sensor costs with so many tiles, by what it waits for."""
    found = {}
    for name, share in (("all", None), ("share", 0.5)):
        goal = {"status": "PROCESSED", "share": share}
        options = {"jobs": 1, "latency": 0.0, "tiles": size}
        # A share is counted on from poll to poll: the first polls are those that count.
        given = {"what": "tiles", "api": "v1", "goal": goal, "polls": polls, "before": 0}
        found[name] = once("sides", sys.executable, options, **given)
    with tempfile.TemporaryDirectory() as bucket:
        manifest, execution = (
            Path(bucket) / url("s3://results/bench", identifier(0)).removeprefix("s3://")
            for url in (manifest_url, execution_url)
        )
        write(manifest, execution, size, done=size // 2)
        for name, before, number in (("first", 0, 1), ("unchanged", 1, polls)):
            given = {"what": "tiles", "api": "v2", "goal": {"status": "PROCESSED"}, "polls": number, "before": before}
            found[name] = once("sides", sys.executable, {"jobs": 1, "latency": 0.0}, **given, bucket=bucket)
    return found


def slot_seconds() -> list[float]:
    """Seconds of each visit of a deferrable job to its worker slot, the start of the process included."""
    from airflow_sentinelhub.simulator import Simulator

    seconds, state = list[float](), dict[str, Any](method=None, event=None)
    with Simulator(speed=0) as simulator, tempfile.TemporaryDirectory() as home:
        extra = {"auth_url": simulator.auth_url, "bucket_mount": str(simulator.bucket_dir)}
        account = {"login": simulator.client_id, "password": simulator.client_secret, "host": simulator.url}
        connection = {"conn_type": "sentinelhub", **account, "extra": extra}
        aws = {"conn_type": "aws", "login": "AKIA", "password": "hush"}
        surroundings = {
            "AIRFLOW_HOME": home,
            "AIRFLOW_CONN_SENTINELHUB_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_BENCH_BUCKET": json.dumps(aws),
        }
        while "result" not in state:
            began, visit = time.monotonic(), {"method": state["method"], "event": state["event"]}
            with program(sys.executable, "slot", visit, **surroundings) as process:
                found = result_of(process)
            seconds.append(time.monotonic() - began)
            if "trigger" in found:
                simulator.step(JOB)
                with program(sys.executable, "slot", {"trigger": found["trigger"]}, **surroundings) as process:
                    found |= result_of(process)
            state = found
    if state["result"] != "DONE":
        raise RuntimeError(f"the job of the comparison is {state['result']}")
    return seconds


def delays_of(found: dict[str, Any], jobs: int, ends: tuple[float, float]) -> list[float]:
    """Seconds from the end of each job to when it was noticed; of those that ended once all had been read."""
    from dev.bench.service import Service

    model = Service(jobs, ends=ends)
    model.began = found["service_began"]
    ended = ((model.end_of(int(number)) or 0.0, at) for number, at in found["done"].items())
    return [at - end for end, at in ended if end > found["complete"]]


def parse_seconds(source: str, python: str | Path = sys.executable) -> float:
    """CPU seconds to run some Python in a process of its own, once its modules are compiled: the least of three."""
    import resource

    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([str(python), "-c", source], check=True, cwd=env.ROOT, capture_output=True, env=surroundings)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(seconds() for _ in range(3))


def run(
    jobs: int, many: int, interval: float, seconds: float, only_ours: bool, sizes: Sequence[int] = SIZES
) -> dict[str, Any]:
    """All measurements, by name.

    :param jobs, many: how many wait.
    :param interval: seconds between their polls.
    :param seconds: how long each is measured once it is steady.
    :param sizes: tiles of jobs whose tiles are waited for.
    """
    mine, others = sys.executable, "" if only_ours else str(python_of_others())
    vendor = {} if only_ours else {version: python_of_vendor(version) for version in VENDOR}
    settle = 1.2 * interval
    window = {"interval": interval, "settle": settle, "seconds": seconds}
    found: dict[str, Any] = {"jobs": jobs, "many_jobs": many, "interval": interval, "latency": LATENCY}

    def step(name: str, work: Callable[[], Any]) -> None:
        began = time.monotonic()
        found[name] = work()
        print(f"  {name}: {time.monotonic() - began:.0f} s", flush=True)

    for side, python in {"ours": mine, "httpx": others, "aiohttp": others}.items():
        if python:
            step(side, partial(measure, "waiting", side, python, {"jobs": jobs}, **window, lag=min(seconds, 10.0)))
    step("many", partial(measure, "waiting", "ours", mine, {"jobs": many}, **window, lag=0))

    # What follows measures calls and delays of sides that mostly wait, so they run side by side.
    def limited(side: str, python: str) -> dict[str, Any]:
        options = {"jobs": jobs, "limit": 600.0}
        return measure("waiting", side, python, options, **window, lag=0, within=3 * interval)

    # Over whole rounds of the poller, so that an end comes at each moment of a round as often as at any other.
    ends = (settle + 1.0, settle + 1.0 + ROUND * seconds)
    few = min(jobs, round(ENDS_PER_SECOND * seconds))
    late = {**window, "seconds": seconds + 1.2 * interval, "lag": 0}
    waits = {
        "limited ours": partial(limited, "ours", mine),
        "ending": partial(measure, "waiting", "ours", mine, {"jobs": few, "ends": ends}, **late),
    }
    if others:
        waits["limited httpx"] = partial(limited, "httpx", others)
    step("limited and ending", lambda: found.update(zip(waits, together(*waits.values()), strict=True)))
    found["delays"] = sorted(delays_of(found["ending"], few, ends))

    for name, (days, number, left) in CREATES.items():
        options = {"jobs": 10 * jobs, "latency": LATENCY, **left}
        step(name, partial(once, "sides", mine, options, what="create", days=days, tried=number))
    found["sizes"] = list(sizes)
    for size in sizes:
        step(f"tiles {size}", partial(tiles_of, size))
    if sizes:
        step("slot", slot_seconds)
    for version, client in vendor.items():
        for size in sizes if version == "3.11.1" else sizes[:1]:
            options = {"jobs": 1, "latency": 0.0, "tiles": size}
            polls = 1 if size > 10_000 else 3
            step(f"vendor {version} {size}", partial(once, "vendor", client, options, version=version, polls=polls))
    if not only_ours:
        operators = "import airflow.sdk; from airflow_sentinelhub.operators.job import SentinelHubBatchOperator"
        step("parse alone", lambda: parse_seconds("import airflow.sdk"))
        step("parse ours", lambda: parse_seconds(operators))
        step("parse vendor alone", lambda: parse_seconds("pass", vendor["3.12.0"]))
        step("parse vendor", lambda: parse_seconds("import sentinelhub", vendor["3.12.0"]))
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description="Measure what waiting costs.")
    parser.add_argument("--jobs", type=int, default=1000, help="jobs that wait at the same time")
    parser.add_argument("--many", type=int, default=5000, help="the same for the large case")
    parser.add_argument("--seconds", type=float, default=20, help="seconds of steady state for each case")
    parser.add_argument("--interval", type=float, default=10, help="seconds between two polls of a job")
    parser.add_argument("--tiles", type=int, nargs="+", default=SIZES, help="tiles of the jobs of tile sensors")
    parser.add_argument("--only-waits", action="store_true", help="without tile sensors and visits to worker slots")
    parser.add_argument("--only-ours", action="store_true", help="without the clients of others")
    parser.add_argument("--output", type=Path, default=env.ROOT / "docs", help="folder of at-scale.md and its picture")
    parser.add_argument("--numbers", type=Path, help="a file for all numbers, as JSON")
    given = parser.parse_args(arguments)
    print("Measuring; each line takes up to a minute, all of it some five.", flush=True)
    began = time.monotonic()
    given.output.mkdir(parents=True, exist_ok=True)
    found = run(
        given.jobs, given.many, given.interval, given.seconds, given.only_ours, () if given.only_waits else given.tiles
    )
    if given.numbers:
        given.numbers.write_text(json.dumps(found))
    report.write(found, given.output)
    median = statistics.median(found["delays"]) if found["delays"] else float("nan")
    print(f"{given.output / 'at-scale.md'} is written; {time.monotonic() - began:.0f} s, median delay {median:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
