"""`hook.statistical`: batch statistical with the names, arguments and meaning of the vendor's client for it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_sentinelhub.api.call import Call
from airflow_sentinelhub.api.flows.actions import start_once
from airflow_sentinelhub.api.paging import Page, page_of
from airflow_sentinelhub.api.service import payloads_v2
from airflow_sentinelhub.api.service import statistical as endpoints
from airflow_sentinelhub.api.service.generations import STATISTICAL
from airflow_sentinelhub.api.service.payloads import without_none
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks._client import Client, id_of, query, read_as
from airflow_sentinelhub.hooks.models import BatchStatisticalRequest

Json = dict[str, Any]
RequestSpec = str | Json | BatchStatisticalRequest
"""A request: its id, its payload, or the object."""


class SentinelHubBatchStatistical(Client):
    """Batch statistical. Wherever a request is taken: an id, a raw payload or the object.

    :raises ApiError: the service refused, with its words, status and code; :raises UnreachableError: no reply.
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

        :param input_features: where the GeoPackage with the features lies, see `s3_specification()`.
        :param input_data: the service's `data` objects; :param aggregation: see `airflow_sentinelhub.aggregation()`.
        :param calculations: statistics and histograms by output; the basic statistics if left out.
        :param output: where the results go, see `s3_specification()`; :param kwargs: further members of the payload.
        """
        payload = {
            "input": {"features": dict(input_features), "data": list(input_data)},
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
        """Create a request that does for many features what a Statistical API request does for one.

        :param statistical_request: payload of the Statistical API, or a `SentinelHubStatistical` of the vendor's
            library; its area is left out. For the rest see `create()`.
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
        """Iterate over existing requests. :param sort: `created:desc` and the like; :param kwargs: query parameters."""
        asked = {**query(sort=sort), **kwargs}
        return self._iterate(lambda token: _page(**{**asked, "viewtoken": token}))

    def get_request(self, batch_request: RequestSpec) -> BatchStatisticalRequest:
        """The request as it is now."""
        return self._ask(read_as(endpoints.get_request(id_of(batch_request)), BatchStatisticalRequest.from_dict))

    def get_status(self, batch_request: RequestSpec) -> Json:
        """The status part of the request as it is now: status, cost, share done. The user action is not in it."""
        return self._ask(endpoints.get_status(id_of(batch_request)))

    def start_analysis(self, batch_request: RequestSpec) -> None:
        """Have the request analysed (free of charge). `user_action` moves at once, `status` minutes later."""
        return self._ask(endpoints.analyse(id_of(batch_request)))

    def start_job(self, batch_request: RequestSpec) -> None:
        """Start processing, unless it has been started. **This bills.** Never sent again blind after a lost reply."""
        self._run(start_once(STATISTICAL, id_of(batch_request)))

    def stop_job(self, batch_request: RequestSpec) -> None:
        """Stop processing. What is finished or running is charged."""
        return self._ask(endpoints.stop(id_of(batch_request)))

    def cancel_job(self, batch_request: RequestSpec) -> None:
        """Deprecated name of `stop_job`, as in the vendor's client."""
        warnings.warn("cancel_job is now called stop_job", DeprecationWarning, stacklevel=2)
        return self.stop_job(batch_request)


def _page(**asked: Any) -> Call[Page[BatchStatisticalRequest]]:
    """The call for a page of requests, read as objects."""
    return read_as(endpoints.list_requests(**asked), page_of(BatchStatisticalRequest.from_dict))
