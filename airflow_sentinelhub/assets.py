"""Assets: what the events of a job's outlets tell, and the scheme `sentinelhub://` for data collections."""

from __future__ import annotations

import logging
import re
import string
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, quote

from airflow_sentinelhub._compat.assets import asset_of, extra_of_alias, is_alias, is_asset

_log = logging.getLogger(__name__)
TOLD = (
    *("request_id", "batch_api", "status", "processed", "failed"),
    *("expected_pu", "estimated_by", "processing_units"),
)
"""Members of a job's result that an event tells, too."""
_SAFE = "".join(set(string.punctuation) - set("#?%")) + string.ascii_letters + string.digits
"""What a URI of a folder keeps: the others are letters of a path in a bucket, and mean something else in a URI."""
_COLLECTION = re.compile(r"[a-z0-9][a-z0-9._-]*")


def event_extra(result: Mapping[str, Any], folder: str | None) -> dict[str, Any]:
    """What the event of an outlet tells about a job.

    :param result: of the job, as its task returns it.
    :param folder: URL of the folder of its results, if known.
    :return: plain JSON: the members `TOLD`, and `paths`, the folders of the results; none where nothing was processed.
    """
    paths = [folder] if folder and result.get("processed") != 0 else []
    return {**{name: result.get(name) for name in TOLD}, "paths": paths}


def tell_outlets(context: Any, outlets: Iterable[Any] | None, extra: Mapping[str, Any]) -> None:
    """Write the events of a task's outlets: of each asset, and for each alias of the folders of the results.

    :param extra: see `event_extra`.
    """
    events = context.get("outlet_events")
    if events is None:
        return
    for outlet in outlets or ():
        if is_alias(outlet):
            for path in extra["paths"]:
                _add(events, outlet, path, extra)
        elif is_asset(outlet):
            _tell(events, outlet, extra)


def _tell(events: Any, outlet: Any, extra: Mapping[str, Any]) -> None:
    """The job is done and paid: an asset that Airflow cannot look up (`Asset.ref`) is a warning, and no error."""
    try:
        events[outlet].extra = dict(extra)
    except Exception as err:  # Airflow has no common one for what its API server answers
        why = f"{type(err).__name__}: {' '.join(str(err).split())[:300]}"
        _log.warning("The event of %s does not tell about the job, since Airflow does not find it: %s", outlet, why)


def _add(events: Any, alias: Any, path: str, extra: Mapping[str, Any]) -> None:
    """The job is done and paid: a path that Airflow takes for no URI is a warning, and no error of the task."""
    try:
        events[alias].add(asset_of(quote(path, safe=_SAFE)), extra=extra_of_alias(extra))
    except ValueError as err:
        _log.warning("There is no event for %s, since Airflow does not take %s for an asset: %s", alias, path, err)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """A URI of a data collection in its one form, such as `sentinelhub://sentinel-2-l2a`. Airflow calls this.

    :raises ValueError: it names no collection.
    """
    name = uri.netloc.lower()
    if not _COLLECTION.fullmatch(name):
        raise ValueError("URI format sentinelhub:// must contain the id of a data collection: sentinelhub://<id>")
    return SplitResult(uri.scheme, name, uri.path.rstrip("/"), "", "")
