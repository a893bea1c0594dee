"""Estimate the cost of an analysed request: the tiles or features it was divided into, and what its evalscript reads.

Their number and size come from the service (v1), from the feature manifest in the bucket (v2) or from the GeoPackage
(statistical). What cannot be read is an error, which the flow turns into an unknown cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from airflow_sentinelhub.api.decoding import member, whole
from airflow_sentinelhub.api.estimate import Estimate, estimate
from airflow_sentinelhub.api.service.generations import Generation, Json
from airflow_sentinelhub.api.service.statistical import without_note
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.evalscripts import read_setup
from airflow_sentinelhub.exceptions import EstimateError
from airflow_sentinelhub.hooks.storage import results_of
from airflow_sentinelhub.results._sqlite import DatabaseFile
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.feature_sizes import feature_sizes
from airflow_sentinelhub.results.folders import temporary_folder

Sizes = list[tuple[int, int, int]]
_MAIN = "eu-central-1"
_REGIONS = {"services.sentinel-hub.com": _MAIN, "services-uswest2.sentinel-hub.com": "us-west-2"}
_ELSEWHERE = (".copernicus.eu", ".sentinel-hub.com", ".mundiwebservices.com")
"""Ends of the hosts of deployments on other clouds, whose regions have no published names."""


def region_of(base_url: str) -> str | None:
    """The cloud region of the service at this address, None if it is not known.

    An address of nobody's (a proxy, a simulator) counts as the main deployment.
    """
    host = urlsplit(base_url).hostname or ""
    return _REGIONS.get(host) or (None if not host or host.endswith(_ELSEWHERE) else _MAIN)


@dataclass(frozen=True)
class CostReader:
    """Estimates requests of one connection.

    :param bucket: makes a reader of the bucket; it looks up connections.
    :param base_url: of the service, whose region decides on the price of the delivery.
    """

    bucket: Callable[[], BucketReader]
    base_url: str = ""

    def prepared(self) -> Callable[[Generation, Snapshot, Json], Estimate]:
        """The function that estimates, with the connections looked up: it may run in a thread that knows no Airflow.

        :raises SettingsError: a connection cannot be used.
        """
        bucket = self.bucket()
        region = region_of(self.base_url)

        def estimated(api: Generation, job: Snapshot, payload: Json) -> Estimate:
            sizes = _SIZES[api.results](job, payload, bucket)
            setup = read_setup(_script_of(payload))
            return estimate(payload, sizes, setup, batch_api=api.name, service_region=region)

        return estimated


def _script_of(payload: Json) -> str:
    """The evalscript of a payload, without our marker."""
    script = member(payload, "processRequest", "evalscript") or member(payload, "aggregation", "evalscript")
    if not isinstance(script, str) or not script.strip():
        raise EstimateError("The request names no evalscript in its text, so its bands and samples are not known.")
    return without_note(script)


def _listed(job: Snapshot, payload: Json, bucket: BucketReader) -> Sizes:
    """v1: the service tells the number and the size of the tiles."""
    width, height = (whole(member(payload, name)) for name in ("tileWidthPx", "tileHeightPx"))
    if not job.tile_count or not width or not height:
        raise EstimateError(f"Batch request {job.request_id} does not tell the number and the size of its tiles.")
    return [(width, height, job.tile_count)]


def _in_manifest(job: Snapshot, payload: Json, bucket: BucketReader) -> Sizes:
    with results_of(job, bucket) as results:
        return results.pixel_sizes()


def _in_geopackage(job: Snapshot, payload: Json, bucket: BucketReader) -> Sizes:
    url = member(payload, "input", "features", "s3", "url")
    if not isinstance(url, str):
        raise EstimateError(f"Batch request {job.request_id} names no GeoPackage in S3.")
    with temporary_folder() as folder:
        path = bucket.fetch(url, folder)
        if path is None:
            raise EstimateError(f"There is no GeoPackage at {url} any more.")
        return feature_sizes(DatabaseFile(path, "GeoPackage", job.request_id, url), payload.get("aggregation") or {})


_SIZES: dict[str, Callable[[Snapshot, Json, BucketReader], Sizes]] = {
    "listed": _listed,
    "bucket": _in_manifest,
    "features": _in_geopackage,
}
"""The function that reads the sizes, by the value of `Generation.results`."""
