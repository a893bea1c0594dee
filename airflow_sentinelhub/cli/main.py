"""Run a command: its errors are one sentence and exit code 1, Ctrl-C and a closed pipe are quiet."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any

from airflow_sentinelhub._version import __version__
from airflow_sentinelhub.cli.command import Command
from airflow_sentinelhub.cli.commands import COMMANDS
from airflow_sentinelhub.cli.output import one_line, own_stdout
from airflow_sentinelhub.exceptions import SentinelHubError

INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """The command line of `python -m airflow_sentinelhub`. Returns the exit code; 2 for wrong arguments."""
    given = list(sys.argv[1:] if argv is None else argv)
    for command in COMMANDS:
        if command.rest and given[:1] == [command.name]:
            return carry_out(command, argparse.Namespace(rest=given[1:]))
    arguments = _parser().parse_args(given)
    return carry_out(arguments.command, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_sentinelhub",
        description="Sentinel Hub batch requests, by an Airflow connection of type sentinelhub.",
    )
    parser.add_argument("--version", action="version", version=f"airflow-sentinelhub {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        own = commands.add_parser(command.name, help=command.help, description=command.help)
        for argument in command.arguments:
            own.add_argument(*argument.flags, **argument.options)
        own.set_defaults(command=command)
    return parser


def carry_out(command: Command, arguments: Any) -> int:
    """Run a command and turn what may happen into an exit code."""
    logging.disable(logging.ERROR)  # a command says itself what went wrong, in one sentence
    try:
        with own_stdout(), _airflow(command):
            code = command.run(arguments)
        if sys.stdout is not None:  # it is None where the shell has closed it
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes at its end once more; there is nobody to read that, nor the error about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SentinelHubError as err:
        print(one_line(str(err)), file=sys.stderr)
    except Exception as err:
        if not _of_airflow(err):
            raise
        print(one_line(f"{err}{_advice(err)}"), file=sys.stderr)
    finally:
        logging.disable(logging.NOTSET)
    return 1


@contextmanager
def _airflow(command: Command) -> Iterator[None]:
    """Where the command may read all connections that Airflow has, and what Airflow 3 logs is no output.

    Each of its loggers writes to the `sys.stdout` of its first line.
    """
    if not command.asks_airflow:
        yield
        return
    from airflow_sentinelhub._compat.command_line import stored_connections

    with stored_connections(), nullcontext() if sys.stdout is None else redirect_stdout(sys.stderr):
        yield


def _of_airflow(err: Exception) -> bool:
    """Whether Airflow itself raised it, such as for a connection that does not exist."""
    from airflow_sentinelhub._compat import AirflowException

    return isinstance(err, AirflowException)


def _advice(err: Exception) -> str:
    """What to do about an error of Airflow that does not say it; begins with the end of its sentence."""
    from airflow_sentinelhub._compat import AirflowNotFoundException

    if not isinstance(err, AirflowNotFoundException) or "conn_id" not in str(err):
        return ""
    return (
        ". Add that connection to this Airflow; or export it in this terminal, as AIRFLOW_CONN_ and its name in "
        "capital letters, which the simulator prints for its own."
    )
