"""Run the fast tests and the example DAGs on one Airflow and Python after the other, each in an environment of its own.

    python3 -m dev.matrix                                     every Airflow, on the Python that runs this
    python3 -m dev.matrix 3.1 3.2:examples                    these; of 3.2 only the example DAGs
    python3 -m dev.matrix 3.0:airflow                         those whose code meets Airflow, two cases each
    python3 -m dev.matrix --python python3.10 --python python3.12
                                                              every Airflow on each of these Pythons that it knows

It needs nothing but a Python with venv and pip; `dev/env.py` makes the environments. All cells are run, whatever fails
in one of them; the table at the end tells which did.
"""

import argparse
import contextlib
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from dev import env

FAST = ("-m", "not e2e and not chaos and not dag_test and not slow and not browser", "--thorough-cases=1")
"""What `make test` runs of the tests that start no Airflow and run no DAG, with one case of each thorough one."""
FEW = ("--cases=2",)
"""Where another Airflow shows, it does so in any case of a test; 3.3 sees them all."""
EVERY_CORE = ("-n", "auto", "--maxprocesses", "8", "--dist", "loadfile", "--no-loadscope-reorder")
EXAMPLES = (
    *("tests/airflow/test_examples.py", "tests/statistical/test_example.py", "tests/airflow/test_assets.py"),
    *("-n", "auto", "--maxprocesses", "8", "--dist", "loadgroup"),
)
"""DAGs, run by `dag.test()`: the examples, and one whose outlets have events."""
MEETS_AIRFLOW = (
    *("tests/airflow", "tests/statistical", "tests/web", "tests/contract"),
    *(
        "tests/api/test_data_sources.py",
        "tests/api/test_tile_paths.py",
        "tests/results/test_connection.py",
        "tests/results/test_way_to_bucket.py",
    ),
    *("tests/transport/test_clocks.py", "tests/transport/test_given_up.py", "tests/transport/test_metrics.py"),
    *(
        "tests/transport/test_poller.py",
        "tests/transport/test_poller_at_scale.py",
        "tests/transport/test_poller_log.py",
    ),
    *("tests/transport/test_poller_attacks.py", "tests/transport/test_list_hangs.py"),
    *("tests/test_docs.py", "tests/test_imports.py"),
)
"""The tests whose code imports Airflow, which is another one in each cell: the others see the same everywhere."""
PARTS = ("fast", "airflow", "examples")
QUIET = ("-q", "--show-capture=no", "-p", "no:cacheprovider")


class Part(NamedTuple):
    """One call of pytest in a cell."""

    name: str
    arguments: tuple[str, ...]


class Cell(NamedTuple):
    """One Airflow on one Python."""

    airflow: str
    python: str
    parts: tuple[Part, ...]


def parts_of(name: str) -> tuple[Part, ...]:
    """The calls of pytest that `fast`, `airflow`, `examples` or nothing (`fast` and `examples`) asks for."""
    known = {
        "fast": Part("fast", (*FAST, *EVERY_CORE)),
        "airflow": Part("airflow", (*FAST, *FEW, *EVERY_CORE, *MEETS_AIRFLOW)),
        "examples": Part("examples", EXAMPLES),
    }
    return (known[name],) if name else (known["fast"], known["examples"])


def version_of(python: str) -> tuple[int, int]:
    """Major and minor version of an interpreter. Raises Problem if it cannot be run."""
    try:
        said = env.run(python, "-c", "import sys; print(*sys.version_info[:2])")
    except OSError as error:
        raise env.Problem(f"{python} cannot be run: {error}") from None
    major, minor = said.split()[-2:]
    return int(major), int(minor)


def cells_of(asked: list[str], pythons: list[str]) -> list[Cell]:
    """The cells in order. A Python that an Airflow does not know makes none. Raises Problem for an unknown name."""
    cells = []
    for python in pythons:
        version = version_of(python)
        for one in asked or list(env.FLAVOURS):
            airflow, _, part = one.partition(":")
            if airflow not in env.FLAVOURS or part not in ("", *PARTS):
                raise env.Problem(
                    f"{one} is no cell: give one of {', '.join(env.FLAVOURS)}, or with :{', :'.join(PARTS)}"
                )
            flavour = env.FLAVOURS[airflow]
            if flavour.oldest <= version <= flavour.newest:
                cells.append(Cell(airflow, python, parts_of(part)))
    return cells


def run_cell(cell: Cell, beside: bool) -> Iterator[tuple[str, bool, float]]:
    """Make the environment of a cell and run its parts: name, passed, seconds of each."""
    made = subprocess.run(
        [cell.python, str(env.ROOT / "dev" / "env.py"), cell.airflow, *(["--beside"] if beside else [])], check=False
    )
    if made.returncode:
        yield "environment", False, 0.0
        return
    folder = env.folder_of(cell.airflow, version_of(cell.python) if beside else None)
    for part in cell.parts:
        print(f"\n== Airflow {cell.airflow}, {cell.python}: {part.name}", flush=True)
        started = time.monotonic()
        command = [str(folder / "bin" / "python"), "-m", "pytest", *QUIET, *part.arguments]
        ran = subprocess.run(command, cwd=str(env.ROOT), check=False)
        yield part.name, ran.returncode == 0, time.monotonic() - started


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.matrix", description=__doc__.split("\n")[0])
    parser.add_argument(
        "cells", nargs="*", metavar="CELL", help="an Airflow, or 3.1:fast, 3.1:airflow, 3.1:examples; default: all"
    )
    parser.add_argument("--python", action="append", default=[], help="an interpreter; may be given several times")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = []
    with contextlib.suppress(KeyboardInterrupt):
        try:
            cells = cells_of(given.cells, given.python or [sys.executable])
        except env.Problem as problem:
            print(problem, file=sys.stderr)
            return 1
        for cell in cells:
            for name, passed, seconds in run_cell(cell, beside=bool(given.python)):
                rows.append((cell.airflow, pathlib.Path(cell.python).name, name, passed, seconds))
        print("\nAirflow   Python        tests        result    seconds")
        for airflow, python, name, passed, seconds in rows:
            print(f"{airflow:<9} {python:<13} {name:<12} {'passed' if passed else 'FAILED':<9} {seconds:.0f}")
        return 0 if rows and all(row[3] for row in rows) else 1
    return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
