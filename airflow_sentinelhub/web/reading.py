"""What the page reads itself, of the service and the bucket: only while somebody looks, cached, and one at a time.

All viewers of an api-server share one reading of a request. A reading runs in a thread of its own, so that no page
waits for the service: the page gets what is known, and since when, and asks again. Calls go through the client, the
token and the gate of the process, as those of a worker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_sentinelhub._compat import AirflowException
from airflow_sentinelhub.api.call import Call, Patience, exchange
from airflow_sentinelhub.api.decide.verdict import spent
from airflow_sentinelhub.api.paging import Walk
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.tile_table import Placer, Ring, TileTable, area_rings
from airflow_sentinelhub.api.tiles import output_paths
from airflow_sentinelhub.exceptions import SentinelHubError, SettingsError, one_line
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook, reader_now
from airflow_sentinelhub.hooks.storage import results_of
from airflow_sentinelhub.redaction import payload_without_secrets, redacted

AGAIN = 30.0
"""Seconds between two readings of the same, whoever looks; after a failure, too."""
LASTING = 600.0
"""The same for a request that has ended."""
SHARE = 5.0
"""A reading that took long is repeated after so many times its duration: a list of 1,000 pages is not read all day."""
MOST_KEPT = 16
"""Requests that are kept; the one that nobody has looked at for longest goes first."""
MOST_TILES = 200_000
PATIENCE = Patience(backoff=(1.0,), rate_limited=20.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where a request is read: what the task has written down of it."""

    request_id: str
    batch_api: str
    conn_id: str
    aws_conn_id: str | None = None
    place: tuple[tuple[str, str], ...] = ()


@dataclass
class Known:
    """What was read of a request. Times are in seconds since 1970.

    :param read_at: time of the last reading that succeeded, None before it; :param error: why the last one failed.
    :param table: its tiles; :param partly: the tiles are still being read. :param revision: grows with each change.
    :param tiles_error: why the tiles could not be read, although the request could.
    """

    job: Snapshot | None = None
    payload: Any = None
    area: list[Ring] = field(default_factory=list)
    read_at: float | None = None
    error: str = ""
    table: TileTable | None = None
    tiles_at: float | None = None
    tiles_error: str = ""
    partly: bool = False
    revision: int = 0
    reading: bool = False
    again_at: float = 0.0


class Readings:
    """The readings of an api-server. :param clock: seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: OrderedDict[Source, Known] = OrderedDict()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="sentinelhub-page")

    def of(self, source: Source) -> Known:
        """What is known of the request now. It is read again, beside this, if that is due."""
        with self._lock:
            known = self._known.setdefault(source, Known())
            self._known.move_to_end(source)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
            if not known.reading and self._clock() >= known.again_at:
                known.reading = True
                self._threads.submit(self._read, source, known)
            return replace(known)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, source: Source, known: Known) -> None:
        began = self._clock()
        try:
            self._read_request(source, known)
            self._read_tiles(source, known)
        finally:
            now = self._clock()
            over = known.job is not None and known.job.status.is_final and not known.error and not known.tiles_error
            with self._lock:
                known.reading, known.partly = False, False
                known.again_at = now + max(LASTING if over else AGAIN, SHARE * (now - began))
                known.revision += 1

    def _read_request(self, source: Source, known: Known) -> None:
        try:
            job, body = _hook(source).run(exchange(_with_body(source), PATIENCE))
        except (SentinelHubError, AirflowException) as err:
            known.error = _plain(err)
            return
        except Exception as err:
            _log.exception("Reading batch request %s for its page broke off", source.request_id)
            known.error = f"Reading it broke off ({type(err).__name__})."
            return
        known.job, known.read_at, known.error = job, self._clock(), ""
        known.payload, known.area = payload_without_secrets(body), area_rings(body, Placer())
        known.revision += 1

    def _read_tiles(self, source: Source, known: Known) -> None:
        if known.job is None:
            return
        try:
            for table in _TILES[generation(source.batch_api).results](source, known):
                if known.table is None or len(table.names) >= len(known.table.names):
                    known.table, known.tiles_at, known.partly = table, self._clock(), True
                    known.revision += 1
            known.tiles_error = ""
        except (SentinelHubError, AirflowException) as err:
            known.tiles_error = _plain(err)
        except Exception as err:
            _log.exception("Reading the tiles of batch request %s for its page broke off", source.request_id)
            known.tiles_error = f"Reading the tiles broke off ({type(err).__name__})."


def _hook(source: Source) -> SentinelHubHook:
    """The connection as it is now. What a task has written down never sends its credentials to another address.

    :raises SettingsError: the connection names another deployment by now.
    """
    hook = SentinelHubHook(source.conn_id)
    there, here = dict(source.place).get("base_url"), hook.settings.base_url
    if there is not None and there != here:
        raise SettingsError(
            f"Batch request {source.request_id} is at {there}, and connection {source.conn_id} names {here} by now."
        )
    return hook


def _with_body(source: Source) -> Call[tuple[Snapshot, Any]]:
    """The call for the request, whose reply is read both as a `Snapshot` and as it is."""
    call = generation(source.batch_api).get(source.request_id)
    parse = call.parse
    return Call(call.method, call.path, lambda body: (parse(body), body), call.query, repeatable=True, about=call.about)


def _plain(err: Exception) -> str:
    return redacted(one_line(str(err), 1_000))


def _listed(source: Source, known: Known) -> Iterator[TileTable]:
    """The tiles of v1, as they are read page by page."""
    assert known.job is not None
    hook, placer, table, walk = _hook(source), Placer(), TileTable(), Walk()
    paths = output_paths(known.payload) if isinstance(known.payload, dict) else None
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
                paths=paths(tile) if paths is not None and done else None,
            )
        walk.turn(call, page)
        if not walk.over and len(table.names) % 2_000 == 0:
            yield replace(
                table,
                names=list(table.names),
                statuses=list(table.statuses),
                costs=list(table.costs),
                rings=list(table.rings),
                paths=list(table.paths),
            )
    yield table


def _in_bucket(source: Source, known: Known) -> Iterator[TileTable]:
    """The tiles of v2, from the manifest and the execution database."""
    assert known.job is not None
    placer, table = Placer(), TileTable()
    with results_of(known.job, reader_now(source.conn_id, source.aws_conn_id)) as results:
        outlines: Mapping[str, Any] = results.outlines()
        for feature in results.features():
            crs, rings = outlines.get(feature.name, (None, ()))
            placed = [ring for points in rings if crs is not None and (ring := placer.ring(points, crs))]
            item = feature.as_tile()
            table.add(feature.name, feature.tile_status, placed, error=item.get("error"), paths=item["paths"])
            if len(table.names) >= MOST_TILES:
                break
    yield table


def _none(source: Source, known: Known) -> Iterator[TileTable]:
    return iter(())


_TILES: dict[str, Callable[[Source, Known], Iterator[TileTable]]] = {
    "listed": _listed,
    "bucket": _in_bucket,
    "features": _none,
}
"""How tiles are read, by the value of `Generation.results`."""
