"""In which order tests run that start an Airflow."""

from __future__ import annotations

import pytest


def first(items: list[pytest.Item], folder: str, *files: str) -> None:
    """Put the tests of these files, in this order, before the others of their folder."""
    rank = {name: place for place, name in enumerate(files)}
    places = [place for place, item in enumerate(items) if item.nodeid.startswith(folder)]
    own = sorted((items[place] for place in places), key=lambda item: rank.get(item.path.name, len(rank)))
    for place, item in zip(places, own, strict=True):
        items[place] = item
