"""Files in which a v2 job leaves its tiles, of any size: the feature manifest and the execution database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def write(manifest: Path, execution: Path, count: int, *, done: int | None = None) -> None:
    """Write both for so many features, each with two outputs.

    :param done: how many are done or failed, the others being in work; None: all.
    """
    manifest.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{1 + number % 60:02}TVM_{number // 10}_{number % 10}" for number in range(count)]
    with closing(sqlite3.connect(manifest)) as database:
        database.execute(
            "CREATE TABLE feature_32631 (fid INTEGER PRIMARY KEY, outputId TEXT, identifier TEXT, path TEXT, "
            "width INTEGER, height INTEGER, geometry BLOB)"
        )
        database.executemany(
            "INSERT INTO feature_32631 (identifier, outputId, path, width, height, geometry) "
            "VALUES (?1, ?2, 's3://maps/ndvi/req-1/' || ?1 || '/' || ?2 || '.tif', 1000, 1000, zeroblob(133))",
            ((name, output) for name in names for output in ("ndvi", "userdata")),
        )
        database.commit()
    ended = count if done is None else done
    with closing(sqlite3.connect(execution)) as database:
        database.execute("CREATE TABLE features (id INTEGER, name TEXT, status TEXT, error TEXT, delivered BOOLEAN)")
        rows = (
            (number, name, _status(number) if number < ended else "PENDING", None, number % 100 > 0)
            for number, name in enumerate(names)
        )
        database.executemany("INSERT INTO features VALUES (?, ?, ?, ?, ?)", rows)
        database.commit()


def _status(number: int) -> str:
    return "DONE" if number % 100 else "FATAL"
