"""Look for acquisitions in the Catalog API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_sentinelhub.api.areas import area_bounds, early_bounds
from airflow_sentinelhub.api.call import Flow, Note, Now, Patience, Sleep, exchange
from airflow_sentinelhub.api.flows.read import outlast
from airflow_sentinelhub.api.kinds import nothing
from airflow_sentinelhub.api.rings import number_of, shown
from airflow_sentinelhub.api.service.catalog import Acquisition, search
from airflow_sentinelhub.api.service.data_sources import proposal
from airflow_sentinelhub.api.times import moment, written
from airflow_sentinelhub.exceptions import InvalidInputError, ListTooLongError, NotFoundError, UnreadableReplyError

PATIENCE = Patience(backoff=(2.0,), rate_limited=60.0)
MOST_PAGES = 100
_DEGREES = ("CRS84", "4326")


def where_of(area: Any) -> dict[str, Any]:
    """The part of a search that says where: `bbox` or `intersects`.

    :raises InvalidInputError: it is no area, or not one in longitude and latitude, which the catalog needs.
    """
    bounds = area_bounds(area)
    crs = str((bounds.get("properties") or {}).get("crs") or _DEGREES[0])
    if not crs.endswith(_DEGREES):
        raise InvalidInputError(
            f"The area is in {crs}, and the catalog is searched in longitude and latitude (WGS84) only: give it so."
        )
    return {"intersects": bounds["geometry"]} if bounds.get("geometry") else {"bbox": bounds["bbox"]}


def early_where(area: Any) -> Any:
    """The area of a search while a DAG is parsed: as `where_of` takes it, checked as far as can be told by now.

    :raises InvalidInputError: as `where_of`.
    """
    bounds = early_bounds(area)
    if "area" in bounds:
        return bounds["area"]
    where_of(bounds)
    return bounds


def checked_collection(value: Any) -> str:
    """The argument `collection`.

    :raises InvalidInputError: it is no text, or an empty one.
    """
    if not isinstance(value, str) or nothing(value):
        raise InvalidInputError(
            f"collection is the name of a collection of the catalog, such as sentinel-2-l2a, not {shown(value)}."
        )
    return value.strip()


def cloud_limit(value: Any) -> float | None:
    """The argument `max_cloud_coverage` in percent, None for no limit.

    :raises InvalidInputError: it is no number from 0 to 100.
    """
    if value is None:
        return None
    try:
        read = number_of(float(value) if isinstance(value, str) else value)
    except ValueError:
        read = None
    if read is None or not 0 <= read <= 100:
        raise InvalidInputError(f"max_cloud_coverage is a number from 0 to 100, not {shown(value)}.")
    return abs(read)


def find_acquisitions(
    collection: str, where: Mapping[str, Any], begin: datetime, end: datetime, max_cloud_coverage: float | None
) -> Flow[list[Acquisition]]:
    """All acquisitions of a collection that touch an area and were taken in a time, the earliest first, each once.

    :param where: see `where_of`.
    :param max_cloud_coverage: percent; what has more clouds, or does not say how many, is left out. None: no limit.
    :raises SentinelHubError: the catalog cannot be read to its end; what was read is not returned as if it were all.
    """
    body: dict[str, Any] = {"collections": [collection], "datetime": f"{written(begin)}/{written(end)}", **where}
    if max_cloud_coverage is not None:
        limit = f"{max_cloud_coverage:.9f}".rstrip("0").rstrip(".")
        body["filter"], body["filter-lang"] = f"eo:cloud_cover <= {limit}", "cql2-text"
    found: dict[str, Acquisition] = {}
    following: int | str | None = None
    asked: set[int | str] = set()
    for _ in range(MOST_PAGES):
        call = search(body, following)
        try:
            page = yield from exchange(call, PATIENCE)
        except NotFoundError as err:
            raise InvalidInputError(
                f"The Catalog API of this deployment has no collection {shown(collection)}{proposal(collection)}, or "
                f"there is none: {err}"
            ) from None
        if page.left_out:
            yield Note(f"{page.left_out} items of the catalog have no id and are left out", warning=True)
        for item in page.items:
            found.setdefault(item.id, item)
        if page.next is None:
            break
        if page.next in asked:
            raise UnreadableReplyError(
                f"The pages of the catalog go in circles (next is {page.next} again), so its other items are unknown.",
                status=200,
                about=call.about,
            )
        asked.add(page.next)
        following = page.next
    else:
        raise ListTooLongError(
            f"The catalog has more than {MOST_PAGES} pages of {collection} there, whose rest is unknown: take a "
            "smaller area or a shorter time."
        )
    return sorted(found.values(), key=lambda item: (item.taken or begin, item.id))


def as_plain(item: Acquisition) -> dict[str, Any]:
    """An acquisition as plain JSON, for XComs and events."""
    return {
        "id": item.id,
        "collection": item.collection,
        "datetime": None if item.taken is None else item.taken.isoformat(),
        "cloud_cover": item.cloud_cover,
        "platform": item.platform,
        "bbox": None if item.bbox is None else list(item.bbox),
    }


def find_in(asked: Mapping[str, Any], patience: float) -> Flow[list[Acquisition]]:
    """The acquisitions of a search in plain JSON, which is repeated while the catalog is out of reach.

    :param asked: the arguments of `find_acquisitions`, with `begin` and `end` as text.
    :param patience: seconds.
    :raises UnknownStateError: it was out of reach for longer.
    """
    begin, end = moment(asked["begin"], "time_range from"), moment(asked["end"], "time_range to")
    limit = asked["max_cloud_coverage"]
    about = f"The catalog's {asked['collection']}"
    return (
        yield from outlast(
            lambda: find_acquisitions(asked["collection"], asked["where"], begin, end, limit), patience, about=about
        )
    )


def wait_for_acquisitions(
    asked: Mapping[str, Any], enough: int, interval: float, deadline: float | None, patience: float
) -> Flow[list[Acquisition] | None]:
    """Search every so many seconds, the first time after the first of them; None if the deadline comes before enough.

    :param asked, patience: see `find_in`.
    :param deadline: seconds since 1970, None for no end.
    """
    while True:
        left = None if deadline is None else deadline - (yield Now())
        if left is not None and left <= 0:
            return None
        yield Sleep(interval if left is None else min(interval, left))
        found = yield from find_in(asked, patience)
        if len(found) >= enough:
            return found
