"""Which times the simulator reads: the same ones on each Python."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sentinelhub.simulator.times import parse_time

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-01T12:00:00Z", NOON),
        ("2026-06-01t12:00:00z", NOON),
        ("2026-06-01T12:00Z", NOON),
        ("2026-06-01T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-06-01T12:00:00.123Z", NOON + timedelta(milliseconds=123)),
        ("2026-06-01T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
        ("2026-06-01T14:00:00+02:00", NOON),
        ("2026-06-01T14:00:00+0200", NOON),
        ("2026-06-01T14:00:00+02", NOON),
        ("2026-06-01T06:30:00-05:30", NOON),
    ],
)
def test_a_time_with_its_zone_is_read(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-01",
        "2026-06-01T12:00:00",
        "20260601T120000Z",
        "2026-W23-1T12:00:00Z",
        "2026-06-01T12Z",
        "2026-06-01 12:00:00Z",
        "2026-06-31T12:00:00Z",
        "2026-06-01T24:00:00Z",
        "2026-06-01T12:00:00+24:00",
        "2026-06-01T12:00:00.Z",
        "\uff12\uff10\uff12\uff16-06-01T12:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        " 2026-06-01T12:00:00Z",
        "",
        None,
        20260601,
    ],
)
def test_what_is_no_time_is_not_guessed_at(text: Any) -> None:
    assert parse_time(text) is None
