"""Commands of Airflow's own command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def cli_group(name: str, about: str, commands: list[tuple[Any, Callable[[Any], None]]]) -> Any:
    """A group of commands for Airflow's own command line.

    :param commands: values with `name`, `help` and `arguments` (flags and options), each with the function that runs.
    """
    from airflow.cli import cli_config

    arg: Any = cli_config.Arg

    return cli_config.GroupCommand(
        name=name,
        help=about,
        subcommands=[
            cli_config.ActionCommand(
                name=command.name,
                help=command.help,
                func=run,
                args=[arg(flags=each.flags, **each.options) for each in command.arguments],
            )
            for command, run in commands
        ],
    )
