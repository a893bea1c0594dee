"""`SentinelHubHook`: an Airflow connection turned into clients of the service.

A triggerer imports this module in its event loop. So what only a worker needs and is slow to load (requests, and the
clients with their models) is imported by the properties that need it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._identity import deployment_name
from airflow_sentinelhub.api.call import Patience, exchange
from airflow_sentinelhub.api.decide.costs import Costs, month_of
from airflow_sentinelhub.api.decide.marker import dag_word, task_word
from airflow_sentinelhub.api.flows.costs import OfDag, costs_of_dag
from airflow_sentinelhub.api.service import statistical, v2
from airflow_sentinelhub.api.service.data_sources import check_offered
from airflow_sentinelhub.api.times import moment
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.hooks._client import id_of
from airflow_sentinelhub.hooks.connection import CONN_TYPE, DEFAULT_CONN
from airflow_sentinelhub.hooks.storage import bucket_reader, results_of
from airflow_sentinelhub.hooks.whole_job import RunsJobs
from airflow_sentinelhub.provider import CONN_FIELDS, FIELD_BEHAVIOUR
from airflow_sentinelhub.results.bucket import BucketReader
from airflow_sentinelhub.results.statistical import StatisticalResults, results_of_request
from airflow_sentinelhub.results.v2 import BatchResults

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.map_file import JobMap
    from airflow_sentinelhub.hooks.statistical import SentinelHubBatchStatistical
    from airflow_sentinelhub.hooks.v1 import SentinelHubBatch
    from airflow_sentinelhub.hooks.v2 import BatchProcessClient
    from airflow_sentinelhub.transport.sync import SyncDriver


class SentinelHubHook(RunsJobs):
    """Sentinel Hub by an Airflow connection of type `sentinelhub`.

    The connection: OAuth client id in login, secret in password, deployment in host (`aws-eu`, `aws-us-west-2`,
    `cdse`, or a base URL); in extra `auth_url`, `batch_api` (`v2` or `v1`), `path_form`, `timeout`,
    `verify`, `proxy`, `max_calls_per_minute`, `bucket_mount`.

    All clients of a process share one token and at most eight requests in flight per connection.

    :param sentinelhub_conn_id: id of the connection.
    :param place: deployment of an earlier request, as `Settings.place()` returned it. It is used instead of the
        connection's, which may have been edited since.
    """

    conn_name_attr = "sentinelhub_conn_id"
    default_conn_name = DEFAULT_CONN
    conn_type = CONN_TYPE
    hook_name = "Sentinel Hub"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Field names of the connection form, for Airflow before 3.2 (later ones read the provider info)."""
        return {key.replace("-", "_"): value for key, value in FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Extra fields of the connection form, for Airflow before 3.2."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found]
        from wtforms import StringField  # type: ignore[import-untyped]

        return {
            name: StringField(spec["label"], widget=BS3TextFieldWidget(), description=spec["description"])
            for name, spec in CONN_FIELDS.items()
        }

    def costs(
        self,
        dag_id: str,
        since: datetime | date | str | None = None,
        *,
        task_ids: Iterable[str] = (),
        tiles: bool = True,
    ) -> Costs:
        """What a DAG has cost: the sum over the requests on this account that carry its marker.

        The lists of batch v2, v1 and batch statistical are read from the newest request back to `since`.

        :param dag_id: id of the DAG, of this Airflow (`[sentinelhub] deployment`).
        :param since: requests that were created before do not count: a datetime, a date, or text such as `2026-06-01`;
            without a zone it is UTC. Default: the start of this calendar month in UTC.
        :param task_ids: ids of its tasks, so that `by_task()` names them; a task that is not named here is a digest.
        :param tiles: True: read the tiles of v1 requests, whose sum is the real cost. False: a third of the service's
            estimate is taken for them, without further calls.
        :raises SentinelHubError: a list cannot be read to its end.
        """
        deployment = deployment_name()
        start = month_of(time.time()) if since is None else moment(since, "since")
        words = {task_word(deployment, dag_id, task_id): task_id for task_id in task_ids}
        dag = OfDag(dag_word(deployment, dag_id), self.all_generations())
        return self.run(costs_of_dag(dag, dag_id, start, words, tiles=tiles))

    def get_conn(self) -> SyncDriver:
        return self.driver

    def _check_sources(self, sources: Any) -> None:
        """:raises InvalidInputError: `data` objects name a collection that this deployment does not offer."""
        check_offered(sources, self.settings.base_url)

    @property
    def batch(self) -> SentinelHubBatch:
        """Batch v1, with the method names of the vendor's `SentinelHubBatch`."""
        from airflow_sentinelhub.hooks.v1 import SentinelHubBatch

        return SentinelHubBatch(self.run, self.interval, self._check_sources)

    @property
    def batch_v2(self) -> BatchProcessClient:
        """Batch v2, with the method names of the vendor's `BatchProcessClient`."""
        from airflow_sentinelhub.hooks.v2 import BatchProcessClient

        return BatchProcessClient(self.run, self.interval, self._check_sources)

    @property
    def statistical(self) -> SentinelHubBatchStatistical:
        """Batch statistical, with the method names of the vendor's `SentinelHubBatchStatistical`."""
        from airflow_sentinelhub.hooks.statistical import SentinelHubBatchStatistical

        return SentinelHubBatchStatistical(self.run, self.interval, self._check_sources)

    def statistical_results(self, request_id: str, aws_conn_id: str | None = None) -> StatisticalResults:
        """What a statistical request has left in its bucket: one JSON file for each feature.

        :param aws_conn_id: connection of type `aws` that may read the bucket, unless this one has a `bucket_mount`.
        """
        request = self.run(exchange(statistical.get_body(id_of(request_id))))
        return results_of_request(request, bucket_reader(aws_conn_id, self.settings))

    def results(self, request_id: str, aws_conn_id: str | None = None) -> BatchResults:
        """What a v2 request has left in its bucket: tiles with status and paths.

        :param aws_conn_id: connection of type `aws` that may read the bucket, unless this one has a `bucket_mount`.
        """
        reader = bucket_reader(aws_conn_id, self.settings)
        return results_of(self.run(exchange(v2.get_request(id_of(request_id)))), reader)

    def map(self, request_id: str, *, batch_api: str | None = None, aws_conn_id: str | None = None) -> JobMap:
        """The request and its tiles as a map: `hook.map(request_id).save("map.html")`.

        The file shows what the tab "Sentinel Hub" of a task instance shows, and needs neither a network nor Airflow.

        :param request_id: id of the request.
        :param batch_api: `v1`, `v2` or `statistical`; the connection's if left out.
        :param aws_conn_id: connection of type `aws` that may read the bucket (v2 and statistical), unless this one has
            a `bucket_mount`.
        :raises SentinelHubError: the request or its tiles cannot be read.
        """
        from airflow_sentinelhub.hooks.job_map import RequestSource
        from airflow_sentinelhub.hooks.map_file import map_of

        api = self.generation(batch_api)
        return map_of(self, RequestSource(id_of(request_id), api.name, self.sentinelhub_conn_id, aws_conn_id))

    def test_connection(self) -> tuple[bool, str]:
        """Get a token and list the tiling grids: (True, ...) if both work, else (False, what is wrong)."""
        try:
            list_grids = self.generation().grids
            assert list_grids is not None  # a connection is of v1 or v2
            grids = self.run(exchange(list_grids(None), Patience(backoff=(1,), rate_limited=10)))
        except SentinelHubError as err:
            return False, str(err)
        told = (
            f"Connected to {self._where()}; batch {self.settings.batch_api} offers {len(grids.items)} tiling grids.",
            f"Access tokens come from {self.settings.token_url} and are valid for {_lifetime(self.driver.lifetime)}.",
        )
        return True, " ".join((*told, *self.settings.warnings))

    def _where(self) -> str:
        """The deployment of the connection, as messages name it."""
        name, base_url = self.settings.deployment, self.settings.base_url
        return f"deployment {name} ({base_url})" if name else f"a deployment of your own ({base_url})"


def _lifetime(seconds: float | None) -> str:
    """How long an access token is valid, in words."""
    if seconds is None:
        return "an unknown time"
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def reader_now(sentinelhub_conn_id: str, aws_conn_id: str | None) -> BucketReader:
    """A reader of the bucket by the current state of both connections, so that a corrected connection is used."""
    return bucket_reader(aws_conn_id, SentinelHubHook(sentinelhub_conn_id).settings)
