"""Commands of Airflow's own command line, and what a command may read of Airflow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"
"""Private, Airflow 3.2 and later: says which secrets backends a process asks that no task and no triggerer started."""


@contextmanager
def stored_connections() -> Iterator[None]:
    """Let a command read the connections and Variables that stand in Airflow's database, as Airflow's commands do.

    Else 3.2 and later show it those of the environment and of a secrets backend only, and call all others undefined.
    """
    before = os.environ.get(CONTEXT)
    os.environ.setdefault(CONTEXT, "server")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(CONTEXT, None)


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
