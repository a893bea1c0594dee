"""Where the vendor's client cannot be installed, a test says so: skipped on a machine, failed in CI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dev import env
from tests.witness import environments


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, in which nothing has been installed."""
    (tmp_path / "requirements-1.0.txt").write_text("sentinelhub==1.0\n")
    monkeypatch.setattr(environments, "HERE", tmp_path)
    monkeypatch.setattr(env, "ROOT", tmp_path)
    monkeypatch.setattr(env, "uv", lambda: Path("uv"))
    return tmp_path


def test_no_package_index(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*command: Any, **options: Any) -> str:
        raise env.Problem("the index does not answer")

    monkeypatch.setattr(env, "run", run)
    told = r"the vendor's client 1\.0 cannot be installed here: the index does not answer"
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=told):
        environments.python_of("1.0")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=told):
        environments.python_of("1.0")


def test_it_is_made_once_and_again_when_a_pin_changes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[Any, ...]] = []

    def run(*command: Any, **options: Any) -> str:
        commands.append(command)
        (place / ".venv-witness-1.0").mkdir(exist_ok=True)
        return ""

    monkeypatch.setattr(env, "run", run)
    python = environments.python_of("1.0")
    assert python == place / ".venv-witness-1.0" / "bin" / "python"
    assert [command[1] for command in commands] == ["venv", "pip"]
    assert environments.python_of("1.0") == python
    assert len(commands) == 2
    (place / "requirements-1.0.txt").write_text("sentinelhub==1.0\nsix==1.17.0\n")
    environments.python_of("1.0")
    assert len(commands) == 4


@pytest.mark.parametrize("version", ["3.11.1", "3.12.0"])
def test_everything_is_pinned_by_name_and_version_alone(version: str) -> None:
    lines = (environments.HERE / f"requirements-{version}.txt").read_text().splitlines()
    pins = [line.partition(" ;")[0] for line in lines if not line.startswith("#")]
    assert f"sentinelhub=={version}" in pins
    assert len(pins) > 20
    assert all(pin.count("==") == 1 and "/" not in pin and "@" not in pin for pin in pins)
