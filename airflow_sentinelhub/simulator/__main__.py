"""``python -m airflow_sentinelhub.simulator``: serves until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from typing import Any

from ..evalscripts import runs_scripts
from .remote import SimulatorError
from .server import Simulator
from .settings import CHOICES, REALISTIC


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_sentinelhub.simulator",
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
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="simulated seconds in a real one; 0 freezes (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides ids, credentials and all that varies (default: 0)")
    parser.add_argument("--state", metavar="DIR", help="keep everything in this folder and go on with what is there")
    parser.add_argument("--bucket-dir", metavar="DIR", help="folder for the buckets (default: a temporary one)")
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


def _text(simulator: Simulator) -> str:
    return f"""Sentinel Hub simulator, serving until Ctrl+C

  url            {simulator.url}
  token url      {simulator.token_url}
  client id      {simulator.client_id}
  client secret  {simulator.client_secret}
  buckets        {simulator.as_dict().get("s3_endpoint") or simulator.bucket_dir}
  clock          {_pace(simulator.started_speed)}

Airflow connection:
  export AIRFLOW_CONN_SENTINELHUB_DEFAULT='{simulator.airflow_connection_uri}'
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
            bucket_dir=arguments.bucket_dir,
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
