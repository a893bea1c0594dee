"""The environments, and what somebody is told whose Python does not suit."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dev import env

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "version", "fault"),
    [
        ("3.3", (3, 9), "too old for Airflow 3.3.2, which needs Python 3.10 to 3.14"),
        ("3.3", (3, 15), "too new for Airflow 3.3.2, which needs Python 3.10 to 3.14"),
        ("3.0", (3, 13), "too new for Airflow 3.0.6, which needs Python 3.10 to 3.12"),
        ("2.11", (3, 13), "too new for Airflow 2.11.2, which needs Python 3.10 to 3.12"),
    ],
)
def test_a_python_that_does_not_suit(name: str, version: tuple[int, int], fault: str) -> None:
    with pytest.raises(env.Problem) as problem:
        env.check_python(env.FLAVOURS[name], version, "/usr/bin/python3")
    said = str(problem.value)
    assert f"Python 3.{version[1]} (/usr/bin/python3) is {fault}" in said
    assert said.endswith("choose another one, for example with PYTHON=python3.12 behind make.")
    assert "\n" not in said


@pytest.mark.parametrize("name", env.FLAVOURS)
@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12)])
def test_a_python_that_suits(name: str, version: tuple[int, int]) -> None:
    env.check_python(env.FLAVOURS[name], version, "/usr/bin/python3")


def test_a_python_that_cannot_make_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(env.Problem, match=r"no module ensurepip: install it .*python3-venv.*PYTHON=python3.12"):
        env.check_venv("/usr/bin/python3")


def test_the_problem_is_all_that_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(name: str, beside: bool) -> None:
        raise env.Problem("That is wrong: do this.")

    monkeypatch.setattr(env, "make", refuse)
    assert env.main(["3.3"]) == 1
    assert capsys.readouterr() == ("", "That is wrong: do this.\n")


def test_a_command_that_fails_is_shown_with_what_it_said() -> None:
    with pytest.raises(env.Problem, match=r"(?s)no such thing.*ended with 3"):
        env.run("sh", "-c", "echo no such thing >&2; exit 3")


def test_old_pythons_can_read_the_file() -> None:
    """Else they show a SyntaxError instead of the sentence."""
    ast.parse((ROOT / "dev" / "env.py").read_text(), feature_version=(3, 7))


@pytest.mark.parametrize("name", env.FLAVOURS)
def test_constraints_are_names_and_versions_and_nothing_else(name: str) -> None:
    heading, *lines = env.constraint_file(name).read_text().splitlines()
    assert env.FLAVOURS[name].airflow in heading
    assert f"apache-airflow=={env.FLAVOURS[name].airflow}" in lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[\w.!+]+( ; .*)?", line), line
        assert "/" not in line
    assert not any(line.startswith("airflow-sentinelhub") for line in lines)


def test_every_input_changes_the_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "constraints").mkdir()
    monkeypatch.setattr(env, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text("one")
    env.constraint_file("3.3").write_text("one")
    seen = {env.digest("3.3")}

    (tmp_path / "pyproject.toml").write_text("two")
    seen.add(env.digest("3.3"))
    env.constraint_file("3.3").write_text("two")
    seen.add(env.digest("3.3"))
    monkeypatch.setattr(env, "base_python", lambda: "/another/python3")
    seen.add(env.digest("3.3"))

    assert len(seen) == 4
    assert env.digest("3.3") in seen


def test_an_environment_is_compiled_though_nobody_else_may_write_bytecode(tmp_path: Path) -> None:
    """A file of another Python in it is no fault; large packages that are hardly ever imported are left as they are."""
    folder = tmp_path / "tests" / "site-packages"
    (folder / "sympy").mkdir(parents=True)
    for name, text in {"fits": "x = 1\n", "for_python_2": "print 1\n", "sympy/seldom": "x = 1\n"}.items():
        (folder / f"{name}.py").write_text(text)
    script = f"import sysconfig; sysconfig.get_path = lambda name: {str(folder)!r}; {env.COMPILE}"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    env.run(sys.executable, "-c", script, env={**kept, "PYTHONDONTWRITEBYTECODE": "1"})
    found = [file.name.partition(".")[0] for file in tmp_path.rglob("*.pyc")]
    assert found == ["fits"]


def test_no_file_beside_it_hides_a_module_of_python() -> None:
    """dev/env.py is run as a file, so its folder comes first where Python looks for modules."""
    names = {path.stem for path in (ROOT / "dev").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert not names & set(sys.stdlib_module_names)
    ran = subprocess.run(
        [sys.executable, "dev/env.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
