"""When a wait of ours ends, and when Airflow ends it if nothing of ours runs any more."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

BACKSTOP = 300.0
"""Seconds after our own deadline at which Airflow's deferral timeout ends a wait without a running trigger."""
MARGIN_SHARE, MARGIN_MOST = 0.1, 15.0


def deadline_from(
    context: Any, timeout: float | None, execution_timeout: timedelta | None, *, deferring: bool = False
) -> float | None:
    """The absolute end of a wait, in seconds since 1970; None for no end.

    `timeout` (seconds) counts from now, `execution_timeout` from the start of this try, as Airflow counts it. While a
    task is deferred, Airflow 3 ignores `execution_timeout`, and 2.11 ends the wait without a message. So our deadline
    is a tenth of it (at most 15 seconds) earlier, and the behaviour is the same on all versions.
    """
    ends = []
    if timeout is not None:
        ends.append(time.time() + timeout)
    if execution_timeout is not None:
        started = getattr(context["ti"], "start_date", None)
        began = started.timestamp() if isinstance(started, datetime) else time.time()
        allowed = execution_timeout.total_seconds()
        margin = min(allowed * MARGIN_SHARE, MARGIN_MOST) if deferring else 0.0
        ends.append(began + allowed - margin)
    return min(ends) if ends else None


def backstop(deadline: float | None) -> timedelta | None:
    """Airflow's timeout for a deferral, later than our deadline, for the case that no triggerer runs our trigger."""
    return None if deadline is None else timedelta(seconds=max(deadline - time.time(), 0) + BACKSTOP)
