"""`hook.batch_v2`: a client of batch v2 with the methods and arguments of the vendor's `BatchProcessClient`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.service import payloads_v2, v1
from airflow_sentinelhub.api.service import v2 as endpoints
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.api.service.payloads import with_area, without_none
from airflow_sentinelhub.hooks._client import BaseBatchClient, FeatureIterator, RequestClient, id_of, query, read_as
from airflow_sentinelhub.hooks.models import (
    BaseBatchRequest,
    BatchProcessRequest,
    BatchRequestStatus,
    BatchUserAction,
    StoppedStatusReason,
)
from airflow_sentinelhub.hooks.v1 import _process_payload

__all__ = [
    "BaseBatchClient",
    "BaseBatchRequest",
    "BatchProcessClient",
    "BatchProcessRequest",
    "BatchRequestStatus",
    "BatchUserAction",
    "StoppedStatusReason",
]

Json = dict[str, Any]
RequestSpec = str | Json | BatchProcessRequest
"""A request: its id, its JSON body, or a `BatchProcessRequest`."""


class BatchProcessClient(RequestClient[BatchProcessRequest]):
    """The client of batch v2. Each method takes a request as an id, a JSON body or an object.

    :raises ApiError: the service refused the call; the error contains its message, status and code.
    :raises UnreachableError: the service did not reply.
    """

    _api = V2
    _model = BatchProcessRequest
    s3_specification = staticmethod(payloads_v2.s3_specification)
    gs_specification = staticmethod(payloads_v2.gs_specification)
    tiling_grid_input = staticmethod(payloads_v2.tiling_grid_input)
    geopackage_input = staticmethod(payloads_v2.geopackage_input)
    raster_output = staticmethod(payloads_v2.raster_output)
    zarr_output = staticmethod(payloads_v2.zarr_output)

    def create(
        self,
        process_request: Any,
        input: Json,
        output: Json,
        instance_type: str | None = None,
        description: str | None = None,
        **kwargs: Any,
    ) -> BatchProcessRequest:
        """Create a task (free of charge; the account needs 1,000 PU) and return it.

        :param process_request: Process API payload, or a `SentinelHubRequest` of the vendor's library.
        :param input: see `tiling_grid_input()` and `geopackage_input()`.
        :param output: see `raster_output()` and `zarr_output()`.
        :param instance_type: `normal` or `large`, for the vendor's internal use; None: not sent.
        :param description: free text.
        :param kwargs: further members of the payload.
        """
        process = _process_payload(process_request)
        self._check_sources(member(process, "input", "data"))
        payload = {
            "processRequest": with_area(process),
            "input": input,
            "output": output,
            "instanceType": instance_type,
            "description": description,
            **kwargs,
        }
        return self._ask(read_as(endpoints.create(without_none(payload)), BatchProcessRequest.from_dict))

    def iter_tiling_grids(self, **kwargs: Any) -> FeatureIterator[Json]:
        """Iterate over the tiling grids, as often as wanted.

        :param kwargs: further query parameters.
        """
        root = endpoints.ROOT
        return self._again(lambda token: v1.list_tiling_grids(**{**kwargs, "viewtoken": token, "root": root}))

    def get_tiling_grid(self, grid_id: int | str) -> Json:
        """A single tiling grid."""
        return self._ask(v1.get_tiling_grid(grid_id, root=endpoints.ROOT))

    def iter_requests(
        self, user_id: str | None = None, search: str | None = None, sort: str | None = None, **kwargs: Any
    ) -> Iterator[BatchProcessRequest]:
        """Iterate over existing tasks.

        :param user_id: only tasks of this user.
        :param search: words to search for. The newer API contract has neither of the two, so a deployment may ignore
            them.
        :param sort: such as `created:desc`.
        :param kwargs: further query parameters.
        """
        parameters = {**query(userid=user_id, search=search, sort=sort), **kwargs}
        return self._requests(parameters)

    def update_request(self, batch_request: RequestSpec, description: str) -> Any:
        """Change the description. Returns the reply of the service, which is the `request` part of the task."""
        return self._ask(endpoints.update_request(id_of(batch_request), {"description": description}))

    def monitor_batch_process_analysis(self, request: RequestSpec, sleep_time: float = 10.0) -> BatchProcessRequest:
        """Wait until the analysis is done, and return the task. Each change is logged.

        :param sleep_time: seconds between polls.
        :raises JobError: the analysis failed, or the task was stopped, or nobody has asked for the analysis.
        """
        return self._analysed(request, sleep_time)

    def monitor_batch_process_job(
        self, request: RequestSpec, sleep_time: float = 120.0, analysis_sleep_time: float = 10.0
    ) -> BatchProcessRequest:
        """Wait until a started task is DONE, and return it. Each change is logged.

        The wait continues through an outage. On DONE single tiles may have failed: see `hook.results`.

        :param sleep_time: seconds between polls while the task is processed.
        :param analysis_sleep_time: seconds between polls while it is analysed.
        :raises JobError: the task failed, was stopped or was not started.
        """
        return self.get_request(self._done(request, sleep_time, analysis_sleep_time))
