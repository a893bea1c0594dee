"""How a wait ends for the user: what happened, to which request, whether it still bills, what to do."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.decide.errors import conclude, over_budget_error, too_many_failed_error
from airflow_sentinelhub.api.decide.results import FeatureResults, TileResults
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchUserAction, StoppedStatusReason
from tests.api.feeding import ID


def job(status: str, action: str = "START", generation: str = "v1", **members: Any) -> Snapshot:
    return Snapshot(ID, generation, BatchRequestStatus(status), BatchUserAction(action), **members)


def ending(
    outcome: Outcome, found: Snapshot | None = None, wanted: str = "DONE", **how: Any
) -> errors.SentinelHubError:
    with pytest.raises(errors.SentinelHubError) as raised:
        conclude(Waited(outcome, found, **how), ID, wanted)
    return raised.value


def test_what_was_waited_for_is_returned() -> None:
    found = job("DONE")
    assert conclude(Waited(Outcome.REACHED, found), ID, "DONE") is found


CASES = [
    (
        Outcome.FAILED,
        job("FAILED", "ANALYSE", error="Requested band 'HH' is not present"),
        errors.JobFailedError,
        ["is FAILED", "The service says: Requested band 'HH' is not present.", "Nothing was billed", "create it anew"],
        False,
    ),
    (
        Outcome.FAILED,
        job("FAILED", error="Out of luck!"),
        errors.JobFailedError,
        ["Out of luck!", "Processed tiles are billed", "bills nothing further"],
        False,
    ),
    (
        Outcome.PARTIAL,
        job("PARTIAL", error="Too many failed tiles"),
        errors.JobPartialError,
        ["some tiles failed", "Too many failed tiles.", "bills nothing further", "SentinelHubRestartBatchOperator"],
        True,
    ),
    (
        Outcome.CANCELLED,
        job("CANCELED", "CANCEL"),
        errors.JobCancelledError,
        ["is CANCELED", "somebody cancelled it", "bills nothing further", "clear the task to run the job anew"],
        False,
    ),
    (
        Outcome.CANCELLED,
        job("STOPPED", "START", "v2", stopped_reason=StoppedStatusReason("OUT_OF_PU")),
        errors.JobCancelledError,
        ["is STOPPED", "run out of processing units"],
        True,
    ),
    (
        Outcome.CANCELLED,
        job("STOPPED", "STOP", "v2", stopped_reason=StoppedStatusReason("USER_ACTION")),
        errors.JobCancelledError,
        ["somebody stopped it", "after 30 minutes", "clear the task to run the job anew"],
        False,
    ),
    (
        Outcome.CANCELLED,
        job("STOPPED", "START", "v2", stopped_reason=StoppedStatusReason("UNHEALTHY")),
        errors.JobCancelledError,
        ["unhealthy", "support"],
        True,
    ),
    (
        Outcome.CANCELLED,
        job("STOPPED", "START", "v2", stopped_reason=StoppedStatusReason("MOON")),
        errors.JobCancelledError,
        ["is STOPPED: MOON."],
        True,
    ),
    (
        Outcome.NOT_STARTED,
        job("ANALYSIS_DONE", "ANALYSE"),
        errors.JobNotStartedError,
        ["nobody has started it", "never be DONE", "bills nothing", "SentinelHubStartBatchOperator", "wait_for_start"],
        False,
    ),
    (
        Outcome.UNREACHABLE,
        job("DONE"),
        errors.JobError,
        ["is DONE and will not be all tiles FAILED any more", "bills nothing further"],
        True,
    ),
    (
        Outcome.UNKNOWN,
        job("PROCESSING"),
        errors.UnknownStateError,
        ["could not be read", "(HTTP 503)", "was PROCESSING when it was last read", "runs on and bills", "attaches"],
        True,
    ),
    (
        Outcome.UNKNOWN,
        None,
        errors.UnknownStateError,
        ["could not be read", "(HTTP 503)", "if it was started, it runs on and bills"],
        True,
    ),
    (
        Outcome.TIMED_OUT,
        job("PROCESSING"),
        errors.DeadlineError,
        ["is PROCESSING, not DONE, at the end of the time allowed", "runs on and bills"],
        True,
    ),
    (
        Outcome.TIMED_OUT,
        job("CANCELED", "CANCEL"),
        errors.DeadlineError,
        ["is CANCELED, not DONE", "bills nothing further", "clear the task to run the job anew"],
        False,
    ),
    (Outcome.TIMED_OUT, None, errors.DeadlineError, ["not DONE in time", "its state is not known"], True),
    (Outcome.NOT_FOUND, None, errors.NotFoundError, ["(HTTP 503)"], True),
]


@pytest.mark.parametrize(("outcome", "found", "kind", "says", "retry_helps"), CASES)
def test_each_end_says_what_happened_and_what_to_do(
    outcome: Outcome, found: Snapshot | None, kind: type[Exception], says: list[str], retry_helps: bool
) -> None:
    wanted = "all tiles FAILED" if outcome is Outcome.UNREACHABLE else "DONE"
    error = ending(outcome, found, wanted, why=f"GET {ID} (HTTP 503)")
    assert type(error) is kind
    assert error.retry_helps is retry_helps
    for part in (ID, *says):
        assert part in str(error)
    assert ".." not in str(error)
    if isinstance(error, errors.JobError):
        assert (error.request_id, error.snapshot) == (ID, found)


def test_every_outcome_ends_in_an_error_or_a_result() -> None:
    for outcome in Outcome:
        if outcome is not Outcome.REACHED:
            assert ID in str(ending(outcome, job("PROCESSING"), why=ID))


@pytest.mark.parametrize(
    ("results", "parts"),
    [
        (
            TileResults(job("PARTIAL"), 9, 6, 3, ("31UFS_0", "31UFS_1", "31UFS_2"), 9.0, True, 0),
            ("3 of 9 tiles failed", "31UFS_0, 31UFS_1, 31UFS_2", "max_restarts", "max_failed_tiles"),
        ),
        (
            TileResults(job("PARTIAL"), None, None, None, (), None, False, 0),
            ("their names were not read", "max_restarts"),
        ),
        (
            FeatureResults(job("DONE"), 9, 2, (("a", "no data"), ("b", "MISSING")), True),
            ("2 of 9 features failed", "a (no data), b (MISSING)", "max_failed_features"),
        ),
    ],
)
def test_what_has_failed_is_named(results: Any, parts: tuple[str, ...]) -> None:
    error = too_many_failed_error(results)
    for part in (ID, "bills nothing further", *parts):
        assert part in str(error)
    assert error.request_id == ID
    assert ("restart" in str(error)) == (results.things == "tiles")


def test_an_estimate_over_the_budget_says_which_number_was_compared() -> None:
    error = over_budget_error(job("ANALYSIS_DONE", "ANALYSE", estimate=30_000.0), 5_000)
    for part in (
        "would cost about 10,000 PU",
        "a third of the service's estimate of 30,000",
        "5,000 PU",
        "bills nothing",
    ):
        assert part in str(error)
    assert not error.retry_helps


def test_a_cost_over_the_budget_says_what_was_spent() -> None:
    error = over_budget_error(job("STOPPED", "STOP", "v2", cost=5_100.4), 5_000)
    assert "5,000 PU of max_processing_units" in str(error)
    error = over_budget_error(job("PROCESSING", "START", "v2", cost=5_100.4), 5_000)
    for part in ("has cost 5,100 PU", "runs on and bills"):
        assert part in str(error)


def test_after_over_budget_a_user_reads_what_is_paid_what_is_kept_and_what_a_clear_does() -> None:
    error = over_budget_error(job("STOPPED", "STOP", "v2", cost=5_100.4), 5_000)
    for part in (
        "5,100 PU are paid, and the tiles that are done stay in the bucket",
        "raise max_processing_units above that and clear the task: it then does only what is missing",
        "what is paid counts",
        "Cleared with the same limit it fails again and pays nothing",
        "it starts anew and pays for all of it",
    ):
        assert part in str(error)
    continued = over_budget_error(job("STOPPED", "STOP", "v2", cost=0.0), 5_000, before=5_200.0)
    assert "5,200 PU are paid" in str(continued), "paid for the requests that it continues"
    assert "Nothing was paid" not in str(continued)
    features = over_budget_error(job("STOPPED", "STOP", "statistical", cost=5_100.4), 5_000, things="features")
    assert "the features that are done stay in the bucket" in str(features)
    assert "only 30 minutes after the stop; the task waits" in str(features)
    unpaid = over_budget_error(job("ANALYSIS_DONE", "ANALYSE", estimate=30_000.0), 5_000)
    for part in ("Nothing was paid and nothing was written", "Cleared as it is, it fails again and pays nothing"):
        assert part in str(unpaid)


@pytest.mark.parametrize(("policy", "ends"), [("fail", "fails"), ("skip", "is skipped"), ("stop", "ends like this")])
@pytest.mark.parametrize("cost", [None, 5_100.4])
def test_a_clear_after_over_budget_ends_by_the_policy(policy: str, ends: str, cost: float | None) -> None:
    status = ("ANALYSIS_DONE", "ANALYSE", "v2") if cost is None else ("STOPPED", "STOP", "v2")
    error = over_budget_error(job(*status, cost=cost), 5_000, policy=policy)
    assert f"it {ends} again and pays nothing" in str(error)
