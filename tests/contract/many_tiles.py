"""A client in a process of its own that goes through all tiles of a request, and prints what that took.

`python -m tests.contract.many_tiles REQUEST_ID`; the connection `many_tiles` comes from the environment.
"""

from __future__ import annotations

import json
import resource
import sys
from itertools import islice

import psutil

HELD = 20_000


def peak() -> int:
    """The most memory that this process ever held at a time, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(request_id: str) -> None:
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

    batch = SentinelHubHook("many_tiles").batch
    batch.get_request(request_id)
    next(batch.iter_tiles(request_id))  # everything is imported and connected once

    begin = psutil.Process().memory_info().rss
    walked = sum(1 for _ in batch.iter_tiles(request_id))
    grown = peak() - begin

    # A client that held only some of them, by the same measure.
    held = list(islice(batch.iter_tiles(request_id), HELD))
    print(json.dumps({"walked": walked, "grown": grown, "held": len(held), "grown_by_holding": peak() - begin}))


if __name__ == "__main__":
    main(*sys.argv[1:])
