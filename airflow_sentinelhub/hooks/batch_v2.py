"""`hook.batch_v2`: batch v2 with the names, arguments and meaning of the vendor's `BatchProcessClient`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.api.service import payloads_v2, v1
from airflow_sentinelhub.api.service import v2 as endpoints
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.api.service.payloads import without_none
from airflow_sentinelhub.hooks._client import Client, id_of, query, read_as
from airflow_sentinelhub.hooks.batch import _process_payload
from airflow_sentinelhub.hooks.models import BatchProcessRequest

Json = dict[str, Any]
RequestSpec = str | Json | BatchProcessRequest
"""A request: its id, its payload, or the object."""


class BatchProcessClient(Client):
    """Batch v2. Wherever a request is taken: an id, a raw payload or the object.

    :raises ApiError: the service refused, with its words, status and code; :raises UnreachableError: no reply.
    """

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
        :param instance_type: `normal` or `large`, for the vendor's internal use; left out when None.
        :param description: free text; :param kwargs: further members of the payload.
        """
        payload = {
            "processRequest": _process_payload(process_request),
            "input": input,
            "output": output,
            "instanceType": instance_type,
            "description": description,
            **kwargs,
        }
        return self._ask(read_as(endpoints.create(without_none(payload)), BatchProcessRequest.from_dict))

    def iter_tiling_grids(self, **kwargs: Any) -> Iterator[Json]:
        """Iterate over the tiling grids. :param kwargs: further query parameters."""
        root = endpoints.ROOT
        return self._iterate(lambda token: v1.list_tiling_grids(**{**kwargs, "viewtoken": token, "root": root}))

    def get_tiling_grid(self, grid_id: int | str) -> Json:
        """A single tiling grid."""
        return self._ask(v1.get_tiling_grid(grid_id, root=endpoints.ROOT))

    def iter_requests(
        self, user_id: str | None = None, search: str | None = None, sort: str | None = None, **kwargs: Any
    ) -> Iterator[BatchProcessRequest]:
        """Iterate over existing tasks.

        :param user_id: only those of this user; :param search: words. The newer contract knows neither, so a
            deployment may ignore them. :param sort: `created:desc` and the like; :param kwargs: query parameters.
        """
        asked = {**query(userid=user_id, search=search, sort=sort), **kwargs}
        return self._iterate(lambda token: _page(**{**asked, "viewtoken": token}))

    def get_request(self, batch_request: RequestSpec) -> BatchProcessRequest:
        """The task as it is now."""
        return self._ask(read_as(endpoints.get_request(id_of(batch_request)), BatchProcessRequest.from_dict))

    def update_request(self, batch_request: RequestSpec, description: str) -> Any:
        """Change the description. Returns what the service answers: the request part of the task."""
        return self._ask(endpoints.update_request(id_of(batch_request), {"description": description}))

    def start_analysis(self, batch_request: RequestSpec) -> None:
        """Have the task analysed (free of charge). `user_action` moves at once, `status` later."""
        return self._ask(endpoints.analyse(id_of(batch_request)))

    def start_job(self, batch_request: RequestSpec) -> None:
        """Start processing, unless it has been started. **This bills.** Never sent again blind after a lost reply."""
        self._run(start_once(V2, id_of(batch_request)))

    def stop_job(self, batch_request: RequestSpec) -> None:
        """Stop processing. What is finished or running is charged. Refused (400) while the task is CREATED."""
        return self._ask(endpoints.stop(id_of(batch_request)))


def _page(**asked: Any) -> Call[Page[BatchProcessRequest]]:
    """The call for a page of requests, read as objects."""
    return read_as(endpoints.list_requests(**asked), page_of(BatchProcessRequest.from_dict))
