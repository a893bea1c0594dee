"""A look at a job before anything is sent: what it shows is what the service then does."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub import tiling_grid
from airflow_sentinelhub.cli.dag_file import previews_of
from airflow_sentinelhub.cli.main import main
from airflow_sentinelhub.exceptions import InvalidInputError, SettingsError
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator
from airflow_sentinelhub.preview.make import preview_of
from airflow_sentinelhub.simulator.gpkg import Layer, geometry, geopackage
from tests.airflow.job import creating, job, v1, v2

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
PLACES: dict[str, tuple[int, float, list[float]]] = {
    "20 km, two UTM zones": (0, 60, [5.8, 47.0, 6.3, 47.4]),
    "10 km, at the equator": (1, 10, [36.7, -0.1, 36.9, 0.1]),
    "10 km, Norway's odd zones": (1, 20, [2.8, 60.0, 3.2, 60.2]),
    "100 km, three zones": (2, 120, [5.0, 45.0, 13.0, 46.0]),
    "1 degree": (3, 0.001, [-1.5, -1.5, 1.5, 1.5]),
    "1 degree, at the antimeridian": (3, 0.001, [178.5, -17.5, 180.0, -16.5]),
    "100 km, at the antimeridian": (2, 360, [177.0, -18.0, 180.0, -17.0]),
    "LAEA 100 km": (6, 100, [8.4, 41.3, 9.6, 43.1]),
    "LAEA 20 km": (7, 20, [8.9, 41.9, 9.3, 42.2]),
}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Sockets that refuse to connect, and what tried to."""
    tried: list[Any] = []

    def refuse(self: Any, address: Any) -> None:
        tried.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    yield tried
    assert tried == []


def kinds(preview: Any, kind: str) -> str:
    return " ".join(finding.text for finding in preview.findings if finding.kind == kind)


@pytest.mark.parametrize("place", PLACES)
def test_tiles_are_those_that_the_service_delivers(bench: Any, place: str) -> None:
    number, resolution, area = PLACES[place]
    members = {"area": area, "tiling_grid": tiling_grid(number, resolution)}
    preview = preview_of(bench.payload(**members), bench.api)
    assert preview.refused == []
    assert sorted(preview.names or ()) == sorted(bench.tile_names(bench.ended(**members)))


def test_tiles_on_both_sides_of_the_antimeridian(bench: Any) -> None:
    area = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[179.5, -17], [180, -17], [180, -16.5], [179.5, -16.5], [179.5, -17]]],
            [[[-180, -17], [-179.5, -17], [-179.5, -16.5], [-180, -16.5], [-180, -17]]],
        ],
    }
    preview = preview_of(bench.payload(area=area), bench.api)
    assert sorted(preview.names or ()) == sorted(bench.tile_names(bench.ended(area=area)))
    assert {name[:2] for name in preview.names or ()} == {"01", "60"}


@v2
def test_features_are_those_that_the_service_processes(bench: Any) -> None:
    squares = [shapely.box(9 + at / 10, 42, 9.05 + at / 10, 42.05) for at in range(3)]
    columns = [("geometry", "POLYGON"), ("id", "INTEGER"), ("identifier", "TEXT"), ("resolution", "REAL")]
    rows = [(geometry(shape.wkb, 4326, shape.bounds), at, f"field-{at}", 0.0005) for at, shape in enumerate(squares)]
    file = bench.sim.bucket_dir / "maps" / "fields.gpkg"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(geopackage([Layer("fields", 4326, columns, rows, (9, 42, 9.25, 42.05), geometry_type="POLYGON")]))
    members = {"tiling_grid": None, "geopackage": "s3://maps/fields.gpkg", "area": [9, 42, 9.12, 42.1]}
    payload = bench.payload(**members)
    unread = preview_of(payload, "v2")
    assert unread.names is None
    assert unread.estimate is None
    assert "were not read" in kinds(unread, "unknown")
    preview = preview_of(payload, "v2", geopackage=file)
    assert preview.names == ["field-0", "field-1"] == sorted(bench.tile_names(bench.ended(**members)))
    assert preview.estimate is not None
    assert preview.estimate.number == 2


def test_nothing_is_sent_and_no_secret_is_shown(bench: Any, no_network: list[Any]) -> None:
    before = len(bench.sim.journal())
    preview = job(bench, max_processing_units=5000)().preview(bench.context())
    assert len(bench.sim.journal()) == before
    assert preview.refused == []
    assert preview.estimate is not None
    text = "\n".join([*preview.lines(), json.dumps(preview.as_dict()), preview.svg(), repr(preview)])
    for secret in ("hush", bench.sim.client_secret):
        assert secret not in text
    if bench.api == "v2":
        assert preview.payload is not None
        assert preview.payload["output"]["delivery"]["s3"]["accessKey"] == "***"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"tiling_grid": {"id": 1, "resolution": "{{ 5 }}"}}, "does not offer resolution 5"),
        ({"tiling_grid": {"id": 4, "resolution": 10}}, "grid 4 does not exist"),
        ({"area": "{{ '[9, 95, 10, 96]' }}"}, "latitudes beyond 90"),
        ({"area": "nowhere.geojson"}, "nowhere.geojson"),
        ({"evalscript": "//VERSION=3\nfunction setup( {"}, "evalscript"),
        ({"max_processing_units": 10}, "max_processing_units is 10: it is not started, the task fails"),
        ({"max_processing_units_per_month": 10}, "max_processing_units_per_month is 10: it is not started"),
        ({"max_processing_units": 10, "on_over_budget": "skip"}, "the task is skipped"),
        ({"max_processing_units": "{{ nothing }}"}, "max_processing_units"),
        ({"description": "{{ 1 / 0 }}"}, "ZeroDivisionError"),
        ({"destination": "{{ '' }}"}, "destination"),
    ],
)
def test_what_would_be_refused_is_said(bench: Any, more: dict[str, Any], why: str) -> None:
    preview = job(bench, **more)().preview(bench.context())
    assert why in " ".join(preview.refused)
    assert not any("Nothing that would be refused" in line for line in preview.lines())


@pytest.mark.parametrize(
    ("more", "kind", "why"),
    [
        ({"max_processing_units": 250}, "warning", "may cost up to 610 PU, and max_processing_units is 250."),
        ({"max_processing_units": 610.4}, "", ""),
        ({"max_processing_units_per_month": 250}, "unknown", "This job alone may cost up to 610 PU."),
        ({"max_processing_units_per_month": 700}, "unknown", "is read at the start."),
    ],
)
def test_what_only_may_cost_too_much_is_a_warning(bench: Any, more: dict[str, Any], kind: str, why: str) -> None:
    """Six to fifteen observations in a month: 244 to 610 PU."""
    orbit = bench.ndvi.replace("output:", 'mosaicking: "ORBIT", output:')
    preview = job(bench, evalscript=orbit, **more)().preview(bench.context())
    assert preview.refused == []
    assert [each.kind for each in preview.findings] == ([kind] if kind else [])
    assert all(each.text.endswith(why) for each in preview.findings)


@pytest.mark.parametrize(
    ("asked", "kind"), [("index", ""), ("userdata", ""), ("nothing", "refused"), (None, "warning")]
)
def test_an_output_that_the_evalscript_does_not_have_is_said(bench: Any, asked: str | None, kind: str) -> None:
    script = """//VERSION=3
        function setup() {
            return { input: ["B04"], output: [{ id: "index", bands: 1, sampleType: "FLOAT32" }, { id: "x", bands: 1 }] }
        }
        function evaluatePixel(sample) { return { index: [1], x: [1] } }"""
    payload = bench.payload(evalscript=script)
    payload["processRequest"].setdefault("output", {})["responses"] = [
        {**({"identifier": asked} if asked else {}), "format": {"type": "image/tiff"}}
    ]
    preview = preview_of(payload, bench.api)
    said = kinds(preview, "refused") + kinds(preview, "warning")
    assert ("which setup() of the evalscript does not have; it has index, x" in said) is bool(kind)
    assert bool(preview.refused) is (kind == "refused")


def test_the_task_itself_is_left_as_it_was(bench: Any) -> None:
    task = job(bench, description="{{ run_id }}")()
    first = task.preview(bench.context())
    assert task.description == "{{ run_id }}"
    assert first.payload is not None
    assert first.payload["description"] == bench.context()["run_id"]
    assert creating(bench)().preview(bench.context()).names == first.names


def test_a_task_that_continues_a_request_sends_none(bench: Any) -> None:
    task = SentinelHubBatchOperator(task_id="job", request_id="5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10")
    assert "preview the task that creates" in " ".join(task.preview(bench.context()).refused)


def test_without_its_connections_a_task_is_previewed_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT", raising=False)
    monkeypatch.delenv("AIRFLOW_CONN_SENTINELHUB_BUCKET", raising=False)
    (preview,) = previews_of(EXAMPLES / "sentinelhub_batch_group.py", "ndvi")
    assert preview.batch_api == "v2"
    assert preview.names
    assert "sentinelhub_default" in kinds(preview, "unknown")
    assert preview.refused == []


CREATING = {
    "sentinelhub_batch_group": "ndvi",
    "sentinelhub_first_job": "ndvi",
    "sentinelhub_geopackage": "parcels",
    "sentinelhub_many_tiles": "ndvi",
    "sentinelhub_ndvi_corsica": "create",
    "sentinelhub_one_tile": "create",
    "sentinelhub_restart_partial": "create",
    "sentinelhub_statistics_fields": "statistics",
    "sentinelhub_update_and_delete": "create",
    "sentinelhub_what_will_it_cost": "create",
}
WITHOUT = {
    "sentinelhub_collections",
    "sentinelhub_in_python",
    "sentinelhub_new_imagery",
    "sentinelhub_when_a_job_ends",
}
"""Examples whose tasks create no batch request by an operator."""


def test_every_example_is_previewed() -> None:
    """A new example stands in one of the two lists above."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == CREATING.keys() | WITHOUT


@v1
@pytest.mark.parametrize("name", CREATING)
def test_preview_of_an_example(bench: Any, no_network: list[Any], name: str, capsys: Any) -> None:
    bench.connection("sentinelhub_bucket", conn_type="aws", login="AKIA", password="hush-hush")
    assert main(["preview", str(EXAMPLES / f"{name}.py"), CREATING[name], "--date", "2024-06-15"]) == 0
    out = capsys.readouterr().out
    assert "nothing was sent" in out
    assert "hush" not in out
    assert "2024-0" in out


def written(folder: Path, body: str) -> Path:
    file = folder / "my_dag.py"
    head = """
        import pendulum
        from tests.names import DAG
        from airflow_sentinelhub import last, process_request, tiling_grid
        from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator
        SCRIPT = '''//VERSION=3
        function setup() { return { input: ["B04"], output: { bands: 1 } } }
        function evaluatePixel(sample) { return [sample.B04] }
        '''
        WHAT = dict(
            process_request=process_request("sentinel-2-l2a", ("{{ data_interval_start | ds }}", "2030-01-01")),
            evalscript=SCRIPT, tiling_grid=tiling_grid(1, 10), destination="s3://maps/ndvi", aws_conn_id="my_bucket",
        )
    """
    file.write_text(textwrap.dedent(head) + textwrap.dedent(body))
    return file


def test_a_task_is_rendered_as_in_a_run(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "here.geojson").write_text(json.dumps(shapely.geometry.mapping(shapely.box(9, 42, 9.1, 42.1))))
    file = written(
        tmp_path,
        """
        from airflow.timetables.interval import CronDataIntervalTimetable
        with DAG("one", schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),
                 start_date=pendulum.datetime(2024, 1, 1), params={"name": "usual"},
                 user_defined_macros={"twice": lambda text: text + text}):
            SentinelHubBatchOperator(
                task_id="job", area="here.geojson", **WHAT,
                description="{{ params.name }} {{ twice('ab') }} {{ ds }} {{ macros.ds_add(ds, 1) }}"
                            " {{ (dag_run.conf or {}).get('more') }}",
            )
        """,
    )
    from datetime import datetime, timezone

    date = datetime(2024, 6, 15, tzinfo=timezone.utc)
    (preview,) = previews_of(file, "job", date=date, run_conf={"name": "other", "more": "5"})
    assert preview.refused == []
    assert preview.payload is not None
    assert preview.payload["description"] == "other abab 2024-06-01 2024-06-02 5"
    assert "2024-06-01" in json.dumps(preview.payload["processRequest"]["input"]["data"])
    (newest,) = previews_of(file, "job")
    assert newest.payload is not None
    assert newest.payload["description"].startswith("usual abab 20")


def test_mapped_tasks_are_previewed_by_their_index(bench: Any, tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        with DAG("one", schedule=None, start_date=pendulum.datetime(2024, 1, 1)):
            SentinelHubBatchOperator.partial(task_id="job", **WHAT).expand(
                area=[[9.0, 42.0, 9.1, 42.1], [10.0, 43.0, 10.1, 43.1]], max_processing_units=[0.5, 10_000])
            first = SentinelHubBatchOperator(task_id="first", area=[9.0, 42.0, 9.1, 42.1], **WHAT)
            SentinelHubBatchOperator.partial(task_id="late", **WHAT).expand(area=first.output)
            SentinelHubBatchOperator(task_id="after", area="{{ ti.xcom_pull('first') }}", **WHAT)
        """,
    )
    previews = previews_of(file, "job")
    assert [preview.map_index for preview in previews] == [0, 1, 2, 3]
    assert [bool(preview.refused) for preview in previews] == [True, False, True, False]
    assert previews[0].names == previews[1].names != previews[2].names
    (one,) = previews_of(file, "job", map_index=3)
    assert one.names == previews[3].names
    with pytest.raises(InvalidInputError, match="map indexes 0 to 3"):
        previews_of(file, "job", map_index=4)
    with pytest.raises(InvalidInputError, match="result of another task"):
        previews_of(file, "late")
    with pytest.raises(InvalidInputError, match="not mapped"):
        previews_of(file, "first", map_index=0)
    (after,) = previews_of(file, "after")
    assert "which has not run" in " ".join(after.refused)


def test_one_wrong_value_of_a_mapped_task_does_not_hide_the_others(bench: Any, tmp_path: Path, capsys: Any) -> None:
    file = written(
        tmp_path,
        """
        with DAG("one", schedule=None, start_date=pendulum.datetime(2024, 1, 1)):
            SentinelHubBatchOperator.partial(task_id="job", **WHAT).expand(
                area=[[9.0, 42.0, 9.1, 42.1], [500, 1, 501, 2], "nowhere.geojson"])
            SentinelHubBatchOperator.partial(task_id="rows", **WHAT).expand_kwargs(
                [{"area": [9.0, 42.0, 9.1, 42.1]}, {"area": [10.0, 43.0, 10.1, 43.1], "batch_api": "v3"}])
            SentinelHubBatchOperator.partial(task_id="none", **WHAT).expand(area=[])
        """,
    )
    previews = previews_of(file, "job")
    assert [bool(preview.refused) for preview in previews] == [False, True, True]
    assert [preview.title for preview in previews] == ["one.job[0]", "one.job[1]", "one.job[2]"]
    assert "500 to 501" in " ".join(previews[1].refused)
    assert [bool(preview.refused) for preview in previews_of(file, "rows")] == [False, True]
    assert main(["preview", str(file), "job"]) == 1
    assert "one.job[1]" in capsys.readouterr().out
    with pytest.raises(InvalidInputError, match="mapped over no values"):
        previews_of(file, "none")


def test_secrets_that_a_template_takes_from_elsewhere_are_not_shown(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "aws://someone:open-sesame@/?session_token=mellon-friend")
    monkeypatch.setenv("AIRFLOW_VAR_API_PASSWORD", "swordfish-7")
    file = written(
        tmp_path,
        """
        with DAG("one", schedule=None, start_date=pendulum.datetime(2024, 1, 1)):
            more = "{{ conn.other.password }} {{ conn.other.extra_dejson.session_token }} {{ var.value.api_password }}"
            SentinelHubBatchOperator(task_id="text", area=[9.0, 42.0, 9.1, 42.1], **WHAT, description=more)
            SentinelHubBatchOperator(task_id="area", area=more, **WHAT)
            SentinelHubBatchOperator(
                task_id="limit", area=[9.0, 42.0, 9.1, 42.1], max_processing_units=more, **WHAT)
            SentinelHubBatchOperator(
                task_id="error", area=[9.0, 42.0, 9.1, 42.1], **WHAT,
                description="{{ macros.datetime.fromisoformat(conn.other.password) }}")
        """,
    )
    for task in ("text", "area", "limit", "error"):
        for output in ("table", "json"):
            main(["preview", str(file), task, "--output", output])
            found = capsys.readouterr()
            assert "one" in found.out
            for secret in ("open-sesame", "mellon-friend", "swordfish-7"):
                assert secret not in found.out + found.err


@pytest.mark.parametrize("step", ["ndvi", "ndvi.create", "ndvi.analyse", "ndvi.start", "ndvi.finish"])
def test_each_step_of_a_group_stands_for_its_job(bench: Any, step: str) -> None:
    (preview,) = previews_of(EXAMPLES / "sentinelhub_batch_group.py", step)
    assert preview.task_id == "ndvi"
    assert preview.names


def test_what_is_wrong_with_a_file_is_one_sentence(bench: Any, tmp_path: Path, capsys: Any) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\nraise RuntimeError('oh')")
    leaving = tmp_path / "leaving.py"
    leaving.write_text("import sys\nsys.exit('bye')")
    empty = tmp_path / "empty.py"
    empty.write_text("")
    group = str(EXAMPLES / "sentinelhub_batch_group.py")
    for arguments, why in (
        ([str(tmp_path / "no.py"), "x"], "There is no file"),
        ([str(broken), "x"], "broken.py, line 2, cannot be read: RuntimeError: oh"),
        ([str(leaving), "x"], "SystemExit: bye"),
        ([str(empty), "x"], "defines no DAG"),
        ([group, "x"], "has no task x"),
        ([group, "ndvi", "--dag-id", "other"], "has no DAG other"),
        ([group, "ndvi", "--date", "soon"], "--date"),
        ([group, "ndvi", "--run-conf", "[1]"], "--run-conf"),
        ([group, "ndvi", "--map", str(tmp_path / "no" / "map.svg")], "cannot be written"),
        ([str(EXAMPLES / "sentinelhub_collections.py"), "create"], "creates no batch request"),
        ([str(EXAMPLES / "sentinelhub_first_job.py"), "publish"], "creates no batch request"),  # mapped, and a function
    ):
        assert main(["preview", *arguments]) == 1
        said = capsys.readouterr().err
        assert why in said
        assert said.count("\n") == 1


@v2
@pytest.mark.slow
def test_the_output_is_the_preview_alone_whatever_the_file_prints_or_logs(bench: Any, tmp_path: Path) -> None:
    """As a process of its own: Airflow 3 logs to the standard output that it finds when it is loaded."""
    file = written(
        tmp_path,
        """
        import logging, os, sys
        print("printed by the file")
        os.system("echo echoed by a process")
        sys.__stdout__.write("written by the file")
        def loud(text):
            print("printed by a macro")
            return text
        with DAG("one", schedule=None, user_defined_macros={"loud": loud}):
            task = SentinelHubBatchOperator(
                task_id="job", area=[9.0, 42.0, 9.1, 42.1], **WHAT, description="{{ loud('ab') }}")
            task.log.error("logged by the file")
        """,
    )
    command = [sys.executable, "-m", "airflow_sentinelhub", "preview", str(file), "job", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (shown,) = json.loads(done.stdout)
    assert shown["payload"]["description"] == "ab"
    assert "printed by the file" in done.stderr


def test_a_map_is_written(bench: Any, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "map.svg"
    group = str(EXAMPLES / "sentinelhub_batch_group.py")
    assert main(["preview", group, "ndvi", "--map", str(file), "--output", "json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    text = file.read_text()
    assert text.startswith("<svg")
    assert all(f"<title>{name}</title>" in text for name in shown["names"])


@pytest.mark.thorough
def test_a_map_is_written_as_png(bench: Any, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    file = tmp_path / "map.PNG"
    assert main(["preview", str(EXAMPLES / "sentinelhub_batch_group.py"), "ndvi", "--map", str(file)]) == 0
    data = file.read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    width = int.from_bytes(data[16:20], "big")
    assert width >= 800


@pytest.mark.parametrize("name", ["map", "map.jpg", "map.svg.gz", "folder/"])
def test_a_map_of_another_kind_is_refused(tmp_path: Path, capsys: Any, name: str) -> None:
    file = f"{tmp_path}/{name}"
    assert main(["preview", str(EXAMPLES / "sentinelhub_batch_group.py"), "ndvi", "--map", file]) == 1
    assert "ends in .svg or .png" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_its_library_a_png_is_refused(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    group = str(EXAMPLES / "sentinelhub_batch_group.py")
    assert main(["preview", group, "ndvi", "--map", str(tmp_path / "map.png")]) == 1
    assert "airflow-sentinelhub[png]" in capsys.readouterr().err


def test_the_hook_previews_a_specification(bench: Any, no_network: list[Any]) -> None:
    from airflow_sentinelhub import BatchSpecification, process_request

    specification = BatchSpecification(
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        area=bench.area,
        evalscript=bench.ndvi,
        tiling_grid=tiling_grid(1, 10),
        output="s3://maps/ndvi",
    )
    preview = bench.hook.preview(specification, aws_conn_id="my_bucket", max_processing_units=1)
    assert preview.names
    assert "max_processing_units is 1" in " ".join(preview.refused)


@v2
def test_features_of_a_statistical_job(bench: Any, tmp_path: Path) -> None:
    from airflow_sentinelhub import aggregation
    from airflow_sentinelhub.operators.statistical import SentinelHubBatchStatisticalOperator

    squares = [shapely.box(500_000 + 1000 * at, 4_649_000, 500_500 + 1000 * at, 4_649_500) for at in range(3)]
    columns = [("geometry", "POLYGON"), ("id", "INTEGER"), ("identifier", "TEXT")]
    rows = [(geometry(shape.wkb, 32632, shape.bounds), at, f"field-{at}") for at, shape in enumerate(squares)]
    file = tmp_path / "fields.gpkg"
    bounds = (500_000, 4_649_000, 502_500, 4_649_500)
    file.write_bytes(geopackage([Layer("fields", 32632, columns, rows, bounds, geometry_type="POLYGON")]))
    task = SentinelHubBatchStatisticalOperator(
        task_id="job",
        geopackage="s3://maps/fields.gpkg",
        data="sentinel-2-l2a",
        aggregation=aggregation(("2024-06-01", "2024-06-30"), interval="P10D", resolution=10),
        evalscript=bench.ndvi,
        destination="s3://maps/statistics",
        aws_conn_id="my_bucket",
        max_processing_units=10_000,
    )
    preview = task.preview(bench.context(), geopackage=file)
    assert preview.refused == []
    assert preview.names == ["field-0", "field-1", "field-2"]
    assert preview.area_km2 == pytest.approx(0.75, rel=0.01)
    assert preview.estimate is not None
    assert preview.estimate.number == 3
    file.write_bytes(b"no GeoPackage")
    refused = task.preview(bench.context(), geopackage=file)
    assert "GeoPackage s3://maps/fields.gpkg" in " ".join(refused.refused)
    task.request_id = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
    assert [one.batch_api for one in (preview, refused, task.preview(bench.context()))] == ["statistical"] * 3


@v2
@pytest.mark.parametrize("name", ["mounted.gpkg", "what is #1?.gpkg"])
def test_a_geopackage_in_a_mounted_bucket_is_found(bench: Any, name: str) -> None:
    shape = shapely.box(9, 42, 9.05, 42.05)
    columns = [("geometry", "POLYGON"), ("id", "INTEGER"), ("identifier", "TEXT"), ("resolution", "REAL")]
    rows = [(geometry(shape.wkb, 4326, shape.bounds), 1, "field", 0.0005)]
    file = bench.sim.bucket_dir / "maps" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(geopackage([Layer("fields", 4326, columns, rows, shape.bounds, geometry_type="POLYGON")]))
    preview = job(bench, tiling_grid=None, area=None, geopackage=f"s3://maps/{name}")().preview(bench.context())
    assert preview.names == ["field"]


@v1
def test_a_missing_library_is_one_sentence_that_names_the_extra(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("airflow_sentinelhub.grids.tiling", "airflow_sentinelhub.grids.projection"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "pyproj", None)
    with pytest.raises(SettingsError, match=r"A preview needs pyproj.*airflow-sentinelhub\[preview\]"):
        preview_of(bench.payload(), "v1")


@v1
@pytest.mark.thorough
@pytest.mark.parametrize(
    ("area", "least"),
    [([5.9, 47.3, 15.0, 55.0], 5_000), ([-12, 35, 32, 62], 90_000)],
    ids=["country", "continent"],
)
@pytest.mark.slow
def test_a_preview_of_a_large_area_is_whole(bench: Any, area: list[float], least: int) -> None:
    preview = preview_of(bench.payload(area=area), "v1")
    assert "nothing was sent" in preview.lines()[0]
    assert json.dumps(preview.as_dict())
    assert preview.svg()
    assert len(preview.names or ()) > least


@pytest.mark.parametrize("bad", [[[0, 0], [1, 1]], "x", None, {"type": "Polygon"}, [1, 2, 3]])
def test_an_odd_area_of_a_raw_payload_is_refused(bad: Any) -> None:
    payload = {"processRequest": {"input": {"bounds": {"geometry": bad, "bbox": bad}}}, "tilingGrid": {"id": 1}}
    preview = preview_of(payload, "v1")
    assert preview.refused
    assert preview.names is None


def test_variables_of_airflow_are_looked_up(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_SET", "found")
    file = written(
        tmp_path,
        """
        with DAG("one", schedule=None, start_date=pendulum.datetime(2024, 1, 1)):
            there = "{{ var.value.set }} {{ var.value.get('no_such', 'instead') }}"
            SentinelHubBatchOperator(task_id="there", area=[9.0, 42.0, 9.1, 42.1], description=there, **WHAT)
            missing = "{{ var.value.no_such }}"
            SentinelHubBatchOperator(task_id="missing", area=[9.0, 42.0, 9.1, 42.1], description=missing, **WHAT)
        """,
    )
    (there,) = previews_of(file, "there")
    assert there.payload is not None
    assert there.payload["description"] == "found instead"
    (missing,) = previews_of(file, "missing")
    assert "Variable no_such is not known here" in " ".join(missing.refused)


def test_the_garbage_collector_rests_only_while_airflow_is_imported() -> None:
    from airflow_sentinelhub.cli.preview import _uncollected

    try:
        for enabled in (True, False):
            (gc.enable if enabled else gc.disable)()
            with suppress(ImportError), _uncollected():
                assert not gc.isenabled()
                raise ImportError
            assert gc.isenabled() is enabled
    finally:
        gc.unfreeze()
        gc.enable()
