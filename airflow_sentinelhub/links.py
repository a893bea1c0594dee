"""The extra link of our operators and sensors: the URL of the request in the API."""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub._compat import BaseOperatorLink, XCom, link_key

URL_KEY = "request_url"
"""XCom key under which the URL is pushed as soon as the request is known."""


class SentinelHubRequestLink(BaseOperatorLink):
    """The URL of the batch request in the API of its deployment."""

    name = "Sentinel Hub request"

    def get_link(self, operator: Any, *, ti_key: Any, **_: Any) -> str:
        return XCom.get_value(key=URL_KEY, ti_key=ti_key) or ""


def push_link(context: Any, url: str) -> None:
    """Push the URL to XCom, so that the link is visible while the task runs.

    Airflow 3 reads links from XCom, and pushes them itself only when the process of the task ends.
    """
    ti = context.get("ti")
    if ti is not None:
        ti.xcom_push(key=URL_KEY, value=url)
        ti.xcom_push(key=link_key(SentinelHubRequestLink), value=url)
