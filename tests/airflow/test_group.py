"""The whole job as a TaskGroup: its steps, and the person in between."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_sentinelhub import process_request, sentinelhub_batch, tiling_grid
from airflow_sentinelhub.exceptions import InvalidInputError

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator
except ImportError:
    ApprovalOperator = None


def group(**more: Any) -> DAG:
    with DAG("maps", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)) as dag:
        sentinelhub_batch(
            "ndvi",
            process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
            evalscript="//VERSION=3",
            area=[8.9, 41.9, 9.3, 42.3],
            tiling_grid=tiling_grid(1, 10),
            output="s3://maps/ndvi",
            **more,
        )
    return dag


def chain(dag: DAG) -> list[str]:
    (first,) = dag.roots
    names, task = [first.task_id], first
    while task.downstream_task_ids:
        (name,) = task.downstream_task_ids
        names.append(name)
        task = dag.task_dict[name]
    return names


def test_the_steps_follow_each_other() -> None:
    assert chain(group()) == ["ndvi.create", "ndvi.analyse", "ndvi.start", "ndvi.finish"]
    assert chain(group(max_processing_units=100))[2] == "ndvi.budget"


@pytest.mark.skipif(ApprovalOperator is None, reason="Airflow 3.1 and later have a human-in-the-loop step")
def test_a_person_agrees_before_anything_is_billed() -> None:
    dag = group(max_processing_units=100, approve=True)
    assert chain(dag) == [f"ndvi.{step}" for step in ("create", "analyse", "budget", "approve", "start", "finish")]
    approve = dag.task_dict["ndvi.approve"]
    assert isinstance(approve, ApprovalOperator)
    analysis = {"request_id": "5f2a", "tile_count": 20, "expected_pu": 1234.5}
    seen = {"ti": type("TI", (), {"xcom_pull": staticmethod(lambda task: analysis)})}
    assert "5f2a" in approve.render_template(approve.subject, seen)
    assert approve.render_template(approve.body, seen) == "20 tiles, about 1,234 processing units."


@pytest.mark.skipif(ApprovalOperator is not None, reason="this Airflow has such a step")
def test_where_nobody_can_be_asked_it_says_so() -> None:
    with pytest.raises(InvalidInputError, match=r"Airflow 3\.1"):
        group(approve=True)


def test_limits_that_contradict_each_other_are_said_while_the_dag_is_parsed() -> None:
    with pytest.raises(InvalidInputError, match="on_partial"):
        group(on_partial="accept", max_failed_tiles=3)
    with pytest.raises(InvalidInputError, match="above 0"):
        group(max_processing_units=0)
