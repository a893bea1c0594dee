"""JSON that is none: converted where it has one meaning, else refused before anything is sent, by the member's path."""

from __future__ import annotations

import json
import re
from collections import OrderedDict, UserDict, UserList, deque, namedtuple
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy
import pytest

from airflow_sentinelhub.api.call import Call, Send, exchange
from airflow_sentinelhub.api.plain import plain
from airflow_sentinelhub.api.service import statistical, v1, v2
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.api.service.payloads import process_request
from airflow_sentinelhub.api.service.specification import Access, BatchSpecification
from airflow_sentinelhub.api.service.statistical_specification import StatisticalSpecification, aggregation
from airflow_sentinelhub.exceptions import InvalidInputError

EAST = timezone(timedelta(hours=2))
Pair = namedtuple("Pair", "x y")


class Kind(Enum):
    FLOAT = "FLOAT32"
    PAIR = (1, 2)
    ODD = object()


class Word(str, Enum):
    AUTO = "AUTO"


class Level(IntEnum):
    HIGH = 3


class Text(str):
    def __str__(self) -> str:
        return "another one"


CONVERTED: list[tuple[Any, Any]] = [
    (None, None), (True, True), (7, 7), (0.5, 0.5), ("text", "text"), ("ünï \N{SNOWMAN}", "ünï \N{SNOWMAN}"),
    (datetime(2024, 6, 1, 12, tzinfo=timezone.utc), "2024-06-01T12:00:00Z"),
    (datetime(2024, 6, 1, 12, tzinfo=EAST), "2024-06-01T10:00:00Z"),
    (datetime(2024, 6, 1, 12, 0, 0, 250_000), "2024-06-01T12:00:00.250Z"),  # noqa: DTZ001
    (date(2024, 6, 1), "2024-06-01T00:00:00Z"),
    (Decimal("10"), 10), (Decimal("0.1"), 0.1), (Decimal("1E+3"), 1000), (Decimal("-2.50"), -2.5),
    ((1, (2, 3)), [1, [2, 3]]), (Pair(1, 2), [1, 2]), (range(3), [0, 1, 2]), (UserList([1]), [1]), (deque([1]), [1]),
    (OrderedDict(a=1), {"a": 1}), (UserDict(a=(1,)), {"a": [1]}), (MappingProxyType({"a": 1}), {"a": 1}),
    (Kind.FLOAT, "FLOAT32"), (Kind.PAIR, [1, 2]), (Word.AUTO, "AUTO"), (Level.HIGH, 3), ({Word.AUTO: 1}, {"AUTO": 1}),
    (Text("as it is"), "as it is"),
    (numpy.float64(0.5), 0.5), (numpy.float32(0.5), 0.5), (numpy.int16(7), 7), (numpy.bool_(True), True),
    (numpy.str_("text"), "text"), (numpy.longdouble(0.5), 0.5),
    (numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]), (numpy.array(0.5), 0.5), (numpy.array(["a"]), ["a"]),
    (numpy.array([Decimal("0.5"), None], dtype=object), [0.5, None]),
    (numpy.datetime64("2024-06-01T12:00:00", "ns"), "2024-06-01T12:00:00Z"),
    (numpy.datetime64("2024-06-01"), "2024-06-01T00:00:00Z"),
    (numpy.array(["2024-06-01"], dtype="datetime64[ns]"), ["2024-06-01T00:00:00Z"]),
]  # fmt: skip


def name_of(value: Any) -> str:
    """The name of a case, the same in each process: no addresses, and no sets, whose order changes."""
    return "a set" if isinstance(value, (set, frozenset)) else re.sub(r" at 0x\w+", "", repr(value))[:50]


@pytest.mark.parametrize(("given", "wanted"), CONVERTED, ids=name_of)
def test_what_has_one_meaning_is_converted(given: Any, wanted: Any) -> None:
    found = plain({"a": [given]})
    assert found == {"a": [wanted]}
    assert plain(found) == found
    text = json.dumps(found, allow_nan=False)  # as the drivers do
    assert json.loads(text) == found
    assert type(found["a"][0]) is type(wanted)


CIRCLE: dict[str, Any] = {"b": []}
CIRCLE["b"].append(CIRCLE)
DEEP: Any = 1
for _ in range(300):
    DEEP = [DEEP]
REFUSED: list[tuple[Any, str]] = [
    (float("nan"), "a[0] is NaN"), (float("inf"), "a[0] is Infinity"), (float("-inf"), "a[0] is -Infinity"),
    (numpy.float32("nan"), "a[0] is NaN"), (numpy.float64("inf"), "a[0] is Infinity"),
    (numpy.longdouble("nan"), "a[0] is NaN"), (numpy.array([1, float("nan")]), "a[0][1] is NaN"),
    (Decimal("NaN"), "a[0] is NaN"), (Decimal("sNaN"), "a[0] is NaN"),
    (Decimal("-Infinity"), "a[0] is -Infinity"),
    (Decimal("-1E+400"), "a[0] is larger"), (Decimal("1E+400"), "a[0] is larger"),
    ({1, 2}, "a[0] is of type set"), (frozenset(), "a[0] is of type frozenset"),
    (b"hush", "a[0] is of type bytes"), (bytearray(b"hush"), "a[0] is of type bytearray"),
    (numpy.bytes_(b"hush"), "a[0] is of type bytes"), (memoryview(b"hush"), "a[0] is of type memoryview"),
    (Path("/hush"), "a[0] is of type PosixPath"), (PurePosixPath("hush"), "a[0] is of type PurePosixPath"),
    (timedelta(days=1), "a[0] is of type timedelta"), (time(12), "a[0] is of type time"),
    (numpy.timedelta64(1, "D"), "a[0] is of type timedelta"), (numpy.datetime64("NaT"), "a[0] is NaT"),
    (numpy.array([b"hush"]), "a[0][0] is of type bytes"), (numpy.array([{1}], dtype=object), "a[0][0] is of type set"),
    (1j, "a[0] is of type complex"), (Fraction(1, 2), "a[0] is of type Fraction"), (object(), "a[0] is of type object"),
    (Kind.ODD, "a[0] is of type object"), (len, "a[0] is of type builtin"), ((n for n in "x"), "a[0] is of type gen"),
    ({1: "hush"}, "a[0] has a key of type int (1)"), ({None: "hush"}, "a[0] has a key of type NoneType"),
    ({("hush",): 1}, "a[0] has a key of type tuple"), ({b"hush": 1}, "a[0] has a key of type bytes"),
    ({"x": {"fill_value": float("nan")}}, "a[0].x.fill_value is NaN"),
    (CIRCLE, "a[0].b[0] contains itself"), (DEEP, "nested more than 200 levels"),
    ("\ud800hush", "a[0] has a half of a character"), ({"\ud800hush": 1}, "a[0] has a half of a character"),
    (datetime(1, 1, 1, tzinfo=EAST), "a[0] is a time outside the calendar"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "says"), REFUSED, ids=name_of)
def test_what_cannot_be_sent_is_refused_by_its_path(given: Any, says: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        plain({"a": [given]})
    message = str(raised.value)
    assert says in message
    assert message.endswith("; nothing was sent.")
    assert "\n" not in message
    assert "hush" not in message
    assert message.encode()


def test_the_value_itself_has_a_name() -> None:
    with pytest.raises(InvalidInputError, match=r"^payload is NaN"):
        plain(float("nan"))
    with pytest.raises(InvalidInputError, match=r"^tiling_grid is of type set"):
        plain(set(), "tiling_grid")


def test_the_same_value_in_two_places_is_no_circle() -> None:
    shared = {"x": [1]}
    assert plain({"a": shared, "b": [shared, shared]}) == {"a": shared, "b": [shared, shared]}


def test_pandas_without_a_time() -> None:
    pandas = pytest.importorskip("pandas")
    assert plain(pandas.Timestamp("2024-06-01T12:00:00+02:00")) == "2024-06-01T10:00:00Z"
    with pytest.raises(InvalidInputError, match=r"a is NaT"):
        plain({"a": pandas.NaT})
    with pytest.raises(InvalidInputError, match=r"a is of type NAType"):
        plain({"a": pandas.NA})


# Every way by which a payload reaches a driver

SENDS: dict[str, Callable[[Any], Call[Any]]] = {
    "v1.create": v1.create,
    "v1.update": lambda payload: v1.update_request("id", payload),
    "v1.create_collection": v1.create_collection,
    "v1.update_collection": lambda payload: v1.update_collection("id", payload),
    "v2.create": v2.create,
    "v2.update": lambda payload: v2.update_request("id", payload),
    "statistical.create": statistical.create,
    "statistical.create_described": statistical.create_described,
}


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
def test_no_call_reaches_a_driver_with_what_it_cannot_encode(send: Callable[[Any], Call[Any]]) -> None:
    flow = exchange(send({"output": {"arrayParameters": {"fill_value": float("nan")}}}))
    with pytest.raises(InvalidInputError, match=r"^output\.arrayParameters\.fill_value is NaN.*nothing was sent"):
        next(flow)


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
def test_what_reaches_a_driver_is_plain(send: Callable[[Any], Call[Any]]) -> None:
    step = next(exchange(send({"output": {"at": date(2024, 6, 1), "fill": numpy.float32(0.5)}})))
    assert isinstance(step, Send)
    assert step.call.json["output"] == {"at": "2024-06-01T00:00:00Z", "fill": 0.5}


def batch(**more: Any) -> BatchSpecification:
    arguments: dict[str, Any] = {
        "process_request": process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        "tiling_grid": {"id": 0, "resolution": 10},
        "output": "s3://maps/x",
        "area": [1, 2, 3, 4],
        "evalscript": "x",
        **more,
    }
    return BatchSpecification(**arguments)


def statistics(**more: Any) -> StatisticalSpecification:
    arguments: dict[str, Any] = {
        "geopackage": "s3://maps/fields.gpkg",
        "data": "sentinel-2-l2a",
        "aggregation": aggregation(("2024-06-01", "2024-06-30"), "P10D", resolution=10),
        "output": "s3://maps/x",
        "evalscript": "x",
        **more,
    }
    return StatisticalSpecification(**arguments)


PAYLOADS: list[tuple[str, Callable[..., Any], Callable[[Any], Mapping[str, Any]], str]] = [
    (api, make, place, where)
    for make, apis in ((batch, ("v1", "v2")), (statistics, ("statistical",)))
    for api in apis
    for place, where in (
        [
            (lambda bad: {"extra": {"more": {"x": bad}}}, "more.x"),
            (
                lambda bad: {"process_request": {"input": {"data": [{"type": "dem", "x": bad}]}, "output": {}}},
                "processRequest.input.data[0].x",
            ),
            (lambda bad: {"tiling_grid": {"id": 0, "resolution": bad}}, ".resolution"),
            (lambda bad: {"output": {"defaultTilePath": "s3://b/p", "cogParameters": {"x": bad}}}, "cogParameters.x"),
        ]
        if make is batch
        else [
            (lambda bad: {"extra": {"more": {"x": bad}}}, "more.x"),
            (lambda bad: {"calculations": {"default": {"histograms": {"x": {"n": bad}}}}}, "histograms.x.n"),
            (lambda bad: {"data": [{"type": "sentinel-2-l2a", "x": bad}]}, "input.data[0].x"),
        ]
    )
]


@pytest.mark.parametrize(("api", "make", "place", "where"), PAYLOADS)
def test_a_payload_is_plain_before_anybody_looks_at_it(
    api: str, make: Callable[..., Any], place: Callable[[Any], Mapping[str, Any]], where: str
) -> None:
    access = Access(iam_role_arn="arn:aws:iam::1:role/x")
    for bad in (float("nan"), {1}, b"x"):
        with pytest.raises(InvalidInputError) as raised:
            generation(api).payload(make(**place(bad)), access)
        assert where in str(raised.value)
    found = generation(api).payload(make(**place(Decimal("10"))), access)
    assert json.dumps(found, allow_nan=False)
