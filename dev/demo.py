"""`make demo`: the example DAG takes a batch job through its whole life, on a real Airflow, against the simulator.

`make demo-ui`: the same in `airflow standalone`, to be looked at in a browser until Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dev.airflow_door import Rest, TaskInstance, log_lines
from dev.cluster import Cluster, as_env
from dev.processes import Process, end_on_sigterm, free_ports, wait_for
from dev.simulator import Simulator

ROOT = Path(__file__).resolve().parent.parent
DAG = "sentinelhub_ndvi_corsica"
# Shown as they happen; the others (scheduled, queued) pass too quickly to tell anything.
SHOWN = ("running", "deferred", "success", "failed", "up_for_retry", "upstream_failed", "skipped", "removed")
TAB_OF = "create"
"""First task of the example DAG with the job: its tab shows it from the start to the end."""
PATIENCE = 400
"""Seconds that Airflow has to come up and to know the DAG: a busy machine takes ten times as long as an idle one."""
MAP = ROOT / "build" / "demo-map.html"
UUID = re.compile(r"\b([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
AIRFLOW = importlib.metadata.version("apache-airflow")


class Clock:
    """Lines with the time since the start before them."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        minutes, seconds = divmod(int(self.seconds), 60)
        print(f"{minutes}:{seconds:02d}  {text}", flush=True)


class Story:
    """What a run has to tell since one looked last: states of its tasks, and what our operators and triggers logged."""

    def __init__(self, home: Path, run_id: str, dag_id: str) -> None:
        self.folder = home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
        self.deferrals = 0
        self._read: dict[Path, int] = {}

    def states(self, changed: list[TaskInstance]) -> Iterator[str]:
        for found in changed:
            self.deferrals += found.state == "deferred"
            if found.state in SHOWN:
                again = f" (try {found.try_number})" if found.try_number > 1 else ""
                yield f"{found.name:<24} {found.state}{again}"

    def log(self) -> Iterator[str]:
        for file in sorted(self.folder.glob("**/attempt=*.log*")):
            said = file.read_bytes()
            whole = said[: said.rfind(b"\n") + 1]
            fresh = whole[self._read.get(file, 0) :].decode(errors="replace")
            self._read[file] = len(whole)
            # A request's first eight digits are enough to tell it; the table at the end has all of them.
            for line in log_lines(fresh):
                if "airflow_sentinelhub" in line.logger:
                    yield UUID.sub(r"\1", line.text)


def environment(simulator: Simulator, options: argparse.Namespace) -> dict[str, str]:
    # The example looks once a minute, which is right for a job of hours; this one takes seconds.
    return {**simulator.connections(options.batch_api), "SENTINELHUB_EXAMPLE_POLL_INTERVAL": "2"}


def demo(options: argparse.Namespace) -> int:
    clock = Clock()
    with Simulator(speed=options.speed) as simulator:
        clock.say(f"Sentinel Hub simulator on {simulator.url}, {options.speed:g} times as fast as the real time")
        with Cluster(options.dags, env=environment(simulator, options)) as cluster:
            clock.say(f"Airflow {AIRFLOW}: {', '.join(cluster.names)}")
            run_id = cluster.trigger(options.dag_id, options.conf)
            clock.say(f"DAG {options.dag_id} with batch API {options.batch_api}, run {run_id}")
            story = Story(cluster.home, run_id, options.dag_id)
            for changed in cluster.watch(options.dag_id, run_id, timeout=options.timeout):
                for line in story.log():
                    clock.say(f"    {line}")
                for line in story.states(changed):
                    clock.say(line)
            tasks = cluster.task_instances(options.dag_id, run_id)
            found = [cluster.xcom(options.dag_id, run_id, task.task_id, task.map_index) for task in tasks]
            requests = simulator.requests()
            print()
            for name, value in results(requests, tasks, estimate(found)).items():
                print(f"  {name:<14} {value}")
            print(f"  {'deferrals':<14} {story.deferrals}\n  {'took':<14} {clock.seconds:.0f} s", flush=True)
            problem = verdict(requests, tasks)
            if not problem:
                cluster.python(map_code(requests[-1]["id"], options.batch_api, MAP))
                print(f"  {'map':<14} {MAP}", flush=True)
            if problem:
                print(f"\n{cluster.report(options.dag_id, run_id)}\n\n{problem}", file=sys.stderr)
    return 1 if problem else 0


def map_code(request_id: str, batch_api: str, path: Path) -> str:
    """A program that writes the map of a request, for the environment of the demo's Airflow."""
    return (
        "from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook\n"
        f"made = SentinelHubHook().map({request_id!r}, batch_api={batch_api!r}, aws_conn_id='sentinelhub_bucket')\n"
        f"import pathlib; pathlib.Path({str(path.parent)!r}).mkdir(exist_ok=True); made.save({str(path)!r})"
    )


def tab(url: str, dag_id: str, run_id: str) -> str:
    """The address of the job's page, in Airflow's own."""
    return f"{url}/dags/{dag_id}/runs/{run_id}/tasks/{TAB_OF}/plugin/sentinelhub"


def estimate(xcoms: list[Any]) -> float | None:
    """What the service estimated, from the task that had it analysed."""
    found = [xcom["estimated_pu"] for xcom in xcoms if isinstance(xcom, dict) and xcom.get("estimated_pu") is not None]
    return found[0] if found else None


def results(requests: list[dict[str, Any]], tasks: list[TaskInstance], estimated: float | None) -> dict[str, str | int]:
    mapped = [task for task in tasks if task.map_index >= 0]
    request = requests[-1] if requests else {}
    costs = f"{request.get('cost', 0):,.1f} charged"
    if estimated is not None:
        costs = f"{estimated / 3:,.1f} expected (a third of the service's estimate of {estimated:,.1f}), {costs}"
    return {
        "request": request.get("id", "none"),
        "status": request.get("status", "none"),
        "tiles": request.get("tiles", 0) or 0,
        "PU": costs,
        "billed starts": request.get("billed_starts", 0),
        "mapped tasks": f"{sum(task.state == 'success' for task in mapped)} of {len(mapped)} succeeded",
    }


def verdict(requests: list[dict[str, Any]], tasks: list[TaskInstance]) -> str:
    """What is not as it should be, or nothing."""
    if [(request["status"], request["billed_starts"]) for request in requests] != [("DONE", 1)]:
        return "There should be one batch request, DONE, started once."
    failed = [task.name for task in tasks if task.state != "success"]
    if failed:
        return f"Not every task has succeeded: {', '.join(failed)}."
    if not any(task.map_index >= 0 for task in tasks):
        return "No mapped task got tiles."
    return ""


def demo_ui(options: argparse.Namespace) -> int:
    clock = Clock()
    port = options.port or free_ports(1)[0]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            print(
                f"Port {port} is taken: choose another one with PORT=..., or none to get a free one.", file=sys.stderr
            )
            return 1
    url = f"http://127.0.0.1:{port}"
    with (
        Simulator(speed=options.speed) as simulator,
        tempfile.TemporaryDirectory(prefix="airflow-sentinelhub-") as folder,
    ):
        clock.say(f"Sentinel Hub simulator on {simulator.url}, {options.speed:g} times as fast as the real time")
        home = Path(folder)
        login = {"username": "admin", "password": secrets.token_urlsafe(9)}
        # Written before the start, this sets the password instead of Airflow making one up.
        (home / "simple_auth_manager_passwords.json.generated").write_text(json.dumps({"admin": login["password"]}))
        worker, triggerer = free_ports(2)
        settings = {
            "core.dags_folder": options.dags,
            "core.load_examples": False,
            "core.execution_api_server_url": f"{url}/execution/",
            "api.host": "127.0.0.1",
            "api.port": port,
            "api.workers": 1,
            "api.base_url": url,
            "logging.worker_log_server_port": worker,
            "logging.trigger_log_server_port": triggerer,
            "workers.min_heartbeat_interval": 1,  # or short deferrals may be marked failed
            "usage_data_collection.enabled": False,
        }
        env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        env |= {**as_env(settings), "AIRFLOW_HOME": folder, "PYTHONUNBUFFERED": "1", "NO_PROXY": "127.0.0.1,localhost"}
        env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
        env |= environment(simulator, options)
        airflow = Process("standalone", ["airflow", "standalone"], env=env, log=home / "standalone.log")
        try:
            clock.say(f"Airflow {AIRFLOW} starts; this takes half a minute")
            rest = Rest(url, patience=PATIENCE, login=login)
            run_id = f"demo__{secrets.token_hex(4)}"
            try:
                known = wait_for(
                    lambda: airflow.exit_code is not None or rest.trigger(options.dag_id, run_id, options.conf),
                    timeout=PATIENCE,
                )
            except RuntimeError as problem:
                raise RuntimeError(f"{problem}\nThe last lines of Airflow:\n{airflow.tail()}") from None
            if airflow.exit_code is not None or not known:
                raise RuntimeError(
                    f"airflow standalone did not come up in {clock.seconds:.0f} s. Its last lines:\n{airflow.tail()}"
                )
            clock.say(f"DAG {options.dag_id} with batch API {options.batch_api}, run {run_id}")
            print(f"\n  {url}/dags/{options.dag_id}/runs/{run_id}")
            if options.dag_id == DAG:
                print(
                    f"  {tab(url, options.dag_id, run_id)}\n            the job on a map, once its request is created"
                )
            print(
                f"  user      {login['username']}\n  password  {login['password']}\n\nCtrl-C ends it all.", flush=True
            )
            if airflow.wait(timeout=options.keep) is not None:
                raise RuntimeError(f"airflow standalone ended by itself:\n{airflow.tail()}")
        finally:
            # On SIGTERM it would leave its children behind; SIGINT takes them along.
            airflow.end(grace=20, number=signal.SIGINT)
    return 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description="Run the example DAG against the simulator.")
    parser.add_argument(
        "--batch-api", choices=["v1", "v2"], default="v1", help="v1 shows its tiles; v2 is the one alive"
    )
    parser.add_argument("--speed", type=float, default=30, help="simulated seconds in one")
    parser.add_argument("--ui", action="store_true", help="in Airflow's web page, until Ctrl-C")
    parser.add_argument("--port", type=int, default=0, help="of the web page; 0 takes a free one")
    parser.add_argument("--dags", type=Path, default=ROOT / "example_dags", help="folder of the DAG")
    parser.add_argument("--dag-id", default=DAG)
    parser.add_argument("--conf", type=json.loads, default={}, help="of the run, JSON")
    parser.add_argument("--timeout", type=float, default=300, help="seconds that the run may take")
    parser.add_argument("--keep", type=float, default=None, help="seconds after which --ui ends by itself")
    options = parser.parse_args(arguments)
    options.dags = options.dags.resolve()
    return options


def main() -> int:
    options = parse()
    end_on_sigterm()
    try:
        return demo_ui(options) if options.ui else demo(options)
    except KeyboardInterrupt:
        print("\nEnded; nothing is left running.", flush=True)
        return 0 if options.ui else 130
    except (RuntimeError, TimeoutError) as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
