"""Who means ill: odd methods, paths and numbers, forged XComs, and secrets that somebody has typed somewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub._compat.task_tables import TaskFacts
from airflow_sentinelhub.api.decide.verdict import Outcome, Waited
from airflow_sentinelhub.api.flows.progress import Progress
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus
from airflow_sentinelhub.hooks.job_map import RequestSource, ShownRequest, read_request
from airflow_sentinelhub.maps.html import html_page
from airflow_sentinelhub.redaction import hidden
from airflow_sentinelhub.web import app, reading
from airflow_sentinelhub.web.job_view import KEYS, job_view
from airflow_sentinelhub.web.jobs_view import jobs_view
from tests.web.test_access import paths

Login = Callable[..., dict[str, str]]
ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Airflow's tables were asked for; they know nothing."""
    found: list[Any] = []

    def nothing(*where: Any) -> None:
        found.append(where)

    monkeypatch.setattr(app, "task_facts", nothing)
    return found


@pytest.mark.parametrize("path", paths())
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND", "get"])
@pytest.mark.parametrize("role", [None, "VIEWER"])
def test_other_methods_tell_nothing(pages: Any, login: Login, path: str, method: str, role: str | None) -> None:
    headers = login(role) if role else {}
    reply = pages.request(method, path, headers=headers)
    if method.upper() == "GET":
        assert reply.status_code in ((200, 404) if role else (401,))
        return
    assert reply.status_code in (401, 405)
    assert "Sentinel Hub" not in reply.text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2f%2e%2e%2f_compat%2f__init__.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/",
        "/static",
    ],
)
def test_static_files_are_those_of_the_folder(pages: Any, path: str) -> None:
    reply = pages.get(path)
    assert reply.status_code in (400, 401, 404)
    assert "import" not in reply.text
    assert "root:" not in reply.text


@pytest.mark.parametrize(
    "path",
    [
        "/job/a/../secret/r/t/-1/facts",
        "/job/a%2F..%2Fsecret/r/t/-1/facts",
        "/job//r/t/-1/facts",
        "/job/a/r/t/-1/facts/",
        "/job/a/r/t/-1/facts/x",
        "/job/secret%00/r/t/-1/facts",
        "/job/secret;a/r/t/-1/facts",
        "/JOB/secret/r/t/-1/facts",
    ],
)
def test_a_path_with_a_trick_is_no_way_around_the_rights(
    pages: Any, login: Login, managed: Any, asked: list[Any], path: str
) -> None:
    """Whatever DAG a path comes to name, the rights were asked for the same one as the tables."""
    rights = []

    def may(*, details: Any, **_: Any) -> bool:
        rights.append(details.id)
        return bool(details.id != "secret")

    managed.is_authorized_dag = may
    reply = pages.get(path, headers=login("ADMIN"))
    assert reply.status_code in (200, 403, 404)
    assert [where[0] for where in asked] == [name for name in rights if name != "secret"][: len(asked)]
    assert not [where for where in asked if where[0] == "secret"]


@pytest.mark.parametrize(
    "number", ["9" * 10, "9" * 5000, "-2", "1e3", "0x1", "٣", "1.0", "+1", " 1", "1;", "%00", "None"]
)
def test_a_map_index_that_is_none_is_404_and_asks_no_table(
    pages: Any, login: Login, asked: list[Any], number: str
) -> None:
    for ending in ("facts", "tiles", "tile/0"):
        assert pages.get(f"/job/a/r/t/{number}/{ending}", headers=login("VIEWER")).status_code == 404
    assert asked == []


@pytest.mark.parametrize("given", ["-1", "{MAP_INDEX}", "%7BMAP_INDEX%7D", "0", "5"])
def test_a_map_index_as_airflow_writes_it(pages: Any, login: Login, asked: list[Any], given: str) -> None:
    assert pages.get(f"/job/a/r/t/{given}/facts", headers=login("VIEWER")).status_code == 200
    assert [where[3] for where in asked] == [int(given) if given.lstrip("-").isdigit() else -1]


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("name", ["%00", "a%0Ab", "%7F"])
def test_a_name_with_a_control_character_asks_no_table(
    pages: Any, login: Login, asked: list[Any], part: int, name: str
) -> None:
    names = ["a", "r", "t"]
    names[part] = name
    assert pages.get(f"/job/{'/'.join(names)}/-1/facts", headers=login("VIEWER")).status_code == 404
    assert asked == []


def test_oversized_parameters_are_no_error(pages: Any, login: Login, asked: list[Any]) -> None:
    reply = pages.get(f"/job/{'a' * 20_000}/r/t/-1/facts?{'x=1&' * 5_000}", headers=login("VIEWER"))
    assert reply.status_code == 200
    assert reply.json()["found"] is False


@pytest.mark.parametrize("index", ["-1", "1", "9" * 40, "x", "0.5"])
def test_a_tile_that_is_not_there(pages: Any, login: Login, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    from airflow_sentinelhub.api.tile_table import TileTable

    table = TileTable()
    table.add("one", "PROCESSED")
    monkeypatch.setattr(app, "_look", lambda *_: (None, ShownRequest(table=table)))
    assert pages.get(f"/job/a/r/t/-1/tile/{index}", headers=login("VIEWER")).status_code in (404, 422)
    assert pages.get("/job/a/r/t/-1/tile/0", headers=login("VIEWER")).json() == {"name": "one", "paths": {}}


def facts(**xcoms: Any) -> TaskFacts:
    return TaskFacts("d", "r", "t", -1, "running", 1, "SentinelHubBatchOperator", 1.0, None, xcoms)


@pytest.mark.parametrize("progress", ["x", [], {"job": 7}, {"request_id": ID, "job": {"status": 7}, "course": "x"}])
def test_a_forged_record_is_not_shown_and_breaks_nothing(progress: Any) -> None:
    origin = {"request_id": ID, "batch_api": "v2", "sentinelhub_conn_id": "c"}
    view = job_view(facts(sentinelhub_request=origin, sentinelhub_progress=progress), None, 2.0)
    json.dumps(view, allow_nan=False)
    assert view["request"]["id"] == ID


def test_a_forged_place_never_gets_the_credentials_of_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address comes from the connection. An XCom that names another one is refused before any call."""
    monkeypatch.setenv("AIRFLOW_CONN_MINE", "sentinelhub://id:secret@aws-eu")
    forged = RequestSource(ID, "v2", "mine", None, (("base_url", "http://evil.example.org"),))
    with pytest.raises(reading.SettingsError, match=r"is at http://evil\.example\.org, and connection mine names"):
        reading.hook_of(forged)


def test_only_our_own_xcoms_are_read() -> None:
    """The result of a task may be anything, of any size: it is none of the page's business."""
    assert set(KEYS) == {
        "request_id",
        "sentinelhub_request",
        "sentinelhub_progress",
        "sentinelhub_report",
        "processing_units",
    }


ANYTHING = [
    *(None, True, -1, 0, 10**400, 1e300, float("nan"), float("inf"), "", "x", "\ud800", "\x00", "<script>"),
    *([], {}, [[]], [["x", None, {}]], {"": ""}, {"a": [1e300] * 3}),
]


@pytest.mark.parametrize("value", ANYTHING, ids=range(len(ANYTHING)))
def test_whatever_an_xcom_holds_both_pages_have_a_reply(value: Any) -> None:
    """Each XCom, and each member of those with members, is anything."""
    origin = {"request_id": ID, "batch_api": "v2", "sentinelhub_conn_id": "c", "aws_conn_id": "b", "place": {}}
    kept = Progress(ID, "v2")
    kept.read(Waited(Outcome.WAITING, Snapshot(ID, "v2", BatchRequestStatus("PROCESSING"))), 0.5, 1.0)
    progress = {**kept.as_json(), "counts": {"FAILED": 1}, "budget": 1.0}
    whole = {"sentinelhub_request": origin, "sentinelhub_progress": progress, "request_id": ID, "processing_units": 1}
    odd = [{**whole, key: value} for key in KEYS]
    odd += [{**whole, "sentinelhub_request": {**origin, name: value}} for name in origin]
    odd += [{**whole, "sentinelhub_progress": {**progress, name: value}} for name in progress]
    odd += [
        {**whole, "sentinelhub_progress": {**progress, "job": {**progress["job"], name: value}}}
        for name in progress["job"]
    ]
    tasks = [facts(**xcoms)._replace(shared=(value, {**origin, "aws_conn_id": value})) for xcoms in odd]
    for task in tasks:
        assert app._json(job_view(task, ShownRequest(), 2.0)).status_code == 200
    assert app._json(jobs_view(tasks, 2.0)).status_code == 200


SECRETS = ("hush1", "hush2", "hush3", "hush4", "hush5", "hush6", "hush7")


def test_a_payload_is_shown_without_what_is_secret_in_it_wherever_it_stands() -> None:
    payload = {
        "input": {"features": {"s3": {"url": "s3://b/x.gpkg", "accessKey": "hush1", "secretAccessKey": "hush2"}}},
        "output": {"delivery": {"s3": {"url": "https://user:hush3@host/x?X-Amz-Signature=hush4"}}},
        "elsewhere": "https://a.blob.core.windows.net/c?sv=2024-01-01&sig=hush5%3D&se=2026",
        "evalscript": "// password = 'hush6'\nfetch('https://host/?token=hush7')\nreturn sample.signature;",
    }
    known = ShownRequest(payload=hidden(payload))
    origin = {"request_id": ID, "batch_api": "v2", "sentinelhub_conn_id": "c"}
    text = json.dumps(job_view(facts(sentinelhub_request=origin), known, 2.0))
    assert [secret for secret in SECRETS if secret in text] == []
    for plain in ("s3://b/x.gpkg", "sv=2024-01-01", "se=2026", "sample.signature"):
        assert plain in text


def test_an_error_of_a_reading_is_one_line_without_secrets() -> None:
    said = reading.plain(ValueError("https://user:hush1@host/x?X-Amz-Signature=hush2\n<b>broke</b> off " + "x" * 5_000))
    assert "hush" not in said
    assert "\n" not in said
    assert len(said) <= 1_000
    assert "broke" in said


def test_what_is_read_of_a_request_is_kept_without_its_secrets() -> None:
    class Hook:
        settings: Any = None

        def run(self, flow: Any) -> Any:
            flow.close()
            body = {"output": {"delivery": {"s3": {"accessKey": "hush1", "secretAccessKey": "hush2"}}}}
            return Snapshot(ID, "v2", BatchRequestStatus("DONE")), body

    known = ShownRequest()
    read_request(Hook(), RequestSource(ID, "v2", "c"), known, 1.0)
    assert "output" in known.payload
    assert "hush" not in json.dumps(known.payload)


def test_the_address_of_a_report_is_shown_without_its_signature() -> None:
    origin = {"request_id": ID, "batch_api": "v2", "sentinelhub_conn_id": "c"}
    url = "https://user:hush1@host/report.html?X-Amz-Signature=hush2"
    view = job_view(facts(sentinelhub_request=origin, sentinelhub_report=url), None, 2.0)
    assert "host/report.html" in view["request"]["report"]
    assert "hush" not in view["request"]["report"]


def test_the_file_of_a_map_may_load_nothing() -> None:
    text = html_page({"found": False, "now": 1.0}, {"area": [], "table": None})
    policy = text.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "*" not in policy
