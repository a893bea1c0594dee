"""A continent: 100,000 tiles go through our client a page at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.simulator.remote import ControlPlane
from dev.simulator import Simulator, with_extra
from tests.contract.lives import process

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EUROPE = [-9.0, 36.0, 39.0, 62.5]
ALLOWED = 30_000_000
PAGE = 100


@pytest.fixture(scope="module")
def continent() -> tuple[dict[str, Any], int, list[dict[str, Any]]]:
    """What a client says that went through all the tiles of Europe, their number, and the calls for tiles it made.

    Simulator and client are processes of their own, so that neither's memory is the other's.
    """
    with Simulator(speed=0) as simulator, pytest.MonkeyPatch.context() as patch:
        extra = {"batch_api": "v1", "max_calls_per_minute": "1000000"}  # a thousand pages would take two minutes
        patch.setenv("AIRFLOW_CONN_MANY_TILES", with_extra(simulator.connection_uri, **extra))
        batch, control = SentinelHubHook("many_tiles").batch, ControlPlane(simulator.url)
        request = batch.create(process(EUROPE), batch.tiling_grid(1, 10), bucket_name="maps")
        batch.start_analysis(request)
        control.step(7200)
        done = subprocess.run(
            [sys.executable, "-m", "tests.contract.many_tiles", request.request_id],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        said = json.loads(done.stdout.splitlines()[-1])
        calls = [call for call in control.journal() if call["path"].endswith("/tiles")]
        return said, batch.get_request(request).tile_count, calls


@pytest.mark.timeout(300)
def test_iter_tiles_stays_small(continent: Any) -> None:
    said, tiles, _ = continent
    assert said["walked"] == tiles >= 100_000
    assert said["grown"] < ALLOWED
    # A fifth of them, held, is too much already: the measure would notice.
    assert said["held"] < tiles / 5
    assert said["grown_by_holding"] > ALLOWED


def test_it_asks_for_each_page_once_and_for_none_ahead(continent: Any) -> None:
    said, tiles, calls = continent
    assert {call["status"] for call in calls} == {200}
    pages = ["", *(f"viewtoken={PAGE * page}" for page in range(1, ceil(tiles / PAGE)))]
    # One page for a single tile; all of them; and as many as hold what was held.
    assert [call["query"] for call in calls] == ["", *pages, *pages[: said["held"] // PAGE]]
