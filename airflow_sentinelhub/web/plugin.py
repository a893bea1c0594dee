"""The plugin that adds our pages to Airflow. Every process of Airflow loads it, so it loads nothing heavy itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow_sentinelhub._compat import HAS_PAGES
from airflow_sentinelhub._compat.pages import plugin_base

PREFIX = "/sentinelhub"


class LazyApp:
    """The ASGI app of the pages. It is made in the api-server at the first request, by a process that shows pages."""

    def __init__(self) -> None:
        self._app: Callable[..., Awaitable[None]] | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if self._app is None:
            from airflow_sentinelhub.web.app import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


class SentinelHubPlugin(plugin_base()):  # type: ignore[misc]
    """The tab "Sentinel Hub" of each task instance, and the page of all jobs.

    Before Airflow 3.1 there are no such pages, and it adds nothing.
    """

    name = "sentinelhub"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": PREFIX, "name": "Sentinel Hub"}] if HAS_PAGES else []
    external_views = (
        [
            {
                "name": "Sentinel Hub",
                "href": f"{PREFIX}/job/{{DAG_ID}}/{{RUN_ID}}/{{TASK_ID}}/{{MAP_INDEX}}",
                "destination": "task_instance",
                "url_route": "sentinelhub",
                "icon": f"{PREFIX}/static/icon.svg",
            },
            {
                "name": "Sentinel Hub jobs",
                "href": f"{PREFIX}/jobs",
                "destination": "nav",
                "category": "browse",
                "url_route": "sentinelhub-jobs",
                "icon": f"{PREFIX}/static/icon.svg",
            },
        ]
        if HAS_PAGES
        else []
    )
