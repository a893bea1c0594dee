"""What the README shows is true: its code runs, its names exist, its targets are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
OTHER_PAGES = {"docs/index.md", "docs/security.md", "docs/changelog.md"}
"""The first is the table of the others, and these two show files that have their names elsewhere."""
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_dag_is_the_example_that_runs() -> None:
    """So whoever copies it and whoever has it written by a command get the same."""
    assert [(ROOT / "example_dags" / "sentinelhub_first_job.py").read_text()] == BLOCKS


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 150


def test_it_links_only_to_addresses_of_the_project() -> None:
    """What belongs to the project has one address, that of the metadata."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        urls = tomllib.load(file)["project"]["urls"]
    assert {"Documentation", "Changelog", "Source", "Issues"} <= set(urls)
    others = ("https://www.sentinel-hub.com",)
    for address in re.findall(r"\]\((https?://[^)]+)\)", README):
        assert address.startswith((*urls.values(), *others)), address


def test_every_page_is_named() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - OTHER_PAGES
    assert pages <= set(re.findall(r"`(docs/[\w-]+\.md)`", README))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z][a-z0-9.-]*)", README))))
def test_every_target_it_names_exists(target: str) -> None:
    assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


NAMED = sorted(set(re.findall(r"`((?:docs/|example_dags/?)[\w./-]*|[A-Z]+\.md)`", README)))


@pytest.mark.parametrize("name", NAMED)
def test_every_file_it_names_exists(name: str) -> None:
    assert len(NAMED) > 5
    assert (ROOT / name).exists()


def test_no_link_leads_to_a_file_beside_it() -> None:
    """The package index shows the README alone: there such a link or picture leads nowhere."""
    assert re.findall(r"\]\((?!https?://|#)[^)]+\)", README) == []
    assert re.findall(r"<(?:img|a|source)\b", at_the_index()) == []


def at_the_index() -> str:
    """The README as the package index shows it: the build leaves its picture out."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        hook = tomllib.load(file)["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    assert [fragment["path"] for fragment in hook["fragments"]] == ["README.md"]
    text = README
    for one in hook["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    return text


def test_it_has_one_picture_which_is_there_and_has_a_text() -> None:
    ((path, text),) = re.findall(r'<img src="([^"]+)"[^>]* alt="([^"]+)"', README)
    assert 0 < (ROOT / path).stat().st_size < 300_000
    assert len(text) > 30
    assert "\n\n\n" not in at_the_index()
