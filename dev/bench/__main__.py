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
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dev import env
from dev.bench import report

HERE = Path(__file__).resolve().parent
LATENCY = 0.05


def python_of_others() -> Path:
    """The Python of an environment with the clients that we are compared with, made if need be."""
    requirements, folder = HERE / "requirements.txt", env.ROOT / ".venv-bench"
    stamp, python = folder / env.STAMP, folder / "bin" / "python"
    wanted = hashlib.sha256(requirements.read_bytes() + f"{env.base_python()} {sys.version}".encode()).hexdigest()
    with env.alone():
        if not (stamp.exists() and stamp.read_text() == wanted):
            installer = env.uv()
            env.run(installer, "venv", "--quiet", "--clear", "--python", env.base_python(), folder)
            env.run(installer, "pip", "install", "--quiet", f"--python={python}", "-r", requirements)
            stamp.write_text(wanted)
    return python


@contextlib.contextmanager
def program(python: str | Path, module: str, given: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """A module of this folder as a process, which is ended behind the block."""
    command = [str(python), "-m", f"dev.bench.{module}", json.dumps(given)]
    surroundings = {**os.environ, "PYTHONPATH": str(env.ROOT), "PYTHONUNBUFFERED": "1"}
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


def delays_of(found: dict[str, Any], jobs: int, ends: tuple[float, float]) -> list[float]:
    """Seconds from the end of each job to when it was noticed."""
    from dev.bench.service import Service

    model = Service(jobs, ends=ends)
    model.began = found["service_began"]
    return [at - (model.end_of(int(number)) or 0.0) for number, at in found["done"].items()]


def parse_seconds(source: str) -> float:
    """CPU seconds to run some Python in a process of its own: the least of three."""
    import resource

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", source], check=True, cwd=env.ROOT, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(3))


def run(jobs: int, many: int, interval: float, seconds: float, only_ours: bool) -> dict[str, Any]:
    """All measurements, by name. :param jobs, many: how many wait; :param interval: of their polls, :param seconds: of
    steady state, both in seconds.
    """
    mine, others = sys.executable, "" if only_ours else str(python_of_others())
    settle = 1.2 * interval
    window = {"interval": interval, "settle": settle, "seconds": seconds}
    found: dict[str, Any] = {"jobs": jobs, "many_jobs": many, "interval": interval, "latency": LATENCY}

    def step(name: str, *args: Any, **given: Any) -> None:
        print(f"  {name}", flush=True)
        found[name] = measure(*args, **given)

    for side, python in {"ours": mine, "httpx": others, "aiohttp": others}.items():
        if python:
            step(side, "waiting", side, python, {"jobs": jobs}, **window, lag=min(seconds, 15.0))
    step("many", "waiting", "ours", mine, {"jobs": many}, **window, lag=0)
    for side, python in {"ours": mine, "httpx": others}.items():
        if python:
            limited = {"jobs": jobs, "limit": 600.0}
            step(f"limited {side}", "waiting", side, python, limited, **window, lag=0)
    ends = (settle + 1.0, settle + 1.0 + seconds)
    few = min(jobs, 300)
    late = {**window, "seconds": seconds + 1.2 * interval, "lag": 0}
    step("ending", "waiting", "ours", mine, {"jobs": few, "ends": ends}, **late)
    found["delays"] = sorted(delays_of(found["ending"], few, ends))
    for name, days in (("search today", 1.0), ("search last year", -365.0)):
        step(name, "search", "ours", mine, {"jobs": 10 * jobs}, days=days)
    if not only_ours:
        found["parse alone"] = parse_seconds("import airflow.sdk")
        operators = "import airflow.sdk; from airflow_sentinelhub.operators.job import SentinelHubBatchOperator"
        found["parse ours"] = parse_seconds(operators)
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description="Measure what waiting costs.")
    parser.add_argument("--jobs", type=int, default=1000, help="jobs that wait at the same time")
    parser.add_argument("--many", type=int, default=5000, help="the same for the large case")
    parser.add_argument("--seconds", type=float, default=30, help="seconds of steady state for each case")
    parser.add_argument("--interval", type=float, default=10, help="seconds between two polls of a job")
    parser.add_argument("--only-ours", action="store_true", help="without the clients of others")
    parser.add_argument("--output", type=Path, default=env.ROOT / "docs", help="folder of at-scale.md and its picture")
    parser.add_argument("--numbers", type=Path, help="a file for all numbers, as JSON")
    given = parser.parse_args(arguments)
    print("Measuring; each line takes up to a minute.", flush=True)
    began = time.monotonic()
    found = run(given.jobs, given.many, given.interval, given.seconds, given.only_ours)
    if given.numbers:
        given.numbers.write_text(json.dumps(found))
    report.write(found, given.output)
    median = statistics.median(found["delays"]) if found["delays"] else float("nan")
    print(f"{given.output / 'at-scale.md'} is written; {time.monotonic() - began:.0f} s, median delay {median:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
