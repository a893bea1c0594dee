"""Folders of packages that some tests need beside the environment they run in, made once and kept in this checkout."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dev import env


def kept(folder: Path, requirements: Path, install: Callable[[Path], None], what: str) -> Path:
    """The folder, which is installed anew when its requirements or this Python have changed.

    Where the package index cannot be reached the test is skipped; in CI it fails.
    """
    stamp = folder / env.STAMP
    wanted = hashlib.sha256(requirements.read_bytes() + f"{env.base_python()} {sys.version}".encode()).hexdigest()

    def there() -> bool:
        return stamp.exists() and stamp.read_text() == wanted

    if not there():
        try:
            with env.alone():  # two tests, or a make beside them, take turns
                if not there():
                    install(folder)
                    stamp.write_text(wanted)
        except env.Problem as problem:
            told = f"{what} cannot be installed here: {problem}"
            if os.environ.get("CI") == "true":
                pytest.fail(told)
            pytest.skip(told)
    return folder
