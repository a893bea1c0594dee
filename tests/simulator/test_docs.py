"""The page about the simulator names everything there is, with the defaults as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_sentinelhub.simulator.__main__ import _parser
from airflow_sentinelhub.simulator.control import ROUTES
from airflow_sentinelhub.simulator.deployments import DEPLOYMENTS
from airflow_sentinelhub.simulator.faults import KINDS
from airflow_sentinelhub.simulator.remote import PREFIX, ControlPlane
from airflow_sentinelhub.simulator.settings import REALISTIC, Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "simulator.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_setting_stands_there_with_its_default() -> None:
    told = {name.strip("`"): json.loads(default.strip("`")) for name, default, *_ in rows("Settings")}
    assert told == Settings().as_dict()


def test_every_fault_stands_there_with_its_options() -> None:
    told: dict[str, set[str]] = {}
    for kinds, _, options in rows("Faults"):
        for kind in re.findall(r"`(\w+)`", kinds):
            told[kind] = set(re.findall(r"`(\w+)`", options)) - {"before", "after"}
    assert told == {kind: set(options) for kind, options in KINDS.items()}


def test_every_call_of_the_control_api_stands_there() -> None:
    told = {call.strip("`").partition("?")[0] for call, *_ in rows("Control API")}
    assert told == {f"{method} {PREFIX}{path}" for method, path in ROUTES}
    for *_, ours in rows("Control API"):
        for name in re.findall(r"(\w+)\(", ours):
            assert hasattr(ControlPlane, name), name


def test_every_option_of_the_command_line_stands_there() -> None:
    told = {word for option, *_ in rows("Start it") for word in re.findall(r"--[\w-]+", option)}
    known = {word for action in _parser()._actions for word in action.option_strings if word.startswith("--")}
    assert told == known - {"--help"}


def test_every_deployment_stands_there() -> None:
    head = PAGE.split("\n## Deployments\n")[1].split("\n|")[1]
    assert re.findall(r"`([\w-]+)`", head) == list(DEPLOYMENTS)


def test_what_realistic_means_is_what_the_page_says() -> None:
    section = re.sub(r"\s+", " ", PAGE.split("\n## What happens by itself\n")[1].split("\n## ")[0])
    told = (
        f"{REALISTIC['requests_per_minute']:g} requests and {REALISTIC['tokens_per_minute']:g} tokens a minute,"
        f" reads that are {REALISTIC['replica_lag']:g} seconds old"
    )
    assert told in section
    assert (REALISTIC["odd_share"], REALISTIC["tile_failure_share"], REALISTIC["stuck_share"]) == (0.01, 0.005, 0.005)


@pytest.mark.parametrize("heading", ["What stays out, and why"])
def test_what_stays_out_has_a_reason_each(heading: str) -> None:
    assert all(len(row) == 2 and all(row) for row in rows(heading))
