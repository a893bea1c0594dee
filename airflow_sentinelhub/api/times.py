"""Moments and time ranges: every usual form is understood, and written as the service writes it.

Pure: nothing here reads a clock or knows Airflow. What a run of a DAG stands for is handed in as a `Run`.

The service filters images by a range whose two ends are inclusive. A half-open span [start, end) is therefore sent
with an end one millisecond earlier, so that consecutive spans neither overlap nor leave a gap (in milliseconds). The
range of statistics is divided into intervals instead, each of which ends where the next begins: there the end is sent
as it is (`divided`); a millisecond less, and the service would skip the last interval as not whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from airflow_sentinelhub.api.late import Late
from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.exceptions import InvalidInputError

DATA_INTERVAL = "data_interval"
"""Stands in the place of a time range for the data interval of the run."""

_CURE = (
    "give the DAG schedule=CronDataIntervalTimetable(...) of airflow.timetables.interval, "
    "or the task time_range=last(days=30)"
)
_FORMS = "a date (2024-06-01), a time (2024-06-01T12:00:00Z; without a zone it is UTC) or a datetime"
_SPANS = ("weeks", "days", "hours")
_MILLISECOND = timedelta(milliseconds=1)
_TEXT = re.compile(
    r"(?ai)(\d{4}-\d\d-\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:\s*(Z|UTC|GMT)|\s*([+-])(\d\d):?(\d\d)?)?)?"
)


@dataclass(frozen=True)
class Run:
    """What is known of a run of a DAG when a task of it executes. What is None is not known.

    :param interval: its data interval, [start, end).
    :param moment: the moment that it stands for, the same at every try of its tasks; `last()` ends here.
    :param now: the time of the try: ranges that begin later are refused.
    """

    interval: tuple[datetime, datetime] | None = None
    moment: datetime | None = None
    now: datetime | None = None


def is_template(value: Any) -> bool:
    """Whether a value still has to be rendered by Airflow."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def is_late(value: Any) -> bool:
    """Whether a value is known only when the task runs: a template, or the output of another task."""
    return is_template(value) or (hasattr(value, "iter_references") and hasattr(value, "resolve"))


def last(*, days: Late[float] = 0, weeks: Late[float] = 0, hours: Late[float] = 0) -> dict[str, Any]:
    """The time range of this length that ends at the moment of the run: `time_range=last(days=30)`.

    That moment is the end of the run's data interval; its logical date where it has none; the time from which on it was
    allowed to run (`run_after`) where it has neither. It is the same at every try. The range is [start, end), see
    `process_request()`.

    :param days: numbers above 0, or templates of these, which are added up.
    :param weeks: 7 days.
    :param hours: hours.
    :raises InvalidInputError: the length is not above zero.
    """
    given = {"weeks": weeks, "days": days, "hours": hours}
    marker = {"last": {name: value for name, value in given.items() if value != 0}}
    if not any(map(is_late, given.values())):
        _span(marker["last"], "time_range")
    return marker


def checked_range(given: Any, *, name: str = "time_range", divided: bool = False) -> Any:
    """A time range as a payload holds it until the task runs: literal ends written as the service writes them.

    Templates, outputs of other tasks, `data_interval` and `last()` stay as they are. A literal range in the future
    passes: the DAG may be written for later.

    :param name: what messages call it.
    :param divided: it is divided into intervals (see the module).
    :raises InvalidInputError: a literal cannot be right.
    """
    if given is None or _is_known_later(given) or _is_data_interval(given):
        return given
    if _is_last(given):
        if not any(map(is_late, given["last"].values())):
            _span(given["last"], name)
        return given
    begin, end = _ends(given, name)
    start = None if _is_known_later(begin) else _start(begin, name)
    stop = None if _is_known_later(end) else _stop(end, name, divided)
    if start is not None and stop is not None:
        _check_order(start, stop, name)
    ends = {"from": begin if start is None else written(start), "to": end if stop is None else written(stop)}
    return {**given, **ends} if isinstance(given, Mapping) else ends


def resolved_range(
    given: Any, run: Run, *, name: str = "time_range", divided: bool = False, from_interval: bool = False
) -> dict[str, Any]:
    """A time range as it is sent: `{"from": "2024-06-01T00:00:00Z", "to": "2024-06-30T23:59:59.999Z"}`.

    :param from_interval: its templates name both ends of the data interval: two ends that are the same day are then
        refused, and not taken for that day, since that is how a run without an interval looks.
    :raises InvalidInputError: not a range; reversed, empty or in the future; the run has no such interval or moment.
    """
    if _is_data_interval(given):
        start, stop = _data_interval(run, name)
        start, stop = _floor(start), _floor(stop) if divided else _floor(stop) - _MILLISECOND
    elif _is_last(given):
        if run.moment is None:
            raise InvalidInputError(f"{name}=last(...): nothing tells which moment this run stands for.")
        stop = _floor(_utc(run.moment))
        try:
            start = stop - _span(given["last"], name)
        except OverflowError:
            raise InvalidInputError(f"{name}=last(...) goes back further than the calendar does.") from None
        stop = stop if divided else stop - _MILLISECOND
    else:
        begin, end = _ends(given, name)
        if from_interval and _moment(begin, f"{name} from") == _moment(end, f"{name} to"):
            raise InvalidInputError(
                f"{name}: the templates of both ends name the data interval and have rendered to the same, '{begin}'; "
                f"take time_range='{DATA_INTERVAL}', and if this run has no interval (a cron schedule on Airflow 3), "
                f"{_CURE}."
            )
        start, stop = _start(begin, name), _stop(end, name, divided)
    _check_order(start, stop, name)
    if run.now is not None and start > _utc(run.now):
        raise InvalidInputError(
            f"{name} lies in the future: it begins at {written(start)}, and now it is {written(_utc(run.now))}."
        )
    ends = {"from": written(start), "to": written(stop)}
    return {**given, **ends} if isinstance(given, Mapping) and not _is_last(given) else ends


def checked(data: Any) -> Any:
    """The `data` objects of a payload with `checked_range` applied to each `dataFilter.timeRange`."""
    return _each(data, lambda given, where: checked_range(given, name=where))


def resolved(data: Any, run: Run, *, from_interval: bool = False) -> Any:
    """The `data` objects of a payload with `resolved_range` applied to each `dataFilter.timeRange`."""
    return _each(data, lambda given, where: resolved_range(given, run, name=where, from_interval=from_interval))


def _each(data: Any, change: Callable[[Any, str], Any]) -> Any:
    """The data objects with their time ranges changed; objects that have none as they are."""
    if not isinstance(data, Sequence) or isinstance(data, str):
        return data
    found = []
    for index, source in enumerate(data):
        chosen = source.get("dataFilter") if isinstance(source, Mapping) else None
        given = chosen.get("timeRange") if isinstance(chosen, Mapping) else None
        if given is not None:
            where = "time_range" if len(data) == 1 else f"data[{index}].dataFilter.timeRange"
            source = {**source, "dataFilter": {**source["dataFilter"], "timeRange": change(given, where)}}
        found.append(source)
    return found


def moment(value: Any, name: str) -> datetime:
    """A moment in UTC from a datetime, a date (its beginning) or text in the forms of a time range.

    :param name: of the argument, for the error.
    :raises InvalidInputError: it is something else.
    """
    return _start_of(_moment(value, name))


def written(moment: datetime) -> str:
    """A moment as the service writes it: UTC, `2024-06-01T00:00:00Z`, with milliseconds only where there are some."""
    plain = _utc(moment).replace(tzinfo=None)
    return plain.isoformat(timespec="milliseconds" if plain.microsecond >= 1000 else "seconds") + "Z"


def _is_known_later(value: Any) -> bool:
    """Whether a value is known only in the run; what is of no type that a literal has is taken for another output."""
    literal = value is None or isinstance(value, (str, date, int, float, Mapping, Sequence, set, slice, timedelta))
    return is_late(value) or not (literal or _of_numpy(value))


def _is_data_interval(given: Any) -> bool:
    return isinstance(given, str) and given.strip() == DATA_INTERVAL


def _is_last(given: Any) -> bool:
    return isinstance(given, Mapping) and isinstance(given.get("last"), Mapping)


def _span(parts: Mapping[str, Any], name: str) -> timedelta:
    try:
        span = sum((_part(unit, value) for unit, value in parts.items()), timedelta())
        if span >= _MILLISECOND:
            return span
    except (TypeError, ValueError, OverflowError):
        pass
    given = ", ".join(f"{unit}={value!r}" for unit, value in parts.items())
    raise InvalidInputError(f"{name}=last({given}) is no length of time; give numbers above 0, such as last(days=30).")


def _part(unit: str, value: Any) -> timedelta:
    if unit not in _SPANS or isinstance(value, bool) or float(value) < 0:
        raise ValueError(unit)
    return timedelta(**{unit: float(value)})


def _data_interval(run: Run, name: str) -> tuple[datetime, datetime]:
    if run.interval is None:
        raise InvalidInputError(
            f"{name}='{DATA_INTERVAL}': this run has no data interval, as one that was triggered without a logical "
            f"date or by an asset; {_CURE}."
        )
    start, stop = map(_utc, run.interval)
    if _floor(start) >= _floor(stop):
        raise InvalidInputError(
            f"{name}='{DATA_INTERVAL}': the data interval of this run is empty (start and end are {written(start)}), "
            f"as for all runs of a cron schedule on Airflow 3; {_CURE}."
        )
    return start, stop


def _ends(given: Any, name: str) -> tuple[Any, Any]:
    if isinstance(given, Mapping) and not _is_last(given):
        return given.get("from"), given.get("to")
    if isinstance(given, str) and len(ends := given.split("/")) == 2 and not any(map(_is_open, ends)):
        return ends[0], ends[1]
    listed = given.tolist() if _of_numpy(given) and getattr(given, "ndim", 0) == 1 else given
    if isinstance(listed, (list, tuple)) and len(listed) == 2:
        return given[0], given[1]
    raise InvalidInputError(
        f"{name} is a pair (from, to), 'data_interval' or last(days=30), not {shown(given)}. Both ends are needed."
    )


def _check_order(start: datetime, stop: datetime, name: str) -> None:
    if start > stop:
        raise InvalidInputError(f"{name} is reversed: from {written(start)} is later than to {written(stop)}.")
    if start == stop:
        raise InvalidInputError(
            f"{name} is empty: from and to are both {written(start)}; if these are the ends of the data interval, "
            f"{_CURE}."
        )


def _start(value: Any, name: str) -> datetime:
    return _start_of(_moment(value, f"{name} from"))


def _start_of(day: date) -> datetime:
    return day if isinstance(day, datetime) else datetime.combine(day, time(), timezone.utc)


def _stop(value: Any, name: str, divided: bool) -> datetime:
    """The end of a range; a date is the whole day."""
    end = _moment(value, f"{name} to")
    if isinstance(end, datetime):
        return end
    try:
        return datetime.combine(end, time(23, 59, 59), timezone.utc) + timedelta(seconds=1 if divided else 0)
    except OverflowError:
        raise InvalidInputError(f"{name} to={value!r} is the last day of the calendar.") from None


def _moment(value: Any, name: str) -> date:
    """A `datetime` in UTC, in whole milliseconds, or a `date` where no time of the day was given.

    :raises InvalidInputError: it is neither in any form.
    """
    try:
        if _of_numpy(value) and not isinstance(value, (str, datetime)):
            value = _out_of_numpy(value)
        if isinstance(value, datetime):
            return _floor(_utc(value))
        if isinstance(value, date):
            return date(value.year, value.month, value.day)
        if isinstance(value, str):
            return _read(value)
    except (ValueError, OverflowError):
        pass
    raise InvalidInputError(f"{name}={shown(value)} is no moment; give {_FORMS}.")


def _is_open(end: str) -> bool:
    """Whether an end of an interval in ISO 8601 is none, or a length: which moment it means then depends on the run."""
    return end.strip() in ("", "..") or end.strip()[:1] in ("P", "p", "R")


def _of_numpy(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "numpy"


def _out_of_numpy(value: Any) -> Any:
    """A datetime64 as a date, if that is all that it holds, or as a datetime; a number as it is."""
    plain = value.item()
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return value.astype("datetime64[us]").item() if kind == "M" and isinstance(plain, int) else plain


def _read(text: str) -> date:
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    day, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = match.groups()
    if hour is None:
        return date.fromisoformat(day)
    microsecond = int((fraction or "").ljust(6, "0")[:6])
    at = time(int(hour), int(minute), int(second or 0), microsecond)
    moment = datetime.combine(date.fromisoformat(day), at, timezone.utc)
    if sign:
        ahead = timedelta(hours=int(zone_hours), minutes=int(zone_minutes or 0))
        zone = timezone(ahead if sign == "+" else -ahead)  # refuses a day and more
        moment = _utc(moment.replace(tzinfo=zone))
    return _floor(moment)


def _utc(moment: datetime) -> datetime:
    """The same moment as a plain datetime in UTC, whatever class and zone it has; without a zone it is UTC."""
    m = moment
    plain = datetime(m.year, m.month, m.day, m.hour, m.minute, m.second, m.microsecond, timezone.utc)
    return plain - (m.utcoffset() or timedelta())


def _floor(moment: datetime) -> datetime:
    """In whole milliseconds, the precision of times in the service's API."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
