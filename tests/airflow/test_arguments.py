"""Arguments as users type them and as templates render them: converted by kind in one place, or refused in a sentence.

One table for each kind drives operators, sensors, the group and the hook. What is wrong is refused before any call.
"""

from __future__ import annotations

import inspect
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy
import pendulum
import pytest

from airflow_sentinelhub import BatchSpecification, process_request, sentinelhub_batch, tiling_grid
from airflow_sentinelhub._compat import AirflowFailException, BaseOperator
from airflow_sentinelhub.api.arguments import KINDS, taken
from airflow_sentinelhub.api.kinds import number, seconds, text, truth, whole
from airflow_sentinelhub.api.payload_members import members
from airflow_sentinelhub.api.service.payloads import output
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.operators.batch import (
    SentinelHubBatchOperator,
    SentinelHubCreateBatchCollectionOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor
from tests.names import DAG

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
FIXED = {"self", "kwargs", "specification", "context", "since"}
MANY_KINDS = (number, whole, truth, seconds)

TIMES = [
    (90, 90), (0.5, 0.5), ("90", 90), (" 90 ", 90), ("1.5", 1.5), ("1:30:00", 5400), ("00:00:30", 30),
    ("26:00:00", 93600),
    ("1 day, 2:00:00", 93600), ("2 days, 0:00:01.5", 172801.5), ("PT5M", 300), ("PT1H30M", 5400), ("P1D", 86400),
    ("P1DT12H", 129600), ("pt90s", 90), (timedelta(minutes=5), 300), (Decimal("2.5"), 2.5), (numpy.int64(7), 7),
]  # fmt: skip
NO_TIMES = ["soon", "1:30", "5 minutes", "P", "PT", "1_000", "nan", "inf", True, "-5", -5, timedelta(-1), [60], "1e300"]
TRUTHS = [
    (True, True), (False, False), ("true", True), ("True", True), ("False", False), ("false", False), ("yes", True),
    ("no", False), ("on", True), ("off", False), ("1", True), ("0", False), (1, True), (0, False), (" TRUE ", True),
    (numpy.bool_(True), True),
]  # fmt: skip
NO_TRUTHS = ["perhaps", "2", 2, 0.5, [], {"a": 1}, "truee"]
NUMBERS = [("3", 3), (3, 3), ("0.5", 0.5), (" 4 ", 4), (numpy.float64(0.5), 0.5), (Decimal("3"), 3)]
NO_NUMBERS = ["many", "1,5", True, "nan", float("nan"), [1], "1_0"]
TEXTS = [("a", "a"), (20241001, "20241001"), (1.5, "1.5"), ([1, 2], "[1, 2]"), (True, "True"), ({"a": 1}, "{'a': 1}")]


def signatures() -> dict[str, set[str]]:
    """Argument -> who takes it, over all operators, sensors and `run_job`."""
    from tests.airflow.conftest import operators

    found: dict[str, set[str]] = {}
    for cls in operators():
        for name, one in inspect.signature(cls.__init__).parameters.items():
            if one.kind is one.KEYWORD_ONLY:
                found.setdefault(name, set()).add(cls.__name__)
    for name in inspect.signature(SentinelHubHook.run_job).parameters:
        found.setdefault(name, set()).add("run_job")
    return {name: users for name, users in found.items() if name not in FIXED}


def test_every_argument_has_a_kind() -> None:
    """A new argument needs a line in the table; else text that a template gives would not be converted."""
    assert set(signatures()) - set(KINDS) == set()


def test_every_number_boolean_and_time_can_be_a_template(operator_class: type[BaseOperator]) -> None:
    names = {name for name, users in signatures().items() if operator_class.__name__ in users} - {"output"}
    assert names <= set(operator_class.template_fields)


@pytest.mark.parametrize(("given", "wanted"), TIMES)
@pytest.mark.parametrize(
    "name", ["poll_interval", "analysis_poll_interval", "poke_interval", "timeout", "max_unknown_time"]
)
def test_times(name: str, given: Any, wanted: float) -> None:
    assert taken(name, given) == wanted
    assert type(taken(name, given)) is float


@pytest.mark.parametrize(("given", "wanted"), TRUTHS)
def test_booleans(given: Any, wanted: bool) -> None:
    for name in (
        "deferrable",
        "overwrite_not_there",
        "wait_for_completion",
        "check_tiles",
        "with_paths",
        "as_references",
    ):
        assert taken(name, given) == (given if name not in KINDS else wanted)


@pytest.mark.parametrize(("given", "wanted"), NUMBERS)
def test_numbers(given: Any, wanted: float) -> None:
    for name in ("max_processing_units", "simplify"):
        assert taken(name, given) == wanted


@pytest.mark.parametrize(("given", "wanted"), TEXTS)
def test_what_became_a_number_or_a_list_is_text_again(given: Any, wanted: str) -> None:
    for name in ("description", "bucket_name", "aws_conn_id", "tile", "name"):
        assert taken(name, given, "{{ params.it }}") == wanted


WRONG: list[tuple[str, Any]] = [
    *(("poll_interval", value) for value in NO_TIMES),
    *(("timeout", value) for value in NO_TIMES),
    *(("max_unknown_time", value) for value in NO_TIMES),
    *(("check_tiles", value) for value in NO_TRUTHS),
    *(("deferrable", value) for value in NO_TRUTHS),
    *(("max_restarts", value) for value in [*NO_NUMBERS, "1.5", -1]),
    *(("max_processing_units", value) for value in [*NO_NUMBERS, -1]),
    *(("simplify", value) for value in [*NO_NUMBERS, 0]),
]


def described(**more: Any) -> dict[str, Any]:
    given = {
        "process_request": process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        "evalscript": "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}}; }\n"
        "function evaluatePixel(sample) { return [sample.B04]; }",
        "area": [8.9, 41.9, 9.3, 42.3],
        "tiling_grid": tiling_grid(1, 10),
        "destination": "s3://maps/ndvi",
        "aws_conn_id": "my_bucket",
    }
    return {"task_id": "job", **given, **more}


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_literal_mistake_names_argument_value_and_task(name: str, value: Any) -> None:
    for build in (
        lambda: SentinelHubBatchOperator(**described(**{name: value})),
        lambda: SentinelHubBatchOperator.partial(**described(**{name: value})),
    ):
        with pytest.raises(
            InvalidInputError, match=rf"^{name} .* Task: job \(test_arguments\.py, line \d+\)\.$"
        ) as refused:
            build()
        assert "\n" not in str(refused.value)


@once
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, value in WRONG if isinstance(value, str)])
def test_a_templated_mistake_is_refused_before_any_call(bench: Any, name: str, value: str) -> None:
    before = bench.mark()

    def make() -> Any:
        return render(lambda: SentinelHubBatchOperator(**described(**{name: "{{ params.it }}"})), it=value)

    with pytest.raises(AirflowFailException, match=rf"^{name} .*'\{{\{{ params\.it \}}\}}'"):
        bench.run(make)
    assert bench.mark() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("description", ["a"]), ("description", {"a": 1}), ("tiling_grid", [1, 10]), ("destination", 5),
        ("process_request", ["a"]), ("evalscript", 5), ("payload_extra", 3),
        ("tiling_grid", {"id": 1, "resolution": 15}), ("tiling_grid", tiling_grid("1", "15")),  # type: ignore[arg-type]
        ("tiling_grid", {"id": 1, "resolution": -10}), ("tiling_grid", {"id": "one", "resolution": 10}),
        ("sentinelhub_conn_id", None), ("sentinelhub_conn_id", " "),
        ("on_partial", "shrug"), ("resume_stopped", "perhaps"), ("on_over_budget", "panic"),
    ],
)  # fmt: skip
def test_literals_of_a_wrong_type_or_word(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=rf"{name}.* Task: job \(test_arguments\.py, line \d+\)\.$"):
        SentinelHubBatchOperator(**described(**{name: value}))


def test_literals_of_sensors_and_lists() -> None:
    for build, name in (
        (lambda: SentinelHubBatchSensor(task_id="t", request_id="{{ 1 }}", target_status="FINISHED"), "target_status"),
        (lambda: SentinelHubBatchSensor(task_id="t", request_id="{{ 1 }}", poke_interval="soon"), "poke_interval"),
        (lambda: SentinelHubBatchSensor(task_id="t", request_id="{{ 1 }}", timeout=-1), "timeout"),
        (lambda: SentinelHubBatchTileSensor(task_id="t", request_id="{{ 1 }}", share=1.5), "share"),
        (lambda: SentinelHubBatchTileSensor(task_id="t", request_id="{{ 1 }}", count=1, share=0.5), "count and share"),
        (lambda: SentinelHubListBatchTilesOperator(task_id="t", request_id="{{ 1 }}", chunk_size=0), "chunk_size"),
        (lambda: SentinelHubStartBatchOperator(task_id="t", request_id="{{ 1 }}", cancel_on_kill=2), "cancel_on_kill"),
        (lambda: process_request("sentinel-2-l2a", max_cloud_coverage=101), "max_cloud_coverage"),
        (lambda: process_request("sentinel-2-l2a", max_cloud_coverage="many"), "max_cloud_coverage"),  # type: ignore[arg-type]
        (lambda: process_request("sentinel-2-l2a", ("2024-06-30", "2024-06-01")), "time_range is reversed"),
    ):
        with pytest.raises(InvalidInputError, match=name):
            build()


def render(make: Any, folder: Path | None = None, *, native: bool = False, **params: Any) -> Any:
    """The operator with its templates rendered, as Airflow does before `execute`."""
    start = pendulum.datetime(2024, 1, 1, tz="UTC")
    folder_given = str(folder) if folder else None
    with DAG(
        "maps", schedule=None, start_date=start, template_searchpath=folder_given, render_template_as_native_obj=native
    ):
        operator = make()
    operator.resolve_template_files()
    operator.render_template_fields({"params": params, "ds": "2024-06-01"})
    return operator


@pytest.mark.parametrize("native", [True, False])
def test_what_templates_give_reaches_the_service_as_what_it_wants(bench: Any, native: bool) -> None:
    given = described(
        process_request=process_request(
            "sentinel-2-l2a",
            ("{{ params.begin }}", "2024-06-30"),
            max_cloud_coverage="{{ params.cloud }}",  # type: ignore[arg-type]
        ),
        tiling_grid=tiling_grid("{{ params.grid }}", "{{ params.size }}", ("{{ params.buffer }}", 5)),  # type: ignore[arg-type]
        destination=output(
            default_tile_path="s3://maps/x",
            overwrite="{{ params.overwrite }}",
            cog_output="{{ params.cog }}",  # type: ignore[arg-type]
        ),
        description="{{ params.day }}",
        max_unknown_time="{{ params.patience }}",
    )
    params = {"begin": "2024-06-01", "cloud": 30, "grid": 1, "size": 10, "buffer": 3, "overwrite": True, "cog": False}
    request_id = bench.made(
        lambda: render(
            lambda: SentinelHubCreateBatchOperator(**given), native=native, **params, day="20241001", patience="0:05:00"
        )
    )
    sent = bench.body(request_id)
    grid = sent["tilingGrid" if bench.api == "v1" else "input"]
    assert (grid["id"], grid["resolution"], grid["bufferX"]) == (1, 10, 3)
    assert sent["processRequest"]["input"]["data"][0]["dataFilter"]["maxCloudCoverage"] == 30
    assert (sent["output"]["overwrite"], sent["output"]["cogOutput"]) == (True, False)
    assert sent["description"].startswith("20241001 afx")


@once
@pytest.mark.parametrize("value", ["many", "", None])
def test_a_member_that_came_out_wrong_is_named_with_its_template(bench: Any, value: Any) -> None:
    request = process_request("sentinel-2-l2a", max_cloud_coverage="{{ params.cloud }}")  # type: ignore[arg-type]
    with pytest.raises(AirflowFailException, match=r"maxCloudCoverage .*'\{\{ params.cloud \}\}'"):
        bench.run(
            lambda: render(lambda: SentinelHubCreateBatchOperator(**described(process_request=request)), cloud=value)
        )
    assert bench.effects() == []


@once
@pytest.mark.parametrize("name", ["evalscript", "area", "tiling_grid", "destination", "process_request"])
@pytest.mark.parametrize("value", ["", None])
def test_what_must_be_there_is_named_with_its_template(bench: Any, name: str, value: Any) -> None:
    given = described(**{name: "{{ params.it }}"})
    with pytest.raises(AirflowFailException) as refused:
        bench.run(lambda: render(lambda: SentinelHubCreateBatchOperator(**given), it=value))
    assert f"{name} is '{{{{ params.it }}}}' in the DAG" in str(refused.value)
    assert bench.effects() == []


@once
@pytest.mark.parametrize("value", ["", None])
def test_what_may_be_missing_is_missing(bench: Any, value: Any) -> None:
    names = ("description", "bucket_name", "geopackage", "payload_extra", "simplify", "iam_role_arn", "batch_api")
    given = described(**dict.fromkeys(names, "{{ params.it }}"))
    request_id = bench.made(lambda: render(lambda: SentinelHubCreateBatchOperator(**given), it=value))
    assert bench.state(request_id)["description"].startswith("afx")


@once
def test_a_request_id_that_came_out_as_nothing_is_no_new_job(bench: Any) -> None:
    for value in ("", None):
        given = described(request_id="{{ params.it }}")
        with pytest.raises(AirflowFailException, match=r"^request_id .*\{\{ params.it \}\}"):
            bench.run(lambda given=given, value=value: render(lambda: SentinelHubBatchOperator(**given), it=value))
    assert bench.effects() == []


def test_a_whole_job_from_text(bench: Any) -> None:
    words = {
        "poll_interval": "0:01:00", "analysis_poll_interval": "PT10S", "timeout": "1 day, 0:00:00",
        "deferrable": "True", "max_unknown_time": "1800",
        "cancel_on_timeout": "yes", "check_tiles": "true", "max_restarts": "1",
        "max_processing_units": "50000", "min_success_ratio": "0.5", "resume_stopped": "never", "cancel_on_kill": "1",
    }  # fmt: skip
    templates = {name: f"{{{{ params.{name} }}}}" for name in words}
    for native in (False, True):
        given = described(task_id=f"job{native}", **templates)

        def make(given: Any = given, native: bool = native) -> Any:
            return render(lambda: SentinelHubBatchOperator(**given), native=native, **words)

        result = bench.run(make, bench.context(task_id=f"job{native}"))
        assert (result["status"], result["failed"]) == ("DONE", 0)
        assert bench.legs[1:]  # it has deferred
    assert bench.effects().count("billed_start") == 2


def test_sensors_from_text(bench: Any) -> None:
    request_id = bench.ended()
    for mode in ("True", "False"):

        def make(mode: str = mode) -> Any:
            return render(
                lambda: SentinelHubBatchTileSensor(
                    task_id="t", request_id=request_id, share="{{ params.share }}", deferrable="{{ params.mode }}",
                    poke_interval="{{ params.every }}", timeout="{{ params.long }}",
                    max_unknown_time="{{ params.long }}", wait_for_start="{{ params.mode }}",
                ),
                share="0.5", mode=mode, every="0:00:30", long="PT1H",
            )  # fmt: skip

        bench.run(make)


def test_the_hook_takes_the_same(bench: Any) -> None:
    given = described()
    job = BatchSpecification(
        **{name: given[name] for name in ("process_request", "evalscript", "area")},
        tiling_grid={"id": "1", "resolution": "10"},
        output={"defaultTilePath": "s3://maps/hook", "overwrite": "true"},
    )
    result = bench.hook.run_job(
        job, name="text", aws_conn_id="my_bucket", poll_interval="0:01:00", timeout="P1D", max_restarts="1",
        max_unknown_time=timedelta(minutes=30), check_results="true", cancel_on_timeout="no",
    )  # fmt: skip
    assert result["status"] == "DONE"
    for name, value in (("poll_interval", "soon"), ("timeout", "1:30"), ("check_results", "perhaps")):
        with pytest.raises(InvalidInputError, match=f"^{name} "):
            bench.hook.run_job(job, name="wrong", **{name: value})


def test_the_group_takes_the_same() -> None:
    with DAG("maps", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC")):
        given = {name: value for name, value in described().items() if name != "task_id"}
        group = sentinelhub_batch("a", **given, poll_interval="0:01:00", analysis_poll_interval=timedelta(seconds=5))
        late = sentinelhub_batch("b", **given, poll_interval="{{ params.p }}", max_unknown_time="PT5M")
        with pytest.raises(InvalidInputError, match=r"^poll_interval .* Task: c\.finish \("):
            sentinelhub_batch("c", **given, poll_interval="soon")
    assert group.get_child_by_label("analyse").poll_interval == timedelta(seconds=5)
    assert late.get_child_by_label("finish").poll_interval == "{{ params.p }}"


# Files


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    body = described()["evalscript"]
    for name in ("Fire boundary script.js", "a.evalscript", "plain", "ndvi.js", "Straße ndvi.JS"):
        (tmp_path / name).write_text(body + "\n// {{ params.word }}\n")
    (tmp_path / "bom.js").write_text(body.replace("//VERSION", "// VERSION"), "utf-8-sig")
    (tmp_path / "my request.json").write_text(
        '{"input": {"data": [{"type": "{{ params.type }}"}]}, "output": {"responses": []}}'
    )
    return tmp_path


@once
@pytest.mark.parametrize(
    "name", ["Fire boundary script.js", "{{ params.n }}.js", "a.evalscript", "plain", "bom.js", "Straße ndvi.JS"]
)
@pytest.mark.parametrize("form", ["name", "absolute", "path", "absolute path", "in the request"])
def test_any_name_of_a_script_works(bench: Any, scripts: Path, name: str, form: str) -> None:
    script: Any = str(scripts / name) if form.startswith("absolute") else name
    script = Path(script) if form.endswith("path") else script
    given = described(evalscript=script)
    if form == "in the request":
        given |= {"process_request": process_request("sentinel-2-l2a", evalscript=name), "evalscript": None}
    request_id = bench.made(
        lambda: render(lambda: SentinelHubCreateBatchOperator(**given), scripts, n="ndvi", word="green")
    )
    sent = bench.body(request_id)["processRequest"]["evalscript"]
    assert sent.startswith("//VERSION=3" if name != "bom.js" else "// VERSION=3")
    assert sent.rstrip().endswith("// green") or name == "bom.js"
    bench.act(request_id, "analyse")
    bench.clock.sleep(600)
    assert bench.status(request_id) == "ANALYSIS_DONE"


@once
@pytest.mark.parametrize(
    "script", ["nowhere.js", "no where.js", "{{ params.n }}.js", "ndvi", Path("x.js"), "return [1]"]
)
def test_a_script_that_is_not_there_is_refused_with_the_folders(bench: Any, tmp_path: Path, script: Any) -> None:
    before = bench.mark()
    with pytest.raises(AirflowFailException, match="no file of this name was found in") as refused:
        bench.run(
            lambda: render(lambda: SentinelHubCreateBatchOperator(**described(evalscript=script)), tmp_path, n="none")
        )
    assert str(tmp_path) in str(refused.value)
    assert [call for call in bench.sim.journal(before) if call["effect"]] == []
    with pytest.raises(InvalidInputError, match="no file of this name was found in"):
        bench.hook.run_job(
            BatchSpecification(process_request={}, evalscript=script if script != "{{ params.n }}.js" else "no.js"),
            name="no",
        )


@once
def test_a_mark_at_the_begin_of_the_text_is_removed(bench: Any) -> None:
    script = "\ufeff" + described()["evalscript"]
    request_id = bench.made(lambda: SentinelHubCreateBatchOperator(**described(evalscript=script)))
    assert bench.body(request_id)["processRequest"]["evalscript"].startswith("//VERSION=3")


@once
@pytest.mark.parametrize("form", ["my request.json", Path("my request.json"), "{{ params.n }}.json"])
def test_any_name_of_a_payload_works(bench: Any, scripts: Path, form: Any) -> None:
    given = described(process_request=form)
    params = {"type": "sentinel-2-l2a", "n": "my request"}
    request_id = bench.made(lambda: render(lambda: SentinelHubCreateBatchOperator(**given), scripts, **params))
    assert bench.body(request_id)["processRequest"]["input"]["data"][0]["type"] == "sentinel-2-l2a"


@once
def test_a_payload_that_is_not_there_is_refused_with_the_folders(bench: Any, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match=r"process_request .*No file of this name"):
        bench.run(
            lambda: render(lambda: SentinelHubCreateBatchOperator(**described(process_request="no.json")), tmp_path)
        )
    with pytest.raises(AirflowFailException, match="No file of this name"):
        bench.run(
            lambda: render(
                lambda: SentinelHubCreateBatchCollectionOperator(task_id="t", collection="no.json"), tmp_path
            )
        )


def test_properties_of_an_area_are_nobodys_arguments() -> None:
    shape = {"type": "Polygon", "coordinates": [[[8, 41], [9, 41], [9, 42], [8, 41]]]}
    feature = {"type": "Feature", "properties": {"width": "wide", "overwrite": "perhaps"}, "geometry": shape}
    request = process_request("sentinel-2-l2a", area=feature)
    SentinelHubBatchOperator(**described(area=feature))
    SentinelHubBatchOperator(**described(process_request=request, area=None))
    assert members({"input": {"bounds": {"area": feature}}}, "process_request")["input"]["bounds"]["area"] is feature


def test_statistics_take_the_same() -> None:
    with pytest.raises(InvalidInputError, match=r"^poll_interval .* Task: t \(test_arguments\.py, line \d+\)\.$"):
        SentinelHubBatchStatisticalOperator(
            task_id="t", geopackage="s3://a/b.gpkg", data="sentinel-2-l2a", aggregation={}, destination="s3://a/b",
            poll_interval="soon",
        )  # fmt: skip


def test_text_keeps_what_it_is() -> None:
    assert text("0042") == "0042"
    assert whole("3") == 3
