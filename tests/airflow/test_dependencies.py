"""An argument that comes from another task makes that task an upstream one, however the operator is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub import aggregation, input_data, last, output, process_request, tiling_grid
from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub.api.arguments import PARTS
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import (
    SentinelHubBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.operators.statistical import SentinelHubListStatisticsOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor
from tests.airflow.test_templates import arguments, dag, templates

REQUEST = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


class Other(BaseOperator):
    """A task whose output is used."""

    def execute(self, context: Any) -> Any:
        return None


def direct(cls: Any, given: dict[str, Any], name: str, value: Any) -> Any:
    return cls(task_id="t", **given, **{name: value})


def partial(cls: Any, given: dict[str, Any], name: str, value: Any) -> Any:
    """Mapped over some other argument."""
    mapped, one = next(iter(given.items()))
    rest = {other: template for other, template in given.items() if other != mapped}
    return cls.partial(task_id="t", **rest, **{name: value}).expand(**{mapped: [one]})


def expand(cls: Any, given: dict[str, Any], name: str, value: Any) -> Any:
    return cls.partial(task_id="t", **given).expand(**{name: value})


def expand_kwargs(cls: Any, given: dict[str, Any], name: str, value: Any) -> Any:
    return cls.partial(task_id="t", **given).expand_kwargs([{name: value}])


WAYS = [direct, partial, expand, expand_kwargs]


@pytest.mark.parametrize("way", WAYS)
def test_every_templated_argument_makes_a_dependency(operator_class: type[Any], way: Callable[..., Any]) -> None:
    names = [*operator_class.template_fields, *({"output"} & arguments(operator_class).keys())]
    found = {}
    for name in names:
        field = "destination" if name == "output" else name
        given = {other: template for other, template in templates(operator_class).items() if other != field}
        with dag():
            made = way(operator_class, given, name, Other(task_id="other").output)
        found[name] = made.upstream_task_ids
    assert found == {name: {"other"} for name in names}


@pytest.mark.parametrize("way", WAYS)
def test_so_does_a_member_of_every_part_of_the_payload(operator_class: type[Any], way: Callable[..., Any]) -> None:
    names = [*sorted(PARTS & {*operator_class.template_fields}), *({"output"} & arguments(operator_class).keys())]
    for name in names:
        field = "destination" if name == "output" else name
        given = {other: template for other, template in templates(operator_class).items() if other != field}
        with dag():
            value: Any = {"a": [{"b": Other(task_id="other").output}]}
            if name in ("evalscript", "collection"):  # a text or the name of a file; a name
                value = value["a"][0]["b"]
            if name == "tiling_grid":  # whose members are looked at while the DAG is parsed
                value = {"id": 0, "resolution": value["a"][0]["b"]}
            if name == "process_request":
                value = {"input": {"data": value["a"][0]["b"]}, "output": value}
            if name in ("output", "destination"):  # so is whether it names a place
                value = {"defaultTilePath": value["a"][0]["b"]}
            made = way(operator_class, given, name, [value] if way is expand else value)
            assert made.upstream_task_ids == {"other"}, name


BUILDERS = [
    lambda x: {"process_request": process_request(x("data"), x("time_range"))},
    lambda x: {"process_request": process_request("sentinel-2-l2a", x("time_range"))},
    lambda x: {
        "process_request": process_request(
            "sentinel-2-l2a", (x("begin"), x("end")), max_cloud_coverage=x("clouds"), mosaicking_order=x("order")
        )
    },
    lambda x: {"process_request": process_request("sentinel-2-l2a", last(days=x("days")), area=[1, 2, x("e"), 4])},
    lambda x: {"process_request": process_request("sentinel-2-l2a", area=[1, 2, 3, 4], simplify=x("metres"))},
    lambda x: {"tiling_grid": tiling_grid(x("grid"), x("resolution"), (x("buffer"), 1))},
    lambda x: {"destination": output(default_tile_path=x("path"), overwrite=x("overwrite"), cog_output=x("cog"))},
    lambda x: {"data": input_data("sentinel-2-l2a", max_cloud_coverage=x("clouds"), data_filter={"a": x("filter")})},
    lambda x: {"aggregation": aggregation(x("range"), x("interval"), resolution=x("metres"))},
    lambda x: {"aggregation": aggregation((x("a"), x("b")), "P1D", size=(x("w"), x("h")), last_interval=x("last"))},
]


@pytest.mark.parametrize("build", BUILDERS)
def test_so_do_arguments_of_the_builders(build: Any, operator_classes: list[type[Any]]) -> None:
    with dag():
        others: list[Any] = []

        def made(name: str) -> Any:
            others.append(Other(task_id=name))
            return others[-1].output

        part = build(made)
        ((name, value),) = part.items()
        for number, cls in enumerate(operator_classes):
            if name in cls.template_fields:
                given = {field: "{{ x }}" for field in cls.template_fields if field != name}
                task = cls(task_id=f"t{number}", **given, **{name: value})
                assert task.upstream_task_ids == {other.task_id for other in others}


MISSPELT = [
    (SentinelHubListBatchTilesOperator, "status", "PROCESED"),
    (SentinelHubListBatchTilesOperator, "status", "processed"),
    (SentinelHubListBatchTilesOperator, "status", "DONE"),
    (SentinelHubListBatchTilesOperator, "status", ""),
    (SentinelHubListStatisticsOperator, "status", "PROCESSED"),
    (SentinelHubBatchSensor, "target_status", "DON"),
    (SentinelHubBatchSensor, "target_status", None),
    (SentinelHubBatchTileSensor, "tile_status", "DONE"),
    (SentinelHubBatchTileSensor, "tile_status", None),
    (SentinelHubStartBatchOperator, "resume_stopped", "perhaps"),
    (SentinelHubBatchOperator, "on_partial", "shrug"),
    (SentinelHubBatchOperator, "on_over_budget", "shrug"),
]


@pytest.mark.parametrize(("cls", "name", "word"), MISSPELT)
@pytest.mark.parametrize("way", [direct, partial])
def test_a_word_that_does_not_exist_is_refused_while_the_dag_is_parsed(
    cls: Any, name: str, word: Any, way: Callable[..., Any]
) -> None:
    """A list filtered by a word that no tile has would be empty, and everything after it would be skipped."""
    given = {"sentinelhub_conn_id": "x", "request_id": REQUEST}
    with dag(), pytest.raises(InvalidInputError, match=rf"{name} .*must be one of .*Task: t \(test_depend"):
        way(cls, given, name, word)


@pytest.mark.parametrize(("cls", "name", "word"), MISSPELT)
def test_a_word_that_does_not_exist_is_refused_in_the_run_of_a_mapped_task(cls: Any, name: str, word: Any) -> None:
    with dag():
        mapped = cls.partial(task_id="t", request_id=REQUEST).expand(**{name: [word]})
    with pytest.raises(InvalidInputError, match=rf"{name} .*must be one of"):
        mapped.unmap({name: word})
