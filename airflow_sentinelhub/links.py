"""The extra link of our operators and sensors: the request's own address at the service."""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub._compat import BaseOperatorLink, XCom, link_key

URL_KEY = "request_url"
"""XCom key under which the address is pushed as soon as the request is known."""


class SentinelHubRequestLink(BaseOperatorLink):
    """Address of the batch request in the API of its deployment."""

    name = "Sentinel Hub request"

    def get_link(self, operator: Any, *, ti_key: Any, **_: Any) -> str:
        return XCom.get_value(key=URL_KEY, ti_key=ti_key) or ""


def push_link(context: Any, url: str) -> None:
    """Make the link visible at once: Airflow 3 computes links only when a task's leg ends, and reads them from XCom."""
    ti = context.get("ti")
    if ti is not None:
        ti.xcom_push(key=URL_KEY, value=url)
        ti.xcom_push(key=link_key(SentinelHubRequestLink), value=url)
