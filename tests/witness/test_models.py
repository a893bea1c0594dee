"""Our models and the vendor's read the same replies alike, field by field, and write them alike.

The replies are those that were recorded of the service, and those of the simulator in all states of a job's life.
Where ours differ on purpose stands in one table with the reasons; an entry that nothing comes upon fails.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.hooks import models
from tests.witness.environments import run
from tests.witness.recordings import of_the_simulator
from tests.witness.replies import COLLECTIONS, STATISTICAL, V1, V2

STATUSES = ("CREATED", "ANALYSING", "ANALYSIS_DONE", "PROCESSING", "DONE", "PARTIAL", "FAILED", "CANCELED", "STOPPED")
RECORDED = [
    *((("BatchRequest", name), reply) for name, reply in V1.items()),
    *((("BatchCollection", name), reply) for name, reply in COLLECTIONS.items()),
    *((("BatchProcessRequest", name), reply) for name, reply in V2.items()),
    *((("BatchStatisticalRequest", name), reply) for name, reply in STATISTICAL.items()),
]
# The last client with a model, or the newest.
VERSION = {"BatchRequest": "3.11.1", "BatchCollection": "3.11.1"}
NEWEST = "3.12.0"
ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """Where ours differ on purpose: of which model, in which replies, at which place of the view (all of it: ``)."""

    model: str
    reply: str
    place: str
    reason: str

    def covers(self, model: str, reply: str, place: str) -> bool:
        pairs = ((self.model, model), (self.reply, reply), (self.place, place))
        return all(re.fullmatch(pattern, text) for pattern, text in pairs)


DIFFERENCES = (
    Difference(
        "BatchRequest|BatchProcessRequest|BatchStatisticalRequest",
        "an? (status|action|reason) that nobody knows",
        "",
        "A word that the service adds one day must not crash a waiting task; the vendor's models raise.",
    ),
    Difference(
        "BatchRequest",
        "no CRS",
        "bbox|geometry",
        "Without a CRS the service takes WGS84, and so do we; the vendor's properties raise.",
    ),
    Difference(
        "BatchProcessRequest|BatchStatisticalRequest",
        ".*",
        "evalscript|bbox|geometry",
        "Ours have these on all generations; the vendor's on v1 alone.",
    ),
    Difference(
        "BatchCollection",
        ".*",
        "(fields|from_json)/(batch_data|other_data/batchData)|schema|to_(dict|json)/batchData",
        "The vendor documents batch_data as a field, but its class never reads it: it stays in other_data.",
    ),
    Difference(
        "BatchCollection",
        ".*",
        "dump",
        "schema().dump of the vendor's class fails with a KeyError.",
    ),
    Difference(
        "BatchCollection",
        "bare",
        "",
        "A collection may be written with name and bucket alone, as the contract allows; the vendor's reader raises.",
    ),
)


def plain(value: Any) -> Any:
    """An object taken apart into plain JSON."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def ours(kind: str, reply: dict[str, Any]) -> Any:
    """The view of our model, as `models.py` makes it of the vendor's."""
    model = getattr(models, kind).from_dict(reply)
    seen = {"fields": plain(model), "to_dict": model.to_dict(), "to_json": model.to_json()}
    seen["schema"] = sorted(schema(type(model)).fields)
    seen["dump"] = schema(type(model)).dump(model)
    seen["from_json"] = plain(type(model).from_json(model.to_json()))
    seen["raises_for"] = None
    if isinstance(model, models.BatchCollection):
        return seen | {name: {"raises": "AttributeError"} for name in ("evalscript", "bbox", "geometry")}
    seen |= {"evalscript": model.evalscript, "bbox": bbox(model), "geometry": geometry(model)}
    seen["raises_for"] = [status for status in STATUSES if raises(model, status)]
    return seen


@cache
def schema(kind: Any) -> Any:
    with warnings.catch_warnings():  # dataclasses-json has not heard of the newest marshmallow yet
        warnings.simplefilter("ignore")
        return kind.schema()


def bbox(model: Any) -> Any:
    return model.bbox and {"bounds": list(model.bbox), "crs": epsg(model.bbox.crs)}


def geometry(model: Any) -> Any:
    from shapely.geometry import shape

    if model.geometry is None:
        return None
    found = shape(model.geometry)
    return {"bounds": list(found.bounds), "type": found.geom_type, "crs": epsg(model.geometry.crs)}


def epsg(url: str) -> str:
    code = url.rsplit("/", 1)[-1]
    return "4326" if code == "CRS84" else code


def raises(model: Any, status: str) -> bool:
    try:
        model.raise_for_status(status)
    except SentinelHubError:
        return True
    return False


def differing(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """The places at which two views differ."""
    both = isinstance(one, dict) and isinstance(other, dict)
    if both and ("raises" in one) == ("raises" in other):
        for name in sorted(set(one) | set(other)):
            yield from differing(one.get(name, ABSENT), other.get(name, ABSENT), f"{place}/{name}".lstrip("/"))
    elif one != other or type(one) is not type(other):
        yield place


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[Any, Any]]:
    """(model, reply) -> our view and the vendor's, of all replies there are."""
    home = tmp_path_factory.mktemp("home")
    replies = [*RECORDED, *of_the_simulator()]
    views: dict[tuple[str, str], tuple[Any, Any]] = {}
    for version in ("3.11.1", NEWEST):
        mine = [item for item in replies if VERSION.get(item[0][0], NEWEST) == version]
        given = {"replies": [[kind, reply] for (kind, _), reply in mine]}
        for (name, reply), theirs in zip(mine, run(version, "models.py", given, home), strict=True):
            views[name] = (_parsed(ours(name[0], reply)), _parsed(theirs))
    return views


def _parsed(view: Any) -> Any:
    """The JSON of a view is compared as what it says, not as it is spaced."""
    return {**view, "to_json": json.loads(view["to_json"])} if "to_json" in view else view


@pytest.mark.slow
def test_all_replies_are_read(compared: dict[tuple[str, str], tuple[Any, Any]]) -> None:
    assert {kind for kind, _ in compared} == {
        "BatchRequest",
        "BatchCollection",
        "BatchProcessRequest",
        "BatchStatisticalRequest",
    }
    assert len(compared) > 50
    read = [name for name, (_, theirs) in compared.items() if "raises" not in theirs]
    assert len(read) > 40


def test_our_models_and_the_vendors_agree(compared: dict[tuple[str, str], tuple[Any, Any]]) -> None:
    told = []
    for (kind, name), (mine, theirs) in compared.items():
        for place in differing(mine, theirs):
            if not any(difference.covers(kind, name, place) for difference in DIFFERENCES):
                told.append(f"{kind}, {name}: {place or 'all of it'}: {at(mine, place)!r} and {at(theirs, place)!r}")
    assert not told, "\n".join(told)


def test_every_difference_is_still_there(compared: dict[tuple[str, str], tuple[Any, Any]]) -> None:
    found = {(*name, place) for name, views in compared.items() for place in differing(*views)}
    idle = [difference for difference in DIFFERENCES if not any(difference.covers(*one) for one in found)]
    assert idle == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("BatchRequest", {"status", "user_action"}),
        ("BatchProcessRequest", {"status", "user_action", "stopped_status_reason"}),
    ],
)
def test_a_view_is_worth_comparing(kind: str, words: set[str]) -> None:
    """One changed value shows, at its own place and in all that is written of it."""
    reply = {"BatchRequest": V1["done"], "BatchProcessRequest": V2["stopped by the user"]}[kind]
    names = {"user_action": "userAction", "stopped_status_reason": "stoppedStatusReason"}
    for word in words:
        other = {**reply, names.get(word, word): "FAILED" if word == "status" else "NONE"}
        places = set(differing(_parsed(ours(kind, reply)), _parsed(ours(kind, other))))
        assert {f"fields/{word}", f"from_json/{word}", f"to_dict/{names.get(word, word)}"} <= places


def at(view: Any, place: str) -> Any:
    for name in filter(None, place.split("/")):
        view = view.get(name, "absent") if isinstance(view, dict) else "absent"
    return view
