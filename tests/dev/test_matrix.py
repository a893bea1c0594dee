"""The cells of `make test-matrix`: which Airflow on which Python, and what is run there."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest

from dev import env, matrix

PYTHON = sys.executable


def test_every_airflow_that_knows_this_python() -> None:
    cells = matrix.cells_of([], [PYTHON])
    wanted = [name for name, one in env.FLAVOURS.items() if one.oldest <= sys.version_info[:2] <= one.newest]
    assert [cell.airflow for cell in cells] == wanted
    assert {"2.11", "3.0", "3.1", "3.2", "3.3", "oldest"} == set(env.FLAVOURS)


def test_a_python_that_an_airflow_does_not_know_makes_no_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"python3.10": (3, 10), "python3.13": (3, 13)}
    monkeypatch.setattr(matrix, "version_of", versions.__getitem__)
    cells = matrix.cells_of(["2.11", "3.1"], list(versions))
    assert [(cell.airflow, cell.python) for cell in cells] == [
        ("2.11", "python3.10"),
        ("3.1", "python3.10"),
        ("3.1", "python3.13"),
    ]


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ("3.1", ["fast", "examples"]),
        ("3.1:fast", ["fast"]),
        ("3.2:examples", ["examples"]),
        ("3.0:airflow", ["airflow"]),
        ("oldest", ["fast", "examples"]),
        ("oldest:examples", ["examples"]),
    ],
)
def test_what_is_run_in_a_cell(asked: str, parts: list[str]) -> None:
    cells = matrix.cells_of([asked], [PYTHON])
    if sys.version_info[:2] > env.FLAVOURS[asked.partition(":")[0]].newest:
        assert cells == []
        return
    (cell,) = cells
    assert [part.name for part in cell.parts] == parts
    assert ["tests/airflow/test_examples.py" in part.arguments for part in cell.parts] == [
        name == "examples" for name in parts
    ]


@pytest.mark.parametrize("asked", ["3.4", "3.1:slow", ""])
def test_an_unknown_cell_is_refused(asked: str) -> None:
    with pytest.raises(env.Problem, match="is no cell"):
        matrix.cells_of([asked], [PYTHON])


def test_a_python_that_is_not_there_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert matrix.main(["3.1", "--python", "/nowhere/python3.10"]) == 1
    assert "/nowhere/python3.10 cannot be run" in capfd.readouterr().err


def test_all_parts_are_run_whatever_fails(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    ended = {"3.1": [("fast", False, 1.0), ("examples", True, 2.0)], "3.2": [("fast", True, 3.0)]}
    monkeypatch.setattr(matrix, "run_cell", lambda cell, beside: iter(ended[cell.airflow]))
    assert matrix.main(["3.1", "3.2"]) == 1
    rows = capfd.readouterr().out.splitlines()[-3:]
    assert [row.split()[3] for row in rows] == ["FAILED", "passed", "passed"]
    ended["3.1"] = [("fast", True, 1.0)]
    assert matrix.main(["3.1", "3.2"]) == 0


def test_environments_for_other_pythons_lie_side_by_side() -> None:
    assert env.folder_of("3.1") == env.ROOT / ".venv-3.1"
    assert env.folder_of("3.1", (3, 12)) == env.ROOT / ".venv-3.1-py3.12"


@pytest.mark.parametrize("name", list(env.FLAVOURS))
def test_constraints_name_versions_only(name: str) -> None:
    lines = env.constraint_file(name).read_text().splitlines()
    assert len(lines) > 100
    assert lines[0].startswith("# Written by `make constraints`")
    assert all("==" in line and "/" not in line and " @ " not in line for line in lines[1:])
    assert Path(env.FLAVOURS[name].folder).name.startswith(".venv")


# Which tests meet Airflow: found by following the imports of each file, those within functions too.

TOOLS = ("tests/dev", "tests/e2e", "tests/chaos", "tests/browser")
"""Not for the part: tools of this checkout, and tests that need an Airflow's processes."""


@cache
def file_of(module: str) -> Path | None:
    path = env.ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def imported(file: Path) -> frozenset[str]:
    """The modules that a file imports, and the names that it takes from them, but for the types alone."""
    found: set[str] = set()
    for node in statements(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return frozenset(found)


def statements(part: ast.AST) -> Iterator[ast.AST]:
    """All statements within, however deep, but those for the types alone; what they are made of is left aside."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        if name == "body" and isinstance(part, ast.If) and getattr(part.test, "id", None) == "TYPE_CHECKING":
            continue
        inner = getattr(part, name, ())
        for node in inner if isinstance(inner, list) else ():
            yield node
            yield from statements(node)


@cache
def needed(file: Path) -> frozenset[Path]:
    """The files of this checkout that a file imports."""
    names = {name for module in imported(file) for name in accumulate(module.split("."), "{}.{}".format)}
    return frozenset(filter(None, map(file_of, names)))


@cache
def names_airflow(file: Path) -> bool:
    return any(module.split(".")[0] == "airflow" for module in imported(file))


def meets_airflow(file: Path) -> bool:
    seen: set[Path] = set()
    left = [file]
    while left:
        one = left.pop()
        if names_airflow(one):
            return True
        seen.add(one)
        left += needed(one) - seen
    return False


def chosen(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = env.ROOT / name
        yield from path.rglob("test_*.py") if path.is_dir() else [path]


@pytest.mark.slow
def test_the_part_airflow_has_all_tests_that_meet_airflow() -> None:
    every = set((env.ROOT / "tests").rglob("test_*.py")) - set(chosen(TOOLS))
    wanted = {file for file in every if meets_airflow(file)}
    assert env.ROOT / "tests/airflow/test_lineage.py" in wanted
    assert env.ROOT / "tests/api/test_times.py" not in wanted
    assert wanted <= set(chosen(matrix.MEETS_AIRFLOW))
    assert all((env.ROOT / name).exists() for name in matrix.MEETS_AIRFLOW)


def test_ci_runs_them_on_the_oldest_airflow_3_and_examples_on_all() -> None:
    told = (env.ROOT / ".ci" / "run").read_text()
    cells = re.findall(r"\d+\.\d+:\w+|oldest:\w+", told.partition("make test-browser")[2])
    assert "3.0:airflow" in cells
    assert {"3.1:examples", "3.2:examples", "oldest:examples"} <= set(cells)
