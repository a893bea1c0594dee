"""The whole job in one task: paid once, judged by the results of single features, plain and deferred alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pendulum
import pytest

from airflow_sentinelhub import aggregation, last
from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub.exceptions import InvalidInputError, JobCancelledError, JobError, JobPartialError
from airflow_sentinelhub.operators import statistical
from airflow_sentinelhub.operators._arguments import arguments_of
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from tests.airflow.conftest import AWS
from tests.names import DAG, AirflowFailException, AirflowSkipException
from tests.statistical.conftest import StatisticalBench
from tests.statistical.fields import GEOPACKAGE, NDVI, parcels, put_fields

FINE = aggregation(("2024-06-01", "2024-06-30"), "P10D", resolution=0.1)
modes = pytest.mark.parametrize("deferrable", [False, True], ids=["plain", "deferred"])


@modes
def test_it_runs_the_whole_job(bench: StatisticalBench, deferrable: bool) -> None:
    context = bench.context()
    result = bench.run(bench.whole(deferrable=deferrable), context)
    (state,) = bench.sim.requests()
    assert bench.effects() == ["created", "analysis_started", "billed_start"]
    assert bench.legs == (["execute", "execute_complete", "execute_complete"] if deferrable else ["execute"])
    assert result == {
        "request_id": state["id"],
        "batch_api": "statistical",
        "status": "DONE",
        "feature_count": 6,
        "processed": 6,
        "failed": 0,
        "failed_features": [],
        "expected_pu": pytest.approx(state["cost"]),
        "expected_pu_low": pytest.approx(state["cost"]),
        "expected_pu_high": pytest.approx(state["cost"]),
        "estimated_by": "us",
        "processing_units": pytest.approx(state["cost"]),
        "output_url": "s3://farm/statistics",
        "checked": True,
    }
    assert context["ti"].xcoms["request_id"] == state["id"]
    assert context["ti"].xcoms["request_url"].endswith(f"/api/v1/statistics/batch/{state['id']}")
    if deferrable:
        paths = {path for path, _ in bench.triggers}
        assert paths == {"airflow_sentinelhub.triggers.batch.SentinelHubBatchTrigger"}


@modes
def test_failed_features_of_a_done_request_are_named(bench: StatisticalBench, deferrable: bool) -> None:
    bench.sim.fault("fail_tiles", names=["field-01", "field-04"])
    with pytest.raises(JobPartialError) as failed:
        bench.run(bench.whole(deferrable=deferrable))
    (state,) = bench.sim.requests()
    assert state["status"] == "DONE"
    said = str(failed.value)
    assert "2 of 6 features failed" in said
    assert "field-01 (EXECUTION_ERROR), field-04 (FAILED)" in said
    assert state["id"] in said


@pytest.mark.parametrize(
    ("policy", "fine"),
    [
        ({"max_failed_features": 2}, True),
        ({"max_failed_features": 1}, False),
        ({"min_success_ratio": 0.6}, True),
        ({"min_success_ratio": 0.7}, False),
        ({"on_partial": "accept"}, True),
        ({"max_failed_features": "2"}, True),
    ],
)
def test_how_many_may_fail_is_the_users_choice(bench: StatisticalBench, policy: dict[str, Any], fine: bool) -> None:
    bench.sim.fault("fail_tiles", names=["field-01", "field-04"])
    if not fine:
        with pytest.raises(JobPartialError):
            bench.run(bench.whole(**policy))
        return
    result = bench.run(bench.whole(**policy))
    assert (result["processed"], result["failed"]) == (4, 2)
    assert result["failed_features"] == ["field-01", "field-04"]


def test_a_job_with_failed_features_may_be_a_skip(bench: StatisticalBench) -> None:
    bench.sim.fault("fail_tiles", names=["field-01"])
    with pytest.raises(AirflowSkipException, match="1 of 6 features failed"):
        bench.run(bench.whole(on_partial="skip"))


def test_failed_intervals_count(bench: StatisticalBench) -> None:
    bench.sim.settings(failed_intervals_share=0.3)
    try:
        with pytest.raises(JobPartialError, match=r"in 1 of [23] intervals"):
            bench.run(bench.whole())
    finally:
        bench.sim.settings(failed_intervals_share=0)


def test_a_feature_without_a_file_counts(bench: StatisticalBench) -> None:
    make = bench.whole()
    request_id = bench.run(make)["request_id"]
    (bench.sim.bucket_dir / "farm" / "statistics" / request_id / "12.json").unlink()
    with pytest.raises(JobPartialError, match=r"1 of 6 features failed.*field-02 \(MISSING\)"):
        bench.run(make)  # the same round: it adopts the finished request and looks at it again
    assert bench.effects().count("billed_start") == 1


@modes
def test_a_retry_finds_its_request_and_nothing_is_paid_twice(bench: StatisticalBench, deferrable: bool) -> None:
    made = bench.create(description="somebody else's")
    first = bench.run(bench.whole(deferrable=deferrable))
    again = bench.run(bench.whole(deferrable=deferrable), bench.context(try_number=2))
    assert again == first
    assert first["request_id"] != made
    assert bench.effects().count("created") == 2
    assert bench.effects().count("billed_start") == 1


def test_a_retry_in_the_middle_goes_on(bench: StatisticalBench) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    bench.clock.at(120, kill)
    with pytest.raises(Killed):
        bench.run(bench.whole())
    (state,) = bench.sim.requests()
    assert state["status"] in ("ANALYSIS_DONE", "PROCESSING", "ANALYSING", "CREATED")
    result = bench.run(bench.whole(), bench.context(try_number=2))
    assert result["request_id"] == state["id"]
    assert bench.effects() == ["created", "analysis_started", "billed_start"]


def test_a_lost_reply_to_create_makes_no_second_request(bench: StatisticalBench) -> None:
    bench.sim.fault("drop_after", "/statistics/batch$", method="POST")
    result = bench.run(bench.whole())
    assert [state["id"] for state in bench.sim.requests()] == [result["request_id"]]


def test_a_cleared_task_runs_anew_and_another_task_does_too(bench: StatisticalBench) -> None:
    ids = [
        bench.run(bench.whole(), context)["request_id"]
        for context in (
            bench.context(),
            bench.context(try_number=2, max_tries=1),
            bench.context(map_index=3),
            bench.context(run_id="manual__2"),
        )
    ]
    assert len(set(ids)) == 4


def test_a_cleared_task_goes_on_with_a_running_job_and_says_so(bench: StatisticalBench) -> None:
    """There is no update: a note, never started, says that the later round has adopted the request."""

    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    bench.clock.at(240, kill)
    with pytest.raises(Killed):
        bench.run(bench.whole())
    (running,) = bench.sim.requests()
    assert running["status"] == "PROCESSING"
    result = bench.run(bench.whole(), bench.context(try_number=2, max_tries=1))
    later = bench.run(bench.whole(), bench.context(try_number=3, max_tries=1))
    assert result["request_id"] == later["request_id"] == running["id"]
    assert bench.effects().count("billed_start") == 1
    assert bench.effects().count("created") == 2
    note = next(state for state in bench.sim.requests() if state["id"] != running["id"])
    assert (note["status"], note["billed_starts"]) == ("CREATED", 0)
    assert f"a{running['id']}" in bench.hook.statistical.get_request(note["id"]).evalscript


def test_a_stop_by_somebody_is_an_error_that_says_so(bench: StatisticalBench) -> None:
    bench.clock.at(240, lambda: bench.act(bench.sim.requests()[0]["id"], "end"))
    with pytest.raises(AirflowFailException, match="somebody stopped it"):
        bench.run(bench.whole(resume_stopped="when_accepted"))
    assert bench.effects().count("billed_start") == 1


def bankrupt(bench: StatisticalBench) -> None:
    """So little is left that the job is stopped while it runs."""
    bench.sim.settings(balance=1000.02)


@pytest.fixture
def _rich_again(bench: StatisticalBench) -> Any:
    yield
    bench.sim.settings(balance=1_000_000)


@pytest.mark.usefixtures("_rich_again")
@modes
def test_out_of_pu_is_an_error(bench: StatisticalBench, deferrable: bool) -> None:
    bankrupt(bench)
    with pytest.raises(JobCancelledError, match="run out of processing units"):
        bench.run(bench.whole(deferrable=deferrable))


@pytest.mark.usefixtures("_rich_again")
@modes
def test_out_of_pu_can_be_waited_out(bench: StatisticalBench, deferrable: bool) -> None:
    bankrupt(bench)
    bench.clock.at(1200, lambda: bench.sim.settings(balance=1_000_000))
    result = bench.run(bench.whole(deferrable=deferrable, resume_stopped="when_accepted"))
    (state,) = bench.sim.requests()
    assert (result["status"], result["failed"], result["feature_count"]) == ("DONE", 0, 6)
    assert state["billed_starts"] == 2  # the second one bills what was left only
    refused = [call for call in bench.calls("POST", "/start") if call["status"] in (400, 403)]
    assert refused


@pytest.mark.usefixtures("_rich_again")
def test_out_of_pu_fails_clearly_by_choice(bench: StatisticalBench) -> None:
    bankrupt(bench)
    with pytest.raises(JobError, match=r"refuses to start it again .*60 after the account has run out of PU"):
        bench.run(bench.whole(resume_stopped="if_accepted"))


@pytest.mark.usefixtures("_rich_again")
def test_too_little_to_begin_with_is_a_clear_refusal(bench: StatisticalBench) -> None:
    bench.sim.settings(balance=999)
    with pytest.raises(AirflowFailException, match="At least 1000 processing units are needed to create"):
        bench.run(bench.whole())
    assert bench.sim.requests() == []


@modes
@pytest.mark.usefixtures("unpriced")
def test_a_job_that_costs_too_much_is_stopped(bench: StatisticalBench, deferrable: bool) -> None:
    put_fields(bench.sim.bucket_dir, parcels(40))
    with pytest.raises(AirflowFailException, match=r"has cost .* more than"):
        bench.run(bench.whole(aggregation=FINE, max_processing_units=3, deferrable=deferrable, poll_interval=15))
    (state,) = bench.sim.requests()
    assert (state["status"], state["stopped_reason"]) == ("STOPPED", "USER_ACTION")


@pytest.mark.usefixtures("unpriced")
def test_a_budget_can_mean_what_is_there(bench: StatisticalBench) -> None:
    put_fields(bench.sim.bucket_dir, parcels(40))
    result = bench.run(bench.whole(aggregation=FINE, max_processing_units=3, on_over_budget="stop", poll_interval=15))
    assert result["status"] == "STOPPED"
    assert 0 < result["processed"] < 40
    assert result["feature_count"] == 40
    assert (result["failed"], result["failed_features"]) == (0, []), "what was not processed has not failed"


@modes
@pytest.mark.usefixtures("unpriced")
@pytest.mark.thorough
def test_after_a_raised_budget_a_clear_starts_the_same_request_again(bench: StatisticalBench, deferrable: bool) -> None:
    """Its outputs cannot be continued by another request, as those of a raster job can."""
    put_fields(bench.sim.bucket_dir, parcels(40))
    poor, rich = (
        bench.whole(aggregation=FINE, max_processing_units=limit, deferrable=deferrable, poll_interval=15)
        for limit in (3, 9999)
    )
    with pytest.raises(AirflowFailException, match=r"has cost .* more than the 3 PU"):
        bench.run(poor)
    result = bench.run(rich, bench.context(try_number=2, max_tries=4))
    assert (result["status"], result["processed"]) == ("DONE", 40)
    assert [one["id"] for one in bench.sim.requests() if one["cost"]] == [result["request_id"]], "others are but notes"


@pytest.mark.usefixtures("unpriced")
def test_a_limit_that_is_wrong_after_the_clear_does_not_start_the_same_request_again(bench: StatisticalBench) -> None:
    """No limit can be read, so it looks as if the budget was raised."""
    put_fields(bench.sim.bucket_dir, parcels(40))
    with pytest.raises(AirflowFailException, match=r"has cost .* more than the 3 PU"):
        bench.run(bench.whole(aggregation=FINE, max_processing_units=3, poll_interval=15))
    (stopped,) = bench.sim.requests()

    def wrong() -> Any:
        task = bench.whole(aggregation=FINE, max_processing_units="{{ params.limit }}", poll_interval=15)()
        task.max_processing_units = ""  # what the template has rendered to
        return task

    with pytest.raises(
        AirflowFailException, match=f"does not mean no limit.* Batch request {stopped['id']} is STOPPED"
    ):
        bench.run(wrong, bench.context(try_number=2, max_tries=4))
    assert bench.effects().count("billed_start") == 1


@modes
def test_the_time_allowed_ends_the_job(bench: StatisticalBench, deferrable: bool) -> None:
    with pytest.raises(AirflowFailException, match="at the end of the time allowed"):
        bench.run(bench.whole(deferrable=deferrable, timeout=200, poll_interval=30))
    bench.clock.sleep(300)
    assert bench.status(bench.sim.requests()[0]["id"]) == "STOPPED"


def test_an_error_in_the_evalscript_shows_before_anything_is_billed(bench: StatisticalBench) -> None:
    with pytest.raises(AirflowFailException, match=r"evaluatePixel is not defined"):
        bench.run(bench.whole(evalscript=NDVI.replace("evaluatePixel", "evaluate")))
    assert "billed_start" not in bench.effects()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"geopackage": "s3://farm/nothing.gpkg"}, "There is no GeoPackage at s3://farm/nothing.gpkg"),
        ({"geopackage": "fields.gpkg"}, "geopackage is s3://bucket/path"),
        ({"geopackage": "s3://farm/fields.shp"}, "ends in .gpkg"),
        ({"destination": "s3://farm/<requestId>/<ID>.json"}, "<requestId> is not known to batch statistical"),
        ({"destination": "s3://farm/<REQUEST_ID>/a.json"}, "needs <ID> or <IDENTIFIER>"),
        ({"aws_conn_id": None}, "give aws_conn_id"),
        ({"evalscript": None}, "There is no evalscript"),
        ({"evalscript": NDVI + "//" + 32 * 1024 * "x"}, "takes less than 32,768"),
        ({"max_failed_features": -1}, "must be a number from 0"),
        ({"aggregation": {"timeRange": {"from": "2024-06-01", "to": "2024-06-02"}}}, "names no interval"),
        ({"aggregation": "{nonsense"}, "aggregation is text that is not JSON"),
        ({"data": None}, "Give data"),
    ],
)
def test_bad_input_is_a_sentence_and_nothing_is_created(
    bench: StatisticalBench, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises((AirflowFailException, ValueError)) as refused:
        bench.run(bench.whole(**arguments))
    assert said in str(refused.value)
    assert bench.effects() == []


def test_a_geopackage_that_breaks_the_rules_is_refused_before_it_is_sent(bench: StatisticalBench) -> None:
    put_fields(bench.sim.bucket_dir, parcels(3, n2="field-00"))
    with pytest.raises(AirflowFailException, match="The identifier 'field-00' is there twice"):
        bench.run(bench.whole())
    assert bench.calls("POST", "/statistics/batch") == []


def test_no_secret_is_told(bench: StatisticalBench, logged: Callable[[], str]) -> None:
    context = bench.context()
    result = bench.run(bench.whole(deferrable=True), context)
    said = logged()
    assert result["request_id"] in said
    told = said + json.dumps([result, context["ti"].xcoms, bench.triggers, bench.events])
    assert AWS["login"] not in told
    assert AWS["password"] not in told


def test_the_job_may_come_out_of_templates(bench: StatisticalBench) -> None:
    text = json.dumps(
        {
            "timeRange": {"from": "2024-06-01", "to": "2024-06-30"},
            "aggregationInterval": {"of": "P10D"},
            "width": "20",
            "height": "20",
        }
    )
    data = json.dumps([{"type": "sentinel-2-l2a", "dataFilter": {}}])
    result = bench.run(bench.whole(aggregation=text, data=data, calculations='{"default": {}}'))
    sent = bench.body(result["request_id"])
    assert sent["aggregation"]["width"] == 20
    assert sent["aggregation"]["timeRange"] == {"from": "2024-06-01T00:00:00Z", "to": "2024-07-01T00:00:00Z"}
    assert sent["input"]["data"] == [{"type": "sentinel-2-l2a", "dataFilter": {}}]
    assert sent["input"]["features"]["s3"]["url"] == GEOPACKAGE


@pytest.mark.parametrize("data", ["sentinel-2-l2a", {"type": "sentinel-2-l2a"}], ids=["by name", "one object"])
def test_the_lineage_has_a_collection_in_each_form_of_the_data(bench: StatisticalBench, data: Any) -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(bench.whole(data=data)())
        return made[-1]

    bench.run(make)
    (source,) = made[-1].lineage().sources
    assert source.name == "sentinel-2-l2a"
    assert source.begin is not None


def test_kill_by_a_user_stops_the_job(bench: StatisticalBench, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_sentinelhub import cancel
    from airflow_sentinelhub._compat.task_state import TaskState

    request_id = bench.started()
    bench.clock.sleep(230)
    operator = bench.whole()()
    operator.responsible_for(request_id, bench.context())
    monkeypatch.setattr(cancel, "state_in_worker", lambda *_: TaskState(True, "running"))
    operator.on_kill()
    assert "stopped" not in bench.effects()
    monkeypatch.setattr(cancel, "state_in_worker", lambda *_: TaskState(True, "failed"))
    operator.on_kill()
    assert bench.effects()[-1] == "stopped"


# Arguments of other jobs

FOREIGN: dict[str, Any] = {
    "process_request": {"input": {}},
    "tiling_grid": {"id": 1, "resolution": 10},
    "area": [8.9, 41.9, 9.3, 42.3],
    "simplify": 50.0,
    "bucket_name": "maps",
    "batch_api": "v1",
    "max_restarts": 1,
    "max_failed_tiles": 3,
    "check_tiles": False,
}


def maps(**default_args: Any) -> DAG:
    return DAG("maps", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), default_args=default_args)


@pytest.mark.parametrize("name", [*FOREIGN])
def test_what_it_does_not_take_is_refused_by_name_while_the_dag_is_parsed(bench: StatisticalBench, name: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"takes no {name}: .+[a-z0-9']\. Task: statistics "):
        bench.whole(**{name: FOREIGN[name]})()
    with pytest.raises(InvalidInputError, match=f"takes no {name}: "):
        bench.whole(**{name: None})()
    assert bench.sim.journal() == []


def test_every_argument_of_other_jobs_is_taken_or_refused() -> None:
    """Whoever gives SentinelHubBatchOperator another argument decides what it means here."""
    assert set(FOREIGN) == set(statistical._INSTEAD)
    meant = {
        *{
            "geopackage",
            "destination",
            "output",
            "evalscript",
            "description",
            "aws_conn_id",
            "iam_role_arn",
            "payload_extra",
        },
        *{"sentinelhub_conn_id", "request_id", "max_processing_units", "on_over_budget", "min_success_ratio"},
        *{"max_processing_units_per_month", "require_estimate", "report"},
        *{"on_partial", "resume_stopped", "cancel_on_kill", "cancel_on_timeout", "deferrable", "poll_interval"},
        *{"analysis_poll_interval", "max_poll_interval", "timeout", "max_unknown_time"},
    }
    theirs = set(arguments_of(SentinelHubBatchOperator)) - set(arguments_of(BaseOperator))
    assert theirs <= meant | set(FOREIGN)


@pytest.mark.parametrize("name", [*FOREIGN])
def test_a_mapped_task_refuses_it_before_anything_is_created(bench: StatisticalBench, name: str) -> None:
    given = bench.arguments()
    del given["geopackage"]
    with maps():
        with pytest.raises(InvalidInputError, match=f"takes no {name}: "):
            SentinelHubBatchStatisticalOperator.partial(**given, **{name: FOREIGN[name]})
        mapped = {"geopackage": [GEOPACKAGE], name: [FOREIGN[name]]}
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):  # Airflow's own words
            SentinelHubBatchStatisticalOperator.partial(**given).expand(**mapped)
    assert bench.sim.journal() == []


@pytest.mark.parametrize("mapped", [False, True])
@modes
def test_defaults_for_other_jobs_of_the_dag_change_nothing(
    bench: StatisticalBench, deferrable: bool, mapped: bool
) -> None:
    """One failed feature and `max_restarts`, which was a KeyError after payment."""
    bench.sim.fault("fail_tiles", names=["field-01"])
    foreign = {name: value for name, value in FOREIGN.items() if name != "check_tiles"}
    given = bench.arguments(deferrable=deferrable, retries=1)

    def make() -> Any:
        with maps(**foreign):
            if not mapped:
                return SentinelHubBatchStatisticalOperator(**given)
            fixed = {name: value for name, value in given.items() if name != "geopackage"}
            task = SentinelHubBatchStatisticalOperator.partial(**fixed).expand(geopackage=[GEOPACKAGE])
        return task.unmap({"geopackage": GEOPACKAGE})

    for number in (1, 2):
        with pytest.raises(JobPartialError, match="1 of 6 features failed"):
            bench.run(make, bench.context(max_tries=1, try_number=number))
    assert bench.effects() == ["created", "analysis_started", "billed_start"]


# Dates

INTERVAL = {
    "data_interval_start": datetime(2024, 6, 3, tzinfo=timezone.utc),
    "data_interval_end": datetime(2024, 6, 10, tzinfo=timezone.utc),
}


@pytest.mark.parametrize("time_range", ["data_interval", last(weeks=1)], ids=["data_interval", "last"])
def test_the_range_of_statistics_ends_where_the_next_begins(bench: StatisticalBench, time_range: Any) -> None:
    """A millisecond less, and the last interval would not be whole, which the service leaves out."""
    divided = aggregation(time_range, "P1D", resolution=0.1)
    result = bench.run(bench.whole(aggregation=divided), {**bench.context(), **INTERVAL})
    sent = bench.body(result["request_id"])["aggregation"]["timeRange"]
    assert sent == {"from": "2024-06-03T00:00:00Z", "to": "2024-06-10T00:00:00Z"}
    feature = next(bench.results(result["request_id"]).features())
    assert len({row["from"] for row in feature.rows()}) == 7


@pytest.mark.parametrize(
    ("time_range", "says"),
    [
        ("data_interval", "this run has no data interval"),
        (("{{ data_interval_start | ds }}", "{{ data_interval_end | ds }}"), "rendered to the same, '2024-06-10'"),
        (("2124-06-01", "2124-07-01"), "in the future"),
    ],
)
def test_a_range_that_cannot_be_is_refused_before_anything_is_sent(
    bench: StatisticalBench, time_range: Any, says: str
) -> None:
    operator = bench.whole(aggregation=aggregation(time_range, "P1D", resolution=0.1))()
    empty = dict.fromkeys(INTERVAL, INTERVAL["data_interval_end"])
    operator.render_template_fields({**empty, "params": {}})
    with pytest.raises(AirflowFailException, match=says):
        bench.run(lambda: operator)
    assert bench.sim.journal() == []
    with pytest.raises(InvalidInputError, match="time_range is reversed"):
        bench.whole(aggregation={"timeRange": {"from": "2024-06-02", "to": "2024-05-01"}})()
