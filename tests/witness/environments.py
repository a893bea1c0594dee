"""Environments of the vendor's client, made once and kept in this checkout; and programs that run in them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from dev import env
from tests.installed import kept

HERE = Path(__file__).resolve().parent


def python_of(version: str) -> Path:
    """The Python of an environment that has this version of the vendor's client, made if need be; see `kept`."""
    requirements = HERE / f"requirements-{version}.txt"

    def install(folder: Path) -> None:
        installer, python = env.uv(), folder / "bin" / "python"
        env.run(installer, "venv", "--quiet", "--clear", "--python", env.base_python(), folder)
        env.run(installer, "pip", "install", "--quiet", f"--python={python}", "-r", requirements)

    folder = env.ROOT / f".venv-witness-{version}"
    return kept(folder, requirements, install, f"the vendor's client {version}") / "bin" / "python"


def run(version: str, program: str, given: Any, home: Path) -> Any:
    """What a program of this folder, run by the vendor's environment, prints as JSON in its last line.

    It gets what it needs as JSON on its standard input, and a home of its own: the vendor's client reads a
    developer's settings from there.
    """
    local = {"OAUTHLIB_INSECURE_TRANSPORT": "1"}  # the simulator speaks plain HTTP
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "SH_", "PYTHON"))}
    done = subprocess.run(
        [str(python_of(version)), str(HERE / program)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=100,
        cwd=home,
        env={**kept, **local, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(env.ROOT)},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
