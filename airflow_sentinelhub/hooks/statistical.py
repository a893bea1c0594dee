"""`hook.statistical`: a client of batch statistical with the methods and arguments of the vendor's client."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.api.service import payloads_v2
from airflow_sentinelhub.api.service import statistical as endpoints
from airflow_sentinelhub.api.service.data_sources import as_sent
from airflow_sentinelhub.api.service.generations import STATISTICAL
from airflow_sentinelhub.api.service.payloads import without_none
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks._client import BaseBatchClient, Client, id_of, query, read_as
from airflow_sentinelhub.hooks.models import (
    BaseBatchRequest,
    BatchRequestStatus,
    BatchStatisticalRequest,
    BatchUserAction,
)

__all__ = [
    "BaseBatchClient",
    "BaseBatchRequest",
    "BatchRequestStatus",
    "BatchStatisticalRequest",
    "BatchUserAction",
    "SentinelHubBatchStatistical",
]

Json = dict[str, Any]
RequestSpec = str | Json | BatchStatisticalRequest
"""A request: its id, its JSON body, or a `BatchStatisticalRequest`."""


class SentinelHubBatchStatistical(Client):
    """The client of batch statistical. Each method takes a request as an id, a JSON body or an object.

    :raises ApiError: the service refused the call; the error contains its message, status and code.
    :raises UnreachableError: the service did not reply.
    """

    s3_specification = staticmethod(payloads_v2.s3_specification)

    def create(
        self,
        *,
        input_features: Mapping[str, Any],
        input_data: Sequence[Mapping[str, Any]],
        aggregation: Mapping[str, Any],
        calculations: Mapping[str, Any] | None = None,
        output: Mapping[str, Any],
        **kwargs: Any,
    ) -> BatchStatisticalRequest:
        """Create a request (free of charge; the account needs 1,000 PU) and return it.

        :param input_features: place of the GeoPackage with the features, see `s3_specification()`.
        :param input_data: the `data` objects of the payload; :param aggregation: see
            `airflow_sentinelhub.aggregation()`.
        :param calculations: statistics and histograms by output; None: the basic statistics only.
        :param output: place of the results, see `s3_specification()`; :param kwargs: further members of the payload.
        """
        payload = {
            "input": {"features": dict(input_features), "data": as_sent(list(input_data))},
            "aggregation": dict(aggregation),
            "calculations": calculations,
            "output": dict(output),
            **kwargs,
        }
        return self._ask(read_as(endpoints.create(without_none(payload)), BatchStatisticalRequest.from_dict))

    def create_from_request(
        self,
        statistical_request: Any,
        input_features: Mapping[str, Any],
        output: Mapping[str, Any],
        **kwargs: Any,
    ) -> BatchStatisticalRequest:
        """Create a batch request from a request of the Statistical API, which is for a single area.

        :param statistical_request: payload of the Statistical API, or a `SentinelHubStatistical` of the vendor's
            library; its area is not used.
        :param input_features, output, kwargs: see `create()`.
        """
        payload = getattr(statistical_request, "payload", statistical_request)
        if not isinstance(payload, Mapping) or "input" not in payload or "aggregation" not in payload:
            raise InvalidInputError(
                "statistical_request must be a Statistical API payload or a SentinelHubStatistical, "
                f"not {type(statistical_request).__name__}; nothing was sent."
            )
        return self.create(
            input_features=input_features,
            input_data=payload["input"].get("data") or [],
            aggregation=payload["aggregation"],
            calculations=payload.get("calculations"),
            output=output,
            **kwargs,
        )

    def iter_requests(self, sort: str | None = None, **kwargs: Any) -> Iterator[BatchStatisticalRequest]:
        """Iterate over existing requests. :param sort: such as `created:desc`; :param kwargs: query parameters."""
        parameters = {**query(sort=sort), **kwargs}
        return self._iterate(lambda token: _page(**{**parameters, "viewtoken": token}))

    def get_request(self, batch_request: RequestSpec) -> BatchStatisticalRequest:
        """The request in its present state."""
        return self._ask(read_as(endpoints.get_request(id_of(batch_request)), BatchStatisticalRequest.from_dict))

    def get_status(self, batch_request: RequestSpec) -> Json:
        """The present status, cost and completed share of the request, without the user action."""
        return self._ask(endpoints.get_status(id_of(batch_request)))

    def start_analysis(self, batch_request: RequestSpec) -> None:
        """Have the request analysed (free of charge). `user_action` changes at once, `status` minutes later."""
        return self._ask(endpoints.analyse(id_of(batch_request)))

    def start_job(self, batch_request: RequestSpec) -> None:
        """Start processing, unless the request was started before or has ended. **This bills.**

        Calling it again is safe: then nothing is sent, and the log says so. If a reply is lost, the request is read
        before the start is sent again. A STOPPED request is not started again.
        """
        self._run(start_once(STATISTICAL, id_of(batch_request)))

    def stop_job(self, batch_request: RequestSpec) -> None:
        """Stop processing. Features that are processed or being processed are billed."""
        return self._ask(endpoints.stop(id_of(batch_request)))

    def cancel_job(self, batch_request: RequestSpec) -> None:
        """Deprecated name of `stop_job`, as in the vendor's client."""
        warnings.warn("cancel_job is now called stop_job", DeprecationWarning, stacklevel=2)
        return self.stop_job(batch_request)

    def monitor_batch_statistical_analysis(
        self, batch_request: RequestSpec, sleep_time: float = 10.0
    ) -> BatchStatisticalRequest:
        """Wait until the analysis is done, and return the request. Each change is logged.

        :param sleep_time: seconds between polls.
        :raises JobError: the analysis failed, or the request was stopped, or nobody has asked for the analysis.
        """
        request_id = id_of(batch_request)
        self._reached(STATISTICAL, request_id, "ANALYSIS_DONE", sleep_time)
        return self.get_request(request_id)

    def monitor_batch_statistical_job(
        self, batch_request: RequestSpec, sleep_time: float = 30.0, analysis_sleep_time: float = 10.0
    ) -> Json:
        """Wait until a started request is DONE, and return what `get_status` returns. Each change is logged.

        The wait continues through an outage. On DONE single features may have failed: see
        `hook.statistical_results`.

        :param sleep_time: seconds between polls while the request is processed.
        :param analysis_sleep_time: seconds between polls while it is analysed.
        :raises JobError: the request failed, was stopped or was not started.
        """
        request_id = id_of(batch_request)
        self._reached(STATISTICAL, request_id, "ANALYSIS_DONE", analysis_sleep_time)
        self._reached(STATISTICAL, request_id, "DONE", sleep_time)
        return self.get_status(request_id)


def _page(**parameters: Any) -> Call[Page[BatchStatisticalRequest]]:
    """The call for a page of requests, read as `BatchStatisticalRequest`."""
    return read_as(endpoints.list_requests(**parameters), page_of(BatchStatisticalRequest.from_dict))
