"""The service's words for states, as enums that also carry words we have never heard of."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

W = TypeVar("W", bound="_Word")


class _Word(str, Enum):
    """An open enum: an unknown word becomes a member of its own (`known` is False) instead of an error.

    A waiting task must survive a status that the service adds one day.
    """

    @classmethod
    def _missing_(cls: type[W], value: object) -> W | None:
        if not isinstance(value, str) or not value:
            return None
        word = str.__new__(cls, value)
        word._name_ = word._value_ = value
        return cls._value2member_map_.setdefault(value, word)  # type: ignore[return-value]

    @property
    def known(self) -> bool:
        return self.name in type(self).__members__

    def __str__(self) -> str:
        return str(self._value_)

    def __format__(self, wanted: str) -> str:
        return format(self._value_, wanted)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same word, as a text or as a member of our enumeration or of the vendor's."""
        if other.__class__ is self.__class__:
            return other is self  # each word has one member; waits compare some twenty times a reading
        if isinstance(other, Enum) and not isinstance(other, str):
            return type(other).__name__ == type(self).__name__ and other.value == self._value_
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__  # members of the vendor's have the same one: that of their name, which is the word

    def __reduce_ex__(self, proto: Any) -> Any:
        return type(self), (self._value_,)


def status_word(status: Any) -> str:
    """The word of a status that is given as a text or as a member of an enumeration, ours or the vendor's."""
    return str(getattr(status, "value", status))


class BatchRequestStatus(_Word):
    """Status of a batch request. PARTIAL and CANCELED belong to v1, STOPPED to v2 and statistical."""

    CREATED = "CREATED"
    ANALYSING = "ANALYSING"
    ANALYSIS_DONE = "ANALYSIS_DONE"
    PROCESSING = "PROCESSING"
    DONE = "DONE"
    FAILED = "FAILED"
    PARTIAL = "PARTIAL"
    CANCELED = "CANCELED"
    STOPPED = "STOPPED"

    @property
    def is_final(self) -> bool:
        """Nothing moves any more unless somebody acts. ANALYSIS_DONE is not final: it may be on its way."""
        return self._value_ in ("DONE", "PARTIAL", "FAILED", "CANCELED", "STOPPED")  # the property `value` is slow

    @property
    def is_successful(self) -> bool:
        """The service says that all is done. On v2 single features may have failed all the same."""
        return self.value == "DONE"

    @property
    def is_active(self) -> bool:
        """The service is at work (and, in PROCESSING, bills)."""
        return self.value in ("ANALYSING", "PROCESSING")


class BatchUserAction(_Word):
    """The last action of a user. It moves at once, `status` follows later."""

    NONE = "NONE"
    ANALYSE = "ANALYSE"
    START = "START"
    CANCEL = "CANCEL"
    STOP = "STOP"


class StoppedStatusReason(_Word):
    """Why a v2 or statistical request is STOPPED."""

    OUT_OF_PU = "OUT_OF_PU"
    USER_ACTION = "USER_ACTION"
    UNHEALTHY = "UNHEALTHY"


class BatchTileStatus(_Word):
    """Status of one tile of a v1 request."""

    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    PROCESSED = "PROCESSED"
    FAILED = "FAILED"

    @property
    def is_final(self) -> bool:
        return self.value in ("PROCESSED", "FAILED")

    @property
    def is_successful(self) -> bool:
        return self.value == "PROCESSED"

    @property
    def is_active(self) -> bool:
        return self.value in ("SCHEDULED", "QUEUED", "PROCESSING")


REQUEST_STATUSES = tuple(str(status) for status in BatchRequestStatus.__members__.values())
TILE_STATUSES = tuple(str(status) for status in BatchTileStatus.__members__.values())
FEATURE_STATUSES = ("OK", "FAILED", "PENDING")
"""The words that we know, for what a user may ask for."""
