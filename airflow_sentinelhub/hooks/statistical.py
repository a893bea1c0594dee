"""`hook.statistical`: a client of batch statistical with the methods and arguments of the vendor's client."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.service import payloads_v2
from airflow_sentinelhub.api.service import statistical as endpoints
from airflow_sentinelhub.api.service.data_sources import as_sent
from airflow_sentinelhub.api.service.generations import STATISTICAL
from airflow_sentinelhub.api.service.payloads import without_none
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks._client import BaseBatchClient, RequestClient, id_of, query, read_as
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


class SentinelHubBatchStatistical(RequestClient[BatchStatisticalRequest]):
    """The client of batch statistical. Each method takes a request as an id, a JSON body or an object.

    :raises ApiError: the service refused the call; the error contains its message, status and code.
    :raises UnreachableError: the service did not reply.
    """

    _api = STATISTICAL
    _model = BatchStatisticalRequest
    s3_specification = staticmethod(payloads_v2.s3_specification)

    def create(
        self,
        *,
        input_features: Mapping[str, Any],
        input_data: Iterable[Mapping[str, Any]],
        aggregation: Mapping[str, Any],
        calculations: Mapping[str, Any] | None = None,
        output: Mapping[str, Any],
        **kwargs: Any,
    ) -> BatchStatisticalRequest:
        """Create a request (free of charge; the account needs 1,000 PU) and return it.

        :param input_features: place of the GeoPackage with the features, see `s3_specification()`.
        :param input_data: the `data` objects of the payload.
        :param aggregation: see `airflow_sentinelhub.aggregation()`.
        :param calculations: statistics and histograms by output; None: the basic statistics only.
        :param output: place of the results, see `s3_specification()`.
        :param kwargs: further members of the payload.
        """
        if not isinstance(aggregation, Mapping):
            raise InvalidInputError(f"aggregation is an object of the payload, not {shown(aggregation)}.")
        data = list(input_data)
        self._check_sources(data)
        payload = {
            "input": {"features": payloads_v2.place(input_features, "input_features"), "data": as_sent(data)},
            "aggregation": dict(aggregation),
            "calculations": calculations,
            "output": payloads_v2.place(output, "output"),
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
        """Iterate over existing requests.

        :param sort: such as `created:desc`.
        :param kwargs: query parameters.
        """
        return self._requests({**query(sort=sort), **kwargs})

    def get_status(self, batch_request: RequestSpec) -> Json:
        """The present status, cost and completed share of the request, without the user action."""
        return self._ask(endpoints.get_status(id_of(batch_request)))

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
        return self._analysed(batch_request, sleep_time)

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
        return self.get_status(self._done(batch_request, sleep_time, analysis_sleep_time))
