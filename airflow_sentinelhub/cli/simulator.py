"""`simulator`: the same as `python -m airflow_sentinelhub.simulator`."""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub.cli.command import Command, argument
from airflow_sentinelhub.exceptions import SettingsError


def run(args: Any) -> int:
    """Serve until Ctrl-C.

    :raises SettingsError: the extra `simulator` is not installed.
    """
    try:
        from airflow_sentinelhub.simulator.__main__ import main
    except ImportError as err:
        raise SettingsError(
            f"The simulator needs {err.name}, which is not installed: pip install 'airflow-sentinelhub[simulator]'."
        ) from None
    return main(args.rest[1:] if args.rest[:1] == ["--"] else args.rest)


COMMAND = Command(
    "simulator",
    "run a Sentinel Hub on this machine, for tests and first tries",
    (argument("rest", nargs="...", metavar="...", help="arguments of the simulator; with `airflow`, after --"),),
    run,
    rest=True,
    asks_airflow=False,
)
