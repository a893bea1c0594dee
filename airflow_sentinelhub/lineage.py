"""Lineage of a job for OpenLineage, as values; `as_openlineage` makes its objects of them, where its provider is there.

Nothing here needs the provider: only its listener asks for lineage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from airflow_sentinelhub._compat.assets import operator_lineage


@dataclass(frozen=True)
class Source:
    """A data collection that a job reads.

    :param name: its id, such as `sentinel-2-l2a`.
    :param begin, end: the time range as it is sent, None for none.
    """

    name: str
    begin: str | None = None
    end: str | None = None

    @property
    def times(self) -> dict[str, str | None]:
        """The members of the facet of the time range; none if neither end is known."""
        known = self.begin is not None or self.end is not None
        return {"begin": self.begin, "end": self.end} if known else {}


@dataclass(frozen=True)
class Lineage:
    """What a job has read and written, and what it has cost.

    :param place: base URL of the deployment; empty where it names no source.
    :param folder: URL of the folder of the results, None if not known.
    :param facts: plain JSON about the run: request, status, cost and counts; None for what is not known.
    """

    place: str
    sources: tuple[Source, ...] = ()
    folder: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


FACTS = (
    *("request_id", "batch_api", "status", "processed", "failed"),
    *("processing_units", "estimated_pu", "expected_pu", "estimated_by", "restarts"),
)


def sources_of(data: Any, times: Any = None) -> tuple[Source, ...]:
    """The collections of the `data` objects of a payload; what is none is left out.

    :param times: the time range of those that have none of their own.
    """
    found = []
    for item in data if isinstance(data, (list, tuple)) else ():
        name = item.get("type") if isinstance(item, Mapping) else None
        chosen = item.get("dataFilter") if isinstance(item, Mapping) else None
        given = chosen.get("timeRange") if isinstance(chosen, Mapping) else None
        given = given or times
        ends = (given.get("from"), given.get("to")) if isinstance(given, Mapping) else (None, None)
        if isinstance(name, str):
            found.append(Source(name, *(None if end is None else str(end) for end in ends)))
    return tuple(found)


def place_in_bucket(folder: str) -> tuple[str, str]:
    """The namespace and the name of a folder, as OpenLineage names what is in a bucket.

    In a bucket `?` and `#` are letters of a path, so it is not read as a URL.
    """
    scheme, _, rest = folder.partition("://")
    bucket, _, path = rest.partition("/")
    return f"{scheme}://{bucket}", path.strip("/") or "/"


def as_openlineage(lineage: Lineage) -> Any:
    """The `OperatorLineage` of the OpenLineage provider, whose listener asks for it.

    Inputs are named by the deployment and the collection, with the time range as a facet; outputs by bucket and path.
    """
    import attrs

    base, dataset = import_module("openlineage.client.generated.base"), import_module("openlineage.client.event_v2")
    times_facet = attrs.make_class(
        "SentinelHubTimeRangeDatasetFacet",
        {"begin": attrs.field(default=None), "end": attrs.field(default=None)},
        bases=(base.DatasetFacet,),
    )
    job_facet = attrs.make_class("SentinelHubJobRunFacet", {"facts": attrs.field(factory=dict)}, bases=(base.RunFacet,))
    inputs = []
    for source in lineage.sources:
        facets = {"sentinelhub_timeRange": times_facet(**source.times)} if source.times else {}
        inputs.append(dataset.InputDataset(namespace=lineage.place, name=source.name, facets=facets))
    outputs = []
    if lineage.folder:
        place, name = place_in_bucket(lineage.folder)
        outputs.append(dataset.OutputDataset(namespace=place, name=name))
    run_facets = {"sentinelhub_job": job_facet(facts=dict(lineage.facts))}
    return operator_lineage()(inputs=inputs, outputs=outputs, run_facets=run_facets)
