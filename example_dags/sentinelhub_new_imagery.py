"""A DAG that starts when there is a new image of Corsica with few clouds. Airflow 3.0 and later.

See docs/watchers.md for what is told when.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_sentinelhub.triggers.imagery import SentinelHubNewImageryWatcherTrigger

EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "900"))

new_images = Asset(
    "sentinelhub_new_images_of_corsica",
    watchers=[
        AssetWatcher(
            name="sentinelhub_images_of_corsica",
            trigger=SentinelHubNewImageryWatcherTrigger(
                collection="sentinel-2-l2a",
                area=[8.5, 41.3, 9.6, 43.1],
                max_cloud_coverage=30,
                poll_interval=EVERY,
            ),
        )
    ],
)

with DAG(
    dag_id="sentinelhub_new_imagery",
    schedule=[new_images],
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def days(**context: Any) -> list[str]:
        """The days on which the new images were taken: time ranges for a job, for example."""
        events = [event for found in context["triggering_asset_events"].values() for event in found]
        told = [event.extra["payload"] for event in events if "payload" in event.extra]
        images = [image for payload in told for image in payload["acquisitions"]]
        for image in images:
            print(f"{image['id']} of {image['datetime']}, {image['cloud_cover']} percent clouds")
        return sorted({image["datetime"][:10] for image in images if image["datetime"]})

    days()
