"""The check of what type checkers tell users finds what it must, and nothing passes because nothing was looked at."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from dev import checkers
from dev.checkers import EXAMPLES, MISTAKES, Error, gives_all, judged, main, marked, mypy, operators
from tests.airflow.conftest import operators as public_operators


def test_marked_lines_are_found() -> None:
    assert marked("x = 1\ny = z  # wrong\n# wrong in words\n\nz()  # wrong\n") == {2, 5}
    assert len(marked(MISTAKES.read_text())) > 80


def test_each_mistake_stands_on_one_line() -> None:
    """A checker may report a call that spans lines at another one of them."""
    wrong = marked(MISTAKES.read_text())
    statements = [node for node in ast.walk(ast.parse(MISTAKES.read_text())) if isinstance(node, ast.Expr)]
    spans = [range(node.lineno, (node.end_lineno or node.lineno) + 1) for node in statements]
    assert [span for span in spans if len(span) > 1 and wrong & set(span)] == []


def test_as_it_must_be() -> None:
    assert judged([Error(MISTAKES, 2, "no such name"), Error(MISTAKES, 2, "and more")], {2}) == []


def test_an_error_too_few_or_too_many_is_told() -> None:
    found = [Error(MISTAKES, 3, "unexpected"), Error(EXAMPLES / "one.py", 2, "no such name")]
    assert judged(found, {2}) == [
        "tests/types/mistakes.py:3: unexpected",
        "example_dags/one.py:2: no such name",
        "tests/types/mistakes.py:2: no error, but this is wrong",
    ]


def test_every_operator_is_given_all_it_takes_late() -> None:
    assert set(operators()) == set(public_operators())
    source = gives_all()
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    given = [(ast.unparse(node.func), {word.arg for word in node.keywords}) for node in calls]
    for cls in operators():
        late = [names for name, names in given if name == cls.__name__]
        assert late == [{"task_id", *cls.template_fields}] * 2, cls


def test_what_mypy_says_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "tests/types/mistakes.py:7: error: no such name  [attr-defined]\nx.py:1: note: of no interest\n"
    monkeypatch.setattr(checkers.subprocess, "run", lambda *_, **__: _Ran(1, said))
    assert mypy([MISTAKES]) == [Error(MISTAKES, 7, "no such name  [attr-defined]")]
    monkeypatch.setattr(checkers.subprocess, "run", lambda *_, **__: _Ran(2, "mypy: cannot read file"))
    with pytest.raises(RuntimeError, match="cannot read file"):
        mypy([MISTAKES])


def test_what_pyright_says_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"start": {"line": 6, "character": 0}}
    one = {"file": str(MISTAKES), "range": where, "message": "no such name", "severity": "error"}
    said = json.dumps({"generalDiagnostics": [one, {**one, "severity": "warning"}]})
    monkeypatch.setattr(checkers.subprocess, "run", lambda *_, **__: _Ran(1, said))
    assert checkers.pyright([MISTAKES]) == [Error(MISTAKES, 7, "no such name")]
    monkeypatch.setattr(checkers.subprocess, "run", lambda *_, **__: _Ran(3, "", "no configuration"))
    with pytest.raises(RuntimeError, match="no configuration"):
        checkers.pyright([MISTAKES])


def test_one_checker_that_is_not_content_fails_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = [Error(MISTAKES, line, "wrong") for line in marked(MISTAKES.read_text())]
    looked_at: list[list[Path]] = []

    def mypy(files: list[Path]) -> list[Error]:
        looked_at.append(files)
        return right

    monkeypatch.setattr(checkers, "mypy", mypy)
    monkeypatch.setattr(checkers, "pyright", lambda files: right[1:])
    assert main() == 1
    assert "no error, but this is wrong" in capsys.readouterr().out
    assert {MISTAKES, EXAMPLES} < set(looked_at[0])
    monkeypatch.setattr(checkers, "pyright", lambda files: right)
    assert main() == 0


class _Ran:
    def __init__(self, returncode: int, stdout: str, stderr: str = "") -> None:
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr
