"""What a mapped task is given by other tasks: nothing out of one is a mistake, and no argument left out."""

from __future__ import annotations

from typing import Any

import pendulum
import pytest

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubListBatchTilesOperator
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchTileSensor
from tests.names import DAG, task, task_group

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
LIMITS = ["max_processing_units", "max_restarts", "max_failed_tiles", "min_success_ratio"]
NEEDED = [
    *LIMITS,
    "max_processing_units_per_month",
    "on_over_budget",
    "require_estimate",
    "on_partial",
    "timeout",
    "poll_interval",
    "max_unknown_time",
    "cancel_on_kill",
    "request_id",
]


def fixed(bench: Any, without: str = "") -> dict[str, Any]:
    given = {
        "process_request": process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        "evalscript": bench.ndvi,
        "area": bench.area,
        "tiling_grid": tiling_grid(1, 10),
        "destination": "s3://maps/ndvi",
        "aws_conn_id": "my_bucket",
    }
    return {name: value for name, value in given.items() if name != without}


def mapped(kind: Any, way: str, given: dict[str, Any], name: str, value: Any) -> Any:
    """The task of one map index, as Airflow makes it in the run."""
    with DAG("maps", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC")):

        @task
        def upstream() -> Any:
            return None

        partial = kind.partial(task_id="job", **given)
        if way == "expand":
            made = partial.expand(**{name: upstream()})
        elif way == "expand_kwargs":
            made = partial.expand_kwargs(upstream())
        elif way == "list of kwargs":
            made = partial.expand_kwargs([upstream(), upstream()])
        elif way == "literal list":
            made = partial.expand(**{name: [value]})
        else:
            made = partial.expand_kwargs([{name: value}])
    return made.unmap({name: value})


@once
@pytest.mark.parametrize("way", ["expand", "expand_kwargs", "list of kwargs"])
@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("value", [None, ""])
def test_nothing_out_of_another_task_is_refused_before_any_call(bench: Any, way: str, name: str, value: Any) -> None:
    before = bench.mark()
    with pytest.raises(AirflowFailException, match=rf"^{name} .*(xcom_pull|not ''|not None)"):
        bench.run(lambda: mapped(SentinelHubBatchOperator, way, fixed(bench), name, value), bench.context(map_index=0))
    assert bench.mark() == before


@once
@pytest.mark.parametrize("way", ["literal list", "literal dicts"])
@pytest.mark.parametrize("name", LIMITS)
def test_none_in_the_dag_itself_is_no_limit(bench: Any, way: str, name: str) -> None:
    value = 0 if name == "max_restarts" else None
    made = mapped(SentinelHubBatchOperator, way, fixed(bench), name, value)
    made.take_arguments()
    assert getattr(made.policy(), {"max_failed_tiles": "max_failed"}.get(name, name)) == value


@once
def test_a_request_id_of_another_task_that_is_none_is_no_new_job(bench: Any) -> None:
    """Not mapped: Airflow puts the None in the place of the output when it renders the task."""

    def make() -> Any:
        with DAG("maps", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC")):

            @task
            def upstream() -> Any:
                return None

            made = SentinelHubBatchOperator(task_id="job", request_id=upstream(), **fixed(bench))
        made.request_id = None
        return made

    with pytest.raises(AirflowFailException, match=r"^request_id is given in the DAG, but has come out as None from"):
        bench.run(make)
    assert bench.effects() == []


@once
def test_what_may_be_missing_may_come_out_as_nothing(bench: Any) -> None:
    for name in ("description", "batch_api", "simplify", "bucket_name", "deferrable"):
        made = mapped(SentinelHubBatchOperator, "expand", fixed(bench), name, None)
        made.take_arguments()
        assert getattr(made, name) in (None, False)


@once
def test_every_operator_of_the_kind(bench: Any) -> None:
    tiles = {"request_id": "{{ 1 }}"}
    statistics = {"geopackage": "s3://a/b.gpkg", "data": "sentinel-2-l2a", "aggregation": {}, "destination": "s3://a/b"}
    for kind, given, name in (
        (SentinelHubListBatchTilesOperator, tiles, "status"),
        (SentinelHubListBatchTilesOperator, tiles, "chunk_size"),
        (SentinelHubBatchTileSensor, tiles, "count"),
        (SentinelHubBatchTileSensor, tiles, "share"),
        (SentinelHubBatchStatisticalOperator, statistics, "max_failed_features"),
        (SentinelHubBatchStatisticalOperator, statistics, "max_processing_units"),
    ):
        with pytest.raises(AirflowFailException, match=rf"^{name} is given in the DAG, but has come out as None"):
            bench.run(
                lambda kind=kind, given=given, name=name: mapped(kind, "expand", given, name, None),
                bench.context(map_index=0),
            )


@once
def test_a_wrong_value_names_the_task_that_it_came_from(bench: Any) -> None:
    for way in ("expand", "expand_kwargs"):
        with pytest.raises(AirflowFailException, match=r"^max_restarts .*not 'many'"):
            bench.run(
                lambda way=way: mapped(SentinelHubBatchOperator, way, fixed(bench), "max_restarts", "many"),
                bench.context(map_index=0),
            )


@once
@pytest.mark.parametrize("way", ["expand", "expand_kwargs", "literal list"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in ("destination", "area", "process_request", "tiling_grid", "evalscript")),
        *((name, " ") for name in ("destination", "area")),
    ],
)
def test_nothing_for_a_part_of_the_payload_is_named(bench: Any, way: str, name: str, value: Any) -> None:
    """The task has the argument in the DAG: to ask for it is not enough."""
    with pytest.raises(AirflowFailException, match=rf"Task: job, mapped with {name}={value!r}\.$"):
        mapped(SentinelHubBatchOperator, way, fixed(bench, without=name), name, value)


@once
@pytest.mark.parametrize("name", ["max_processing_units", "request_id", "area"])
def test_nothing_for_an_argument_of_a_mapped_group_is_named_by_that_argument(bench: Any, name: str) -> None:
    def make() -> Any:
        with DAG("maps", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC")) as dag:

            @task
            def upstream() -> Any:
                return [None]

            @task_group
            def group(one: Any) -> None:
                SentinelHubBatchOperator(task_id="job", **{**fixed(bench, without=name), name: one})

            group.expand(one=upstream())
        made = dag.get_task("group.job")
        setattr(made, name, None)
        return made

    with pytest.raises(AirflowFailException, match=rf"{name} .*the argument one of a mapped task group") as caught:
        bench.run(make)
    assert "MappedArgument" not in str(caught.value)
