"""The generations of the service behind one set of names, for flows that serve all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_sentinelhub.api import batch, batch_v2, statistical
from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.exceptions import InvalidInputError


@dataclass(frozen=True)
class Generation:
    """Endpoints of one generation.

    :param end: cancels (v1, final) or stops (v2); :param end_word: what that is called.
    :param search: whether the list can be searched for a word of the description.
    :param estimates: whether an analysed request says what it will cost.
    :param update, delete, restart: None where the service has no such call.
    """

    name: str
    create: Callable[[dict[str, Any]], Call[Any]]
    get: Callable[[str], Call[Any]]
    list: Callable[..., Call[Any]]
    analyse: Callable[[str], Call[None]]
    start: Callable[[str], Call[None]]
    end: Callable[[str], Call[None]]
    end_word: str
    search: bool
    estimates: bool = False
    update: Callable[[str, dict[str, Any]], Call[Any]] | None = None
    delete: Callable[[str], Call[None]] | None = None
    restart: Callable[[str], Call[None]] | None = None


V1 = Generation(
    name="v1",
    create=batch.create,
    get=batch.get_request,
    list=batch.list_requests,
    analyse=batch.analyse,
    start=batch.start,
    end=batch.cancel,
    end_word="cancel",
    search=True,
    estimates=True,
    update=batch.update_request,
    delete=batch.delete_request,
    restart=batch.restart_partial,
)
V2 = Generation(
    name="v2",
    create=batch_v2.create,
    get=batch_v2.get_request,
    list=batch_v2.list_requests,
    analyse=batch_v2.analyse,
    start=batch_v2.start,
    end=batch_v2.stop,
    end_word="stop",
    search=False,
    update=batch_v2.update_request,
)
STATISTICAL = Generation(
    name="statistical",
    create=statistical.create_described,
    get=statistical.get_request,
    list=statistical.list_requests,
    analyse=statistical.analyse,
    start=statistical.start,
    end=statistical.stop,
    end_word="stop",
    search=False,
)
_BY_NAME = {"v1": V1, "v2": V2, "statistical": STATISTICAL}


def generation(name: str) -> Generation:
    """The generation called `v1`, `v2` or `statistical`."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise InvalidInputError(f"batch_api must be one of {', '.join(_BY_NAME)}, not {name!r}.") from None


def others(name: str) -> tuple[str, ...]:
    """The generations of the same service in which a task may have made its request before `batch_api` was edited."""
    return tuple(other for other in ("v1", "v2") if other != name) if name in ("v1", "v2") else ()
