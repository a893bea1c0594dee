"""How tests read what a watcher has told. It imports no watcher, which Airflow 2.11 has not."""

from __future__ import annotations

from typing import Any


def things_of(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """What an event tells of."""
    (name,) = {"requests", "acquisitions"} & set(payload)
    assert payload["version"] == 1
    assert payload["sentinelhub_conn_id"]
    assert payload[name], "an event that tells of nothing starts a run for nothing"
    found: list[dict[str, Any]] = payload[name]
    return found
