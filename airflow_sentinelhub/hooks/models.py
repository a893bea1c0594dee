# No `from __future__ import annotations` here: the annotations are read at run time (`_json.py`).
# ruff: noqa: UP007, UP045
"""The service's objects as dataclasses, with the names of the vendor's client.

`from_dict`, `from_json`, `to_dict`, `to_json` and `schema` come from `_json.py`. `other_data` stores members that this
version does not know, and `to_dict` writes them back. An unknown status is read as it is (`statuses.py`). A
request must have an id and a status; any other member that is missing or has a wrong type is read as None or as empty.
"""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Optional, TypeVar, Union

from airflow_sentinelhub.api.areas import BBox, Geometry, bbox_of, bounds_of, geometry_of
from airflow_sentinelhub.api.decoding import id_in, number, read_time, status_in, text, whole, word
from airflow_sentinelhub.api.service.v2 import place_of
from airflow_sentinelhub.api.statuses import (
    BatchRequestStatus,
    BatchTileStatus,
    BatchUserAction,
    StoppedStatusReason,
    status_word,
)
from airflow_sentinelhub.exceptions import (
    InvalidInputError,
    JobFailedError,
    NoEvalscriptError,
    SettingsError,
    one_line,
)
from airflow_sentinelhub.hooks._json import JsonModel, config

__all__ = [
    "BaseBatchRequest",
    "BaseCollection",
    "BatchCollection",
    "BatchCollectionAdditionalData",
    "BatchCollectionBatchData",
    "BatchProcessRequest",
    "BatchRequest",
    "BatchRequestStatus",
    "BatchStatisticalRequest",
    "BatchTileStatus",
    "BatchUserAction",
    "StoppedStatusReason",
]

if TYPE_CHECKING:
    _TextInSchema = datetime
else:
    _TextInSchema = str
"""A time that `schema()` reads and writes as a text: the vendor's classes declare it as one."""
E = TypeVar("E")  # an enumeration
R = TypeVar("R", bound="BaseBatchRequest")


def write_time(time: Union[datetime, str, None]) -> Optional[str]:
    """The time as the service writes it. One without a zone is UTC; a text that was set stays as it is."""
    if not isinstance(time, datetime):
        return time or None
    return time.isoformat().replace("+00:00", "") + ("Z" if not time.utcoffset() else "")


def _time() -> dict[str, Any]:
    return config(encoder=write_time, decoder=read_time)


def _word(enumeration: type[E]) -> dict[str, Any]:
    return config(
        encoder=lambda value: None if value is None else str(value),
        decoder=lambda value: word(enumeration, value),
        exclude=lambda value: value is None,
    )


def _named(name: str) -> dict[str, Any]:
    return config(field_name=name)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _share(value: Any) -> float:
    return number(value) or 0


class BaseBatchRequest(JsonModel):
    """Base of the requests of all generations, with the vendor's name."""

    generation: ClassVar[str]
    _needed: ClassVar[dict[str, Callable[[Any], Any]]]
    """Members that `from_dict` always sets, and the function that reads each; it gets None for a missing member."""
    _allowed: ClassVar[dict[str, Callable[[Any], Any]]]
    """Members that `from_dict` reads only if they are there, and the function that reads each."""

    request_id: str
    status: BatchRequestStatus
    error: Optional[str]

    @classmethod
    def from_dict(cls: type[R], kvs: Any, *, infer_missing: bool = False) -> R:
        """The request in decoded JSON.

        :raises ValueError: the JSON has no id or no status.
        """
        if isinstance(kvs, cls):
            return kvs
        id_in(kvs)
        status_in(kvs)
        needed = {name: read(kvs.get(name)) for name, read in cls._needed.items()}
        allowed = {name: read(kvs[name]) for name, read in cls._allowed.items() if name in kvs}
        return super().from_dict({**kvs, **needed, **allowed}, infer_missing=infer_missing)

    def _process(self) -> dict[str, Any]:
        """The part of the request in the format of the Process API; its place depends on the generation."""
        return {}

    @property
    def evalscript(self) -> str:
        """The evalscript.

        :raises NoEvalscriptError: the request has none; a KeyError too, as the vendor's client raises.
        """
        script = self._process().get("evalscript")
        if not isinstance(script, str):
            raise NoEvalscriptError(f"Batch request {self.request_id} has no evalscript.")
        return script

    @property
    def bbox(self) -> Optional[BBox]:
        """The bounding box with its CRS, None if the area is not a bounding box.

        :raises InvalidInputError: there is one, but it is no four numbers; a ValueError, as the vendor's client raises.
        """
        found, given = bbox_of(self._process()), bounds_of(self._process()).get("bbox")
        if found is None and given is not None:
            raise InvalidInputError(f"The bounding box of batch request {self.request_id} is no four numbers.")
        return found

    @property
    def geometry(self) -> Optional[Geometry]:
        """The geometry with its CRS, None if the area is not a geometry."""
        return geometry_of(self._process())

    def raise_for_status(
        self,
        status: Union[str, BatchRequestStatus, Iterable[Union[str, BatchRequestStatus]]] = BatchRequestStatus.FAILED,
    ) -> None:
        """Raise an error if the request has this status, or one of these statuses.

        :raises JobFailedError: it has; a RuntimeError too, as the vendor's client raises.
        :raises InvalidInputError: what is given is no status.
        """
        given = [status] if isinstance(status, (str, Enum)) else list(status)
        if self.status in [self._a_status(one) for one in given]:
            reason = f' and says: "{self.error}"' if self.error else ""
            raise JobFailedError(
                f"Batch request {self.request_id} is {self.status}{reason}.", request_id=self.request_id
            )

    def _a_status(self, given: Any) -> BatchRequestStatus:
        """The status that is given as a word, or as a member of our enumeration or the vendor's.

        :raises InvalidInputError: there is no such status. An unknown word is accepted if the request has it.
        """
        name = status_word(given)
        if name not in BatchRequestStatus.__members__ and name != self.status:
            known = ", ".join(BatchRequestStatus.__members__)
            raise InvalidInputError(f"{one_line(name, 100)!r} is not a valid BatchRequestStatus; there are {known}.")
        return BatchRequestStatus(name)


def _short(request: BaseBatchRequest, *names: str) -> str:
    members = [
        f"{name}={one_line(str(getattr(request, name)), 200)}" for name in names if getattr(request, name) is not None
    ]
    return f"{type(request).__name__}({', '.join(members)}, ...)"


@dataclass(repr=False)
class BatchRequest(BaseBatchRequest):
    """A batch request of v1. `value_estimate` (PU) lacks the batch factor: the real cost is about a third of it."""

    generation: ClassVar[str] = "v1"
    _needed: ClassVar[Any] = {"processRequest": _object, "tileCount": whole}
    _allowed: ClassVar[Any] = {
        **dict.fromkeys(("userId", "bucketName", "description", "error"), text),
        **dict.fromkeys(("tilingGrid", "output"), _object),
        **dict.fromkeys(("tileWidthPx", "tileHeightPx"), whole),
        "valueEstimate": number,
    }

    request_id: str = field(metadata=_named("id"))
    process_request: dict  # type: ignore[type-arg]
    tile_count: Optional[int]
    status: BatchRequestStatus = field(metadata=_word(BatchRequestStatus))
    user_id: Optional[str] = None
    created: Optional[datetime] = field(metadata=_time(), default=None)
    tiling_grid: dict = field(default_factory=dict)  # type: ignore[type-arg]
    output: dict = field(default_factory=dict)  # type: ignore[type-arg]
    bucket_name: Optional[str] = None
    description: Optional[str] = None
    value_estimate: Optional[float] = None
    tile_width_px: Optional[int] = None
    tile_height_px: Optional[int] = None
    user_action: Optional[BatchUserAction] = field(metadata=_word(BatchUserAction), default=None)
    user_action_updated: Optional[_TextInSchema] = field(metadata=_time(), default=None)
    error: Optional[str] = None
    other_data: dict[str, Any] = field(default_factory=dict)

    def _process(self) -> dict[str, Any]:
        return self.process_request

    def __repr__(self) -> str:
        names = ("request_id", "description", "bucket_name", "created", "status", "user_action")
        return _short(self, *names, "value_estimate", "tile_count")


@dataclass(repr=False)
class BatchProcessRequest(BaseBatchRequest):
    """A batch task of v2. `cost_PU` is its cost so far in PU."""

    generation: ClassVar[str] = "v2"
    _needed: ClassVar[Any] = {"request": _object, "domainAccountId": text, "completionPercentage": _share}
    _allowed: ClassVar[Any] = {"error": text, "costPU": number}

    request_id: str = field(metadata=_named("id"))
    request: dict  # type: ignore[type-arg]
    domain_account_id: Optional[str]
    status: BatchRequestStatus = field(metadata=_word(BatchRequestStatus))
    error: Optional[str] = None
    user_action: Optional[BatchUserAction] = field(metadata=_word(BatchUserAction), default=None)
    user_action_updated: Optional[datetime] = field(metadata=_time(), default=None)
    created: Optional[datetime] = field(metadata=_time(), default=None)
    completion_percentage: float = 0
    last_updated: Optional[datetime] = field(metadata=_time(), default=None)
    cost_PU: Optional[float] = field(metadata=_named("costPU"), default=None)
    stopped_status_reason: Optional[StoppedStatusReason] = field(metadata=_word(StoppedStatusReason), default=None)
    other_data: dict[str, Any] = field(default_factory=dict)

    def _process(self) -> dict[str, Any]:
        return _object(self.request.get("processRequest"))

    @property
    def description(self) -> Optional[str]:
        return text(self.request.get("description"))

    @property
    def output_url(self) -> Optional[str]:
        """The place of the results that the request names; None if it names none."""
        return place_of(self.request)

    def __repr__(self) -> str:
        return _short(self, "request_id", "created", "status", "completion_percentage", "user_action", "cost_PU")


@dataclass(repr=False)
class BatchStatisticalRequest(BaseBatchRequest):
    """A batch statistical request. `cost_pu` is its cost so far in PU."""

    generation: ClassVar[str] = "statistical"
    _needed: ClassVar[Any] = {"request": _object, "completionPercentage": _share}
    _allowed: ClassVar[Any] = {"userId": text, "error": text, "costPU": number}

    request_id: str = field(metadata=_named("id"))
    completion_percentage: float
    request: dict  # type: ignore[type-arg]
    status: BatchRequestStatus = field(metadata=_word(BatchRequestStatus))
    user_id: Optional[str] = None
    created: Optional[datetime] = field(metadata=_time(), default=None)
    cost_pu: Optional[float] = field(metadata=_named("costPU"), default=None)
    user_action: Optional[BatchUserAction] = field(metadata=_word(BatchUserAction), default=None)
    user_action_updated: Optional[_TextInSchema] = field(metadata=_time(), default=None)
    error: Optional[str] = None
    other_data: dict[str, Any] = field(default_factory=dict)

    def _process(self) -> dict[str, Any]:
        aggregation = _object(self.request.get("aggregation"))
        return {"input": _object(self.request.get("input")), "evalscript": aggregation.get("evalscript")}

    def __repr__(self) -> str:
        return _short(
            self, "request_id", "created", "status", "user_action", "cost_pu", "error", "completion_percentage"
        )


@dataclass
class BatchCollectionBatchData(JsonModel):
    """The `batchData` of a batch collection."""

    tiling_grid_id: Optional[int] = None
    other_data: dict[str, Any] = field(default_factory=dict)


@dataclass
class BatchCollectionAdditionalData(JsonModel):
    """The `additionalData` of a batch collection."""

    bands: Optional[dict[str, Any]] = None
    other_data: dict[str, Any] = field(default_factory=dict)


class BaseCollection(JsonModel):
    """Base of the collections, with the vendor's name."""

    name: str
    additional_data: Optional[BatchCollectionAdditionalData]
    collection_id: Optional[str]

    def to_data_collection(self) -> Any:
        """The collection as a `DataCollection` of the vendor's library, by its id and the names of its bands.

        :raises InvalidInputError: the collection has no id.
        :raises SettingsError: the vendor's library is not installed.
        """
        if self.collection_id is None:
            raise InvalidInputError(f"The collection {one_line(self.name, 100)!r} has no id yet; create it first.")
        try:
            vendor = importlib.import_module("sentinelhub")
        except ImportError:
            raise SettingsError(
                "to_data_collection needs the vendor's library, which is not installed here: pip install sentinelhub."
            ) from None
        bands = self.additional_data.bands if self.additional_data else None
        return vendor.DataCollection.define_byoc(
            collection_id=self.collection_id, bands=tuple(bands) if bands else None
        )


@dataclass
class BatchCollection(BaseCollection):
    """A batch collection of v1: a data set that batch requests write, and its bucket."""

    name: str
    s3_bucket: str
    additional_data: Optional[BatchCollectionAdditionalData] = None
    collection_id: Optional[str] = field(metadata=_named("id"), default=None)
    user_id: Optional[str] = None
    created: Optional[datetime] = field(metadata=_time(), default=None)
    no_data: Optional[Union[int, float]] = None
    other_data: dict[str, Any] = field(default_factory=dict)
    batch_data: Optional[BatchCollectionBatchData] = field(
        metadata=config(exclude=lambda value: value is None), default=None
    )
