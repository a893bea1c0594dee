"""In which order tests run that start an Airflow, and which cases of a test a short run has."""

from __future__ import annotations

from hashlib import sha256

import pytest


def first(items: list[pytest.Item], folder: str, *files: str) -> None:
    """Put the tests of these files, in this order, before the others of their folder."""
    rank = {name: place for place, name in enumerate(files)}
    places = [place for place, item in enumerate(items) if item.nodeid.startswith(folder)]
    own = sorted((items[place] for place in places), key=lambda item: rank.get(item.path.name, len(rank)))
    for place, item in zip(places, own, strict=True):
        items[place] = item


def left_out(tests: list[str], most: int) -> list[str]:
    """The cases that a run with at most so many of each test leaves out: always the same ones.

    :param tests: ids of tests, as pytest writes them: what stands in brackets names the case.
    """
    cases: dict[str, list[str]] = {}
    for test in tests:
        cases.setdefault(test.partition("[")[0], []).append(test)
    return [test for same in cases.values() for test in sorted(same, key=_drawn)[most:]]


def _drawn(test: str) -> bytes:
    return sha256(test.encode()).digest()
