"""Time ranges from the argument to what is sent: worked out from the run, the same at every try, refused in time."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest

from airflow_sentinelhub import last, process_request, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub._identity import run_of
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubCreateBatchOperator
from tests.airflow.job import RETRY, described, v2
from tests.names import DAG

try:
    from airflow.serialization.serialized_objects import DagSerialization as Serialization
except ImportError:  # 2.11, 3.0
    from airflow.serialization.serialized_objects import SerializedDAG as Serialization

JUNE, JULY = pendulum.datetime(2024, 6, 1), pendulum.datetime(2024, 7, 1)
MONTH = {"from": "2024-06-01T00:00:00Z", "to": "2024-06-30T23:59:59.999Z"}
SCHEDULED = {"data_interval_start": JUNE, "data_interval_end": JULY, "logical_date": JUNE}
EMPTY = {"data_interval_start": JULY, "data_interval_end": JULY, "logical_date": JULY}
BY_DAYS = ("{{ data_interval_start | ds }}", "{{ data_interval_end | ds }}")


def context(bench: Any, dates: dict[str, Any], run: dict[str, Any] | None = None, **ti: Any) -> dict[str, Any]:
    """What a task is given of its run: `dates` in the context itself, `run` on the run alone."""
    return {**bench.context(**ti), **dates, "dag_run": SimpleNamespace(**dates, **(run or {}))}


def create(bench: Any, data: Any, time_range: Any = None, **more: Any) -> SentinelHubCreateBatchOperator:
    given = {**described(bench), "process_request": process_request(data, time_range), "task_id": "t", **more}
    return SentinelHubCreateBatchOperator(**given)


def sources(bench: Any, request_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.body(request_id)["processRequest"]["input"]["data"]
    return found


def sent(bench: Any, operator: Any, context: dict[str, Any]) -> dict[str, str]:
    times: dict[str, str] = sources(bench, bench.made(lambda: operator, context))[0]["dataFilter"]["timeRange"]
    return times


def rendered(make: Any, dates: dict[str, Any], folder: Path | None = None, **params: Any) -> Any:
    """The operator as Airflow hands it to `execute`, in a DAG whose folder is this one."""
    with DAG("maps", schedule=None, start_date=JUNE, template_searchpath=str(folder) if folder else None):
        operator = make()
    operator.render_template_fields({**dates, "params": params})
    return operator


# What is known of a run


@pytest.mark.parametrize("where", ["context", "run"])
def test_the_run_is_read_from_the_context_or_from_the_run(where: str) -> None:
    dates = {"data_interval_start": JUNE, "data_interval_end": JULY}
    run = run_of(dates if where == "context" else {"dag_run": SimpleNamespace(**dates)})
    assert (run.interval, run.moment) == ((JUNE, JULY), JULY)
    assert run.now is not None
    assert abs(datetime.now(timezone.utc) - run.now) < timedelta(minutes=1)


def test_the_moment_of_a_run_is_the_first_that_is_known() -> None:
    moments = {
        name: JUNE.add(days=number)
        for number, name in enumerate(("data_interval_end", "logical_date", "run_after", "start_date"))
    }
    for name in list(moments):
        run = run_of({"logical_date": moments.get("logical_date"), "dag_run": SimpleNamespace(**moments)})
        assert (run.interval, run.moment) == (None, moments.pop(name))
    assert run_of({"dag_run": None}).moment is None
    assert run_of({"dag_run": SimpleNamespace(run_after="soon")}).moment is None


# The data interval


def test_the_data_interval_is_sent(bench: Any) -> None:
    assert sent(bench, create(bench, "sentinel-2-l2a", "data_interval"), context(bench, SCHEDULED)) == MONTH


@pytest.mark.parametrize("dates", [EMPTY, {}], ids=["empty", "none"])
def test_without_an_interval_nothing_is_sent_and_no_retry_helps(bench: Any, dates: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match=r"CronDataIntervalTimetable\(\.\.\.\).*last\(days=30\)"):
        sent(bench, create(bench, "sentinel-2-l2a", "data_interval"), context(bench, dates, {"run_after": JULY}))
    assert bench.sim.journal() == []


def test_the_last_days_end_with_the_run_at_every_try(bench: Any) -> None:
    """An hour after the first try the job has the same digest, so that the second one finds it."""

    def try_(**ti: Any) -> str:
        dates: dict[str, Any] = {"run_after": JULY, "start_date": bench.clock.utcnow()}
        found: str = bench.made(
            lambda: create(bench, "sentinel-2-l2a", last(days=30), retries=3), context(bench, {}, dates, **ti)
        )
        return found

    first = try_(max_tries=3)
    assert sources(bench, first)[0]["dataFilter"]["timeRange"] == MONTH
    bench.clock.sleep(3600)
    assert try_(**RETRY) == first
    assert bench.effects() == ["created", "updated"]  # the start of the run has moved, which is recorded


def test_each_of_several_sources_has_its_own(bench: Any) -> None:
    data = [
        {"id": "a", "type": "sentinel-2-l2a", "dataFilter": {"timeRange": "data_interval"}},
        {"id": "b", "type": "sentinel-1-grd", "dataFilter": {"timeRange": last(weeks=1)}},
        {"id": "c", "type": "dem"},
    ]
    request_id = bench.made(lambda: create(bench, data), context(bench, SCHEDULED))
    first, second, third = sources(bench, request_id)
    assert first["dataFilter"]["timeRange"] == MONTH
    assert second["dataFilter"]["timeRange"] == {"from": "2024-06-24T00:00:00Z", "to": MONTH["to"]}
    assert "timeRange" not in third.get("dataFilter", {})


# Templates


@v2
@pytest.mark.parametrize(
    ("given", "times"),
    [
        (("{{ data_interval_start }}", "{{ data_interval_end }}"), {"to": "2024-07-01T00:00:00Z"}),
        (("{{ data_interval_start | ts }}", "{{ data_interval_end | ds }}"), {"to": "2024-07-01T23:59:59Z"}),
        (("2024-06-01", "{{ params.end }}"), {"to": "2024-06-15T10:30:00.500Z"}),
        ("{{ params.word }}", {"to": "2024-06-30T23:59:59.999Z"}),
        (last(days="{{ params.days }}"), {"to": "2024-06-30T23:59:59.999Z"}),
    ],
)
def test_what_templates_render_to_is_understood(bench: Any, given: Any, times: dict[str, str]) -> None:
    params = {"end": "2024-06-15 12:30:00.5+0200", "word": "data_interval", "days": 30}
    operator = rendered(lambda: create(bench, "sentinel-2-l2a", given), SCHEDULED, **params)
    assert sent(bench, operator, context(bench, SCHEDULED)) == {"from": "2024-06-01T00:00:00Z", **times}


@v2
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("{{ params.word }}", "2024-07-01"), "time_range from='soon' is no moment"),
        (("{{ data_interval_end }}", "{{ data_interval_start }}"), "time_range is reversed"),
        (("{{ data_interval_end }}", "{{ data_interval_end }}"), "time_range is empty"),
        (("{{ params.future }}", "2124-07-01"), "time_range lies in the future"),
        (("2124-06-01", "2124-07-01"), "time_range lies in the future"),
        ("{{ params.word }}", "is a pair"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(bench: Any, given: Any, says: str) -> None:
    make = lambda: create(bench, "sentinel-2-l2a", given)  # noqa: E731
    operator = rendered(make, SCHEDULED, word="soon", future="2124-01-01")
    with pytest.raises(AirflowFailException, match=says):
        sent(bench, operator, context(bench, SCHEDULED))
    assert bench.sim.journal() == []


@v2
@pytest.mark.parametrize("shape", ["dict", "text", "file", "mapped"])
def test_two_days_that_are_one_because_there_is_no_interval(bench: Any, tmp_path: Path, shape: str) -> None:
    """However the process request is given; a day that was asked for as one is a day."""

    def operator(time_range: Any) -> Any:
        request: Any = process_request("sentinel-2-l2a", time_range)
        if shape == "file":
            (tmp_path / "request.json").write_text(json.dumps(request))
        given = "request.json" if shape == "file" else json.dumps(request) if shape == "text" else request
        arguments = {**described(bench), "process_request": given, "task_id": "t"}
        if shape != "mapped":
            return rendered(lambda: SentinelHubCreateBatchOperator(**arguments), EMPTY, tmp_path)
        area = arguments.pop("area")
        with DAG("maps", schedule=None, start_date=JUNE):
            mapped = SentinelHubCreateBatchOperator.partial(**arguments).expand(area=[area])
        one = mapped.unmap({"area": area})
        one.render_template_fields({**EMPTY, "params": {}})
        return one

    with pytest.raises(AirflowFailException, match=r"rendered to the same, '2024-07-01'.*CronDataIntervalTimetable"):
        sent(bench, operator(BY_DAYS), context(bench, EMPTY))
    assert bench.sim.journal() == []
    for day in (("2024-07-01", "2024-07-01"), ("{{ data_interval_start | ds }}", "{{ logical_date | ds }}")):
        times = sent(bench, operator(day), context(bench, EMPTY, task_id=str(day)))
        assert times == {"from": "2024-07-01T00:00:00Z", "to": "2024-07-01T23:59:59Z"}


# While the DAG is parsed


@v2
def test_literal_mistakes_are_errors_of_the_dag(bench: Any) -> None:
    raw = {
        "input": {
            "data": [{"type": "sentinel-2-l2a", "dataFilter": {"timeRange": {"from": "soon", "to": "2024-06-01"}}}]
        }
    }
    for make in (
        lambda: create(bench, "sentinel-2-l2a", ("2024-06-02", "2024-06-01")),
        lambda: create(bench, "sentinel-2-l2a", "interval"),
        lambda: SentinelHubCreateBatchOperator(task_id="t", process_request=raw),
    ):
        with pytest.raises(InvalidInputError, match="time_range"):
            make()
    create(bench, "sentinel-2-l2a", ("2124-06-01", "2124-06-02"))  # a DAG may be written for later


@v2
@pytest.mark.parametrize("time_range", ["data_interval", last(days=30)], ids=["data_interval", "last"])
def test_what_depends_on_the_run_can_be_serialised_and_mapped_over(bench: Any, time_range: Any) -> None:
    request = process_request("sentinel-2-l2a", time_range)
    with DAG("maps", schedule=None, start_date=JUNE) as maps:
        create(bench, "sentinel-2-l2a", time_range)
        given = {"area": bench.area, "evalscript": bench.ndvi, "destination": "s3://maps/ndvi"}
        mapped = SentinelHubBatchOperator.partial(task_id="m", tiling_grid=tiling_grid(1, 10), **given).expand(
            process_request=[request, request]
        )
    json.dumps(Serialization.to_dict(maps))
    one = mapped.unmap({"process_request": request})
    assert json.loads(json.dumps(one.process_request)) == request
