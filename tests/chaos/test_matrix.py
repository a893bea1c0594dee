"""The tables of the docs are what is kept of the runs, and each of their rows has a test behind it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.chaos import matrix

pytestmark = pytest.mark.e2e
HERE = Path(__file__).parent
FUNCTIONS = {
    f"tests/chaos/{file.name}::{node.name}"
    for file in HERE.glob("test_*.py")
    for node in ast.parse(file.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


def test_the_page_shows_what_is_kept() -> None:
    text = matrix.PAGE.read_text()
    assert matrix.written(text, matrix.read()) == text, "run `make matrix`"


@pytest.mark.parametrize("row", sorted(matrix.read()))
def test_a_row_has_a_test_behind_it(row: str) -> None:
    assert matrix.read()[row]["test"].partition("[")[0] in FUNCTIONS


def test_each_test_has_its_row() -> None:
    """On the newest Airflow at least."""
    rows = matrix.read().values()
    shown = {row["test"].partition("[")[0] for row in rows if any(cell.startswith("3.3 ") for cell in row)}
    others = {name for name in FUNCTIONS if "test_matrix.py" in name}
    assert shown == FUNCTIONS - others


def test_no_cell_says_that_a_job_was_paid_twice() -> None:
    for name, row in matrix.read().items():
        for cell, outcome in row.items():
            assert cell == "test" or "failed" not in outcome, (name, cell, outcome)
            assert "2 starts" not in outcome, (name, cell, outcome)
            assert "0 starts" not in outcome, (name, cell, outcome)


def test_what_is_kept_takes_the_place_of_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "FILE", tmp_path / "matrix.json")
    test = {"test": "tests/chaos/test_kills.py::test_x[a]"}
    matrix.keep("3.0", {"b": {**test, "v1 plain": "1 start, 1 try", "v2 plain": "1 start, 2 tries"}})
    matrix.keep("3.3", {"b": {**test, "v1 plain": "1 start, 1 try", "v2 plain": "1 start, 1 try"}})
    matrix.keep("3.0", {"b": {**test, "v1 plain": "1 start, 3 tries"}})
    assert list(matrix.lines(matrix.read(), ["3.0", "3.3"]))[2:] == ["| b | 1 start, 3 tries |  | 1 start, 1 try |  |"]
