"""DAGs that requests start by ending: two watchers, of which one means only some of them. Airflow 3 only."""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import DAG, Asset, AssetWatcher, task
except ImportError:  # 2.11 has no watchers
    pass
else:
    from airflow_sentinelhub.triggers.watchers import SentinelHubBatchWatcherTrigger

    for name, description in (("all", None), ("some", "maps of")):
        trigger = SentinelHubBatchWatcherTrigger(description=description, poll_interval=2)
        ended = Asset(f"ended_{name}", watchers=[AssetWatcher(name=f"watcher_{name}", trigger=trigger)])
        with DAG(f"watching_{name}", schedule=[ended], is_paused_upon_creation=False):

            @task
            def told(**context: Any) -> list[dict[str, Any]]:
                events = [event for found in context["triggering_asset_events"].values() for event in found]
                return [event.extra["payload"] for event in events]

            told()
