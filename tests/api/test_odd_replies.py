"""Whatever answers in the place of the service: flows that read end with a result or an error of ours, and they end."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.verdict import TileGoal
from airflow_sentinelhub.api.flows import read as reading
from airflow_sentinelhub.api.flows import tiles
from airflow_sentinelhub.api.flows import wait as waiting
from airflow_sentinelhub.api.flows.wait import WaitPlan, line_of, wait
from airflow_sentinelhub.api.service.generations import STATISTICAL, V1, V2, Generation
from airflow_sentinelhub.exceptions import SentinelHubError
from tests.api.feeding import EPOCH, ID, Fed, feed
from tests.api.odd_replies import odd

IDENTITY = "afx0123456789abcdef"
PLAN = WaitPlan(deadline=EPOCH + 1800, max_unknown_time=600)
SINCE = datetime(2020, 1, 1, tzinfo=timezone.utc)


def tiles_in_bucket(job: Any, tile: str | None) -> tuple[dict[str, int], str | None]:
    return {"PROCESSED": 3}, None


def look(api: Generation, goal: TileGoal) -> Flow[Any]:
    return tiles.look_at_tiles(api, ID, goal, tiles_in_bucket)


FLOWS: dict[str, Callable[[Generation], Flow[Any]]] = {
    "read": lambda api: reading.read(api, ID),
    "find": lambda api: reading.find(api, IDENTITY, SINCE),
    "walk": lambda api: reading.walk(lambda token: api.list(viewtoken=token)),
    "wait": lambda api: wait(api, ID, "DONE", PLAN),
    "look with counts": lambda api: tiles.look_with_counts(api, ID, "DONE"),
    "look at tiles": lambda api: look(api, TileGoal()),
    "look at a tile by name": lambda api: look(api, TileGoal(tile="S08E036")),
    "look at a tile by number": lambda api: look(api, TileGoal(tile="38963")),
}


@pytest.mark.parametrize(
    "seeds",
    [pytest.param(range(60), id="few"), pytest.param(range(60, 200), id="more", marks=pytest.mark.thorough)],
)
@pytest.mark.parametrize("api", [V1, V2, STATISTICAL], ids=lambda api: api.name)
@pytest.mark.parametrize("name", FLOWS)
def test_only_errors_of_ours_come_out(
    name: str, api: Generation, seeds: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE_LIMIT", 20)
    ends: Counter[str] = Counter()
    for seed in seeds:
        dice = random.Random(f"{name} {api.name} {seed}")
        fed = feed(FLOWS[name](api), [odd(dice, dice.choice((0.0, 0.3, 0.8))), ...])
        check(fed, f"seed {seed}")
        ends[type(fed.error).__name__] += 1
    assert ends["NoneType"] > len(seeds) / 20, ends
    assert ends["UnreadableReplyError"] + ends["NoneType"] < len(seeds) or name == "wait", ends


def check(fed: Fed, which: str) -> None:
    """The end is a result that can be told and kept, or an error whose words fit into a log."""
    said = [*fed.notes, *fed.warnings]
    if fed.error is None:
        if isinstance(fed.result, waiting.Waited):
            said.append(line_of(fed.result))
            json.dumps(asdict(fed.result), default=str, allow_nan=False, ensure_ascii=False).encode()
    else:
        assert isinstance(fed.error, SentinelHubError), which
        said.append(str(fed.error))
    for line in said:
        assert line.isprintable(), which
        assert len(line) < 5000, which
        assert "hush" not in line, which
