"""Functions that build parts of the payload of batch v2, with the names and arguments of the vendor's client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.service.payloads import Json, tiling_grid, without_none
from airflow_sentinelhub.exceptions import InvalidInputError


def s3_specification(
    url: str,
    access_key: str | None = None,
    secret_access_key: str | None = None,
    iam_role_arn: str | None = None,
    region: str | None = None,
) -> Json:
    """A place in S3 and the credentials for it: either a key pair or a role.

    :param url: URL of a bucket, a path in it or an object.
    :param access_key, secret_access_key: key pair that may write there.
    :param iam_role_arn: ARN of a role that may write there (AWS only).
    :param region: of the bucket; default: that of the deployment. To another one delivery costs 0.03 PU a MB more.
    :raises InvalidInputError: neither or both kinds of credentials are given.
    """
    if (iam_role_arn is None) == (access_key is None or secret_access_key is None):
        raise InvalidInputError("Give either iam_role_arn, or access_key and secret_access_key.")
    keys = {"accessKey": access_key, "secretAccessKey": secret_access_key, "iamRoleARN": iam_role_arn}
    return {"s3": without_none({"url": url, **keys, "region": region})}


def place(given: Any, name: str) -> Json:
    """A place in a bucket, of an argument of this name.

    :raises InvalidInputError: it is no mapping.
    """
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"{name} is built with s3_specification(url, ...), not {shown(given)}.")
    return dict(given)


def gs_specification(url: str, credentials: str) -> Json:
    """A place in Google Cloud Storage and the credentials for it (AWS deployments only).

    :param credentials: JSON key, encoded in base64.
    """
    return {"gs": {"url": url, "credentials": credentials}}


def tiling_grid_input(
    grid_id: int, resolution: float, buffer_x: int | None = None, buffer_y: int | None = None, **kwargs: Any
) -> Json:
    """The input: a tiling grid.

    :param resolution: of a pixel, in metres (grid 3: in degrees).
    :param buffer_x, buffer_y: pixels to add on each side of a tile.
    :param kwargs: further members.
    """
    grid = tiling_grid(grid_id, resolution)
    return without_none({"type": "tiling-grid", **grid, "bufferX": buffer_x, "bufferY": buffer_y, **kwargs})


def geopackage_input(
    geopackage_specification: Mapping[str, Any],
    *,
    width: int | None = None,
    height: int | None = None,
    resolution: float | None = None,
) -> Json:
    """The input: the features of a GeoPackage in a bucket.

    :param geopackage_specification: place of the file, see `s3_specification`.
    :param width, height: size in pixels (1 to 3500) of the features that have no own size.
    :param resolution: size of a pixel for these features, instead of `width` and `height`.
    :raises InvalidInputError: both a size and a resolution are given, or only one of `width` and `height`.
    """
    if (width is not None or height is not None) and resolution is not None:
        raise InvalidInputError("Give either width and height, or resolution, as the default size of features.")
    if (width is None) != (height is None):
        raise InvalidInputError("width and height go together.")
    payload: Json = {"type": "geopackage", "features": place(geopackage_specification, "geopackage_specification")}
    defaults = without_none({"width": width, "height": height, "resolution": resolution})
    return {**payload, "defaults": defaults} if defaults else payload


def raster_output(
    delivery: Mapping[str, Any],
    *,
    overwrite: bool | None = None,
    skip_existing: bool | None = None,
    cog_output: bool | None = None,
    cog_parameters: Mapping[str, Any] | None = None,
    create_collection: bool | None = None,
    collection_id: str | None = None,
    **kwargs: Any,
) -> Json:
    """The output: raster files.

    :param delivery: place of the files, see `s3_specification`. The other parameters are those of v1's `output()`.
    """
    options = {
        "overwrite": overwrite,
        "skipExisting": skip_existing,
        "cogOutput": cog_output,
        "cogParameters": cog_parameters,
        "createCollection": create_collection,
        "collectionId": collection_id,
    }
    return {"type": "raster", "delivery": place(delivery, "delivery"), **without_none({**options, **kwargs})}


def zarr_output(
    delivery: Mapping[str, Any],
    *,
    group: Mapping[str, Any] | None = None,
    array_parameters: Mapping[str, Any] | None = None,
    array_overrides: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Json:
    """The output: a Zarr store.

    :param delivery: place of the store, see `s3_specification`.
    :param group: such as `{"zarr_format": 2}`.
    :param array_parameters: parameters of all arrays: dtype, order, chunks and so on.
    :param array_overrides: other parameters of single arrays.
    :param kwargs: further members.
    """
    options = {"group": group, "arrayParameters": array_parameters, "arrayOverrides": array_overrides, **kwargs}
    return {"type": "zarr", "delivery": place(delivery, "delivery"), **without_none(options)}
