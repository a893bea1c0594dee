"""The extra links of our operators and sensors: the page of the job in Airflow, the results in the bucket, the docs.

The address of the request in the API answers 401 in a browser, so no link leads there. It is pushed to XCom for
programs, under `URL_KEY`.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_sentinelhub._compat import BaseOperatorLink, XCom
from airflow_sentinelhub._compat.links import airflow_url, link_key, shows_pages

_log = logging.getLogger(__name__)
URL_KEY = "request_url"
"""XCom key of the request's address in the API, which needs a token."""
ORIGIN_KEY = "sentinelhub_request"
"""XCom key of the request's id, generation and deployment; it is read after Airflow has ended a deferred wait, too."""
JOB_KEY = "sentinelhub_job_page"
REPORT_KEY = "sentinelhub_report"
"""XCom key of the URL of the report in the bucket."""
RESULTS_KEY = "sentinelhub_results_page"
DOCS = {
    "v1": "https://documentation.dataspace.copernicus.eu/APIs/SentinelHub/Batch.html",
    "v2": "https://documentation.dataspace.copernicus.eu/APIs/SentinelHub/BatchV2.html",
}
OTHER_DOCS = "https://documentation.dataspace.copernicus.eu/APIs/SentinelHub.html"
CONSOLE = "https://console.aws.amazon.com/s3/buckets"
ON_AWS = ("services.sentinel-hub.com", "services-uswest2.sentinel-hub.com")
"""Hosts of the deployments whose buckets are at AWS, where the console shows them."""


def _kept(key: str, operator: Any, ti_key: Any) -> Any:
    """What the task has pushed to XCom, None if it cannot be read.

    A link never raises: 2.11 asks for it in the webserver, and 3.0 calls no callback of a task one of whose links has
    raised at its end. A task that ends before it has pushed anything is not asked: Airflow 3 reports each XCom that it
    does not find as an error, beside the one that tells what happened.
    """
    if getattr(operator, "has_pushed", True) is False:
        return None
    try:
        return XCom.get_value(key=key, ti_key=ti_key)
    except Exception as err:
        _log.warning("A link is left out, since the XCom %s cannot be read: %s", key, type(err).__name__)
        return None


class _KeptLink(BaseOperatorLink):
    """A link whose address the task has pushed to XCom. Airflow shows no link without an address."""

    key = ""

    def get_link(self, operator: Any, *, ti_key: Any, **_: Any) -> str:
        url = _kept(self.key, operator, ti_key)
        return url if isinstance(url, str) else ""


class SentinelHubRequestLink(_KeptLink):
    """The page of the job in Airflow, where this version shows pages (3.1 and later); else the report of the job."""

    name = "Sentinel Hub job"
    key = JOB_KEY


class SentinelHubResultsLink(_KeptLink):
    """The folder of the results in the console of the bucket, where that is at AWS."""

    name = "Results in the bucket"
    key = RESULTS_KEY


class SentinelHubDocsLink(BaseOperatorLink):
    """The documentation of the API that the task uses."""

    name = "Sentinel Hub docs"

    def get_link(self, operator: Any, *, ti_key: Any, **_: Any) -> str:
        origin = _kept(ORIGIN_KEY, operator, ti_key)
        return DOCS.get(str(origin.get("batch_api")), OTHER_DOCS) if isinstance(origin, dict) else OTHER_DOCS


LINKS = (SentinelHubRequestLink(), SentinelHubResultsLink(), SentinelHubDocsLink())


def job_page(ti: Any) -> str:
    """The address of the tab of a task instance; empty where this Airflow shows none, or the package brings none."""
    if not shows_pages():
        return ""
    mapped = f"/mapped/{ti.map_index}" if getattr(ti, "map_index", -1) >= 0 else ""
    parts = "/".join(f"{what}/{quote(str(name), safe='')}" for what, name in _place(ti))
    return f"{(airflow_url() or '').rstrip('/')}/{parts}{mapped}/plugin/sentinelhub"


def _place(ti: Any) -> tuple[tuple[str, Any], ...]:
    return ("dags", ti.dag_id), ("runs", ti.run_id), ("tasks", ti.task_id)


def results_page(base_url: str, folder_url: str) -> str:
    """The address of the results in the console of AWS; empty for other clouds.

    :param base_url: of the deployment.
    :param folder_url: of the results.
    """
    if urlsplit(base_url).hostname not in ON_AWS or not folder_url.startswith("s3://"):
        return ""
    bucket, _, prefix = folder_url[len("s3://") :].partition("/")
    folder = f"?prefix={quote(prefix, safe='/')}/" if prefix else ""
    return f"{CONSOLE}/{quote(bucket, safe='')}{folder}"


def push_link(context: Any, url: str) -> None:
    """Push the addresses to XCom, so that the links are visible while the task runs.

    Airflow 3 reads links from XCom, and pushes them itself only when the process of the task ends.

    :param url: of the request in the API.
    """
    ti = context.get("ti")
    if ti is not None:
        ti.xcom_push(key=URL_KEY, value=url)
        _push(ti, SentinelHubRequestLink, job_page(ti))
        _push(ti, SentinelHubResultsLink, "")


def push_results_link(context: Any, base_url: str, folder_url: str) -> None:
    """Push the address of the results to XCom, once their place is known."""
    _push(context["ti"], SentinelHubResultsLink, results_page(base_url, folder_url))


def push_report(context: Any, url: str, page: str) -> None:
    """Push the URL of the report to XCom. Where Airflow has no page of the job, the link to it leads to the report.

    :param page: where a browser shows the report; empty if that is not known.
    """
    ti = context["ti"]
    ti.xcom_push(key=REPORT_KEY, value=url)
    if not job_page(ti):
        _push(ti, SentinelHubRequestLink, page)


def _push(ti: Any, link: type[_KeptLink], url: str) -> None:
    """Push the address of a link, an empty one too: Airflow 3 reads each link when a task ends, and what it does not
    find it reports as an error, which would be one in the output of each job whose results no page shows."""
    ti.xcom_push(key=link.key, value=url)
    if url:
        ti.xcom_push(key=link_key(link), value=url)
