"""Waiting for tiles of v1: at most six calls a poll, and the verdicts of whoever counts all tiles at each poll."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_sentinelhub.api.call import Call, Lost, Reply, exchange
from airflow_sentinelhub.api.decide.due import behind
from airflow_sentinelhub.api.decide.verdict import Outcome, TileGoal, judge_tiles
from airflow_sentinelhub.api.flows import counting
from airflow_sentinelhub.api.flows.counting import COURSE, LASTING, RECOUNT_AFTER, Calls, TileMemory
from airflow_sentinelhub.api.flows.tiles import (
    CATCH_UP,
    SETTLE,
    look_at_tiles,
    look_with_counts,
    monitor,
    wait_for_tiles,
)
from airflow_sentinelhub.api.flows.wait import Waited, WaitPlan
from airflow_sentinelhub.api.service.generations import V1
from airflow_sentinelhub.api.service.v1 import read_request
from airflow_sentinelhub.exceptions import ListTooLongError, ResultsError
from tests.api import feeding
from tests.api.feeding import ID, Fed, error, feed, ok

pytestmark = pytest.mark.thorough

MOST = 6
"""Calls that a poll may make, the reading of the request included."""
SIZES = [10, 1_000, 105_209]
ENDS = ("DONE", "PARTIAL", "FAILED", "CANCELED")


class Service:
    """The tiles of one request. It answers calls, and counts those that come between two readings of the request.

    :param by_id: tokens name the last tile of a page; else they are offsets.
    """

    def __init__(
        self, statuses: list[str], status: str = "PROCESSING", *, size: int = 100, by_id: bool = False
    ) -> None:
        self.statuses, self.status = statuses, status
        self.size, self.by_id = size, by_id
        self.listed: int | None = None
        self.first_name = 0
        self.members: dict[str, Any] = {}
        self.polls: list[int] = []
        self.asked: Counter[str] = Counter()
        self._of: dict[str | None, list[int]] = {}

    def change(self) -> None:
        self._of.clear()

    def tiles_in(self, status: str | None) -> list[int]:
        """Numbers of the tiles in the status, in order."""
        if status not in self._of:
            shown = self.statuses[: self.listed]
            self._of[status] = [n for n, one in enumerate(shown) if status is None or one == status]
        return self._of[status]

    def __call__(self, call: Call[Any]) -> Reply | Lost:
        rest = call.path.rpartition(ID)[2]
        if not rest:
            self.polls.append(0)
        self.polls[-1] += 1
        if not rest:
            members = {"tileCount": len(self.statuses), **self.members}
            return ok(feeding.v1(self.status, "START", **members))
        if rest != "/tiles":
            number = int(rest.rpartition("/")[2])
            return ok(self.tile(number)) if number < len(self.statuses[: self.listed]) else error(404)
        query = call.params()
        self.asked[query.get("status", "all")] += 1
        found, token = self.tiles_in(query.get("status")), query.get("viewtoken")
        start = 0
        if token is not None:
            start = bisect_right(found, int(token)) if self.by_id else int(token)
        end = start + self.size
        next_token = str(found[end - 1] if self.by_id else end) if end < len(found) else None
        return feeding.page([self.tile(number) for number in found[start:end]], next_token)

    def tile(self, number: int) -> dict[str, Any]:
        return {"id": number, "name": f"tile {number + self.first_name}", "status": self.statuses[number]}


def spread(count: int, **of: float) -> list[str]:
    """So many tiles, by the share of each status, in a random order that is the same each time; the rest PENDING."""
    statuses = [status for status, share in of.items() for _ in range(round(count * share))][:count]
    statuses += ["PENDING"] * (count - len(statuses))
    random.Random(count).shuffle(statuses)
    return statuses


MIXTURES: dict[str, dict[str, float]] = {
    "none yet": {},
    "half": {"PROCESSED": 0.5, "PROCESSING": 0.1, "SCHEDULED": 0.1, "FAILED": 0.01},
    "nearly all": {"PROCESSED": 0.99, "PROCESSING": 0.01},
    "all": {"PROCESSED": 1.0},
    "all but some failed": {"PROCESSED": 0.9, "FAILED": 0.1},
    "all failed": {"FAILED": 1.0},
}
GOALS = [
    *[TileGoal(status) for status in COURSE],
    *[TileGoal(status, count=1) for status in COURSE],
    *[
        TileGoal(status, share=share)
        for status in ("PENDING", "PROCESSED", "FAILED")
        for share in (0.01, 0.5, 0.9, 0.999)
    ],
    TileGoal(count=700),
    TileGoal(count=200_000),
    TileGoal(tile="8"),
    TileGoal(tile="999999"),
    TileGoal(tile="tile 8"),
    TileGoal(tile="tile 900"),
    TileGoal(tile="no such tile"),
]


def truth(service: Service, goal: TileGoal) -> Outcome | str:
    """What whoever counts all tiles says of the goal now; a text if the list cannot be believed."""
    job = read_request(feeding.v1(service.status, "START", tileCount=len(service.statuses)))
    number = Counter(service.statuses[: service.listed])
    tile = None
    if goal.tile is not None:
        at = int(goal.tile.removeprefix("tile ")) if goal.tile.removeprefix("tile ").isdigit() else -1
        tile = service.statuses[at] if 0 <= at < len(service.statuses[: service.listed]) else None
    outcome = judge_tiles(job, goal, number[goal.status], job.tile_count, tile)
    if outcome is Outcome.UNREACHABLE:
        ended = number["PROCESSED"] + number["FAILED"]
        left = len(service.statuses) - ended if goal.tile is None else int(tile not in (None, "PROCESSED", "FAILED"))
        if why := behind(job, ended if goal.tile is None else len(service.statuses), left):
            return why
    return outcome


def polled(service: Service, goal: TileGoal, memory: TileMemory, polls: int = 1_000) -> tuple[Waited, int]:
    """Poll until nothing is left to count: the reading, and the number of polls."""
    for poll in range(1, polls + 1):
        waited: Waited = feed(look_at_tiles(V1, ID, goal, memory=memory), [service, ...]).result
        if waited.outcome is not Outcome.WAITING or waited.look_again is None:
            return waited, poll
    raise AssertionError(f"{goal}: not counted after {polls} polls")


@pytest.mark.parametrize("by_id", [False, True], ids=["offsets", "ids"])
@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("count", SIZES)
def test_at_most_six_calls_a_poll_and_the_verdict_of_a_complete_count(count: int, mixture: str, by_id: bool) -> None:
    statuses = spread(count, **MIXTURES[mixture])
    large = count > 100_000
    dice = random.Random(f"{mixture} {by_id}")
    goals = dice.sample(GOALS, 3) if large else GOALS
    for status in ("PROCESSING", dice.choice(ENDS)) if large else ("PROCESSING", *ENDS):
        if status == "DONE" and set(statuses) - {"PROCESSED", "FAILED"}:
            continue
        for goal in goals:
            service = Service(statuses, status, by_id=by_id)
            waited, _ = polled(service, goal, TileMemory())
            assert max(service.polls) <= MOST, (goal, status)
            assert waited.outcome is truth(service, goal), (goal, status)


@pytest.mark.parametrize(
    ("goal", "shares", "most"),
    [
        (TileGoal(), {"PROCESSED": 0.5}, 3),
        (TileGoal(), {"PROCESSED": 0.999}, 3),
        (TileGoal(), {"PROCESSED": 0.99999, "FAILED": 0.00001}, 6),
        (TileGoal("FAILED", count=1), {"PROCESSED": 0.5}, 2),
        (TileGoal("FAILED", count=1), {"FAILED": 0.5}, 2),
        (TileGoal(tile="104999"), {}, 2),
    ],
    ids=str,
)
def test_a_goal_for_all_a_few_or_one_takes_few_calls_also_without_a_memory(
    goal: TileGoal, shares: dict[str, float], most: int
) -> None:
    service = Service(spread(105_209, **shares))
    feed(look_at_tiles(V1, ID, goal), [service, ...])
    assert service.polls[0] <= most


def test_all_tiles_done_is_known_in_few_polls() -> None:
    for status, most in (("PROCESSING", 3), ("DONE", 2)):
        waited, polls = polled(Service(spread(105_209, PROCESSED=1.0), status), TileGoal(), TileMemory())
        assert (waited.outcome, waited.matching, polls) == (Outcome.REACHED, 105_209, most)


def test_a_count_goes_on_at_its_last_page() -> None:
    """Caught up once, a poll costs the page at the end, and a few of a recount now and then."""
    service, memory = Service(spread(105_209, PROCESSED=0.4)), TileMemory()
    goal = TileGoal(share=0.5)
    waited, polls = polled(service, goal, memory)
    number = service.statuses.count("PROCESSED")
    assert (waited.matching, waited.total) == (number, 105_209)
    assert polls == -(-number // 100 // counting.CALLS)
    for _ in range(counting.RECOUNT_AFTER - 2):
        service.polls.clear()
        polled(service, goal, memory)
        assert service.polls == [2]
    polled(service, goal, memory)
    assert service.polls[-1] == MOST


NOT_DONE = ["PENDING", "SCHEDULED", "QUEUED", "PROCESSING"]


@pytest.mark.parametrize(
    ("count", "shares", "goal", "status", "polls"),
    [
        (500, {"PROCESSED": 1.0}, TileGoal(), "PROCESSING", [{"PROCESSED": 5}]),
        (105_209, {"PROCESSED": 0.5}, TileGoal(), "PROCESSING", [{"PROCESSED": 1, "PENDING": 1}, {"PENDING": 1}]),
        (
            2_000,
            {"PROCESSED": 0.9, "PROCESSING": 0.1},
            TileGoal(share=0.95),
            "PROCESSING",
            [
                {**dict.fromkeys(NOT_DONE, 1), "PROCESSED": 1},
                {"PROCESSED": 5},
                {**dict.fromkeys(NOT_DONE, 1), "PROCESSED": 1},
            ],
        ),
        (
            2_000,
            {"PROCESSED": 0.5},
            TileGoal(share=0.8),
            "PROCESSING",
            [{"PROCESSED": 4, "PENDING": 1}, {"PROCESSED": 5}, {"PENDING": 1, "PROCESSED": 1}, {"PROCESSED": 1}],
        ),
        (
            3_000,
            {"PROCESSED": 0.99, "FAILED": 0.01},
            TileGoal(share=0.98),
            "PARTIAL",
            [{**dict.fromkeys(NOT_DONE, 1), "PROCESSED": 1}, {"FAILED": 1}],
        ),
        (
            105_209,
            {"PROCESSED": 0.95, "FAILED": 0.05},
            TileGoal(share=0.98),
            "PARTIAL",
            [{**dict.fromkeys(NOT_DONE, 1), "PROCESSED": 1}, *[{"FAILED": 5}] * 4, {"FAILED": 2}],
        ),
    ],
    ids=[
        "few pages",
        "too many others",
        "others, then its own",
        "its own, others now and then",
        "few failed",
        "many failed",
    ],
)
def test_each_poll_asks_for_the_statuses_that_tell_soonest(
    count: int, shares: dict[str, float], goal: TileGoal, status: str, polls: list[dict[str, int]]
) -> None:
    """Its own list, if a poll reads that to its end or the others are too many; else the lists of the others."""
    service, memory = Service(spread(count, **shares), status), TileMemory()
    for asked in polls:
        service.asked.clear()
        waited = feed(look_at_tiles(V1, ID, goal, memory=memory), [service, ...]).result
        assert service.asked == asked
    if status == "PROCESSING":
        assert waited.outcome is truth(service, goal)


def test_a_name_is_looked_for_once_and_then_asked_for_by_its_id() -> None:
    service, memory = Service(spread(105_209)), TileMemory()
    goal = TileGoal(tile="tile 5000")
    waited, polls = polled(service, goal, memory)
    assert (waited.outcome, polls) == (Outcome.WAITING, 11)
    service.asked.clear()
    service.statuses[5000] = "PROCESSED"
    waited, polls = polled(service, goal, memory)
    assert (waited.outcome, polls) == (Outcome.REACHED, 1)
    assert not service.asked


def test_a_name_whose_id_is_unknown_by_now_is_looked_for_again() -> None:
    service, memory = Service(spread(10)), TileMemory()
    polled(service, TileGoal(tile="tile 5"), memory)
    memory.tile_id = "77"
    service.statuses[5] = "PROCESSED"
    assert polled(service, TileGoal(tile="tile 5"), memory)[0].outcome is Outcome.REACHED
    assert max(service.polls) <= MOST


# Histories


def history(dice: random.Random, count: int) -> Iterator[tuple[list[str], str]]:
    """What a job of so many tiles looks like from poll to poll, to its end; some go back to PENDING on their way."""
    statuses = ["PENDING"] * count
    risk, speed = dice.choice([0, 0.01, 0.3]), dice.uniform(0.05, 0.5)
    for _ in range(dice.randrange(30, 60)):
        yield statuses, "PROCESSING"
        statuses = list(statuses)
        for number in dice.sample(range(count), round(count * speed)):
            at = COURSE.index(statuses[number])
            if at == 3:
                statuses[number] = "FAILED" if dice.random() < risk else "PROCESSED"
            elif at < 3:
                statuses[number] = "PENDING" if dice.random() < 0.1 else COURSE[at + 1]
    statuses = [one if one in ("PROCESSED", "FAILED") else "PROCESSED" for one in statuses]
    done = dice.choice([0, 0, 3])
    for _ in range(done):
        yield statuses, "PROCESSING"
    while True:
        yield statuses, "PARTIAL" if "FAILED" in statuses else "DONE"


@pytest.mark.parametrize("seed", range(150))
def test_never_too_early_and_not_much_too_late(seed: int) -> None:
    """Old against new on random histories: the count of all tiles at each poll, and six calls a poll."""
    dice = random.Random(seed)
    count, size = dice.choice([5, 60, 300, 1_000]), dice.choice([3, 10, 100])
    lasting = dice.random() < 0.7
    status = LASTING if lasting else "FAILED"
    goal = dice.choice(
        [
            TileGoal(status),
            TileGoal(status, count=dice.randrange(1, count + 1)),
            TileGoal(status, share=dice.uniform(0.001, 1)),
            TileGoal(status, tile=f"tile {dice.randrange(count)}"),
        ]
    )
    service, memory = Service([], size=size, by_id=dice.random() < 0.5), TileMemory()
    true_since, late, forgets = None, 0, False
    for poll, (service.statuses, service.status) in enumerate(history(dice, count)):
        service.change()
        true = truth(service, goal)
        if true is not Outcome.WAITING and true_since is None:
            true_since = poll
        memory = TileMemory() if forgets else memory
        waited = feed(look_at_tiles(V1, ID, goal, memory=memory), [service, ...]).result
        assert max(service.polls) <= MOST
        # As the process of a sensor in reschedule mode, which ends when there is nothing left to count.
        forgets = waited.look_again is None and dice.random() < 0.05
        if waited.outcome is not Outcome.WAITING:
            assert waited.outcome is true
            late = poll - (true_since or 0)
            break
        assert poll < 2_000
    # Two walks through the list, in the worst case: one that is under way when the request ends, and one after it.
    assert late <= 30 + 4 * (count // size // counting.CALLS + counting.RECOUNT_AFTER)


def on_the_move(
    service: Service, moving: list[int], dice: random.Random, *, stuck: bool
) -> Callable[[Call[Any]], Reply | Lost]:
    """Answers of the service, with tiles that move between two calls."""
    pace = dice.choice([0.02, 0.2, 0.6])

    def answer(call: Call[Any]) -> Reply | Lost:
        for number in moving:
            at = COURSE.index(service.statuses[number])
            if dice.random() < pace and at < 4:
                back = stuck and at > 0 and dice.random() < 0.2
                service.statuses[number] = COURSE[at - 1] if back else ("PROCESSED" if at == 3 else COURSE[at + 1])
        service.change()
        return service(call)

    return answer


@pytest.mark.parametrize("by_id", [False, True], ids=["offsets", "ids"])
@pytest.mark.parametrize("stuck", [False, True])
def test_tiles_that_move_while_a_poll_is_made_are_not_missed(stuck: bool, by_id: bool) -> None:
    """Tiles move on with each call, and a stuck one back: none is ever taken for one that is done."""
    for seed in range(100):
        dice = random.Random(seed)
        count = dice.choice([600, 1_000])
        service, memory = Service(["PROCESSED"] * count, by_id=by_id), TileMemory()
        moving = dice.sample(range(count), dice.randrange(1, 4))
        for number in moving:
            service.statuses[number] = dice.choice(COURSE[:4])
        answer = on_the_move(service, moving, dice, stuck=stuck)
        goal = TileGoal(count=count - 1) if dice.random() < 0.3 else TileGoal()
        for _ in range(5_000):
            waited = feed(look_at_tiles(V1, ID, goal, memory=memory), [answer, ...]).result
            if waited.outcome is Outcome.REACHED:
                break
        assert waited.outcome is Outcome.REACHED
        assert service.statuses.count("PROCESSED") >= goal.needed(count)
        assert max(service.polls) <= MOST


# Lists that lag


@pytest.mark.parametrize("count", [9, 700])
def test_a_list_behind_a_request_that_is_done_is_no_verdict(count: int) -> None:
    """Tiles that are not at their end by the list, or that it lacks: the goal is not given up, and not reached."""
    for goal in (TileGoal(), TileGoal(share=0.999), TileGoal("FAILED", count=1)):
        service, memory = Service([*["PROCESSED"] * (count - 1), "PROCESSING"], "DONE"), TileMemory()
        if goal.status == "PROCESSED" and goal.needed(count) < count:
            continue
        with pytest.raises(ResultsError, match=f"1 of {count} tiles are not said to be at their end yet"):
            polled(service, goal, memory)
        service.statuses[-1] = "PROCESSED"
        service.change()
        if goal.status == "PROCESSED":
            assert polled(service, goal, memory)[0].outcome is Outcome.REACHED
        else:
            assert polled(service, goal, memory)[0].outcome is Outcome.UNREACHABLE
        assert max(service.polls) <= MOST


@pytest.mark.parametrize("count", [9, 700, 105_209])
def test_a_list_that_is_not_there_yet_is_not_one_of_tiles_that_are_all_as_wanted(count: int) -> None:
    for goal in (TileGoal(), TileGoal("PENDING"), TileGoal(share=0.9)):
        service = Service(["PENDING"] * count)
        service.listed = 0
        assert polled(service, goal, TileMemory())[0].outcome is Outcome.WAITING
        service.status = "DONE"
        with pytest.raises(ResultsError, match=f"{count} of {count} tiles are not said"):
            polled(service, goal, TileMemory())


def test_tiles_that_a_list_lacks_are_no_verdict() -> None:
    service = Service(["PROCESSED"] * 700, "DONE")
    service.listed = 650
    with pytest.raises(ResultsError, match="50 of 700 tiles are not said"):
        polled(service, TileGoal("FAILED", count=1), TileMemory())


def test_a_restart_makes_failed_tiles_uncounted() -> None:
    service, memory = Service(spread(1_000, FAILED=0.6, PROCESSED=0.4), size=10), TileMemory()
    goal = TileGoal("FAILED", count=700)
    polled(service, goal, memory)
    service.statuses = ["PENDING" if one == "FAILED" else one for one in service.statuses]
    service.change()
    assert polled(service, goal, memory)[0].outcome is Outcome.WAITING
    service.statuses[:200] = ["FAILED"] * 200
    service.change()
    waited, _ = polled(service, goal, memory)
    assert (waited.outcome, waited.matching) == (Outcome.WAITING, 200)


def test_a_count_is_not_carried_over_a_change_of_the_number_of_tiles() -> None:
    service, memory = Service(["PROCESSED"] * 1_000, size=10), TileMemory()
    polled(service, TileGoal(count=1_001), memory)
    service.statuses = [*["PENDING"] * 1_001, *["PROCESSED"] * 5]
    service.change()
    assert polled(service, TileGoal(count=500), memory)[0].outcome is Outcome.WAITING


def test_a_restart_begins_a_count_anew_also_between_two_ends_of_one_kind() -> None:
    """Of 1,000 failed tiles 150 come through, all on pages that were read before the restart."""
    service, memory = Service(["FAILED"] * 1_000 + ["PROCESSED"] * 2_000, "PARTIAL", by_id=True), TileMemory()
    first = feed(look_at_tiles(V1, ID, TileGoal("FAILED", count=900), memory=memory), [service, ...]).result
    assert first.outcome is Outcome.WAITING
    service.statuses[:150] = ["PROCESSED"] * 150
    service.members["userActionUpdated"] = "2020-12-22T10:00:00Z"
    service.change()
    waited, _ = polled(service, TileGoal("FAILED", count=900), memory)
    assert (waited.outcome, waited.matching) == (Outcome.PARTIAL, 850)


def test_tiles_of_another_analysis_do_not_vouch_for_a_list_that_is_not_there_yet() -> None:
    """Few tiles in the other statuses are a success only if the list has tiles as wanted: it shows none at all now."""
    service, memory = Service(["PROCESSED"] * 1_000, size=10), TileMemory()
    assert polled(service, TileGoal(count=10), memory)[0].outcome is Outcome.REACHED
    service.statuses, service.listed = ["PENDING"] * 1_200, 0
    service.change()
    for _ in range(4):
        waited = feed(look_at_tiles(V1, ID, TileGoal(), memory=memory), [service, ...]).result
        assert waited.outcome is Outcome.WAITING


def test_a_recount_of_another_analysis_is_given_up() -> None:
    """It had read tiles that are not there any more, and would add those that come after them."""
    service, memory = Service(["PROCESSED"] * 1_200 + ["PENDING"] * 800, by_id=True), TileMemory()

    def poll(goal: TileGoal) -> Outcome:
        outcome: Outcome = feed(look_at_tiles(V1, ID, goal, memory=memory), [service, ...]).result.outcome
        return outcome

    while memory._recount is None:
        assert poll(TileGoal(count=1_300)) is Outcome.WAITING
        assert len(service.polls) < 40
    service.statuses = ["PENDING"] * 1_000 + ["PROCESSED"] * 600 + ["PENDING"] * 401
    service.change()
    assert {poll(TileGoal(count=1_000)) for _ in range(20)} == {Outcome.WAITING}


def test_the_search_for_a_tile_begins_anew_after_another_analysis() -> None:
    """The tile stands on a page now that the search has behind it."""
    service, memory = Service(["PENDING"] * 1_200), TileMemory()
    goal = TileGoal(tile="tile 1150")
    assert feed(look_at_tiles(V1, ID, goal, memory=memory), [service, ...]).result.outcome is Outcome.WAITING
    service.statuses, service.status, service.first_name = ["PROCESSED"] * 1_201, "DONE", 1_000
    service.change()
    assert polled(service, goal, memory)[0].outcome is Outcome.REACHED


def test_a_count_that_fits_into_a_poll_is_made_anew() -> None:
    """Tokens may stand for a tile: then a count that goes on misses tiles that come before it."""
    service, memory = Service(["PENDING"] * 250 + ["PROCESSED"] * 150, by_id=True), TileMemory()
    goal = TileGoal(count=200)
    assert feed(look_at_tiles(V1, ID, goal, memory=memory), [service, ...]).result.outcome is Outcome.WAITING
    service.statuses[:60] = ["PROCESSED"] * 60
    service.change()
    assert feed(look_at_tiles(V1, ID, goal, memory=memory), [service, ...]).result.outcome is Outcome.REACHED


@pytest.mark.parametrize(("status", "polls"), [("PENDING", 3), ("FAILED", 3), (LASTING, 20)])
def test_for_how_many_polls_tiles_count_as_seen_in_a_status(status: str, polls: int) -> None:
    """Tiles leave each status but one: that some were there says little of the list some polls later."""
    service, memory = Service([status] * 5), TileMemory()
    job = read_request(feeding.v1("PROCESSING", "START", tileCount=5))
    lately = []
    for poll in range(20):
        calls = memory.begin(job)
        if not poll:
            service.polls.append(0)
            feed(memory.count(job, status).read(calls), [service])
        lately.append(memory.has_lately(status))
    assert lately == [poll < polls for poll in range(20)]


def test_few_tiles_elsewhere_count_only_if_two_polls_in_a_row_have_found_them() -> None:
    """One that is stuck moves back, past the list that is being read."""
    memory, job = TileMemory(), read_request(feeding.v1("PROCESSING", "START", tileCount=5))
    found = []
    for few in (True, True, True, False, True, True):
        memory.begin(job)
        if few:
            found.append(memory.few_again())
    assert found == [False, True, True, False, True]


def test_few_tiles_elsewhere_before_another_analysis_are_not_a_poll_in_a_row() -> None:
    memory = TileMemory()
    memory.begin(read_request(feeding.v1("PROCESSING", "START", tileCount=5)))
    assert not memory.few_again()
    memory.begin(read_request(feeding.v1("PROCESSING", "START", tileCount=6)))
    assert not memory.few_again()
    memory.begin(read_request(feeding.v1("PROCESSING", "START", tileCount=6)))
    assert memory.few_again()


@pytest.mark.parametrize("listed", [0, 20])
def test_counts_of_a_list_that_is_behind_a_request_that_is_done_are_not_shown(listed: int) -> None:
    service = Service(["PROCESSED"] * 50, "DONE")
    service.listed = listed
    assert feed(look_with_counts(V1, ID, "DONE"), [service, ...]).result.counts is None
    service.listed = None
    service.change()
    counts = feed(look_with_counts(V1, ID, "DONE"), [service, ...]).result.counts
    assert counts == {"PROCESSED": 50, "FAILED": 0, "PENDING": 0}


def test_a_last_page_says_nothing_of_how_many_tiles_a_page_has() -> None:
    job, sizes = read_request(feeding.v1("PROCESSING", "START", tileCount=50)), []
    service, memory = Service(["PROCESSED"] * 50, size=20), TileMemory()
    service.polls.append(0)
    for _ in range(3):
        feed(memory.count(job, LASTING).read(Calls()), [service])
        sizes.append(memory.page_size)
    assert sizes == [20, 20, 20]


def test_a_recount_is_made_now_and_then_and_takes_nothing_away() -> None:
    """The list lags behind, for a replica or for a moment: what was counted before stays counted."""
    service, memory, calls = Service(["PROCESSED"] * 600), TileMemory(), list[int]()

    def poll(*, counts: bool = False) -> Any:
        job = yield from exchange(V1.get(ID))
        left = memory.begin(job)
        if counts:
            yield from memory.count(job, LASTING).read_on(Calls(99), 10_000)
        yield from memory.recount(job, left, 10_000)
        return memory.count(job, LASTING).number

    assert feed(poll(counts=True), [service, ...]).result == 600
    service.listed = 550
    service.change()
    for _ in range(2 * RECOUNT_AFTER):
        assert feed(poll(), [service, ...]).result == 600
        calls.append(service.polls[-1] - 1)
    assert calls == [*[0] * (RECOUNT_AFTER - 2), 5, 1, *[0] * (RECOUNT_AFTER - 1), 5]


# Failures in the middle


@pytest.mark.parametrize(
    "failure", [error(400, "viewtoken expired"), error(404), error(503)], ids=lambda r: str(r.status)
)
def test_a_page_that_fails_in_the_middle_of_a_count(failure: Reply) -> None:
    """A token that is refused begins the count anew, an outage goes on with it; no tile is counted twice."""
    service, memory = Service(spread(3_000, PROCESSED=0.7)), TileMemory()
    goal, failed, outage = TileGoal(count=2_000), 0, True

    def answer(call: Call[Any]) -> Reply | Lost:
        nonlocal failed
        if outage and call.params().get("viewtoken") == "700":
            failed += 1
            return failure
        return service(call)

    fed = Fed()
    for _ in range(3):
        fed = feed(look_at_tiles(V1, ID, goal, memory=memory), [answer, ...])
        if fed.error is not None:
            break
    assert fed.error is not None
    assert failed
    outage = False
    waited, polls = polled(service, goal, memory)
    assert (waited.outcome, waited.matching) == (Outcome.REACHED, 2_000)
    assert polls == (3 if failure.status == 503 else 5)


@pytest.mark.parametrize("needed", [700, 2_000], ids=["within a poll", "longer than a poll"])
def test_tiles_that_were_seen_done_count_although_the_count_has_to_begin_anew(needed: int) -> None:
    """A token of a page has expired; no tile leaves PROCESSED, so the goal stays reached."""
    service, memory = Service(["PROCESSED"] * needed + ["PENDING"] * (3_000 - needed)), TileMemory()
    assert polled(service, TileGoal(count=needed), memory)[0].outcome is Outcome.REACHED
    memory.forget()
    waited = feed(look_at_tiles(V1, ID, TileGoal(count=needed), memory=memory), [service, ...]).result
    assert waited.outcome is Outcome.REACHED
    assert waited.matching == needed
    assert service.polls[-1] <= MOST


@pytest.mark.parametrize("status", ["CREATED", "ANALYSING"])
def test_before_the_analysis_the_number_of_tiles_is_not_known(status: str) -> None:
    """What the request says by then is a guess of the service, which the analysis corrects."""
    service = Service(["PENDING"] * 10, status)
    waited = feed(look_at_tiles(V1, ID, TileGoal()), [service, ...]).result
    assert (waited.outcome, waited.total) == (Outcome.WAITING, None)


UNSAID = {"nothing": None, "none": 0, "a negative number": -5, "a text": "24", "a part": 24.5}


@pytest.mark.parametrize("said", UNSAID)
@pytest.mark.parametrize("mixture", ["all", "all but some failed"])
@pytest.mark.parametrize("count", [24, 1_000])
def test_a_request_that_has_ended_and_does_not_say_how_many_tiles_it_has_is_judged_by_its_list(
    count: int, mixture: str, said: str
) -> None:
    for status in ENDS[mixture != "all" :]:
        for goal in GOALS:
            service = Service(spread(count, **MIXTURES[mixture]), status)
            service.members["tileCount"] = UNSAID[said]
            waited, _ = polled(service, goal, TileMemory())
            assert waited.outcome is truth(service, goal), f"{status}: {goal}"
            assert max(service.polls) <= MOST, f"{status}: {goal}"


@pytest.mark.parametrize("count", [24, 1_000])
@pytest.mark.parametrize("status", ["PROCESSING", "PARTIAL"])
def test_tiles_in_other_statuses_do_not_count_though_the_list_shows_them(count: int, status: str) -> None:
    """The service passes over the filter."""
    service = Service(spread(count, **MIXTURES["all but some failed" if status == "PARTIAL" else "half"]), status)
    service.tiles_in = lambda wanted: list(range(count))  # type: ignore[method-assign]
    for goal in GOALS:
        if goal.status in ("PROCESSED", "FAILED"):
            assert polled(service, goal, TileMemory())[0].outcome is truth(like(service), goal), goal


def like(service: Service) -> Service:
    return Service(service.statuses, service.status)


def test_where_the_number_of_tiles_is_not_said_so_many_of_them_are_seen_before_the_end_and_a_share_at_the_end() -> None:
    service = Service(spread(24, PROCESSED=0.5))
    service.members["tileCount"] = None
    assert polled(service, TileGoal(count=12), TileMemory())[0].outcome is Outcome.REACHED
    assert polled(service, TileGoal(count=13), TileMemory())[0].outcome is Outcome.WAITING
    assert polled(service, TileGoal(share=0.1), TileMemory())[0].outcome is Outcome.WAITING


@pytest.mark.parametrize("listed", [0, 24])
@pytest.mark.parametrize("goal", [TileGoal(), TileGoal(count=20)], ids=str)
def test_a_list_behind_a_request_that_is_done_is_no_verdict_where_the_number_of_tiles_is_not_said(
    goal: TileGoal, listed: int
) -> None:
    service = Service(spread(24, PROCESSED=0.5), "DONE")
    service.members["tileCount"], service.listed = None, listed
    with pytest.raises(ResultsError, match="shows none" if not listed else "12 of 24 tiles are not said to be at"):
        polled(service, goal, TileMemory())


def test_a_tile_that_is_not_there_is_given_up_when_the_list_was_read_to_its_end() -> None:
    """Where the number of tiles is not said: an empty list would be behind the request."""
    service, goal, memory = Service(["PROCESSED"] * 1_000, "DONE"), TileGoal(tile="5000"), TileMemory()
    service.members["tileCount"] = None
    polls = [feed(look_at_tiles(V1, ID, goal, memory=memory), [service, ...]).result for _ in range(3)]
    assert [waited.outcome for waited in polls] == [Outcome.WAITING, Outcome.WAITING, Outcome.UNREACHABLE]
    assert polls[0].look_again is not None


def test_a_list_that_does_not_end_is_an_error_and_the_next_poll_begins_anew() -> None:
    service, memory = Service(["PROCESSED"] * 1_000), TileMemory()
    service.members["tileCount"] = 3
    endless = Service(["PROCESSED"] * 100, size=1)
    endless.members["tileCount"] = 3
    goal = TileGoal(count=99)
    with pytest.raises(ListTooLongError, match="13 pages"):
        polled(endless, goal, memory)
    assert polled(service, goal, memory)[0].outcome is Outcome.REACHED


# The whole wait, and the monitor


def waited_for(service: Service, step: Callable[[int], None], flow: Any) -> Fed:
    def answer(call: Call[Any]) -> Reply | Lost:
        if call.path.endswith(ID):
            step(len(service.polls))
            service.change()
        return service(call)

    return feed(flow, [answer, ...])


@pytest.mark.parametrize("count", SIZES)
def test_a_wait_remembers_its_count(count: int) -> None:
    service, goal = Service(["PENDING"] * count), TileGoal(share=0.5)

    def step(poll: int) -> None:
        done = min(count * poll // 400, count)
        service.statuses[:done] = ["PROCESSED"] * done

    fed = waited_for(
        service, step, wait_for_tiles(V1, ID, goal, WaitPlan(poll_interval=60), lambda job, tile: ({}, None))
    )
    assert fed.result.outcome is Outcome.REACHED
    assert max(service.polls) <= MOST
    assert 200 <= len(service.polls) <= 202
    assert set(fed.slept) <= {0.0, CATCH_UP, SETTLE, 60.0}
    assert fed.slept.count(60.0) > 190


def test_a_request_that_has_ended_is_counted_soon() -> None:
    service = Service(spread(105_209, FAILED=0.5, PROCESSED=0.5), "PARTIAL")
    flow = wait_for_tiles(V1, ID, TileGoal(share=0.6), WaitPlan(poll_interval=60), lambda job, tile: ({}, None))
    fed = waited_for(service, lambda poll: None, flow)
    assert fed.result.outcome is Outcome.PARTIAL
    assert max(service.polls) <= MOST
    assert set(fed.slept[1:]) == {SETTLE}


@pytest.mark.parametrize("count", SIZES)
def test_a_monitor_counts_within_six_calls(count: int) -> None:
    service = Service(["PENDING"] * count)

    def step(poll: int) -> None:
        done = min(count * poll // 250, count)
        service.statuses[:done] = ["PROCESSED"] * done
        service.statuses[:done:10] = ["FAILED"] * len(service.statuses[:done:10])
        service.status = "PARTIAL" if poll > 300 else "PROCESSING"

    fed = waited_for(service, step, monitor(V1, ID, "DONE", WaitPlan(poll_interval=60)))
    assert max(service.polls) <= MOST
    assert fed.result.counts == {**Counter(service.statuses), "PENDING": 0}


def test_counts_that_are_not_complete_are_not_shown() -> None:
    service, memory = Service(spread(105_209, PROCESSED=0.5, FAILED=0.1)), TileMemory()
    first = feed(look_with_counts(V1, ID, "DONE", memory=memory), [service, ...]).result
    assert first.counts is None
    for _ in range(400):
        waited = feed(look_with_counts(V1, ID, "DONE", memory=memory), [service, ...]).result
    assert waited.counts == {name: service.statuses.count(name) for name in ("PROCESSED", "FAILED", "PENDING")}
    assert max(service.polls) <= MOST


def test_counts_of_a_request_that_has_just_ended_go_on() -> None:
    """Its result has the numbers, also of a list that is longer than a poll."""
    service, memory = Service(["PROCESSED"] * 1_000 + ["FAILED"] * 200), TileMemory()
    for _ in range(10):
        waited = feed(look_with_counts(V1, ID, "DONE", memory=memory), [service, ...]).result
    assert waited.counts == {"PROCESSED": 1_000, "FAILED": 200, "PENDING": 0}
    service.status = "PARTIAL"
    assert feed(look_with_counts(V1, ID, "DONE", memory=memory), [service, ...]).result.counts == waited.counts


def test_more_tiles_in_the_list_than_the_request_says_leave_none_pending() -> None:
    service = Service(["PROCESSED"] * 5 + ["FAILED"] * 2)
    service.members["tileCount"] = 6
    counts = feed(look_with_counts(V1, ID, "DONE"), [service, ...]).result.counts
    assert counts == {"PROCESSED": 5, "FAILED": 2, "PENDING": 0}
