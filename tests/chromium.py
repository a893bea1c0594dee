"""The Chromium of the machine, for tests in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHOTS = os.environ.get("SENTINELHUB_SCREENSHOTS")
"""A folder for screenshots, to look at them and for the docs; nothing is kept without it."""
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def mark(items: list[pytest.Item], folder: Path, missing: str = "") -> None:
    """Mark the tests of a folder. :param missing: why they cannot run here, beside the lack of a Chromium."""
    missing = missing or ("" if CHROMIUM else "there is no Chromium: apt-get install chromium")
    inside = f"{folder}{os.sep}"
    for item in items:
        if inside in str(item.path):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(600))
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the tests of a file: a process can drive only one at a time."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


def keep(page: Any, name: str, *, full: bool = True) -> None:
    """Keep a screenshot, if `SENTINELHUB_SCREENSHOTS` names a folder."""
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=full)
