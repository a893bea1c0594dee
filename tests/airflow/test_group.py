"""The whole job as a TaskGroup: its steps, what each of them is given, and the person in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest

from airflow_sentinelhub import groups, process_request, sentinelhub_batch, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException, BaseOperator, approval_operator
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators._arguments import arguments_of
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator
from tests.airflow.job import described, modes, v1, v2
from tests.names import DAG

APPROVAL = approval_operator()
needs_approval = pytest.mark.skipif(APPROVAL is None, reason="Airflow 3.1 and later have a human-in-the-loop step")
STEPS = ("create", "analyse", "budget", "approve", "start", "finish")
JOB: dict[str, Any] = {
    "process_request": process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
    "evalscript": "//VERSION=3",
    "area": [8.9, 41.9, 9.3, 42.3],
    "simplify": 50.0,
    "tiling_grid": tiling_grid(1, 10),
    "destination": "s3://maps/ndvi",
}


def group(default_args: dict[str, Any] | None = None, **more: Any) -> DAG:
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    with DAG("maps", schedule=None, start_date=start, default_args=default_args or {}) as dag:
        sentinelhub_batch("ndvi", **{**JOB, **more})
    return dag


def whole(default_args: dict[str, Any] | None = None, **more: Any) -> DAG:
    """A group with every step that this Airflow has."""
    return group(default_args, max_processing_units=100, approve=APPROVAL is not None, **more)


def steps(dag: DAG) -> dict[str, Any]:
    """The steps by name, in their order: each stands directly behind the one before it."""
    order = sorted(dag.tasks, key=lambda task: len(task.get_flat_relative_ids(upstream=True)))
    for before, after in pairwise(order):
        assert after.task_id in before.downstream_task_ids
    return {task.task_id.removeprefix("ndvi."): task for task in order}


def test_the_steps_follow_each_other() -> None:
    assert list(steps(group())) == ["create", "analyse", "start", "finish"]
    with_budget = ["create", "analyse", "budget", "start", "finish"]
    assert list(steps(group(max_processing_units=100))) == with_budget
    assert list(steps(group(require_estimate=True))) == with_budget
    assert list(steps(group(max_processing_units_per_month=100))) == ["create", "analyse", "start", "finish"]


@needs_approval
def test_a_person_is_asked_before_anything_is_billed() -> None:
    found = steps(whole())
    assert tuple(found) == STEPS
    assert isinstance(found["approve"], APPROVAL)


@pytest.mark.skipif(APPROVAL is not None, reason="this Airflow has such a step")
def test_where_nobody_can_be_asked_it_says_so() -> None:
    with pytest.raises(InvalidInputError, match=r"Airflow 3\.1"):
        group(approve=True)


def test_limits_that_contradict_each_other_are_said_while_the_dag_is_parsed() -> None:
    with pytest.raises(InvalidInputError, match="on_partial"):
        group(on_partial="accept", max_failed_tiles=3)
    with pytest.raises(InvalidInputError, match="above 0"):
        group(max_processing_units=0)


# What a step is given


@pytest.mark.parametrize("rule", ["all_done", "none_failed", "always", "one_success"])
def test_no_default_rule_steps_over_a_step(rule: str) -> None:
    found = steps(whole({"trigger_rule": rule}))
    rules = {name: str(getattr(task.trigger_rule, "value", task.trigger_rule)) for name, task in found.items()}
    assert rules.pop("create") == rule, "what comes before the group is the user's"
    assert set(rules.values()) == {"all_success"}


def call(context: Any) -> None:
    """A callback."""


SAMPLES: dict[str, Any] = {
    "owner": "maps",
    "retries": 4,
    "retry_delay": timedelta(seconds=7),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
    "email_on_failure": False,
    "pool": "sentinelhub",
    "pool_slots": 2,
    "priority_weight": 9,
    "queue": "slow",
    "executor_config": {"a": 1},
    "execution_timeout": timedelta(hours=3),
    "on_execute_callback": call,
    "on_failure_callback": call,
    "on_success_callback": call,
    "on_retry_callback": call,
    "on_skipped_callback": call,
    "doc_md": "A map.",
    "run_as_user": "maps",
    "depends_on_past": True,
    "ignore_first_depends_on_past": True,
    "wait_for_past_depends_before_skipping": True,
    "map_index_template": "{{ ti.map_index }}",
    "inlets": [],
}
"""Arguments of any operator, with a value that is not the default."""
OURS: dict[str, Any] = {
    "sentinelhub_conn_id": "other",
    "batch_api": "v1",
    "aws_conn_id": "bucket",
    "iam_role_arn": "arn:aws:iam::1:role/maps",
    "bucket_name": "maps",
    "description": "Maps",
    "geopackage": "s3://maps/fields.gpkg",
    "payload_extra": {"a": 1},
    "deferrable": True,
    "timeout": 7200,
    "max_unknown_time": 60.0,
    "poll_interval": 33.0,
    "max_poll_interval": 330.0,
    "analysis_poll_interval": 3.0,
    "cancel_on_kill": False,
    "cancel_on_timeout": False,
    "resume_stopped": "if_accepted",
    "on_over_budget": "skip",
    "max_processing_units_per_month": 50_000,
    "require_estimate": True,
    "max_restarts": 2,
    "max_failed_tiles": 3,
    "min_success_ratio": 0.5,
    "on_partial": "skip",
    "check_tiles": True,
    "report": True,
}
NOT_SO: dict[tuple[str, str], Any] = {
    ("approve", "retries"): 0,
    ("approve", "execution_timeout"): None,
    ("finish", "depends_on_past"): False,
    ("analyse", "poll_interval"): 10.0,  # that of the analysis, which is more often
}
"""Step and argument where the group knows better."""
INSTEAD = {"bucket_name": "destination", "geopackage": "tiling_grid"}
"""Arguments of which the job has another one."""


@pytest.mark.parametrize("by", ["arguments", "default_args"])
@pytest.mark.parametrize("name", [*SAMPLES, *OURS])
def test_an_argument_reaches_every_step_that_has_it(name: str, by: str) -> None:
    value = {**SAMPLES, **OURS}[name]
    without = {INSTEAD[name]: None} if name in INSTEAD else {}
    found = steps(whole(**{name: value}, **without) if by == "arguments" else whole({name: value}, **without))
    took = [step for step in found if name in arguments_of(type(found[step]))]
    assert took == [*found] if name in SAMPLES else took
    for step in took:
        shown, wanted = getattr(found[step], name), NOT_SO.get((step, name), value)
        assert shown in (wanted, [wanted]), step  # Airflow makes a list of a callback


def test_the_analysis_is_polled_as_the_whole_job_does() -> None:
    given = [{}, {"analysis_poll_interval": 3.0}, {"poll_interval": 4.0}, {"poll_interval": 90.0}]
    for by in (lambda one: whole(**one), whole):
        assert [steps(by(one))["analyse"].poll_interval for one in given] == [10.0, 3.0, 4.0, 10.0]


def test_every_argument_of_ours_is_looked_at_above() -> None:
    ours = set(arguments_of(SentinelHubBatchOperator)) - set(arguments_of(BaseOperator))
    assert ours == {*OURS, *JOB, "max_processing_units", "request_id", "output"}


def test_the_lists_of_the_group_name_arguments_that_exist() -> None:
    assert set(groups._OF_THE_RESULT) <= set(arguments_of(BaseOperator))
    if APPROVAL is not None:
        assert set(groups._APPROVAL) <= {*arguments_of(APPROVAL), "options", "multiple"}
    operators = (SentinelHubBatchOperator, type(steps(group())["start"]))
    known = {name for operator in operators for name in arguments_of(operator)} | {"task_concurrency"}  # 2.11
    assert set(groups._NOT_TAKEN) <= known


@pytest.mark.parametrize("name", [*groups._NOT_TAKEN])
def test_what_would_take_the_group_apart_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"takes no {name}: .+\\.$"):
        group(**{name: "all_done"})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("max_procesing_units", "did you mean max_processing_units?"),
        ("retry", "did you mean retries?"),
        ("bbox_of_the_world", "neither has SentinelHubBatchOperator"),
        ("response_timeout", "has no argument response_timeout"),
    ],
)
def test_an_unknown_argument_is_named(name: str, hint: str) -> None:
    with pytest.raises(InvalidInputError, match=f"no argument {name}") as caught:
        group(**{name: 1})
    assert hint in str(caught.value)


def test_what_default_args_hold_for_other_operators_changes_nothing() -> None:
    """`start` does not wait, ids are handed on, only the result makes events."""
    found = steps(whole({"wait_for_completion": True, "do_xcom_push": False, "multiple_outputs": True}))
    assert found["start"].wait_for_completion is False
    for name in ("create", "analyse", "start"):
        assert (found[name].do_xcom_push, found[name].multiple_outputs) == (True, False), name
    found = steps(whole(outlets=["a"], multiple_outputs=True))
    assert {name: task.outlets for name, task in found.items() if task.outlets} == {"finish": ["a"]}
    assert found["finish"].multiple_outputs is True


@pytest.mark.parametrize("by", ["arguments", "default_args"])
def test_a_job_follows_the_job_of_the_run_before_and_is_always_watched(by: str) -> None:
    found = steps(whole(depends_on_past=True) if by == "arguments" else whole({"depends_on_past": True}))
    assert found["start"].depends_on_past is found["start"].wait_for_downstream is True
    assert found["start"].downstream_task_ids == {"ndvi.finish"}
    assert found["finish"].depends_on_past is found["finish"].wait_for_downstream is False
    found = steps(whole({"wait_for_downstream": True, "max_active_tis_per_dag": 1}))
    assert found["finish"].depends_on_past is found["finish"].wait_for_downstream is False
    assert found["finish"].max_active_tis_per_dag is None
    assert steps(whole())["start"].wait_for_downstream is False


def test_a_dag_may_be_named() -> None:
    dag = DAG("maps", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc))
    sentinelhub_batch("ndvi", dag=dag, **JOB)
    assert list(steps(dag)) == ["create", "analyse", "start", "finish"]


# Budget


@pytest.mark.parametrize("limit", ["{{ dag_run.conf.get('budget') }}", 100, "output"])
def test_a_limit_that_comes_with_the_run_has_its_step(limit: Any) -> None:
    with DAG("maps", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)) as dag:
        if limit == "output":
            limit = BaseOperator(task_id="limit").output
        sentinelhub_batch("ndvi", max_processing_units=limit, on_over_budget="{{ params.policy }}", **JOB)
    assert dag.task_dict["ndvi.budget"].max_processing_units is limit
    assert dag.task_dict["ndvi.finish"].max_processing_units is limit
    assert dag.task_dict["ndvi.budget"].on_over_budget == "{{ params.policy }}"


def test_no_limit_has_no_step_also_against_default_args() -> None:
    assert "budget" not in steps(group(max_processing_units=None))
    assert "budget" in steps(group({"max_processing_units": 100, "on_over_budget": "stop"}))
    assert "budget" not in steps(group({"max_processing_units": 100}, max_processing_units=None))


# The steps at work


class Run:
    """Runs the steps of a group one by one, each with the id that the first has returned."""

    def __init__(self, bench: Any, **more: Any) -> None:
        self.bench, self.more = bench, {**described(bench), "poll_interval": 20.0, **more}
        self.request_id = ""

    def task(self, name: str, **attributes: Any) -> Callable[[], Any]:
        def make() -> Any:
            task = steps(group(**self.more))[name]
            for attribute, value in {"request_id": self.request_id, **attributes}.items():
                if attribute in task.template_fields:
                    setattr(task, attribute, value)
            return task

        return make

    def step(self, name: str, *, context: Any = None, **attributes: Any) -> Any:
        context = context or self.bench.context(task_id=f"ndvi.{name}", max_tries=3)
        result = self.bench.run(self.task(name, **attributes), context)
        if name == "create":
            self.request_id = result["request_id"]
        return result


@modes
def test_the_steps_together_are_the_whole_job(bench: Any, deferrable: bool) -> None:
    run = Run(bench, deferrable=deferrable, max_processing_units=1_000_000)
    for name in ("create", "analyse", "budget", "start"):
        run.step(name)
    result = run.step("finish")
    assert (result["request_id"], result["status"], result["failed"]) == (run.request_id, "DONE", 0)
    assert bench.effects() == ["created", "analysis_started", "billed_start"]


@modes
@pytest.mark.parametrize("done", [("create",), ("create", "analyse")])
def test_finish_never_starts(bench: Any, deferrable: bool, done: tuple[str, ...]) -> None:
    """Somebody has marked `start` as a success by hand, or cleared `finish` alone."""
    run = Run(bench, deferrable=deferrable, max_restarts=2)
    for name in done:
        run.step(name)
    before = bench.effects()
    with pytest.raises(AirflowFailException) as caught:
        run.step("finish")
    assert run.request_id in str(caught.value)
    assert "It has not been started and bills nothing." in str(caught.value)
    assert "clear ndvi.start" in str(caught.value)
    bench.clock.sleep(3600)
    assert bench.effects() == before


@modes
def test_finish_waits_for_a_start_that_shows_late(bench: Any, deferrable: bool) -> None:
    run = Run(bench, deferrable=deferrable)
    for name in ("create", "analyse"):
        run.step(name)
    bench.clock.at(60, lambda: bench.act(run.request_id, "start"))
    assert run.step("finish")["status"] == "DONE"
    assert bench.effects().count("billed_start") == 1


@modes
def test_finish_restarts_the_failed_part(bench: Any, deferrable: bool) -> None:
    bench.sim.fault("fail_tiles", share=0.2)
    run = Run(bench, deferrable=deferrable, max_restarts=1)
    for name in ("create", "analyse", "start"):
        run.step(name)
    context = bench.context(task_id="ndvi.finish", max_tries=3)
    result = run.step("finish", context=context)
    assert (result["failed"], result["restarts"]) == (0, 1)
    effects = bench.effects()
    assert effects.count("billed_start") + effects.count("restarted") == 2
    again = run.step("finish", context=bench.context(task_id="ndvi.finish", max_tries=3, try_number=2))
    assert again["request_id"] == result["request_id"]
    assert bench.effects() == effects


@v1
@pytest.mark.parametrize("policy", ["skip", "stop"])
@pytest.mark.parametrize("rendered", [True, False])
def test_a_job_over_its_budget_is_skipped_before_it_starts(bench: Any, policy: str, rendered: bool) -> None:
    run = Run(bench, max_processing_units=1, on_over_budget="{{ params.policy }}" if rendered else policy)
    given = {"on_over_budget": policy} if rendered else {}
    run.step("create", **given)
    run.step("analyse")
    with pytest.raises(AirflowSkipException):
        run.step("budget", **given)


@v2
@pytest.mark.parametrize("reason", ["OUT_OF_PU", "USER_ACTION"])
def test_start_goes_on_with_what_the_service_has_stopped_alone(bench: Any, reason: str) -> None:
    run = Run(bench, resume_stopped="if_accepted")
    for name in ("create", "analyse", "start"):
        run.step(name)
    bench.clock.sleep(120)
    bench.sim.force(run.request_id, "STOPPED", reason=reason)
    bench.clock.sleep(7200)
    retry = bench.context(task_id="ndvi.start", max_tries=3, try_number=2)
    if reason == "USER_ACTION":
        with pytest.raises(AirflowFailException, match="somebody stopped it"):
            run.step("start", context=retry)
        assert bench.effects().count("billed_start") == 1
    else:
        run.step("start", context=retry)
        assert run.step("finish")["status"] == "DONE"


# The person


def price(low: float | None, high: float | None, by: str | None) -> dict[str, Any]:
    return {"expected_pu_low": low, "expected_pu_high": high, "estimated_by": by}


@needs_approval
def test_a_person_reads_what_it_will_cost() -> None:
    approve = steps(whole())["approve"]
    pulled: dict[str, Any] = {
        "ndvi.create": {"request_id": "5f2a"},
        "ndvi.analyse": {"tile_count": 20, **price(1234.5, 1234.5, "service")},
    }

    def xcom_pull(*, task_ids: str, map_indexes: int) -> Any:
        assert map_indexes == 3
        return pulled[task_ids]

    seen = {"ti": type("TI", (), {"xcom_pull": staticmethod(xcom_pull), "map_index": 3})}
    assert approve.render_template(approve.subject, seen) == "Start the Sentinel Hub batch job 5f2a?"
    assert (
        approve.render_template(approve.body, seen)
        == "20 tiles, about 1,234 processing units, a third of the service's estimate."
    )
    pulled["ndvi.analyse"] = {"tile_count": 20, **price(900.0, 2400.0, "us")}
    assert (
        approve.render_template(approve.body, seen) == "20 tiles, about 900 to 2,400 processing units, estimated by us."
    )
    for nothing in ({"tile_count": None, **price(None, None, None)}, {"tile_count": None, "expected_pu": None}, None):
        pulled["ndvi.analyse"] = nothing
        assert approve.render_template(approve.body, seen) == "an unknown number of tiles, cost not estimated."


@needs_approval
def test_nobody_but_a_person_answers_and_a_refusal_is_not_asked_again() -> None:
    """A retry of Airflow's step forgets the answer; `defaults` would answer at the end of the time."""
    given = {"retries": 3, "defaults": "Approve", "fail_on_reject": True, "ignore_downstream_trigger_rules": True}
    approve = steps(whole(given))["approve"]
    assert (approve.retries, approve.defaults) == (0, None)
    assert approve.fail_on_reject is approve.ignore_downstream_trigger_rules is False
    event = {"chosen_options": ["Reject"], "params_input": {}, "responded_by_user": {"id": "1", "name": "Eva"}}
    with pytest.raises(AirflowSkipException, match="Eva has refused: it is not started and bills nothing"):
        approve.execute_complete({}, {**event, "responded_at": datetime.now(timezone.utc)})
    agreed = {**event, "chosen_options": ["Approve"], "responded_at": datetime.now(timezone.utc)}
    assert approve.execute_complete({}, agreed)["chosen_options"] == ["Approve"]


@needs_approval
def test_the_time_for_an_answer() -> None:
    def times(**more: Any) -> Any:
        approve = steps(whole(**more))["approve"]
        return approve.response_timeout, approve.execution_timeout

    hours, days = timedelta(hours=3), timedelta(days=3)
    assert times() == (None, None)
    assert times(execution_timeout=hours) == (hours, None)
    assert times(execution_timeout=hours, response_timeout=days) == (days, None)
    assert times(default_args={"execution_timeout": hours}) == (hours, None)
    assert steps(whole(assigned_users=[{"id": "1", "name": "Eva"}]))["approve"].assigned_users[0]["name"] == "Eva"
