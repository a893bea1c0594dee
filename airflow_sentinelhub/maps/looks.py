"""How a status looks on a map: a word, a colour and a pattern, so that none of them has to be told apart alone.

The pages have the same in `ui/src/looks.ts`; a test compares both.
"""

from __future__ import annotations

from typing import NamedTuple


class StatusLook(NamedTuple):
    """The look of a status.

    :param label: in words.
    :param colour: as `#rrggbb`, on a light ground.
    :param pattern: `full`, `stripes`, `cross`, `dots` or `none`.
    """

    label: str
    colour: str
    pattern: str


LOOKS = {
    "PROCESSED": StatusLook("done", "#2a9d78", "full"),
    "PROCESSING": StatusLook("in work", "#3d8fd1", "stripes"),
    "FAILED": StatusLook("failed", "#c8501e", "cross"),
    "QUEUED": StatusLook("queued", "#8ea3b8", "dots"),
    "SCHEDULED": StatusLook("scheduled", "#8ea3b8", "dots"),
    "PENDING": StatusLook("waiting", "#b3bcc6", "none"),
}
PLANNED = StatusLook("planned", "#3d8fd1", "none")
"""Of a tile without a status: nothing was sent."""
UNKNOWN_COLOUR = "#8d6fb8"


def look(status: str | None) -> StatusLook:
    """The look of a tile's status, of one that is not known here too.

    :param status: None before anything is sent.
    """
    if status is None:
        return PLANNED
    return LOOKS.get(status) or StatusLook(status.lower(), UNKNOWN_COLOUR, "dots")
