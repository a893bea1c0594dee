"""The links of a task lead to pages that a browser can show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub import links
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.links import LINKS, job_page, results_page
from airflow_sentinelhub.operators.batch import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubStartBatchOperator,
)
from airflow_sentinelhub.results.root import delivery_root
from tests.airflow.job import creating
from tests.airflow.test_job import job

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
EU, CDSE = "https://services.sentinel-hub.com", "https://sh.dataspace.copernicus.eu"


@pytest.mark.parametrize(
    ("base_url", "output", "page"),
    [
        (EU, "s3://maps", "https://console.aws.amazon.com/s3/buckets/maps?prefix=7/"),
        (EU, "s3://maps/a b/", "https://console.aws.amazon.com/s3/buckets/maps?prefix=a%20b/7/"),
        (EU, "s3://maps/p/<tileName>/<outputId>.tif", "https://console.aws.amazon.com/s3/buckets/maps?prefix=p/"),
        (EU, "s3://maps/<tileName>.tif", "https://console.aws.amazon.com/s3/buckets/maps"),
        (EU, "s3://maps/<requestId>/<tileName>.tif", "https://console.aws.amazon.com/s3/buckets/maps?prefix=7/"),
        (EU, "gs://maps/p", ""),
        (CDSE, "s3://maps/p", ""),
        ("http://127.0.0.1:8765", "s3://maps/p", ""),
    ],
)
def test_the_results_are_shown_by_the_console_of_the_bucket(base_url: str, output: str, page: str) -> None:
    assert results_page(base_url, delivery_root(output, "7")) == page


@pytest.mark.parametrize(
    ("map_index", "page"),
    [
        (-1, "dags/a%2Fb/runs/r%2B1/tasks/g.t/plugin"),
        (0, "dags/a%2Fb/runs/r%2B1/tasks/g.t/mapped/0/plugin"),
        (3, "dags/a%2Fb/runs/r%2B1/tasks/g.t/mapped/3/plugin"),
    ],
)
def test_the_page_of_the_job_is_the_tab_of_the_task(map_index: int, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ti = SimpleNamespace(dag_id="a/b", run_id="r+1", task_id="g.t", map_index=map_index)
    monkeypatch.setattr(links, "shows_pages", lambda: True)
    monkeypatch.setattr(links, "airflow_url", lambda: "https://airflow.example.org/af/")
    assert job_page(ti) == f"https://airflow.example.org/af/{page}/sentinelhub"
    monkeypatch.setattr(links, "airflow_url", lambda: None)
    assert job_page(ti) == f"/{page}/sentinelhub"
    monkeypatch.setattr(links, "shows_pages", lambda: False)
    assert job_page(ti) == ""


def test_a_job_pushes_its_links_early_and_none_leads_to_the_api(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "shows_pages", lambda: True)
    monkeypatch.setattr(links, "ON_AWS", ("127.0.0.1",))
    context = bench.context()
    bench.run(job(bench), context)
    kept = context["ti"].xcoms
    shown = {key: url for key, url in kept.items() if key.startswith("_link_")}
    assert set(shown) == {"_link_SentinelHubRequestLink", "_link_SentinelHubResultsLink"}
    assert not any(bench.sim.url in url for url in shown.values())
    assert kept["request_url"].startswith(bench.sim.url), "for programs"
    monkeypatch.setattr(links, "XCom", SimpleNamespace(get_value=lambda key, ti_key: kept.get(key)))
    found = {link.name: link.get_link(None, ti_key=None) for link in LINKS}
    assert found["Sentinel Hub job"] == shown["_link_SentinelHubRequestLink"]
    assert found["Results in the bucket"] == shown["_link_SentinelHubResultsLink"]
    assert found["Sentinel Hub docs"] == links.DOCS[bench.api]


@once
@pytest.mark.parametrize(
    "task",
    [creating, job, SentinelHubAnalyseBatchOperator, SentinelHubStartBatchOperator, SentinelHubListBatchTilesOperator],
)
def test_what_airflow_reads_of_a_link_is_there(bench: Any, task: Any) -> None:
    """Airflow 3 reads the XCom of each link at the end of a task, and reports one that is missing as an error."""
    context = bench.context()
    if isinstance(task, type):
        request_id = bench.ended() if task is SentinelHubListBatchTilesOperator else bench.create()
        bench.run(lambda: task(task_id="t", request_id=request_id), context)
    else:
        bench.run(task(bench), context)
    assert {link.key for link in LINKS if isinstance(link, links._KeptLink)} <= set(context["ti"].xcoms)


@once
def test_a_task_that_fails_before_it_knows_its_request_reads_no_xcom(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow 3 prints an error for each XCom that is not there, beside the one that says what happened."""
    asked: list[str] = []
    monkeypatch.setattr(links, "XCom", SimpleNamespace(get_value=lambda key, ti_key: asked.append(key)))
    bench.sim.fault("status", status=403, path="/process$", times=None)
    context = bench.context()
    task = job(bench)()
    with pytest.raises(AirflowFailException):
        bench.run(lambda: task, context)
    assert not context["ti"].xcoms
    assert [link.get_link(task, ti_key=None) for link in LINKS] == ["", "", links.OTHER_DOCS]
    assert not asked
    with pytest.raises(SentinelHubError):  # woken after a wait, it may have pushed what it knew
        task.resume_execution("__fail__", {"error": "Trigger failure"}, context)
    assert [link.get_link(task, ti_key=None) for link in LINKS] == ["", "", links.OTHER_DOCS]
    assert len(asked) == len(LINKS)


@once
def test_no_link_is_shown_that_has_no_page(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "shows_pages", lambda: False)
    context = bench.context()
    bench.run(job(bench), context)
    assert not [key for key in context["ti"].xcoms if key.startswith("_link_")]
    monkeypatch.setattr(links, "XCom", SimpleNamespace(get_value=lambda key, ti_key: None))
    assert [link.get_link(None, ti_key=None) for link in LINKS] == ["", "", links.OTHER_DOCS]


@pytest.mark.parametrize("odd", [RuntimeError("no answer"), {"url": 5}, 7, ["x"], None])
def test_a_link_whose_xcom_is_odd_or_out_of_reach_is_left_out(odd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow 3.0 calls no callback of a task whose link raises at its end, and 2.11 asks for it in the webserver."""

    def get_value(key: str, ti_key: Any) -> Any:
        if isinstance(odd, Exception):
            raise odd
        return odd

    monkeypatch.setattr(links, "XCom", SimpleNamespace(get_value=get_value))
    assert [link.get_link(None, ti_key=None) for link in LINKS] == ["", "", links.OTHER_DOCS]
