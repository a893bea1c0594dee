"""All tests, side by side: those with an Airflow's processes, which mostly wait, beside all others on every core.

    python -m dev.tests [--without FOLDER ...] [--thorough | --cases N]

Without `--thorough` it leaves out what takes seconds or an Airflow of its own (marker `slow`), and all but two cases of
each test that tries many inputs (marker `thorough`).

What the first say is shown when they have ended. Ctrl-C and SIGTERM end both, with all that they have started.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from dev.processes import Process, end_on_sigterm

WITH_AIRFLOW = "e2e and not chaos and not browser"
OTHERS = "not e2e and not chaos and not browser"
ON_EVERY_CORE = ("-n", "auto", "--maxprocesses", "8", "--dist", "loadfile", "--no-loadscope-reorder")
"""One file is one worker's: its fixtures are made once. In the order of collection, so the slow ones are not last."""
AIRFLOWS_FOLDERS = ("tests/chaos", "tests/e2e")
"""Where the tests with an Airflow's processes are: the thousands of others need not be collected to be left out."""
BROWSERS_FOLDERS = ("tests/browser", "tests/forms")
FEW_CASES, NOT_SLOW = ("--thorough-cases=2",), " and not slow"
NOTHING_COLLECTED = 5
GRACE = 60.0
"""Seconds in which the tests may end what they have started, before it is killed."""


def start(name: str, marks: str, more: list[str], folder: Path) -> Process:
    color = ["--color=yes"] if sys.stdout.isatty() else []
    command = [sys.executable, "-m", "pytest", "-m", marks, *color, *more]
    return Process(name, command, env=os.environ, log=folder / name)


def follow(process: Process) -> int:
    """Show what it says while it says it; its exit code, as a shell counts it."""
    shown = 0
    while True:
        code = process.exit_code
        said = process.output()
        print(said[shown:], end="", flush=True)
        shown = len(said)
        if code is not None:
            return code if code >= 0 else 128 - code
        time.sleep(0.2)


def run(more: list[str], marks: str = "") -> int:
    """Both parts; 0 if all tests of both have passed. `marks` leaves out more of both, such as " and not slow"."""
    with tempfile.TemporaryDirectory(prefix="airflow-sentinelhub-said-") as folder, contextlib.ExitStack() as stack:
        left_out = [option.rstrip("/") for option in more]
        folders = [name for name in AIRFLOWS_FOLDERS if f"--ignore={name}" not in left_out]
        beside = start("with-airflow", f"{WITH_AIRFLOW}{marks}", [*folders, *more], Path(folder))
        stack.callback(beside.end, GRACE)
        without = [f"--ignore={name}" for name in (*AIRFLOWS_FOLDERS, *BROWSERS_FOLDERS)]
        others = start("others", f"{OTHERS}{marks}", [*ON_EVERY_CORE, *without, *more], Path(folder))
        stack.callback(others.end, GRACE, signal.SIGINT)  # by which xdist ends its workers, and these what they hold
        first = follow(others)
        print("\nThe tests with an Airflow's processes:\n", flush=True)
        codes = {first, follow(beside)}
    return max(codes - {NOTHING_COLLECTED}, default=NOTHING_COLLECTED)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.tests", description="All tests, side by side.")
    parser.add_argument("--without", action="append", default=[], metavar="FOLDER", help="leave out these tests")
    parser.add_argument("--thorough", action="store_true", help="also what takes long, and every case of each test")
    parser.add_argument("--cases", type=int, metavar="N", help="at most so many cases of each test that runs no DAG")
    given = parser.parse_args(arguments)
    end_on_sigterm()
    try:
        more = [f"--ignore={folder}" for folder in given.without]
        more += [f"--cases={given.cases}"] if given.cases else []
        return run(more) if given.thorough else run([*more, *FEW_CASES], NOT_SLOW)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
