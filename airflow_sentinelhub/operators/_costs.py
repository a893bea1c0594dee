"""What operators need to estimate a job: the reader of its tiles or features, and the places where the price goes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._identity import PER_MONTH, deployment_name, month_by_default
from airflow_sentinelhub.api.decide.marker import dag_word
from airflow_sentinelhub.api.decide.price import Price
from airflow_sentinelhub.api.flows.costs import OfDag

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.prices import CostReader


def rendered_limits(task: Any, names: Iterable[str]) -> dict[str, Any]:
    """The arguments of a task with these names, and the budget of a month by Airflow's configuration if it has none."""
    limits = {name: getattr(task, name) for name in names}
    if task._in_dag.get(PER_MONTH, limits[PER_MONTH]) is None:
        limits[PER_MONTH] = month_by_default()
    return limits


def of_dag(task: Any, context: Any) -> OfDag:
    """The requests of the task's DAG, wherever its connection has some."""
    word = dag_word(deployment_name(), context["ti"].dag_id)
    return OfDag(word, task.hook.all_generations(task.api))


def cost_reader(task: Any) -> CostReader:
    """The reader that estimates the requests of a task, with its connections as they are now."""
    from airflow_sentinelhub.hooks.prices import CostReader
    from airflow_sentinelhub.hooks.sentinelhub import reader_now

    bucket = partial(reader_now, task.sentinelhub_conn_id, task.aws_conn_id)
    return CostReader(bucket, task.hook.settings.base_url)


def push_price(context: Any, price: Price | None) -> None:
    """Push the expected cost to XCom: `expected_pu` and `estimated_by`, None where it is not known."""
    if price is not None:
        context["ti"].xcom_push(key="expected_pu", value=price.expected)
        context["ti"].xcom_push(key="estimated_by", value=price.by)
