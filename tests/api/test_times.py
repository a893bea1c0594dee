"""Moments in every usual form, and the ranges of a run: what is sent, and what is refused in a sentence."""

from __future__ import annotations

import itertools
import json
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest

from airflow_sentinelhub.api.times import Run, checked_range, last, resolved_range, written
from airflow_sentinelhub.exceptions import InvalidInputError

UTC = timezone.utc
JUNE, JULY = datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)
OVER = datetime(2024, 8, 1, tzinfo=UTC)
RUN = Run(interval=(JUNE, JULY), moment=JULY, now=OVER)
LATER = "2024-06-03"


def sent(given: Any, **how: Any) -> tuple[str, str]:
    """What goes out, whether the range was checked at parse before or not, and as a process of its own sees it."""
    run = how.pop("run", RUN)
    found = resolved_range(given, run, **how)
    kept = checked_range(given, divided=how.get("divided", False))
    assert resolved_range(json.loads(json.dumps(kept)), run, **how) == found
    return found["from"], found["to"]


def read(moment: str) -> datetime:
    return datetime.fromisoformat(moment.replace("Z", "+00:00"))


class Odd(tzinfo):
    """A zone of a library that knows better."""

    def utcoffset(self, _: Any) -> timedelta:
        return timedelta(hours=5, minutes=45)


@pytest.mark.parametrize(
    ("given", "begin"),
    [
        (datetime(2024, 6, 2, 12, tzinfo=UTC), "2024-06-02T12:00:00Z"),
        (datetime(2024, 6, 2, 12), "2024-06-02T12:00:00Z"),  # noqa: DTZ001
        (datetime(2024, 6, 2, 12, tzinfo=timezone(timedelta(hours=-3, minutes=-30))), "2024-06-02T15:30:00Z"),
        (datetime(2024, 6, 2, 12, tzinfo=ZoneInfo("Europe/Ljubljana")), "2024-06-02T10:00:00Z"),
        (datetime(2024, 6, 2, 12, tzinfo=Odd()), "2024-06-02T06:15:00Z"),
        (datetime(2024, 6, 2, 12, 0, 0, 123456, tzinfo=UTC), "2024-06-02T12:00:00.123Z"),
        (datetime(2024, 6, 2, 12, 0, 0, 999, tzinfo=UTC), "2024-06-02T12:00:00Z"),
        (date(2024, 6, 2), "2024-06-02T00:00:00Z"),
        (pendulum.datetime(2024, 6, 2, 12, tz="Europe/Ljubljana"), "2024-06-02T10:00:00Z"),
        (pendulum.date(2024, 6, 2), "2024-06-02T00:00:00Z"),
        (str(pendulum.datetime(2024, 6, 2)), "2024-06-02T00:00:00Z"),
        (pendulum.datetime(2024, 6, 2).isoformat(), "2024-06-02T00:00:00Z"),
        ("2024-06-02", "2024-06-02T00:00:00Z"),
        (" 2024-06-02\n", "2024-06-02T00:00:00Z"),
        ("2024-06-02T12:30", "2024-06-02T12:30:00Z"),
        ("2024-06-02 12:30:15", "2024-06-02T12:30:15Z"),
        ("2024-06-02 00:00:00+00:00", "2024-06-02T00:00:00Z"),
        ("2024-06-02t12:30:15z", "2024-06-02T12:30:15Z"),
        ("2024-06-02T12:30:15Z", "2024-06-02T12:30:15Z"),
        ("2024-06-02 12:30:15 UTC", "2024-06-02T12:30:15Z"),
        ("2024-06-02 12:30:15 +02:00", "2024-06-02T10:30:15Z"),
        ("2024-06-02T12:30:15+0200", "2024-06-02T10:30:15Z"),
        ("2024-06-02T12:30:15-02", "2024-06-02T14:30:15Z"),
        ("2024-06-02T00:30+02:00", "2024-06-01T22:30:00Z"),
        ("2024-06-02T12:30:15.1Z", "2024-06-02T12:30:15.100Z"),
        ("2024-06-02T12:30:15.12", "2024-06-02T12:30:15.120Z"),
        ("2024-06-02T12:30:15,123+00:00", "2024-06-02T12:30:15.123Z"),
        ("2024-06-02T12:30:15.123456Z", "2024-06-02T12:30:15.123Z"),
        ("2024-06-02T12:30:15.123999999Z", "2024-06-02T12:30:15.123Z"),
        ("2024-06-02T12:30:15.000000001Z", "2024-06-02T12:30:15Z"),
    ],
)
def test_every_usual_form_of_a_moment(given: Any, begin: str) -> None:
    assert sent((given, LATER)) == (begin, "2024-06-03T23:59:59Z")
    if not begin.endswith("T00:00:00Z"):
        assert sent(("2024-05-31", given)) == ("2024-05-31T00:00:00Z", begin)


@pytest.mark.parametrize(
    "bad",
    [
        "yesterday", "", "2024", "2024-06", "20240602", "2024-6-2", "2024-06-31", "2024-06-02T25:00", "2024-06-02T12",
        "2024-06-02T12:30:60Z", "2024-06-02T12:30:15.1234567890Z", "2024-06-02T12:30:15+25:00", "2024-06-02 12:30 CEST",
        "1717286400", "٢٠٢٤-06-02", 1717286400, 1717286400.5, True, None, {"from": 1}, ["2024-06-02"],
    ],
)  # fmt: skip
def test_what_is_no_moment_is_said_with_its_name_and_value(bad: Any) -> None:
    for given, end in (((bad, LATER), "from"), (("2024-06-01", bad), "to")):
        with pytest.raises(InvalidInputError) as said:
            checked_range(given)
        assert str(said.value).startswith(f"time_range {end}={bad!r} is no moment; give a date")
        with pytest.raises(InvalidInputError, match="is no moment"):
            resolved_range(given, RUN)


def test_the_first_and_the_last_day_of_the_calendar() -> None:
    for edge in ("0001-01-01T00:00+02:00", "9999-12-31T23:59-02:00", datetime.min.replace(tzinfo=Odd())):
        with pytest.raises(InvalidInputError, match="no moment"):
            checked_range((edge, edge))
    with pytest.raises(InvalidInputError, match="last day of the calendar"):
        checked_range(("2024-06-01", "9999-12-31"), divided=True)
    assert sent(("0001-01-01", "9999-12-31")) == ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")


def test_a_date_as_the_end_is_the_whole_day() -> None:
    assert sent(("2024-06-01", "2024-06-30")) == ("2024-06-01T00:00:00Z", "2024-06-30T23:59:59Z")
    assert sent(("2024-06-01", "2024-06-01")) == ("2024-06-01T00:00:00Z", "2024-06-01T23:59:59Z")
    assert sent(("2024-06-01", "2024-06-30"), divided=True) == ("2024-06-01T00:00:00Z", "2024-07-01T00:00:00Z")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            ("2024-06-02", "2024-06-01"),
            "time_range is reversed: from 2024-06-02T00:00:00Z is later than to 2024-06-01T23",
        ),
        (("2024-06-02T12:00+02:00", "2024-06-02T09:59Z"), "is reversed"),
        (("2024-06-02T12:00+02:00", "2024-06-02T10:00Z"), "is empty: from and to are both 2024-06-02T10:00:00Z"),
        (("2024-06-02T00:00:00.0001Z", "2024-06-02T00:00:00.0009Z"), "is empty"),
        ("2024-06-01", "is a pair"),
        ("data-interval", "is a pair"),
        (("2024-06-01",), "is a pair"),
        ((), "is a pair"),
        (5, "is a pair"),
        ({"last": 30}, "time_range from=None is no moment"),
        ({"last": {}}, "no length of time"),
        ({"last": {"days": 0}}, "no length of time"),
        ({"last": {"days": -3, "hours": 96}}, "no length of time"),
        ({"last": {"months": 1}}, "no length of time"),
        ({"last": {"days": "many"}}, "no length of time"),
        ({"last": {"days": True}}, "no length of time"),
        ({"last": {"days": float("nan")}}, "no length of time"),
        ({"last": {"days": 1e12}}, "no length of time"),
        ({"last": {"hours": 1e-9}}, "no length of time"),
    ],
)
def test_a_range_that_cannot_be_is_refused_at_parse_and_when_it_is_sent(given: Any, says: str) -> None:
    for refuse in (lambda: checked_range(given), lambda: resolved_range(given, RUN)):
        with pytest.raises(InvalidInputError, match=says):
            refuse()


def test_a_range_in_the_future_is_refused_when_it_is_sent() -> None:
    given = ("2024-08-02", "2024-08-09")
    assert checked_range(given)["from"] == "2024-08-02T00:00:00Z"  # the DAG may be written for later
    with pytest.raises(
        InvalidInputError, match="in the future: it begins at 2024-08-02T00:00:00Z, and now it is 2024-08-01"
    ):
        resolved_range(given, RUN)
    assert sent(("2024-08-01", "2024-08-09"))[1] == "2024-08-09T23:59:59Z"  # only a part of it
    assert sent(given, run=Run())[0] == "2024-08-02T00:00:00Z"


def test_what_is_known_later_passes_the_parsing() -> None:
    output = object()
    for given in ("{{ params.range }}", output, None, "data_interval", last(days=3), last(days="{{ params.n }}")):
        assert checked_range(given) is given
    assert checked_range((output, "2024-06-01")) == {"from": output, "to": "2024-06-01T23:59:59Z"}
    assert checked_range(["{{ ds }}", "{% if x %}"]) == {"from": "{{ ds }}", "to": "{% if x %}"}
    assert checked_range({"from": "{{ ds }}", "to": "2024-06-01", "more": 1})["more"] == 1
    with pytest.raises(InvalidInputError, match="to='soon'"):
        checked_range(("{{ ds }}", "soon"))


# The run's own


def test_the_data_interval_is_half_open() -> None:
    assert sent("data_interval") == ("2024-06-01T00:00:00Z", "2024-06-30T23:59:59.999Z")
    assert sent("data_interval", divided=True) == ("2024-06-01T00:00:00Z", "2024-07-01T00:00:00Z")
    odd = Run(interval=(pendulum.datetime(2024, 6, 1, 0, 0, 0, 123456, tz="Asia/Tokyo"), pendulum.instance(JULY)))
    assert sent("data_interval", run=odd) == ("2024-05-31T15:00:00.123Z", "2024-06-30T23:59:59.999Z")


@pytest.mark.parametrize("span", ["data_interval", last(weeks=1)])
@pytest.mark.parametrize("divided", [False, True])
def test_consecutive_runs_meet(span: Any, divided: bool) -> None:
    edges = [JUNE + timedelta(days=7 * number, microseconds=777) for number in range(4)]
    windows = [
        sent(span, run=Run(interval=pair, moment=pair[1]), divided=divided) for pair in itertools.pairwise(edges)
    ]
    step = timedelta() if divided else timedelta(milliseconds=1)
    for (_, end), (begin, _) in itertools.pairwise(windows):
        assert read(begin) - read(end) == step


@pytest.mark.parametrize(
    ("interval", "says"),
    [
        (None, "time_range='data_interval': this run has no data interval"),
        (
            (JULY, JULY),
            r"time_range='data_interval': the data interval of this run is empty \(start and end are 2024-07-01",
        ),
        ((JULY, JULY + timedelta(microseconds=5)), "is empty"),
    ],
)
def test_no_interval_is_one_sentence_that_names_the_cure(interval: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says) as said:
        resolved_range("data_interval", Run(interval=interval, moment=JULY))
    assert "CronDataIntervalTimetable(...)" in str(said.value)
    assert "last(days=30)" in str(said.value)
    assert not said.value.retry_helps


def test_the_last_days_end_at_the_moment_of_the_run() -> None:
    assert sent(last(days=30)) == ("2024-06-01T00:00:00Z", "2024-06-30T23:59:59.999Z")
    assert sent(last(weeks=1, days=1.5, hours=12)) == ("2024-06-22T00:00:00Z", "2024-06-30T23:59:59.999Z")
    assert sent(last(hours=6), divided=True) == ("2024-06-30T18:00:00Z", "2024-07-01T00:00:00Z")
    assert sent({"last": {"days": "30"}})[0] == "2024-06-01T00:00:00Z"  # out of a template
    assert last(days=30) == {"last": {"days": 30}}
    with pytest.raises(InvalidInputError, match="which moment this run"):
        resolved_range(last(days=30), Run(interval=None))
    with pytest.raises(InvalidInputError, match="calendar"):
        resolved_range(last(weeks=200_000), RUN)
    for how in ({}, {"days": 0}, {"days": -1}, {"days": "thirty"}):
        with pytest.raises(InvalidInputError, match="no length of time"):
            last(**how)  # type: ignore[arg-type]


def test_equal_ends_out_of_templates_of_an_interval_are_no_day() -> None:
    day = {"from": "2024-07-01", "to": "2024-07-01"}
    assert resolved_range(day, RUN)["to"] == "2024-07-01T23:59:59Z"
    for given in (day, {"from": str(pendulum.instance(JULY)), "to": "2024-07-01T00:00:00+00:00"}):
        with pytest.raises(
            InvalidInputError, match=r"have rendered to the same.*CronDataIntervalTimetable.*last\(days=30\)"
        ):
            resolved_range(given, RUN, from_interval=True)
    assert (
        resolved_range({"from": "2024-06-01", "to": "2024-07-01"}, RUN, from_interval=True)["to"]
        == "2024-07-01T23:59:59Z"
    )


def test_a_moment_as_the_service_writes_it() -> None:
    assert written(JUNE) == "2024-06-01T00:00:00Z"
    assert written(JUNE.replace(microsecond=1000)) == "2024-06-01T00:00:00.001Z"
