"""Where the files about a request lie in the bucket. Pure.

The rule is the vendor's own (`path_template.py` of its CARD4L tool), seen to hold in the code of users.
"""

from __future__ import annotations

from airflow_sentinelhub.api.snapshot import Snapshot


def delivery_root(url: str, request_id: str) -> str:
    """The folder of a delivery, without a slash at its end.

    A URL without placeholders is the folder above `<requestId>`; with placeholders, all that comes before the first
    path segment that still holds one when the id is put in.

    >>> delivery_root("s3://b/p", "7")
    's3://b/p/7'
    >>> delivery_root("s3://b/p/<tileName>/<outputId>.<format>", "7")
    's3://b/p'
    """
    url = url.rstrip("/")
    if "<" not in url:
        url += "/<requestId>"
    segments = url.replace("<requestId>", request_id).split("/")
    kept = next((at for at, segment in enumerate(segments) if "<" in segment), len(segments))
    return "/".join(segments[:kept])


def output_folder(job: Snapshot) -> str | None:
    """The folder in which the outputs of a request are: of a Zarr the store, else the root of the delivery.

    None if the request names no place.
    """
    if not job.output_url:
        return None
    if job.store:
        return job.output_url.rstrip("/").replace("<requestId>", job.request_id)
    return delivery_root(job.output_url, job.request_id)


def request_url(url: str, request_id: str) -> str:
    """The request as JSON, written when it is created."""
    return f"{delivery_root(url, request_id)}/request-{request_id}.json"


def manifest_url(url: str, request_id: str) -> str:
    """The feature manifest, a GeoPackage written by analysis."""
    return f"{delivery_root(url, request_id)}/featureManifest-{request_id}.gpkg"


def execution_url(url: str, request_id: str) -> str:
    """The execution database, an SQLite file uploaded again and again while the request is processed."""
    return f"{delivery_root(url, request_id)}/execution-{request_id}.sqlite"
