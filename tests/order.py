"""In which order tests run that start an Airflow."""

from __future__ import annotations

import pytest


def first(items: list[pytest.Item], folder: str, *files: str) -> None:
    """Put the tests of these files before the others of their folder.

    They have an Airflow of their own, and that of the others does not start before its first test. One that only idles
    takes half a core.
    """
    places = [place for place, item in enumerate(items) if item.nodeid.startswith(folder)]
    own = sorted((items[place] for place in places), key=lambda item: item.path.name not in files)
    for place, item in zip(places, own, strict=True):
        items[place] = item
