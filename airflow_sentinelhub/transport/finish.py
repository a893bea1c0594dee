"""A background process that ends a request whose task is being killed.

A killed task has about five seconds. The service may refuse a stop for longer than that (v2, straight after a start),
or be out of reach: this process repeats the call, up to `ATTEMPTS` times. It reads its arguments from standard input,
so that no secret is on a command line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

from airflow_sentinelhub.api.call import Flow
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.api.flows.actions import end
from airflow_sentinelhub.api.flows.find_or_create import end_all
from airflow_sentinelhub.api.flows.read import outlast
from airflow_sentinelhub.api.service.generations import Generation, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.transport.settings import Settings

ATTEMPTS = 120
EVERY = 5.0
"""Looks, and seconds between them: ten minutes in all."""


def leave_behind(settings: Settings, batch_api: str, request_id: str | None = None, *, mark: str | None = None) -> int:
    """Start the process; it outlives the task, but not the machine or the pod. Returns its id.

    :param request_id: the request to end.
    :param mark: or the marker of the try whose requests are to be ended.
    """
    what = {"request_id": request_id, "mark": mark}
    message = json.dumps({"settings": asdict(settings), "batch_api": batch_api, **what})
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(message.encode())
    process.stdin.close()
    return process.pid


def end_in_time(api: Generation, request_id: str) -> Flow[Snapshot]:
    """End the request, for ten minutes, whether the service refuses that or is out of reach."""

    def ending() -> Flow[Snapshot]:
        return end(api, request_id, poll_interval=EVERY, attempts=ATTEMPTS)

    return outlast(ending, EVERY * ATTEMPTS, request_id, refused=True)


def main() -> int:
    """End the request that standard input tells of; 0 if it has ended."""
    from airflow_sentinelhub.transport.sync import SyncDriver  # not at the top: a triggerer imports this module, too

    message = json.load(sys.stdin)
    driver, api = SyncDriver(Settings(**message["settings"])), generation(message["batch_api"])
    try:
        if message["request_id"]:
            driver.run(end_in_time(api, message["request_id"]))
        else:
            mark = mark_of(message["mark"])
            assert mark is not None
            driver.run(outlast(lambda: end_all(api, mark), EVERY * ATTEMPTS, refused=True))
    except SentinelHubError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
