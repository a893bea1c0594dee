"""From what was read to what it means: every status, every action, every target."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.api.decide.verdict import (
    Outcome,
    TileGoal,
    fate,
    in_words,
    judge,
    judge_tiles,
    nothing_to_do,
    progress_line,
    seconds_left,
    spent,
)
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.api.statuses import BatchUserAction, StoppedStatusReason
from airflow_sentinelhub.exceptions import InvalidInputError
from tests.api.feeding import ID


def job(status: str = "CREATED", action: str = "NONE", generation: str = "v1", **members: Any) -> Snapshot:
    return Snapshot(ID, generation, S(status), BatchUserAction(action), **members)


# judge: one letter for each target

TARGETS = (
    "CREATED", "ANALYSING", "ANALYSIS_DONE", "PROCESSING", "DONE", "PARTIAL", "FAILED", "CANCELED", "STOPPED", "LIMBO",
)  # fmt: skip
LETTERS = {
    "R": Outcome.REACHED,
    ".": Outcome.WAITING,
    "N": Outcome.NOT_STARTED,
    "P": Outcome.PARTIAL,
    "F": Outcome.FAILED,
    "C": Outcome.CANCELLED,
    "U": Outcome.UNREACHABLE,
}
TABLE = {
    ("CREATED", "NONE"): "RNNNNNNNNN",
    ("CREATED", "ANALYSE"): "R.........",
    ("CREATED", "START"): "R.........",
    ("CREATED", "CANCEL"): "R.........",
    ("CREATED", "PONDER"): "R.........",
    ("ANALYSING", "NONE"): "RR........",
    ("ANALYSING", "ANALYSE"): "RR........",
    ("ANALYSING", "START"): "RR........",
    ("ANALYSING", "STOP"): "RR........",
    ("ANALYSIS_DONE", "NONE"): "RRRNNNNNNN",
    ("ANALYSIS_DONE", "ANALYSE"): "RRRNNNNNNN",
    ("ANALYSIS_DONE", "START"): "RRR.......",
    ("ANALYSIS_DONE", "CANCEL"): "RRR.......",
    ("PROCESSING", "NONE"): "RRRR......",
    ("PROCESSING", "START"): "RRRR......",
    ("PROCESSING", "CANCEL"): "RRRR......",
    ("DONE", "START"): "RRRRRUUUUU",
    ("DONE", "ANALYSE"): "RRRRRUUUUU",
    ("DONE", "CANCEL"): "RRRRRUUUUU",
    ("PARTIAL", "START"): "RRRRPRPPPP",
    ("FAILED", "ANALYSE"): "FFFFFFRFFF",
    ("FAILED", "START"): "FFFFFFRFFF",
    ("CANCELED", "CANCEL"): "CCCCCCCRCC",
    ("STOPPED", "STOP"): "CCCCCCCCRC",
    ("STOPPED", "START"): "CCCCCCCCRC",
    ("LIMBO", "NONE"): ".........R",
    ("LIMBO", "START"): ".........R",
}


@pytest.mark.parametrize(("state", "letters"), TABLE.items(), ids=lambda item: "-".join(item))
def test_judge(state: tuple[str, str], letters: str) -> None:
    told = [judge(job(*state), target) for target in TARGETS]
    assert told == [LETTERS[letter] for letter in letters]


def test_every_known_status_is_in_the_table() -> None:
    assert {status for status, _ in TABLE} == {*(str(status) for status in S), "LIMBO"}


def test_done_is_what_is_waited_for_by_default() -> None:
    assert judge(job("DONE", "START")) is Outcome.REACHED
    assert judge(job("PARTIAL", "START")) is Outcome.PARTIAL


# fate


@pytest.mark.parametrize(
    ("state", "generation", "says"),
    [
        (("CREATED", "NONE"), "v1", "has not been started and bills nothing"),
        (("ANALYSIS_DONE", "ANALYSE"), "v2", "has not been started and bills nothing"),
        (("CREATED", "START"), "v2", "runs on and bills"),
        (("PROCESSING", "START"), "v1", "runs on and bills"),
        (("PROCESSING", "CANCEL"), "v1", "cancel is on its way; tiles at work are still billed"),
        (("PROCESSING", "STOP"), "v2", "stop is on its way; tiles at work are still billed"),
        (("DONE", "START"), "v1", "bills nothing further"),
        (("FAILED", "START"), "v1", "bills nothing further"),
        (("CANCELED", "CANCEL"), "v1", "bills nothing further"),
        (("STOPPED", "STOP"), "v2", "bills nothing further"),
        (("PARTIAL", "START"), "v1", "bills nothing further"),
    ],
)
def test_whether_it_still_bills(state: tuple[str, str], generation: str, says: str) -> None:
    assert says in fate(job(*state, generation=generation))


def test_what_is_not_known_is_said_not_to_be() -> None:
    assert fate(None) == "Whether it still runs and bills is not known."


def test_an_analysis_that_found_every_output() -> None:
    assert nothing_to_do(job("DONE", "ANALYSE", "v2"))
    assert not nothing_to_do(job("DONE", "START", "v2"))
    assert not nothing_to_do(job("ANALYSIS_DONE", "ANALYSE", "v2"))


# Cost


def test_tiles_cost_a_third_of_what_they_say() -> None:
    assert spent([{"cost": 139.87223}, {"cost": 0.0}, {"cost": None}, {}]) == pytest.approx(46.62408)
    assert spent([]) == 0
    for odd in (None, "139.8", "abc", [], {}, True, -5, float("nan"), float("inf"), 10**400):
        done: dict[str, Any] = {"status": "PROCESSED", "cost": odd}
        assert spent([{"cost": 3.0}, done]) is None
        assert spent([{**done, "status": "FAILED"}, {"cost": 3.0, "status": "PROCESSED"}]) == 1


# Tile goals


@pytest.mark.parametrize(
    ("goal", "total", "needed"),
    [
        (TileGoal(), 9, 9),
        (TileGoal(), 0, 1),
        (TileGoal(share=1), 9, 9),
        (TileGoal(share=0.5), 9, 5),
        (TileGoal(share=0.1), 10, 1),
        (TileGoal(share=0.3), 10, 3),
        (TileGoal(share=0.7), 10, 7),
        (TileGoal(share=0.001), 10, 1),
        (TileGoal(share=1e-9), 10, 1),
        (TileGoal(share=0.5), 0, 1),
        (TileGoal(share=2 / 3), 3, 2),
        (TileGoal(share=1 / 6), 6, 1),
        (TileGoal(share=0.6666666666666666), 3, 2),
        (TileGoal(share=0.67), 3, 3),
        (TileGoal(share=2 / 3), 99_999, 66_666),
        (TileGoal(share=2 / 3), 100_000, 66_667),
        (TileGoal(share=0.1 + 0.2), 10, 3),
        (TileGoal(count=4), 9, 4),
        (TileGoal(count=40), 9, 40),
    ],
)
def test_how_many_tiles_a_goal_needs(goal: TileGoal, total: int, needed: int) -> None:
    assert goal.needed(total) == needed


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"tile": "a", "count": 1}, "one of tile, count and share"),
        ({"count": 1, "share": 0.5}, "one of tile, count and share"),
        ({"tile": "a", "count": 1, "share": 0.5}, "one of tile, count and share"),
        ({"share": 0}, "above 0 and at most 1, not 0"),
        ({"share": 1.01}, "at most 1, not 1.01"),
        ({"share": -0.5}, "above 0"),
        ({"share": float("nan")}, "above 0"),
        ({"count": 0}, "from 1, not 0"),
        ({"count": -3}, "from 1, not -3"),
    ],
)
def test_goals_that_make_no_sense(how: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        TileGoal(**how)


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (TileGoal(), "all tiles PROCESSED"),
        (TileGoal("FAILED", count=3), "3 tiles FAILED"),
        (TileGoal(share=0.25), "25% of the tiles PROCESSED"),
        (TileGoal(tile="31UFS"), "tile 31UFS PROCESSED"),
    ],
)
def test_a_goal_in_words(goal: TileGoal, words: str) -> None:
    assert str(goal) == words


RUNNING, DONE, PARTIAL = job("PROCESSING", "START"), job("DONE", "START"), job("PARTIAL", "START")
IDLE, FAILED, CANCELED = job("ANALYSIS_DONE", "ANALYSE"), job("FAILED", "START"), job("CANCELED", "CANCEL")


@pytest.mark.parametrize(
    ("request_", "goal", "matching", "total", "outcome"),
    [
        (RUNNING, TileGoal(), 8, 9, Outcome.WAITING),
        (RUNNING, TileGoal(), 9, 9, Outcome.REACHED),
        (RUNNING, TileGoal(), 0, None, Outcome.WAITING),
        (RUNNING, TileGoal(), 0, 0, Outcome.WAITING),
        (RUNNING, TileGoal(share=0.5), 4, 9, Outcome.WAITING),
        (RUNNING, TileGoal(share=0.5), 5, 9, Outcome.REACHED),
        (RUNNING, TileGoal(count=5), 5, None, Outcome.REACHED),
        (RUNNING, TileGoal(count=5), 4, None, Outcome.WAITING),
        (RUNNING, TileGoal(share=0.5), 5, None, Outcome.WAITING),
        (RUNNING, TileGoal(count=5), 5, 9, Outcome.REACHED),
        (IDLE, TileGoal(), 0, 9, Outcome.NOT_STARTED),
        (IDLE, TileGoal("PENDING"), 9, 9, Outcome.REACHED),
        (job("CREATED", "START"), TileGoal(), 0, None, Outcome.WAITING),
        (job("CREATED"), TileGoal(), 0, None, Outcome.NOT_STARTED),
        (DONE, TileGoal(), 9, 9, Outcome.REACHED),
        (DONE, TileGoal(), 0, 0, Outcome.UNREACHABLE),
        (DONE, TileGoal("FAILED"), 0, 0, Outcome.UNREACHABLE),
        (DONE, TileGoal(share=0.5), 0, 0, Outcome.UNREACHABLE),
        (DONE, TileGoal(), 0, None, Outcome.UNREACHABLE),
        (DONE, TileGoal("FAILED"), 0, 9, Outcome.UNREACHABLE),
        (DONE, TileGoal(count=10), 9, 9, Outcome.UNREACHABLE),
        (PARTIAL, TileGoal(), 8, 9, Outcome.PARTIAL),
        (PARTIAL, TileGoal(share=0.8), 8, 9, Outcome.REACHED),
        (PARTIAL, TileGoal("FAILED", count=1), 1, 9, Outcome.REACHED),
        (FAILED, TileGoal(), 0, 9, Outcome.FAILED),
        (FAILED, TileGoal("FAILED"), 9, 9, Outcome.REACHED),
        (CANCELED, TileGoal(), 4, 9, Outcome.CANCELLED),
        (CANCELED, TileGoal(count=4), 4, 9, Outcome.REACHED),
        (job("STOPPED", "STOP"), TileGoal(), 4, 9, Outcome.CANCELLED),
    ],
)
def test_judge_tiles(request_: Snapshot, goal: TileGoal, matching: int, total: int | None, outcome: Outcome) -> None:
    assert judge_tiles(request_, goal, matching, total) is outcome


@pytest.mark.parametrize(
    ("request_", "tile", "outcome"),
    [
        (RUNNING, None, Outcome.WAITING),
        (RUNNING, "PENDING", Outcome.WAITING),
        (RUNNING, "FAILED", Outcome.WAITING),
        (RUNNING, "PROCESSED", Outcome.REACHED),
        (RUNNING, "LIMBO", Outcome.WAITING),
        (DONE, "FAILED", Outcome.UNREACHABLE),
        (PARTIAL, "FAILED", Outcome.UNREACHABLE),
        (PARTIAL, "PROCESSED", Outcome.REACHED),
        (PARTIAL, None, Outcome.PARTIAL),
        (DONE, None, Outcome.UNREACHABLE),
        (CANCELED, "PENDING", Outcome.CANCELLED),
        (IDLE, "PENDING", Outcome.NOT_STARTED),
    ],
)
def test_judge_one_tile(request_: Snapshot, tile: str | None, outcome: Outcome) -> None:
    assert judge_tiles(request_, TileGoal(tile="31UFS"), 0, 9, tile) is outcome


# The line for the log


@pytest.mark.parametrize(
    ("request_", "counts", "line"),
    [
        (job(tile_count=9), None, "CREATED, 9 tiles"),
        (job("CREATED", "ANALYSE"), None, "CREATED (action ANALYSE)"),
        (job("ANALYSING", "ANALYSE"), None, "ANALYSING"),
        (job("ANALYSIS_DONE", "ANALYSE", tile_count=9, estimate=300.0), None,
         "ANALYSIS_DONE, 9 tiles, about 100 PU expected"),
        (job("ANALYSIS_DONE", "START", tile_count=9), None, "ANALYSIS_DONE (action START), 9 tiles"),
        (job("PROCESSING", "START"), {"PROCESSED": 3, "FAILED": 1, "PENDING": 4},
         "PROCESSING, 3 of 8 tiles done (38%), 1 failed"),
        (job("PROCESSING", "START"), {"PENDING": 0}, "PROCESSING, no tiles yet"),
        (job("PROCESSING", "CANCEL"), None, "PROCESSING (action CANCEL)"),
        (job("PROCESSING", "START", "v2", share_done=0.375, cost=3371.2), None,
         "PROCESSING, 38% done, 3,371 PU so far"),
        (job("CREATED", "NONE", "v2", share_done=0.0, cost=0.0), None, "CREATED"),
        (job("DONE", "START", "v2", share_done=1.0, cost=9006.9), {"DONE": 9, "FATAL": 1},
         "DONE, 9 of 10 tiles done (90%), 1 failed, 9,007 PU so far"),
        (job("STOPPED", "START", "v2", share_done=0.8, stopped_reason=StoppedStatusReason("OUT_OF_PU")), None,
         "STOPPED, 80% done, stopped: OUT_OF_PU"),
        (job("LIMBO", "START"), None, "LIMBO"),
    ],
)  # fmt: skip
def test_a_line_for_the_log(request_: Snapshot, counts: dict[str, int] | None, line: str) -> None:
    assert progress_line(request_, counts) == f"{ID}: {line}"


# Time left


def test_the_time_left_goes_on_as_it_went() -> None:
    assert seconds_left(0, 0.0, 100, 0.25) == pytest.approx(300)
    assert seconds_left(50, 0.2, 100, 0.4) == pytest.approx(150)
    for unknown in ((0, 0.5, 100, 0.5), (0, 0.5, 100, 0.4), (100, 0.1, 100, 0.5), (0, 0.1, 100, 1.0)):
        assert seconds_left(*unknown) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "about 10 s"), (44, "about 40 s"), (89, "about 90 s"), (90, "about 2 min"), (720, "about 12 min"),
     (5399, "about 90 min"), (12600, "about 3.5 h")],
)  # fmt: skip
def test_a_span_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
