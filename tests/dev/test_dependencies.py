"""What every user installs with the package: it must fit beside the official constraints of each Airflow."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ALONE = {"oauthlib"}
"""Needed beside what Airflow needs: it needs nothing itself, and all constraint files have it."""


def tree(requirements: list[str]) -> set[str]:
    """All that these requirements bring along here."""
    found: set[str] = set()
    left = [Requirement(one) for one in requirements]
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        if name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        left += [Requirement(one) for one in importlib.metadata.requires(name) or []]
    return found


def ours() -> list[str]:
    """The dependencies in pyproject.toml (an installation that is older than it may have others)."""
    (block,) = re.findall(
        r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE
    )
    return re.findall(r'"(.+?)"', block)


def test_nothing_is_needed_that_airflow_does_not_bring_along() -> None:
    """dataclasses-json refuses marshmallow 4, which the constraints of 3.3 pin: pip found no solution."""
    airflow = {"apache-airflow", "apache-airflow-providers-common-compat"}
    assert len(ours()) > 4
    assert tree(ours()) - tree(sorted(airflow)) == ALONE & tree(ours())


def test_no_dependency_has_an_upper_bound() -> None:
    bounded = [
        one for one in ours() if any(each.operator in ("<", "<=", "==", "~=") for each in Requirement(one).specifier)
    ]
    assert bounded == []


def test_this_would_notice() -> None:
    assert "marshmallow" in tree(["dataclasses-json>=0.6"]) - tree(["httpx", "oauthlib"])
