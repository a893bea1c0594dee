"""Environments of the vendor's client, made once and kept in this checkout; and programs that run in them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dev import env

HERE = Path(__file__).resolve().parent


def python_of(version: str) -> Path:
    """The Python of an environment that has this version of the vendor's client, made if need be.

    Where the package index cannot be reached the test is skipped; in CI it fails.
    """
    requirements = HERE / f"requirements-{version}.txt"
    folder = env.ROOT / f".venv-witness-{version}"
    stamp, python = folder / env.STAMP, folder / "bin" / "python"
    wanted = hashlib.sha256(requirements.read_bytes() + f"{env.base_python()} {sys.version}".encode()).hexdigest()
    if not _is(stamp, wanted):
        try:
            with env.alone():  # two tests, or a make beside them, take turns
                if not _is(stamp, wanted):
                    installer = env.uv()
                    env.run(installer, "venv", "--quiet", "--clear", "--python", env.base_python(), folder)
                    env.run(installer, "pip", "install", "--quiet", f"--python={python}", "-r", requirements)
                    stamp.write_text(wanted)
        except env.Problem as problem:
            told = f"the vendor's client {version} cannot be installed here: {problem}"
            if os.environ.get("CI") == "true":
                pytest.fail(told)
            pytest.skip(told)
    return python


def _is(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


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
