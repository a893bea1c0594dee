"""The lists of accounts for the page of all jobs: read while somebody looks, beside the page, and kept for minutes."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from airflow_sentinelhub._compat import AirflowException
from airflow_sentinelhub.api.decide.costs import month_of
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.hooks.account import Account, account_of
from airflow_sentinelhub.hooks.job_map import RequestSource
from airflow_sentinelhub.web.reading import MOST_KEPT, SHARE, hook_of, plain

AGAIN = 300.0
"""Seconds between two readings of the same account, for all users together; after a failure, too."""
MOST_ACCOUNTS = 8
"""Connections whose lists a viewer is shown; those of the newest jobs. Viewers may read different DAGs."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AccountReading:
    """What is known of an account's lists.

    :param account: as it was read last.
    :param read_at: when, in seconds since 1970. None before the first time.
    :param error: why the last reading failed.
    :param reading: it is being read now.
    """

    conn_id: str
    account: Account | None = None
    read_at: float | None = None
    error: str = ""
    reading: bool = False


class Accounts:
    """The lists that an api-server has read.

    :param clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known: OrderedDict[RequestSource, AccountReading] = OrderedDict()
        self._again: dict[RequestSource, float] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="sentinelhub-accounts")

    def of(self, sources: Iterable[RequestSource]) -> list[AccountReading]:
        """What is known now of the accounts that these requests are on. Lists are read again, beside this, if due."""
        wanted = list(dict.fromkeys(RequestSource("", "", source.conn_id, None, source.place) for source in sources))
        del wanted[MOST_ACCOUNTS:]
        due = []
        with self._lock:
            for source in wanted:
                known = self._known.get(source, AccountReading(source.conn_id))
                if not known.reading and self._clock() >= self._again.get(source, 0.0):
                    known = replace(known, reading=True)
                    due.append(source)
                self._known[source] = known
                self._known.move_to_end(source)
            while len(self._known) > MOST_KEPT:
                forgotten, _ = self._known.popitem(last=False)
                self._again.pop(forgotten, None)
        for source in due:
            self._threads.submit(self._read, source)
        with self._lock:
            return [self._known[source] for source in wanted if source in self._known]

    def _read(self, source: RequestSource) -> None:
        began, error, account = self._clock(), "", None
        try:
            account = account_of(hook_of(source), month_of(began))
        except (SentinelHubError, AirflowException) as err:
            error = plain(err)
        except Exception as err:
            _log.exception("Reading the lists of connection %s for the page of all jobs broke off", source.conn_id)
            error = f"Reading it broke off ({type(err).__name__})."
        now = self._clock()
        with self._lock:
            before = self._known.get(source, AccountReading(source.conn_id))
            read_at = before.read_at if account is None else now
            self._known[source] = AccountReading(source.conn_id, account or before.account, read_at, error)
            self._again[source] = now + max(AGAIN, SHARE * (now - began))
