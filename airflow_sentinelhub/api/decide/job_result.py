"""The results that whole jobs return, member by member, for who reads them."""

from __future__ import annotations

from airflow_sentinelhub.api.decide.price import Expected


class JobResult(Expected):
    """The result of a job of batch v1 or v2. A value that was not read is None.

    :param status: of the request at its end.
    :param tile_count: number of tiles, of which so many are `processed` and so many have `failed`.
    :param failed_tiles: at most a hundred names; None, as these numbers are, if the tiles were not read.
    :param estimated_pu: the service's estimate (PU), which lacks the batch factor; None on v2, which gives none.
    :param processing_units: the real cost (PU).
    :param restarts: how often the failed part was processed again.
    :param output_url: where the results are.
    :param checked: whether the tiles were read.
    """

    request_id: str
    batch_api: str
    status: str
    tile_count: int | None
    processed: int | None
    failed: int | None
    failed_tiles: list[str] | None
    estimated_pu: float | None
    processing_units: float | None
    restarts: int
    output_url: str | None
    checked: bool


class StatisticalResult(Expected):
    """The result of a statistical job. A value that was not read is None.

    :param status: of the request at its end.
    :param feature_count: number of features, of which so many are `processed` and so many have `failed`.
    :param failed_features: at most a hundred identifiers; None, as these numbers are, if the results were not read.
    :param processing_units: the real cost (PU).
    :param output_url: where the results are.
    :param checked: whether the results were read.
    """

    request_id: str
    batch_api: str
    status: str
    feature_count: int | None
    processed: int | None
    failed: int | None
    failed_features: list[str] | None
    processing_units: float | None
    output_url: str | None
    checked: bool
