"""Times in what clients send: RFC 3339, read in the same way on each Python."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

# What `datetime.fromisoformat` takes differs: 3.10 wants three or six decimals, later ones take dates by the week.
_TEXT = re.compile(
    r"(?ai)(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)"
)


def parse_time(text: Any) -> datetime | None:
    """A time with date and zone, or None: ``2019-01-31`` alone will not do (contract)."""
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    *parts, second, fraction, sign, hours, minutes = found.groups()
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        zone = timezone(-ahead if sign == "-" else ahead)
        year, month, day, hour, minute = map(int, parts)
        microsecond = int((fraction or "").ljust(6, "0")[:6])
        time = datetime(year, month, day, hour, minute, int(second or 0), microsecond, zone)
    except ValueError:
        return None
    # Further years have no room for another zone or one more interval; there is no data of them anyway.
    return time if 1000 <= time.year <= 9000 else None
