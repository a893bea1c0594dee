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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from airflow_sentinelhub._compat import AirflowException
from airflow_sentinelhub.api.flows.progress import course_with
from airflow_sentinelhub.api.tile_table import TileTable
from airflow_sentinelhub.exceptions import SentinelHubError, SettingsError, one_line
from airflow_sentinelhub.hooks.job_map import RequestSource, ShownRequest, point_of, read_request, tiles_of
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.redaction import redacted

AGAIN = 30.0
"""Seconds between two readings of the same request, for all users together; after a failure, too."""
LASTING = 600.0
"""The same for a request that has ended."""
SHARE = 5.0
"""A reading that took long is repeated after so many times its duration: a list of 1,000 pages is not read all day."""
FORGOTTEN = 120.0
"""Seconds after the last look at a page for which its list of tiles is still read on."""
MOST_KEPT = 16
"""Requests that are kept; the one whose page was opened least recently is dropped first."""
_log = logging.getLogger(__name__)


class Readings:
    """The readings of an api-server.

    :param clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: OrderedDict[RequestSource, ShownRequest] = OrderedDict()
        self._again: dict[RequestSource, float] = {}
        self._looked: dict[RequestSource, float] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="sentinelhub-page")

    def of(self, source: RequestSource) -> ShownRequest:
        """What is known of the request now. It is read again, beside this, if that is due."""
        with self._lock:
            if source not in self._known:
                # Not from 0: a request that was forgotten meanwhile must not come to an older revision's number.
                self._known[source] = ShownRequest(revision=int(self._clock() * 1000))
            known = self._known[source]
            self._known.move_to_end(source)
            self._looked[source] = self._clock()
            while len(self._known) > MOST_KEPT:
                forgotten, _ = self._known.popitem(last=False)
                for kept in (self._again, self._looked):
                    kept.pop(forgotten, None)
            due = not known.reading and self._clock() >= self._again.get(source, 0.0)
            known.reading = known.reading or due
        if due:
            self._threads.submit(self._read, source, known)
        return replace(known)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, source: RequestSource, known: ShownRequest) -> None:
        began = self._clock()
        try:
            self._read_all(source, known)
        finally:
            now = self._clock()
            whole = not (known.error or known.tiles_error or known.partly)
            over = known.job is not None and known.job.status.is_final and whole
            with self._lock:
                known.reading = False
                self._again[source] = now + max(LASTING if over else AGAIN, SHARE * (now - began))
                known.revision += 1

    def _read_all(self, source: RequestSource, known: ShownRequest) -> None:
        try:
            hook = hook_of(source)
            read_request(hook, source, known, self._clock())
        except (SentinelHubError, AirflowException) as err:
            known.error = plain(err)
            return
        except Exception as err:
            _log.exception("Reading batch request %s for its page broke off", source.request_id)
            known.error = f"Reading it broke off ({type(err).__name__})."
            return
        known.revision += 1
        self._read_tiles(hook, source, known)

    def _read_tiles(self, hook: SentinelHubHook, source: RequestSource, known: ShownRequest) -> None:
        try:
            table: TileTable | None = None
            for table in tiles_of(hook, source, known):
                if known.table is None or known.partly:
                    known.table, known.tiles_at, known.partly = table, self._clock(), True
                    known.revision += 1
                if self._clock() - self._looked.get(source, 0.0) > FORGOTTEN:
                    return  # no page is open any more; what was read stays marked as a part
            if table is not None:
                known.table, known.tiles_at = table, self._clock()
            known.partly = False
            known.tiles_error = ""
            if known.table is not None and known.job is not None and known.job.share_done is None:
                known.course = course_with(known.course, point_of(known.table, self._clock()))
        except (SentinelHubError, AirflowException) as err:
            known.tiles_error = plain(err)
        except Exception as err:
            _log.exception("Reading the tiles of batch request %s for its page broke off", source.request_id)
            known.tiles_error = f"Reading the tiles broke off ({type(err).__name__})."


def hook_of(source: RequestSource) -> SentinelHubHook:
    """The connection as it is now. What a task has written down never sends its credentials to another address.

    :raises SettingsError: the connection names another deployment by now.
    """
    hook = SentinelHubHook(source.conn_id)
    there, here = dict(source.place).get("base_url"), hook.settings.base_url
    if there is not None and there != here:
        about = f"Batch request {source.request_id}" if source.request_id else "This account"
        raise SettingsError(f"{about} is at {there}, and connection {source.conn_id} names {here} by now.")
    return hook


def plain(err: Exception) -> str:
    """An error as one line without secrets."""
    return redacted(one_line(str(err), 1_000))
