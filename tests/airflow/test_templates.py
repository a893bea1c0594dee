"""Template fields of every operator and sensor: stored as given, rendered late, safe to map over."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pendulum
import pytest

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import (
    SentinelHubCreateBatchCollectionOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubStartBatchOperator,
    SentinelHubUpdateBatchOperator,
)
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor
from tests.airflow.conftest import operators
from tests.names import DAG

try:
    from airflow.serialization.serialized_objects import DagSerialization as Serialization
except ImportError:  # 2.11, 3.0
    from airflow.serialization.serialized_objects import SerializedDAG as Serialization

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
PACKAGE = "airflow_sentinelhub."


def dag(**how: Any) -> DAG:
    return DAG("maps", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), **how)


def arguments(cls: type) -> dict[str, inspect.Parameter]:
    """The arguments that the package itself gives an operator."""
    found: dict[str, inspect.Parameter] = {}
    for parent in cls.__mro__:
        own = parent.__module__.startswith(PACKAGE) and vars(parent).get("__init__")
        if own and own.__qualname__.startswith(f"{parent.__name__}."):  # Airflow wraps those of its own, too
            found = {**inspect.signature(parent.__init__).parameters, **found}
    return {name: one for name, one in found.items() if name != "self" and one.kind is not one.VAR_KEYWORD}


def templates(cls: type) -> dict[str, str]:
    """A template for every templated argument."""
    return {field: f"{{{{ params.{field} }}}}" for field in cls.template_fields}


def built(cls: type, **given: Any) -> Any:
    return cls(task_id="t", **{**templates(cls), **given})


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(("given", "default"), [("destination", "output"), ("output", "destination")])
def test_a_default_of_the_dag_gives_way_to_the_destination_of_a_task(given: str, default: str, mapped: bool) -> None:
    """They are two names of one argument, and `default_args` are what no task has said itself."""
    takers = [cls for cls in operators() if "output" in arguments(cls)]
    assert len(takers) == 4
    for cls in takers:
        rest = {name: value for name, value in templates(cls).items() if name != "destination"}
        first, one = next(iter(rest)), "{{ params.one }}"
        other = rest.pop(first)
        with dag(default_args={default: "s3://maps/all"}):
            if mapped:
                task = cls.partial(task_id="t", **rest, **{given: one}).expand(**{first: [other]}).unmap({first: other})
            else:
                task = cls(task_id="t", **rest, **{given: one, first: other})
            by_default = cls(task_id="u", **rest, **{first: other})
        assert (task.destination, by_default.destination) == (one, "s3://maps/all")
        both, said = {"output": "s3://maps/all", "destination": "s3://maps/all"}, "old name, and both are given"
        with dag(default_args=both), pytest.raises(InvalidInputError, match=said):
            cls(task_id="t", **rest, **{first: other})


def walk(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict):
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from walk(item)


def test_all_public_classes_are_found(operator_classes: list[type]) -> None:
    names = {cls.__name__ for cls in operator_classes}
    assert {"SentinelHubCreateBatchOperator", "SentinelHubBatchSensor", "SentinelHubBatchTileSensor"} <= names
    assert len(names) == len(operator_classes) >= 13


def test_arguments_are_keyword_only(operator_class: type) -> None:
    kinds = {name: one.kind for name, one in arguments(operator_class).items()}
    assert kinds
    assert set(kinds.values()) == {inspect.Parameter.KEYWORD_ONLY}, kinds


def test_every_argument_stands_in_the_operators_own_signature(operator_class: type) -> None:
    """An editor and `help()` show what can be given; nothing hides behind `**kwargs`."""
    fixed = {"batch_api"} - set(operator_class.template_fields)  # those of one generation
    assert set(arguments(operator_class)) - fixed <= set(inspect.signature(operator_class).parameters)


def test_execute_is_defined_by_an_operator(operator_class: type) -> None:
    """Airflow 2.11 calls it with a word that only its own wrapper takes, which a class that is no operator lacks."""
    assert issubclass(next(cls for cls in operator_class.__mro__ if "execute" in vars(cls)), BaseOperator)


def test_every_template_field_has_its_argument(operator_class: type) -> None:
    assert len(set(operator_class.template_fields)) == len(operator_class.template_fields)
    assert set(operator_class.template_fields) <= set(arguments(operator_class))
    assert "sentinelhub_conn_id" in operator_class.template_fields
    assert set(operator_class.template_fields_renderers) <= set(operator_class.template_fields)


def test_ids_and_payloads_are_templated(operator_class: type) -> None:
    """What differs from run to run must come from templates and XComs."""
    fixed = {"deferrable", "poll_interval", "timeout", "max_unknown_time", "wait_for_completion", "wait_for_start"}
    late = {
        name for name in arguments(operator_class) if name.endswith("_id") or name in ("description", "destination")
    }
    assert not late & fixed
    fields = set(operator_class.template_fields)
    assert late <= fields


def test_what_is_given_is_stored_as_it_is(operator_class: type) -> None:
    """`__init__` runs at every parse of the DAG, before templates are rendered: it must not look at values."""
    operator = built(operator_class)
    for field in operator_class.template_fields:
        assert getattr(operator, field) == f"{{{{ params.{field} }}}}"
    for field in operator_class.template_fields:
        for value in ({"a": ["{{ b }}"]}, None):
            given = {field: value}
            try:
                operator = built(operator_class, **given)
            except ValueError:  # refused at once, which is not a change of the value
                continue
            assert getattr(operator, field) is value


def test_parsing_a_dag_looks_nothing_up(operator_class: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("work begins in execute, not while a DAG is parsed")

    monkeypatch.setattr("airflow_sentinelhub.hooks.sentinelhub.SentinelHubHook.get_connection", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    built(operator_class, sentinelhub_conn_id="does_not_exist")


def test_it_can_be_serialised(operator_class: type) -> None:
    with dag() as maps:
        built(operator_class)
    data = json.loads(json.dumps(Serialization.to_dict(maps)))
    task = Serialization.from_dict(data).get_task("t")
    assert task.task_type == operator_class.__name__
    assert set(task.template_fields) == set(operator_class.template_fields)
    assert task.ui_color == operator_class.ui_color


def test_it_can_be_mapped_over_every_template_field(operator_class: type) -> None:
    given = templates(operator_class)
    for field in operator_class.template_fields:
        argument = field
        with dag() as maps:
            fixed = {name: value for name, value in given.items() if name != argument}
            mapped = operator_class.partial(task_id="t", **fixed).expand(**{argument: ["{{ one }}", "{{ two }}"]})
        assert getattr(mapped.unmap({argument: "{{ two }}"}), field) == "{{ two }}"
        Serialization.to_dict(maps)


def test_the_docstring_answers_the_five_questions(operator_class: type) -> None:
    said = (operator_class.__doc__ or "").lower()
    for question in ("**calls**", "**returns**", "**on kill**", "**on timeout**", "**on retry**"):
        assert question in said, question
    texts = [parent.__doc__ or "" for parent in operator_class.__mro__ if parent.__module__.startswith(PACKAGE)]
    told = {word for text in texts for names in re.findall(r":param ([\w, ]+):", text) for word in names.split(", ")}
    assert set(arguments(operator_class)) <= told


# Rendering


@pytest.fixture
def beside(tmp_path: Path, bench: Any) -> Path:
    """A folder with the files that lie beside a DAG."""
    (tmp_path / "ndvi.js").write_text(bench.ndvi + "// {{ params.word }}\n")
    shape = {"type": "Polygon", "coordinates": [[[8.9, 41.9], [9.3, 41.9], [9.3, 42.3], [8.9, 42.3], [8.9, 41.9]]]}
    (tmp_path / "area.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": shape}))
    (tmp_path / "request.json").write_text(
        json.dumps(process_request("sentinel-2-l2a", ("{{ params.begin }}", "2024-06-30")))
    )
    (tmp_path / "collection.json").write_text(json.dumps({"name": "{{ params.word }}", "s3Bucket": "maps"}))
    return tmp_path


def render(make: Any, folder: Path | None = None, *, native: bool = False, **params: Any) -> Any:
    """The operator with its templates rendered, as Airflow does before `execute`."""
    with dag(template_searchpath=str(folder) if folder else None, render_template_as_native_obj=native):
        operator = make()
    operator.resolve_template_files()
    operator.render_template_fields({"params": {**params, "native": native}, "ds": "2024-06-01"})
    return operator


def test_files_beside_the_dag_are_read_and_rendered(bench: Any, beside: Path) -> None:
    def make() -> Any:
        return render(
            lambda: SentinelHubCreateBatchOperator(
                task_id="t",
                process_request="request.json",
                evalscript="ndvi.js",
                area="area.geojson",
                tiling_grid=tiling_grid("{{ params.grid }}", "{{ params.resolution }}", ("{{ params.buffer }}", 5)),
                destination="s3://maps/{{ ds }}",
                description="{{ params.word }}",
                aws_conn_id="{{ params.bucket }}",
                batch_api="{{ params.api }}",
            ),
            beside,
            word="green",
            begin="2024-05-01",
            grid=1,
            resolution=10,
            buffer=5,
            bucket="my_bucket",
            api=bench.api,
        )

    request_id = bench.made(make)

    sent = bench.body(request_id)
    process = sent["processRequest"]
    assert process["evalscript"].endswith("// green\n") or process["evalscript"].endswith("// green")
    assert process["input"]["data"][0]["dataFilter"]["timeRange"]["from"] == "2024-05-01T00:00:00Z"
    assert process["input"]["bounds"]["geometry"]["type"] == "Polygon"
    grid = sent["tilingGrid" if bench.api == "v1" else "input"]
    assert {key: grid[key] for key in ("id", "resolution", "bufferX", "bufferY")} == {
        "id": 1,
        "resolution": 10,
        "bufferX": 5,
        "bufferY": 5,
    }
    place = sent["output"] if bench.api == "v1" else sent["output"]["delivery"]["s3"]
    assert (place.get("defaultTilePath") or place.get("url")) == "s3://maps/2024-06-01"
    assert sent["description"].startswith("green afx")


@pytest.mark.parametrize("native", [True, False])
def test_payloads_may_come_from_templates_whole(bench: Any, native: bool) -> None:
    """As text of JSON, or as objects where the DAG renders those."""

    def make() -> Any:
        return render(
            lambda: SentinelHubCreateBatchOperator(
                task_id="t",
                process_request="{{ params.request if params.native else params.request | tojson }}",
                area="{{ params.area if params.native else params.area | tojson }}",
                tiling_grid="{{ params.grid if params.native else params.grid | tojson }}",
                destination="{{ params.output if params.native else params.output | tojson }}",
                evalscript=bench.ndvi,
                payload_extra="{{ params.extra if params.native else params.extra | tojson }}",
                aws_conn_id="my_bucket",
            ),
            native=native,
            request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
            area=bench.area,
            grid=tiling_grid(1, 10),
            output={"defaultTilePath": "s3://maps/whole", "cogOutput": True},
            extra={"description": "overridden"},
        )

    sent = bench.body(bench.made(make))

    assert sent["processRequest"]["input"]["bounds"]["bbox"] == bench.area
    assert sent["output"]["cogOutput"] is True
    assert sent["tilingGrid" if bench.api == "v1" else "input"]["id"] == 1


@once
@pytest.mark.parametrize("name", ["userdata.json", "<tileName>.json", "ndvi.js"])
def test_an_address_that_ends_like_a_file_is_no_file(bench: Any, beside: Path, name: str) -> None:
    for address in (f"s3://maps/{name}", f"s3://maps/Made by {name}"):
        for value in (address, {"responses": [{"identifier": "userdata", "tilePath": address}]}):
            operator = render(
                lambda value=value: SentinelHubCreateBatchOperator(task_id="t", process_request={}, destination=value),
                beside,
            )
            assert operator.destination == value


@once
def test_other_operators_render_theirs(bench: Any, beside: Path) -> None:
    made = render(
        lambda: SentinelHubCreateBatchCollectionOperator(task_id="t", collection="collection.json"), beside, word="maps"
    )
    assert json.loads(made.collection) == {"name": "maps", "s3Bucket": "maps"}
    listing = render(
        lambda: SentinelHubListBatchTilesOperator(task_id="t", request_id="{{ params.id }}", chunk_size="{{ 2 * 3 }}"),
        id="some",
    )
    assert (listing.request_id, listing.chunk_size) == ("some", "6")
    start = render(lambda: SentinelHubStartBatchOperator(task_id="t", request_id="{{ params.id }}"), id="some")
    assert start.request_id == "some"


def test_rendered_words_mean_the_same_as_literal_ones(bench: Any) -> None:
    """Without native rendering everything that comes out of a template is text, and nothing is the word None."""
    request_id = bench.ended()

    def count() -> Any:
        return render(
            lambda: SentinelHubBatchTileSensor(
                task_id="t", request_id="{{ params.id }}", share="{{ params.share }}", deferrable=True
            ),
            id=request_id,
            share=0.5,
        )

    def status() -> Any:
        return render(
            lambda: SentinelHubBatchSensor(
                task_id="t",
                request_id="{{ params.id }}",
                target_status="{{ params.status }}",
                batch_api="{{ params.api }}",
            ),
            id=f" {request_id} ",
            status="DONE",
            api=bench.api,
        )

    for make in (count, status):
        bench.run(make)
        assert bench.legs == ["execute"]


@once
def test_an_xcom_that_holds_a_result_is_taken_for_its_id(bench: Any) -> None:
    """`analyse.output` is a dict with the id in it."""
    request_id = bench.create()
    operator = SentinelHubUpdateBatchOperator(
        task_id="t", request_id={"request_id": request_id, "tile_count": 3}, description="other"
    )
    assert bench.made(lambda: operator) == request_id
    assert bench.state(request_id)["description"] == "other"
