"""`airflow sentinelhub`: the same commands in Airflow's own command line, from Airflow 3.2 on."""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow_sentinelhub._compat.command_line import cli_group
from airflow_sentinelhub.cli.command import Command
from airflow_sentinelhub.cli.commands import COMMANDS
from airflow_sentinelhub.cli.main import carry_out


def get_cli_commands() -> list[Any]:
    """The group of commands; Airflow calls this by the provider's metadata."""
    return [cli_group("sentinelhub", "Sentinel Hub batch requests", [(each, partial(_run, each)) for each in COMMANDS])]


def _run(command: Command, arguments: Any) -> None:
    """Run a command and end with its exit code, which Airflow does not take from a return value."""
    if code := carry_out(command, arguments):
        raise SystemExit(code)
