"""A client in a process of its own that goes through all tiles of a request, and prints what that took.

`python -m tests.contract.many_tiles REQUEST_ID`; the connection `many_tiles` comes from the environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import psutil

HELD = 20_000
PAGE = 100


class Growth:
    """The most memory held in excess of the start, in bytes, as seen at every half page.

    Not the peak that the system keeps: a process inherits that from the one that started it.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._start = self._process.memory_info().rss
        self.most = 0

    def watch(self, tiles: Iterator[Any]) -> Iterator[Any]:
        for number, tile in enumerate(tiles):
            if number % (PAGE // 2) == 0:
                self.most = max(self.most, self._process.memory_info().rss - self._start)
            yield tile


def main(request_id: str) -> None:
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

    batch = SentinelHubHook("many_tiles").batch
    batch.get_request(request_id)
    next(batch.iter_tiles(request_id))  # everything is imported and connected once

    growth = Growth()
    walked = sum(1 for _ in growth.watch(batch.iter_tiles(request_id)))
    grown = growth.most
    # A client that held only some of them, by the same measure.
    held = list(islice(growth.watch(batch.iter_tiles(request_id)), HELD))
    print(json.dumps({"walked": walked, "grown": grown, "held": len(held), "grown_by_holding": growth.most}))


if __name__ == "__main__":
    main(*sys.argv[1:])
