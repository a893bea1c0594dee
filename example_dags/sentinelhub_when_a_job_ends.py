"""A DAG that starts whenever a batch request of the account ends well, whoever started it. Airflow 3.0 and later.

`status`, `description`, `dag_id` and `task_id` of the watcher say which requests are meant; see docs/watchers.md.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_sentinelhub.triggers.watchers import SentinelHubBatchWatcherTrigger

EVERY = float(os.environ.get("SENTINELHUB_EXAMPLE_POLL_INTERVAL", "60"))

job_done = Asset(
    "sentinelhub_job_done",
    watchers=[
        AssetWatcher(
            name="sentinelhub_jobs",
            trigger=SentinelHubBatchWatcherTrigger(status=["DONE", "PARTIAL"], poll_interval=EVERY),
        )
    ],
)

with DAG(
    dag_id="sentinelhub_when_a_job_ends",
    schedule=[job_done],
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    tags=["sentinelhub", "example"],
    doc_md=__doc__,
) as dag:

    @task
    def ended(**context: Any) -> list[str]:
        """The ids of the requests that have ended: one event, and so one run, may be for several of them."""
        events = [event for found in context["triggering_asset_events"].values() for event in found]
        told = [job for event in events if "payload" in event.extra for job in event.extra["payload"]["requests"]]
        for job in told:
            print(f"{job['request_id']} is {job['status']}: {job['description'] or 'no description'}, {job['output']}")
        return [job["request_id"] for job in told]

    ended()
