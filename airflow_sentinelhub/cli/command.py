"""What a command is: a value, from which both command lines are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from airflow_sentinelhub.api.service.generations import NAMES


class Argument(NamedTuple):
    """An argument of a command.

    :param flags: its name, or its options.
    :param options: as `argparse` takes them.
    """

    flags: tuple[str, ...]
    options: dict[str, Any]


def argument(*flags: str, **options: Any) -> Argument:
    """An argument, written as for `argparse.ArgumentParser.add_argument`."""
    return Argument(flags, options)


class Command(NamedTuple):
    """A command.

    :param name: its word.
    :param help: one line.
    :param arguments: of it.
    :param run: takes the parsed arguments and returns the exit code; errors of the package are raised.
    :param rest: what follows the word is passed on as it is (`args.rest`).
    :param asks_airflow: whether it reads connections, or a DAG's file; without, Airflow is not even imported.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...]
    run: Callable[[Any], int]
    rest: bool = False
    asks_airflow: bool = True


CONN_ID = argument(
    "--conn-id", default="sentinelhub_default", metavar="ID", help="Airflow connection (default: sentinelhub_default)"
)
OUTPUT = argument(
    "--output", choices=("table", "json"), default="table", help="a table for people (default), or JSON for programs"
)
BATCH_API = argument("--batch-api", choices=NAMES, help="generation; by default those of the connection")
AWS_CONN_ID = argument(
    "--aws-conn-id", metavar="ID", help="Airflow connection of type aws that may read the bucket (v2, statistical)"
)
REQUEST_ID = argument("request_id", metavar="ID", help="id of a batch request")
