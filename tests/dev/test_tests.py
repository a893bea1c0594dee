"""`make test`: two parts side by side, one result, and nothing left of either however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dev import tests as side_by_side
from dev.processes import Process, running
from tests.order import left_out

ROOT = Path(__file__).resolve().parents[2]
Stand = Callable[..., None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Small programs in the place of the two parts."""

    def stand(**programs: str) -> None:
        def start(name: str, marks: str, more: list[str], folder: Path) -> Process:
            program = programs["airflow" if marks == side_by_side.WITH_AIRFLOW else "others"]
            return Process(name, [sys.executable, "-c", program, *more], env=os.environ, log=folder / name)

        monkeypatch.setattr(side_by_side, "start", start)

    return stand


@pytest.mark.parametrize(
    ("airflow", "others", "code"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1), (5, 0, 0), (0, 5, 0), (5, 5, 5), (2, 1, 2), (5, 1, 1)],
)
def test_all_is_well_if_both_parts_are(stand_in: Stand, airflow: int, others: int, code: int) -> None:
    stand_in(airflow=f"raise SystemExit({airflow})", others=f"raise SystemExit({others})")
    assert side_by_side.run([]) == code


def test_a_part_that_is_killed_has_not_passed(stand_in: Stand) -> None:
    stand_in(airflow="import os; os.kill(os.getpid(), 9)", others="")
    assert side_by_side.run([]) != 0


def test_they_run_at_the_same_time_and_are_shown_one_after_the_other(
    stand_in: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each waits for the file of the other; the words of both come whole."""
    wait = "import pathlib, time, sys; a, b = map(pathlib.Path, {files}); a.touch(); print('{name} 1', flush=True)\n"
    wait += "while not b.exists(): time.sleep(0.01)\nprint('{name} 2', sys.argv[-1])"
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    stand_in(airflow=wait.format(files=(one, two), name="airflow"), others=wait.format(files=(two, one), name="others"))
    assert side_by_side.run(["--ignore=x"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "others" in line or "airflow" in line]
    assert said == ["others 1", "others 2 --ignore=x", "airflow 1", "airflow 2 --ignore=x"]


def test_no_test_is_in_both_parts_or_in_none() -> None:
    parts = (side_by_side.WITH_AIRFLOW, side_by_side.OTHERS)
    for e2e in (False, True):
        assert [eval(part, {"e2e": e2e, "chaos": False, "browser": False}) for part in parts].count(True) == 1
        assert [eval(part, {"e2e": e2e, "chaos": True, "browser": False}) for part in parts].count(True) == 0
        assert [eval(part, {"e2e": e2e, "chaos": False, "browser": True}) for part in parts].count(True) == 0


def test_tests_with_an_airflow_are_where_they_are_looked_for() -> None:
    marked = {file for file in ROOT.glob("tests/**/*.py") if "pytest.mark" + ".e2e" in file.read_text()}
    assert marked
    assert {"/".join(file.relative_to(ROOT).parts[:2]) for file in marked} == set(side_by_side.AIRFLOWS_FOLDERS)


def test_what_a_browser_waits_for_is_a_function() -> None:
    """Playwright evaluates an expression anew at each look, which the pages' Content-Security-Policy refuses."""
    waits = re.compile(r"wait_for_function\(\s*f?['\"](.*)")
    asked = [found[1] for file in ROOT.glob("tests/**/*.py") for found in waits.finditer(file.read_text())]
    assert len(asked) > 10
    assert [what for what in asked if "=>" not in what] == []


def test_only_their_folders_are_collected_but_for_those_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, list[str]] = {}

    def start(name: str, marks: str, more: list[str], folder: Path) -> Process:
        given[name] = more
        return Process(name, [sys.executable, "-c", ""], env=os.environ, log=folder / name)

    monkeypatch.setattr(side_by_side, "start", start)
    assert side_by_side.run([]) == 0
    assert given["with-airflow"] == ["tests/chaos", "tests/e2e"]
    assert not set(given["others"]) & set(side_by_side.AIRFLOWS_FOLDERS)
    assert side_by_side.run(["--ignore=tests/chaos/"]) == 0
    assert given["with-airflow"] == ["tests/e2e", "--ignore=tests/chaos/"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_parts_are_ended_with_it(number: int) -> None:
    script = """
import os, signal, sys
from dev import tests
from dev.processes import Process
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
def start(name, marks, more, folder):
    part = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    process = Process(name, [sys.executable, "-c", part], env=os.environ, log=folder / name)
    while not process.output():
        pass
    started.append(process.pid)
    return process
def follow(process):
    print(*started, file=sys.stderr, flush=True)  # only now both are sure to be ended
    return followed(process)
started, followed = [], tests.follow
tests.start, tests.follow = start, follow
sys.exit(tests.main([]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as both:
        assert both.stderr is not None
        parts = [int(word) for word in both.stderr.readline().split()]
        assert len(parts) == 2
        assert set(parts) <= set(running())
        both.send_signal(number)
        both.wait(30)
    until = time.monotonic() + 10
    while set(parts) & set(running()) and time.monotonic() < until:
        time.sleep(0.05)  # the kernel takes a moment to bury them
    assert not set(parts) & set(running())
    assert both.returncode == (130 if number == signal.SIGINT else 143)


def test_what_takes_long_is_run_if_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[list[str], str]] = []
    monkeypatch.setattr(side_by_side, "end_on_sigterm", lambda: None)
    monkeypatch.setattr(side_by_side, "run", lambda more, marks="": given.append((more, marks)) or 0)
    assert side_by_side.main(["--without", "tests/chaos"]) == 0
    assert side_by_side.main(["--thorough"]) == 0
    assert given == [(["--ignore=tests/chaos", "--thorough-cases=2"], " and not slow"), ([], "")]


def test_a_short_run_has_so_many_cases_of_each_test_and_always_the_same() -> None:
    many = [f"tests/a.py::test_many[{case}]" for case in range(10)]
    alone = ["tests/a.py::test_alone", "tests/b.py::test_many[0]"]
    out = left_out([*many, *alone], 2)
    assert len(out) == 8
    assert set(out) < set(many)
    assert set(left_out(many[::-1], 2)) == set(out), "the order of collection does not matter"
    assert left_out([*many, *alone], 10) == []
