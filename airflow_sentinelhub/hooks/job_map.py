"""What a page or a map shows of a request: read of the service and the bucket, and put together. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from airflow_sentinelhub.api.call import Call, Flow, Patience, exchange
from airflow_sentinelhub.api.decide.marker import mark_of
from airflow_sentinelhub.api.decide.verdict import spent
from airflow_sentinelhub.api.flows.progress import CoursePoint, Progress, members_of
from airflow_sentinelhub.api.paging import Walk
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.service.generations import NAMES, generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.tile_table import Placer, Ring, TileTable, area_rings
from airflow_sentinelhub.api.tiles import output_paths
from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.hooks.storage import bucket_reader, results_of
from airflow_sentinelhub.redaction import hidden
from airflow_sentinelhub.results.statistical import MISSING, results_of_request
from airflow_sentinelhub.transport.settings import Settings

R = TypeVar("R")

MOST_TILES = 200_000
MOST_FILES = 500
"""Features of a statistical job whose files are read one by one; of more, only whether they are there is looked up."""
EVERY = 2_000
"""Tiles after which those that were read so far are handed out (v1, whose pages have a hundred)."""
PATIENCE = Patience(backoff=(1.0,), rate_limited=20.0)


class Reads(Protocol):
    """What is needed of a `SentinelHubHook`."""

    @property
    def settings(self) -> Settings: ...
    def run(self, flow: Flow[R]) -> R: ...


@dataclass(frozen=True)
class RequestSource:
    """Where a request is read: what the task has written down of it."""

    request_id: str
    batch_api: str
    conn_id: str
    aws_conn_id: str | None = None
    place: tuple[tuple[str, str], ...] = ()


@dataclass
class ShownRequest:
    """What was read of a request. Times are in seconds since 1970.

    :param read_at: time of the last reading that succeeded, None before it.
    :param error: why the last one failed.
    :param table: its tiles.
    :param partly: the tiles are still being read.
    :param revision: grows with each change.
    :param course: share and cost of v1, whose requests say neither, as the tiles were read here.
    :param tiles_error: why the tiles could not be read, although the request could.
    """

    job: Snapshot | None = None
    payload: Any = None
    area: list[Ring] = field(default_factory=list)
    read_at: float | None = None
    error: str = ""
    table: TileTable | None = None
    course: list[CoursePoint] = field(default_factory=list)
    tiles_at: float | None = None
    tiles_error: str = ""
    partly: bool = False
    revision: int = 0
    reading: bool = False


def read_request(hook: Reads, source: RequestSource, known: ShownRequest, now: float) -> None:
    """Read the request into what is known of it.

    :param now: seconds since 1970.
    :raises SentinelHubError: it cannot be read.
    """
    known.job, body = hook.run(exchange(_with_body(source), PATIENCE))
    known.read_at, known.error = now, ""
    known.payload, known.area = hidden(body), area_rings(body, Placer())


def tiles_of(hook: Reads, source: RequestSource, known: ShownRequest) -> Iterator[TileTable]:
    """The tiles of a request that was read: all of them at last, and before that those that were read so far.

    :raises SentinelHubError: they cannot be read, or not yet.
    """
    return _TILES[generation(source.batch_api).results](hook, source, known)


def _with_body(source: RequestSource) -> Call[tuple[Snapshot, Any]]:
    """The call for the request, whose reply is read both as a `Snapshot` and as it is."""
    call = generation(source.batch_api).get(source.request_id)
    parse = call.parse
    return Call(call.method, call.path, lambda body: (parse(body), body), call.query, repeatable=True, about=call.about)


def point_of(table: TileTable, now: float) -> CoursePoint:
    """Share and cost by the tiles: v1 says neither of a request; the cost is unknown if a tile done has none."""
    done, costs = table.counts().get("PROCESSED", 0), [cost for cost in table.costs if cost is not None]
    return now, done / len(table.names) if table.names else None, sum(costs) if costs and len(costs) == done else None


def _listed(hook: Reads, source: RequestSource, known: ShownRequest) -> Iterator[TileTable]:
    """The tiles of v1, as they are read page by page."""
    assert known.job is not None
    placer, table, walk = Placer(), TileTable(), Walk()
    paths = output_paths(known.payload) if isinstance(known.payload, dict) else None

    def files(tile: dict[str, Any]) -> dict[str, str] | None:
        try:
            return None if paths is None else paths(tile)
        except ResultsError:  # it has no name: it is shown without its files
            return None

    while not walk.over and len(table.names) < MOST_TILES:
        call = v1.list_tiles(source.request_id, viewtoken=walk.token)
        page = hook.run(exchange(call, PATIENCE))
        for tile in page.items:
            done = str(tile.get("status")) == "PROCESSED"
            table.add(
                str(tile.get("name") or tile.get("id")),
                str(tile.get("status")),
                placer.rings(tile.get("geometry")),
                cost=spent([tile]) if done else None,
                paths=files(tile) if done else None,
            )
        walk.turn(call, page)
        if not walk.over and len(table.names) % EVERY == 0:
            yield replace(
                table,
                names=list(table.names),
                statuses=list(table.statuses),
                costs=list(table.costs),
                rings=list(table.rings),
                paths=list(table.paths),
            )
    yield table


def _in_bucket(hook: Reads, source: RequestSource, known: ShownRequest) -> Iterator[TileTable]:
    """The tiles of v2, from the manifest and the execution database."""
    assert known.job is not None
    placer, table = Placer(), TileTable()
    with results_of(known.job, bucket_reader(source.aws_conn_id, hook.settings)) as results:
        outlines: Mapping[str, Any] = results.outlines()
        for feature in results.features():
            crs, rings = outlines.get(feature.name, (None, ()))
            placed = [ring for points in rings if crs is not None and (ring := placer.ring(points, crs))]
            item = feature.as_tile()
            table.add(
                feature.name,
                feature.tile_status,
                placed,
                error=item.get("error"),
                paths=item["paths"] if feature.tile_status == "PROCESSED" else None,
            )
            if len(table.names) >= MOST_TILES:
                break
    yield table


_SHOWN = {"OK": "PROCESSED", "FAILED": "FAILED", "PENDING": "PENDING"}
"""The status of a tile that a feature is shown with, by its own."""


def _features(hook: Reads, source: RequestSource, known: ShownRequest) -> Iterator[TileTable]:
    """The features of batch statistical: those of the GeoPackage, and what became of them."""
    assert known.job is not None
    placer, table = Placer(), TileTable()
    results = results_of_request(known.payload, bucket_reader(source.aws_conn_id, hook.settings))
    expected = results.expected or {}
    if results.reason and not known.job.status.is_final:
        raise ResultsError(f"which features there are is not known: {results.reason}")
    outlines: Mapping[str, Any] = results.outlines()
    if known.job.status.is_final and len(expected) <= MOST_FILES:
        items = [(found.identifier, _SHOWN[found.status], found.url, found.why) for found in results.features()]
    else:
        there = set(results.urls())
        urls = ((identifier, results.url_of(number, identifier)) for number, identifier in expected.items())
        without = ("FAILED", MISSING) if known.job.status.is_successful else ("PENDING", None)
        items = [
            (name, "PROCESSED", url, None) if url in there else (name, without[0], url, without[1])
            for name, url in urls
        ]
    for name, status, url, error in items:
        crs, rings = outlines.get(name, (None, ()))
        placed = [ring for points in rings if crs is not None and (ring := placer.ring(points, crs))]
        table.add(name, status, placed, error=error, paths={"statistics": url} if status == "PROCESSED" else None)
    yield table


_TILES: dict[str, Callable[[Reads, RequestSource, ShownRequest], Iterator[TileTable]]] = {
    "listed": _listed,
    "bucket": _in_bucket,
    "features": _features,
}
"""How tiles are read, by the value of `Generation.results`."""


def request_view(source: RequestSource, known: ShownRequest, kept: Progress | None = None) -> dict[str, Any]:
    """What is shown of a request, as plain JSON without a secret.

    :param known: what was read here.
    :param kept: what a task has read of it, if a task has.
    """
    job = dict(kept.job) if kept is not None else {}
    read_at = kept.read_at if kept is not None else None
    here = known.job is not None and known.read_at is not None and known.read_at > (read_at or 0)
    if here and known.job is not None:
        job, read_at = {**job, **members_of(known.job, known.job.share_done)}, known.read_at
    mark = mark_of(str(job.get("description") or ""))
    counts = known.table.counts() if known.table is not None and not known.partly else None
    return {
        "id": source.request_id,
        "batch_api": source.batch_api,
        "things": things_of(source.batch_api),
        "conn_id": source.conn_id,
        "job": job,
        "read_at": read_at,
        "by_task": kept is not None and not here,
        "unknown_since": kept.unknown_since if kept is not None else None,
        "why": kept.why if kept is not None else "",
        "error": known.error,
        "reading": known.reading,
        "states": [list(state) for state in kept.states] if kept is not None else [],
        "course": [list(point) for point in _course(kept, known)],
        "counts": counts or (kept.counts if kept is not None else None),
        "budget": kept.budget if kept is not None and kept.budget else mark.limit if mark is not None else None,
        "every": kept.every if kept is not None else None,
        "final_cost": None,
        "marker": None if mark is None else str(mark),
        "payload": known.payload,
        "tiles": {
            "revision": known.revision,
            "number": None if known.table is None else len(known.table.names),
            "read_at": known.tiles_at,
            "partly": known.partly,
            "error": known.tiles_error,
        },
    }


def things_of(batch_api: str) -> str:
    """What a job of this generation is divided into: `tiles` or `features`. A page shows unknown generations, too."""
    return generation(batch_api).pricing.things if batch_api in NAMES else "tiles"


def _course(kept: Progress | None, known: ShownRequest) -> list[CoursePoint]:
    """Share and cost over time: what the task has read, or where that says neither (v1), what the page has."""
    course = kept.course if kept is not None else []
    return course if any(share is not None or cost is not None for _, share, cost in course) else known.course
