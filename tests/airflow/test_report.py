"""The report of a job, beside its output: what is in it, where it goes, and that it changes nothing of the job."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub import links
from airflow_sentinelhub._compat import AirflowFailException, AirflowTaskTimeout
from airflow_sentinelhub.exceptions import InvalidInputError, JobPartialError, ResultsError
from airflow_sentinelhub.hooks import report
from airflow_sentinelhub.links import REPORT_KEY
from airflow_sentinelhub.operators import _report
from airflow_sentinelhub.operators.batch import SentinelHubBatchReportOperator
from airflow_sentinelhub.results.bucket import BucketReader
from tests.airflow.conftest import AWS
from tests.airflow.job import job, modes, v1, v2

PAGE = "https://bucket.example.org/report"


def file_of(bench: Any, url: str) -> Path:
    return Path(bench.sim.bucket_dir) / url.removeprefix("s3://")


def embedded(text: str) -> dict[str, Any]:
    """What the page of a report shows."""
    found: dict[str, Any] = json.loads(text.partition('id="embedded">')[2].partition("</script>")[0])
    return found


def reporting(bench: Any, request_id: str, **more: Any) -> Any:
    return lambda: SentinelHubBatchReportOperator(
        **{"task_id": "report", "request_id": request_id, "aws_conn_id": "my_bucket", **more}
    )


@modes
def test_a_job_writes_its_report_beside_its_output(bench: Any, deferrable: bool) -> None:
    context = bench.context()
    result = bench.run(job(bench, report=True, deferrable=deferrable), context)
    url = context["ti"].xcoms[REPORT_KEY]
    assert url == f"s3://maps/ndvi/{result['request_id']}/report-{result['request_id']}.html"
    text = file_of(bench, url).read_text()
    page = embedded(text)
    assert page["view"]["request"]["job"]["status"] == "DONE"
    assert page["view"]["request"]["states"], "what the task has read of it"
    assert (page["view"]["task"]["task_id"], page["view"]["task"]["state"]) == ("task", "success")
    assert dict(zip(page["tiles"]["table"]["names"], page["tiles"]["table"]["status"], strict=True)).keys() == (
        bench.tile_statuses(result["request_id"]).keys()
    )
    assert not any(secret in text for secret in (AWS["login"], AWS["password"], bench.sim.client_secret))
    assert bench.state(result["request_id"])["billed_starts"] == 1


def test_without_the_argument_nothing_is_written(bench: Any) -> None:
    context = bench.context()
    result = bench.run(job(bench), context)
    assert REPORT_KEY not in context["ti"].xcoms
    assert not list(Path(bench.sim.bucket_dir).rglob(f"report-{result['request_id']}*"))


@v2
@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("s3://maps/reports/", "s3://maps/reports/report-{}.html"),
        ("s3://maps/v1.2", "s3://maps/v1.2/report-{}.html"),
        ("s3://other.bucket", "s3://other.bucket/report-{}.html"),
        ("s3://maps/reports/<requestId>.svg", "s3://maps/reports/{}.svg"),
        ("s3://maps/r/<REQUEST_ID>/map.GeoJSON", "s3://maps/r/{}/map.GeoJSON"),
        ("{{ 's3://maps/' ~ dag.dag_id ~ '/map.html' }}", "s3://maps/a/map.html"),
        ("{{ 1 == 1 }}", "s3://maps/ndvi/{0}/report-{0}.html"),
        ("{{ 1 == 2 }}", None),
        ("{{ '' }}", None),
        (False, None),
    ],
)
def test_the_place_of_a_report(bench: Any, given: Any, place: str | None) -> None:
    context = bench.context()
    rendered = given
    if isinstance(given, str) and "{{" in given:
        import jinja2

        rendered = jinja2.Template(given).render(dag=SimpleNamespace(dag_id="a"))
    task = job(bench, report=given)()
    task.report = rendered
    result = bench.run(lambda: task, context)
    url = context["ti"].xcoms.get(REPORT_KEY)
    assert url == (None if place is None else place.format(result["request_id"]))
    if url is not None:
        content = file_of(bench, url).read_bytes()
        assert content.startswith({"svg": b"<svg", "html": b"<!doctype html"}.get(url.rpartition(".")[2], b"{"))


@pytest.mark.parametrize(
    "given",
    [
        "s3://maps/report.pdf",
        "s3://",
        "maps/report.html",
        "s3://maps/../a.html",
        "gs://b/a.html",
        "perhaps",
        7,
        ["s3://b"],
    ],
)
def test_a_place_that_is_none_is_refused_while_the_dag_is_parsed(bench: Any, given: Any) -> None:
    for made in (job(bench, report=given), reporting(bench, "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10", report=given)):
        with pytest.raises(InvalidInputError, match="report is True, or s3://bucket/path") as refused:
            made()
        assert "Task: " in str(refused.value)


@v2
def test_without_its_library_a_png_is_refused_before_a_job_is_made(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(AirflowFailException, match="needs the package resvg-py"):
        bench.run(job(bench, report="s3://maps/a.png"))
    assert bench.sim.requests() == []


def refuse(*_: Any) -> None:
    raise ResultsError("s3://maps/report.html cannot be written: it denied access.")


def breaks(*_: Any) -> None:
    raise RuntimeError("no such thing")


def times_out(*_: Any) -> None:
    raise AirflowTaskTimeout("Timeout, PID: 7")


@modes
@pytest.mark.parametrize("fault", [refuse, breaks, times_out], ids=lambda fault: fault.__name__)
def test_a_report_that_cannot_be_written_is_a_warning(
    bench: Any, deferrable: bool, fault: Any, monkeypatch: pytest.MonkeyPatch, logged: Any
) -> None:
    monkeypatch.setattr(BucketReader, "put", fault)
    context = bench.context()
    result = bench.run(job(bench, report=True, deferrable=deferrable), context)
    assert result["status"] == "DONE"
    assert REPORT_KEY not in context["ti"].xcoms
    (said, *_) = [line for line in logged().splitlines() if "was not written" in line]
    assert "warn" in said.lower()
    assert result["request_id"] in said
    assert "The job is DONE all the same" in said


def test_a_bucket_that_may_not_be_written_is_a_warning(bench: Any, logged: Any) -> None:
    """By the bucket itself: a folder that is a file."""
    full = Path(bench.sim.bucket_dir) / "full"
    full.write_text("a file, not a bucket")
    try:
        result = bench.run(job(bench, report="s3://full/reports/"))
    finally:
        full.unlink()
    assert result["status"] == "DONE"
    said = logged()
    assert "s3://full/reports" in said
    assert "cannot be written" in said


@v2
def test_a_job_that_fails_has_a_report_too(bench: Any) -> None:
    bench.sim.fault(kind="fail_tiles", share=0.3, times=None)
    context = bench.context()
    with pytest.raises(JobPartialError, match="tiles failed"):
        bench.run(job(bench, report=True), context)
    page = embedded(file_of(bench, context["ti"].xcoms[REPORT_KEY]).read_text())
    assert page["view"]["task"]["state"] == "failed"
    table = page["tiles"]["table"]
    assert table["words"].index("FAILED") in table["status"]


@v2
def test_tiles_that_cannot_be_read_are_left_out_and_the_report_says_why(bench: Any) -> None:
    request_id = bench.ended()
    for file in Path(bench.sim.bucket_dir).rglob("execution-*.sqlite"):
        file.unlink()
    for file in Path(bench.sim.bucket_dir).rglob("featureManifest-*"):
        file.unlink()
    done = bench.run(reporting(bench, request_id))
    page = embedded(file_of(bench, done["report"]).read_text())
    assert page["view"]["request"]["tiles"]["error"]
    assert page["view"]["request"]["job"]["status"] == "DONE"


@v1
def test_a_list_that_takes_too_long_is_a_part_and_says_so(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_sentinelhub.hooks import job_map

    monkeypatch.setattr(job_map, "EVERY", 100)
    request_id = bench.ended(area=[8.5, 41.3, 9.6, 43.1])
    now = iter(range(0, 100_000, 200))
    made = report.report_of(
        bench.hook, job_map.RequestSource(request_id, "v1", "sentinelhub_default"), clock=lambda: float(next(now))
    )
    assert made.known.partly
    assert "100 tiles were read in 300 s" in made.known.tiles_error


def test_the_operator_writes_the_report_of_any_request(bench: Any) -> None:
    request_id = bench.started()
    context = bench.context()
    done = bench.run(reporting(bench, request_id), context)
    assert done["request_id"] == request_id
    assert done["report"] == context["ti"].xcoms[REPORT_KEY]
    assert file_of(bench, done["report"]).exists()


@pytest.mark.parametrize("on_unwritten", ["warn", "fail"])
def test_what_happens_if_the_operator_cannot_write(
    bench: Any, on_unwritten: str, monkeypatch: pytest.MonkeyPatch, logged: Any
) -> None:
    request_id = bench.ended()
    monkeypatch.setattr(BucketReader, "put", refuse)
    if on_unwritten == "fail":
        with pytest.raises((ResultsError, AirflowFailException), match="cannot be written"):
            bench.run(reporting(bench, request_id, on_unwritten=on_unwritten))
        return
    assert bench.run(reporting(bench, request_id))["report"] is None
    assert "was not written" in logged()


def test_the_operator_wants_something_to_do(bench: Any) -> None:
    with pytest.raises(InvalidInputError, match="report is True or a place in a bucket here, not False"):
        reporting(bench, "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10", report=False)()


@v2
@pytest.mark.parametrize("shows", [False, True])
def test_where_airflow_has_no_page_of_the_job_the_link_leads_to_the_report(
    bench: Any, shows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "shows_pages", lambda: shows)
    monkeypatch.setattr(BucketReader, "page", lambda self, url: PAGE)
    context = bench.context()
    bench.run(job(bench, report=True), context)
    kept = context["ti"].xcoms
    monkeypatch.setattr(links, "XCom", SimpleNamespace(get_value=lambda key, ti_key: kept.get(key)))
    link = links.SentinelHubRequestLink().get_link(None, ti_key=None)
    assert (link == PAGE) is not shows
    assert "/plugin/sentinelhub" in link or not shows


@pytest.mark.parametrize(
    ("arguments", "page"),
    [
        ({}, "https://console.aws.amazon.com/s3/object/maps?prefix=a%20b/r.html"),
        ({"endpoint_url": "https://s3.example.org/"}, "https://s3.example.org/maps/a%20b/r.html"),
        ({"mount": "/mnt"}, ""),
    ],
)
def test_the_page_of_an_object(arguments: dict[str, str], page: str) -> None:
    assert BucketReader(**arguments).page("s3://maps/a b/r.html") == page


def test_a_report_of_another_request_has_not_what_was_read_of_this_one(bench: Any) -> None:
    """A job that goes on in a new request: the record is of the one, the report of the other."""
    request_id, other = bench.ended(), bench.ended()
    context = bench.context()
    task = reporting(bench, request_id)()
    bench.run(lambda: task, context)
    assert task.progress.progress.request_id == request_id
    found = bench.hook.run(_read(bench, other))
    url = _report.put_report(task, context, found, True)
    assert embedded(file_of(bench, url).read_text())["view"]["request"]["id"] == other


def _read(bench: Any, request_id: str) -> Any:
    from airflow_sentinelhub.api.flows.read import read_patiently
    from airflow_sentinelhub.api.service.generations import generation

    return read_patiently(generation(bench.api), request_id)
