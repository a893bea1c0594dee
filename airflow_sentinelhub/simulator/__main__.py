"""``python -m airflow_sentinelhub.simulator``: serves until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ..evalscripts import runs_scripts
from .remote import SimulatorError
from .server import Simulator
from .settings import CHOICES, REALISTIC

_PROGRAM = "python -m airflow_sentinelhub.simulator"
PORT = 8765
"""Always the same, so that a connection to a simulator is still right after its restart."""
SPEED = 10.0
"""Simulated seconds in a real one: a first job of some tiles is done in less than a minute, one of 130 in a minute."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="A Sentinel Hub that runs on your machine.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which the control plane may be called, besides loopback and --host; repeatable",
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help="port to listen on; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=SPEED,
        help="simulated seconds in a real one; 1 is the pace of the service, 0 freezes (default: 10)",
    )
    parser.add_argument("--seed", type=int, default=0, help="decides ids, credentials and all that varies (default: 0)")
    parser.add_argument("--state", metavar="DIR", help="keep everything in this folder and go on with what is there")
    parser.add_argument(
        "--bucket-dir",
        metavar="DIR",
        help="folder for the buckets (default: in your cache folder, one for each port; with --state, in that)",
    )
    parser.add_argument("--s3-endpoint", metavar="URL", help="an S3 service that holds the buckets; needs boto3")
    parser.add_argument(
        "--token-lifetime", type=float, metavar="SECONDS", help="of access tokens, real time (default: 3600)"
    )
    parser.add_argument(
        "--deployment", choices=CHOICES["deployment"], help="which deployment of the service it is (default: aws-eu)"
    )
    parser.add_argument(
        "--realistic",
        action="store_true",
        help="with what the service does by itself: rate limits, late reads, odd answers, failed and stuck tiles",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting of the service, e.g. action_lag=1 or balance=500; repeatable",
    )
    parser.add_argument("--output", choices=("text", "json"), default="text", help="what is printed at the start")
    return parser


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = dict(REALISTIC) if arguments.realistic else {}
    for item in arguments.set:
        name, separator, value = item.partition("=")
        try:
            settings[name] = value if name in CHOICES else json.loads(value)
        except ValueError:
            separator = ""
        if not separator:
            raise SimulatorError(f"--set takes NAME=VALUE with a number, true, false or null, not {item!r}.")
    if arguments.deployment is not None:
        settings["deployment"] = arguments.deployment
    if arguments.token_lifetime is not None:
        settings["token_lifetime"] = arguments.token_lifetime
    return settings


def _pace(speed: float) -> str:
    return "real time" if speed == 1 else "frozen" if speed == 0 else f"{speed:g} times as fast as real time"


def _bucket_dir(arguments: argparse.Namespace) -> Path | None:
    """The folder for the buckets: the same at each start, since the connection names it. None: a temporary one."""
    if arguments.bucket_dir is not None:
        return Path(arguments.bucket_dir)
    if arguments.s3_endpoint is not None:
        return None
    if arguments.state is not None:
        return Path(arguments.state) / "buckets"
    if arguments.port == 0:
        return None
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "airflow-sentinelhub" / f"simulator-{arguments.port}"


def _text(simulator: Simulator) -> str:
    return f"""Sentinel Hub simulator, serving until Ctrl+C

  url            {simulator.url}
  auth url       {simulator.auth_url}
  client id      {simulator.client_id}
  client secret  {simulator.client_secret}
  buckets        {simulator.as_dict().get("s3_endpoint") or simulator.bucket_dir}
  journal        {simulator.url}/_simulator/journal
  clock          {_pace(simulator.started_speed)}; another pace: {_PROGRAM} --speed 60

Airflow connections, of the service and of the bucket my-bucket (any keys will do):
export AIRFLOW_CONN_SENTINELHUB_DEFAULT='{simulator.airflow_connection_uri}'
export AIRFLOW_CONN_MY_BUCKET='aws://any-key-id:any-secret-key@'

A first DAG for them:
mkdir -p dags && python -m airflow_sentinelhub example > dags/first.py
"""


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 after a signal, 2 when it cannot start."""
    arguments = _parser().parse_args(argv)
    try:
        simulator = Simulator(
            host=arguments.host,
            port=arguments.port,
            speed=arguments.speed,
            seed=arguments.seed,
            state=arguments.state,
            bucket_dir=_bucket_dir(arguments),
            s3_endpoint=arguments.s3_endpoint,
            allow_hosts=arguments.allow_host,
            **_settings(arguments),
        )
        simulator.prepare()
    except SimulatorError as problem:
        print(problem, file=sys.stderr)
        return 2
    if not runs_scripts():
        print(
            "The setup() of evalscripts is read, not run, so that costs are a guess: quickjs-ng is missing"
            " (pip install 'airflow-sentinelhub[simulator]').",
            file=sys.stderr,
        )
    # Uvicorn handles these itself once it runs, and raises them again at its end. Ours serve for before and after.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: simulator.stop())
    print(json.dumps(simulator.as_dict()) if arguments.output == "json" else _text(simulator), flush=True)
    simulator.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
