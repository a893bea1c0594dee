"""Waiting with the vendor's client, in an environment that has it: what a PythonOperator with its monitor costs.

    PYTHON -m dev.bench.vendor '{"version": "3.12.0", "url": "http://127.0.0.1:1234", "polls": 3}'

The monitors refuse to sleep for less than a minute, so `time.sleep` is taken from them. What a poll costs is measured;
how many there are in an hour follows from the interval. The last line of the output is JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

from dev.bench import end_with_parent
from dev.bench.measures import asked, cpu, memory
from dev.bench.service import identifier


class _EnoughError(Exception):
    """As many polls as were asked for."""


def main(given: dict[str, Any]) -> dict[str, Any]:
    """What one poll of the monitor costs, and what its process costs before it waits."""
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the service here speaks plain HTTP
    before = cpu()
    from sentinelhub import SHConfig  # type: ignore[import-not-found]
    from sentinelhub.api.batch import utils  # type: ignore[import-not-found]

    found: dict[str, Any] = {"import": cpu() - before}
    config = SHConfig(use_defaults=True)
    config.sh_base_url, config.sh_token_url = given["url"], f"{given['url']}/token"
    config.sh_client_id, config.sh_client_secret = "bench", "secret"
    slept = list[float]()
    at: dict[str, Any] = {}

    def sleep(seconds: float) -> None:
        if not slept:  # what came before is the beginning of the wait
            at.update(calls=asked(given["url"]), cpu=cpu(), time=time.perf_counter())
        slept.append(seconds)
        if len(slept) > given["polls"]:
            raise _EnoughError

    utils.time = SimpleNamespace(sleep=sleep)
    try:
        if given["version"] == "3.11.1":
            from sentinelhub import SentinelHubBatch, monitor_batch_job

            client = SentinelHubBatch(config=config)
            monitor_batch_job(client.get_request(identifier(0)), config=config)
        else:
            from sentinelhub import BatchProcessClient, monitor_batch_process_job

            client = BatchProcessClient(config=config)
            monitor_batch_process_job(client.get_request(identifier(0)), client)
    except _EnoughError:
        pass
    now, polls = asked(given["url"]), given["polls"]
    found["calls"] = sum(now[name] - at["calls"][name] for name in ("list", "single")) / polls
    found["bytes"] = (now["bytes"] - at["calls"]["bytes"]) / polls
    found["cpu"] = (cpu() - at["cpu"]) / polls
    found["memory"], found["interval"] = memory(), slept[0]
    return found


if __name__ == "__main__":
    end_with_parent()
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
