"""The group's steps carried out as a scheduler would, in this process: in the order of the graph, arguments rendered,
values handed on by XCom, and what stands behind a step that did not succeed is not run."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sentinelhub import sentinelhub_batch
from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException, BaseOperator, approval_operator
from tests.airflow.job import described, modes, v1, v2
from tests.names import DAG

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
BILLED = {"billed_start", "restarted"}
needs_approval = pytest.mark.skipif(approval_operator() is None, reason="Airflow 3.1 and later have such a step")


class Scheduler:
    """Runs the tasks of a DAG with one group. Each task is a new object at each leg, of a DAG that is parsed anew.

    :param map_index: of a mapped task group's expansion, whose XComs stand beside those of the others.
    """

    def __init__(self, bench: Any, map_index: int = -1, **more: Any) -> None:
        self.bench, self.map_index = bench, map_index
        self.more = {**described(bench), "poll_interval": 20.0, **more}
        self.states: dict[str, str] = {}
        self.xcoms: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, BaseException] = {}

    def dag(self) -> DAG:
        with DAG("maps", schedule=None, start_date=START) as dag:
            sentinelhub_batch("ndvi", **self.more)
        return dag

    def order(self) -> list[str]:
        tasks = self.dag().tasks
        return [task.task_id for task in sorted(tasks, key=lambda task: len(task.get_flat_relative_ids(upstream=True)))]

    def run(self, answer: str | None = None) -> dict[str, str]:
        """Until nothing can be run any more; the state of each step, without the group's name."""
        for task_id in self.order():
            self.states[task_id] = self._state_of(task_id, answer)
        return {task_id.removeprefix("ndvi."): state for task_id, state in self.states.items()}

    def again(self, *names: str) -> dict[str, str]:
        """Run these steps once more, in a second try."""
        for name in names:
            self.states[f"ndvi.{name}"] = self._state_of(f"ndvi.{name}", try_number=2)
        return {task_id.removeprefix("ndvi."): state for task_id, state in self.states.items()}

    def _state_of(self, task_id: str, answer: str | None = None, try_number: int = 1) -> str:
        task = self.dag().get_task(task_id)
        assert str(getattr(task.trigger_rule, "value", task.trigger_rule)) == "all_success"
        before = {self.states[upstream] for upstream in task.upstream_task_ids}
        if before - {"success"}:
            return "skipped" if "skipped" in before else "upstream_failed"
        context = self.bench.context(task_id=task_id, map_index=self.map_index, try_number=try_number, max_tries=3)
        self._connect(context["ti"], task_id)
        try:
            if task_id.endswith(".approve"):
                result = self._asked(task_id, context, answer)
            else:
                result = self.bench.run(lambda: self._rendered(task_id, context), context)
        except AirflowSkipException:
            return "skipped"
        except Exception as error:
            self.errors[task_id.removeprefix("ndvi.")] = error
            return "failed"
        if task.do_xcom_push and result is not None and not task_id.endswith(".approve"):
            context["ti"].xcom_push("return_value", result)
        return "success"

    def _connect(self, ti: Any, task_id: str) -> None:
        """XComs of this run: a step sees those of the steps of its own expansion alone."""
        ti.xcoms = self.xcoms.setdefault(task_id, {})

        def pull(task_ids: Any = None, key: str = "return_value", map_indexes: Any = None, **_: Any) -> Any:
            assert map_indexes in (None, self.map_index)
            one = task_ids if isinstance(task_ids, str) or task_ids is None else next(iter(task_ids))
            return self.xcoms.get(one or task_id, {}).get(key)

        ti.xcom_pull = pull

    def _rendered(self, task_id: str, context: dict[str, Any]) -> BaseOperator:
        """The task with its arguments rendered; those that are the output of another step, by its XCom."""
        task = self.dag().get_task(task_id)
        for name in task.template_fields:
            value = getattr(task, name, None)
            if hasattr(value, "operator"):  # an XComArg
                setattr(task, name, self.xcoms[value.operator.task_id]["return_value"])
            elif isinstance(value, str):
                setattr(task, name, task.render_template(value, context))
        return task

    def _asked(self, task_id: str, context: dict[str, Any], answer: str | None) -> Any:
        """A person answers; see Airflow's own tests for how the question comes to be shown."""
        assert answer is not None, "nobody was to be asked"
        task: Any = self._rendered(task_id, context)
        self.question = (task.subject, task.body)
        event = {"chosen_options": [answer], "params_input": {}, "responded_by_user": {"id": "1", "name": "Eva"}}
        return task.execute_complete(context, {**event, "responded_at": datetime.now(timezone.utc)})

    @property
    def request_id(self) -> str:
        return str(self.xcoms["ndvi.create"]["return_value"]["request_id"])

    @property
    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = self.xcoms["ndvi.finish"]["return_value"]
        return found


def billed(bench: Any) -> int:
    return sum(effect in BILLED for effect in bench.effects())


@modes
def test_from_create_to_the_result(bench: Any, deferrable: bool) -> None:
    group = Scheduler(bench, deferrable=deferrable, max_processing_units=1_000_000)
    assert group.run() == dict.fromkeys(("create", "analyse", "budget", "start", "finish"), "success"), group.errors
    assert list(group.states) == [f"ndvi.{step}" for step in ("create", "analyse", "budget", "start", "finish")]
    assert (group.result["request_id"], group.result["status"]) == (group.request_id, "DONE")
    assert bench.effects() == ["created", "analysis_started", "billed_start"]


@modes
def test_every_step_in_a_second_try_goes_on_with_the_one_request(bench: Any, deferrable: bool) -> None:
    group = Scheduler(bench, deferrable=deferrable)
    group.run()
    first = group.request_id
    assert group.again("create", "analyse", "start", "finish") == dict.fromkeys(
        ("create", "analyse", "start", "finish"), "success"
    )
    assert group.request_id == first == group.result["request_id"]
    assert billed(bench) == 1


@modes
def test_what_failed_is_restarted_by_the_last_step(bench: Any, deferrable: bool) -> None:
    bench.sim.fault("fail_tiles", share=0.2)
    group = Scheduler(bench, deferrable=deferrable, max_restarts=1)
    assert set(group.run().values()) == {"success"}, group.errors
    assert (group.result["failed"], group.result["restarts"]) == (0, 1)
    assert billed(bench) == 2


@v1
@pytest.mark.parametrize("policy", ["skip", "stop", "fail"])
def test_over_the_budget_nothing_behind_it_runs(bench: Any, policy: str) -> None:
    """v1 estimates; nothing is started, so nothing has to be ended."""
    group = Scheduler(bench, max_processing_units=1, on_over_budget=policy)
    states = group.run()
    ended = ("skipped", "skipped") if policy != "fail" else ("failed", "upstream_failed")
    assert states == {
        "create": "success",
        "analyse": "success",
        "budget": ended[0],
        "start": ended[1],
        "finish": ended[1],
    }
    assert bench.effects() == ["created", "analysis_started"]


def test_after_an_analysis_that_failed_nothing_is_started(bench: Any) -> None:
    group = Scheduler(bench, evalscript="//VERSION=3")
    assert group.run() == {
        "create": "success",
        "analyse": "failed",
        "start": "upstream_failed",
        "finish": "upstream_failed",
    }
    assert isinstance(group.errors["analyse"], AirflowFailException)
    assert billed(bench) == 0


def test_a_create_that_is_refused_ends_it_all(bench: Any) -> None:
    bench.sim.fault("status", "/process$", method="POST", status=403, times=None)
    group = Scheduler(bench)
    states = group.run()
    assert states.pop("create") == "failed"
    assert set(states.values()) == {"upstream_failed"}
    assert bench.effects() == []


@needs_approval
@pytest.mark.parametrize("answer", ["Approve", "Reject"])
def test_a_person_decides(bench: Any, answer: str) -> None:
    group = Scheduler(bench, approve=True)
    states = group.run(answer)
    subject, body = group.question
    assert group.request_id in subject
    told = {"v1": "24 tiles, about ", "v2": "24 tiles, about 41 to 100 processing units, estimated by us."}
    assert body.startswith(told[bench.api])
    after = "success" if answer == "Approve" else "skipped"
    assert [states[step] for step in ("approve", "start", "finish")] == [after] * 3
    assert billed(bench) == (answer == "Approve")


def test_each_expansion_of_a_mapped_group_has_its_own_job(bench: Any) -> None:
    areas = ([8.9, 41.9, 9.3, 42.2], [8.9, 40.1, 9.2, 40.3])
    groups = [Scheduler(bench, index, area=area) for index, area in enumerate(areas)]
    for group in groups:
        assert set(group.run().values()) == {"success"}, group.errors
    assert len({group.request_id for group in groups}) == 2
    assert [group.result["request_id"] for group in groups] == [group.request_id for group in groups]
    assert billed(bench) == 2


@v2
def test_a_last_step_that_runs_out_of_time_ends_the_job_it_watches(bench: Any) -> None:
    bench.sim.settings(tile_seconds=4000.0)
    group = Scheduler(bench, timeout=timedelta(minutes=10).total_seconds(), cancel_on_timeout=True)
    states = group.run()
    assert (states["start"], states["finish"]) == ("success", "failed")
    assert group.request_id in str(group.errors["finish"])
    assert bench.status(group.request_id) == "STOPPED"
