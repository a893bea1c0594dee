"""Addresses in Airflow's web page: its own, and those behind the extra links of a task."""

from __future__ import annotations

from importlib.util import find_spec

from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS, HAS_PAGES, BaseOperatorLink, conf


def link_key(link: type[BaseOperatorLink]) -> str:
    """The XCom key under which Airflow 3 keeps the address of an extra link.

    Private: Airflow 3 writes it when a leg of the task ends, by this name. Written earlier, the link shows while the
    first leg still runs. 2.11 computes links in the webserver, where the key does no harm.
    """
    return f"_link_{link.__name__}"


def airflow_url() -> str | None:
    """The address of this Airflow's web page, as it is configured."""
    url: str | None = conf.get("api" if AIRFLOW_V_3_0_PLUS else "webserver", "base_url", fallback=None)
    return url


def shows_pages() -> bool:
    """Whether this Airflow shows pages of plugins on its task instances (3.1 and later), and the package brings one."""
    return HAS_PAGES and find_spec("airflow_sentinelhub.web") is not None
