"""How fast and how small is reading the results of many features? `python tests/results/bench_manifest.py [COUNT]`

Ratios are what counts, since machines differ: reading everything is compared with the least that Python can do about
it, which is to walk over the rows of both files with sqlite3 and do nothing with them. Not collected by pytest.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.root import execution_url, manifest_url
from airflow_sentinelhub.results.v2 import BatchResults
from dev.bench.files import write as write_files

URL, ID = "s3://maps/ndvi", "req-1"


def write(mount: Path, count: int) -> tuple[Path, Path]:
    """Manifest (two outputs a feature) and execution database of so many features."""
    manifest, execution = (mount / url(URL, ID).removeprefix("s3://") for url in (manifest_url, execution_url))
    write_files(manifest, execution, count)
    return manifest, execution


def walk(*tables: tuple[Path, str]) -> int:
    """The least: every row once, unordered, unused."""
    total = 0
    for path, query in tables:
        with closing(sqlite3.connect(path)) as database:
            total += sum(1 for _ in database.execute(query))
    return total


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the best of three, and the result."""
    best, result = float("inf"), None
    for _ in range(3):
        begin = time.perf_counter()
        result = do()
        best = min(best, time.perf_counter() - begin)
    return best, result


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, whose memory does not count.
        with ProcessPoolExecutor(1) as pool:
            manifest, execution = pool.submit(write, Path(folder), count).result()
        sizes = manifest.stat().st_size / 1e6, execution.stat().st_size / 1e6
        print(f"{count:,} features; manifest {sizes[0]:.1f} MB, execution database {sizes[1]:.1f} MB")
        with BatchResults(ID, URL, BucketReader(mount=folder)) as results:
            fetched, _ = timed(lambda: BatchResults(ID, URL, BucketReader(mount=folder)).total())
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            least, _ = timed(
                lambda: walk(
                    (manifest, "SELECT identifier, outputId, path, width, height FROM feature_32631"),
                    (execution, "SELECT name, status, error, delivered FROM features"),
                )
            )
            rows = [
                ("fetch and count features of the manifest", fetched),
                ("counts by status (one poll of a sensor)", timed(results.counts)[0]),
                ("names of failed features", timed(results.failed)[0]),
                ("all tiles with status and paths", timed(lambda: sum(1 for _ in results.tiles()))[0]),
                ("for comparison: all rows, unordered, unused", least),
            ]
            for what, seconds in rows:
                print(f"  {what:<46} {seconds * 1000:8.0f} ms {seconds / least:6.2f} x")
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"  memory grown by all of that: {grown:.1f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
