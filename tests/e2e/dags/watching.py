"""DAGs that a watcher starts: two that look at requests, of which one means some of them and has a twin with the same
arguments; one that looks at imagery; and one whose connection comes later. Airflow 3 only."""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import DAG, Asset, AssetWatcher, task
except ImportError:  # 2.11 has no watchers
    pass
else:
    from airflow_sentinelhub.triggers.imagery import SentinelHubNewImageryWatcherTrigger
    from airflow_sentinelhub.triggers.watchers import SentinelHubBatchWatcherTrigger

    def some() -> SentinelHubBatchWatcherTrigger:
        return SentinelHubBatchWatcherTrigger(description="maps of", poll_interval=2)

    TRIGGERS = {
        "all": SentinelHubBatchWatcherTrigger(poll_interval=2),
        "some": some(),
        "twin": some(),
        "images": SentinelHubNewImageryWatcherTrigger(
            collection="sentinel-2-l2a", area=[8.5, 41.3, 9.6, 43.1], poll_interval=2
        ),
        "late": SentinelHubBatchWatcherTrigger(sentinelhub_conn_id="sentinelhub_late", poll_interval=2),
    }
    for name, trigger in TRIGGERS.items():
        seen = Asset(f"seen_{name}", watchers=[AssetWatcher(name=f"watcher_{name}", trigger=trigger)])
        with DAG(f"watching_{name}", schedule=[seen]):

            @task
            def told(**context: Any) -> list[dict[str, Any]]:
                events = [event for found in context["triggering_asset_events"].values() for event in found]
                return [event.extra["payload"] for event in events]

            told()
