"""Operators for batch collections (v1): create, update, delete. On v2 use BYOC collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_sentinelhub._compat import BaseOperator, Context
from airflow_sentinelhub._identity import tried
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors
from airflow_sentinelhub._types import Rendered, TaskArguments, Templated, Unpack
from airflow_sentinelhub.api.call import exchange
from airflow_sentinelhub.api.flows.actions import delete_once
from airflow_sentinelhub.api.flows.collections import collection_once
from airflow_sentinelhub.api.payload_members import members
from airflow_sentinelhub.api.service import v1
from airflow_sentinelhub.exceptions import InvalidInputError, NotFoundError
from airflow_sentinelhub.hooks._client import id_of
from airflow_sentinelhub.operators._arguments import check_payload
from airflow_sentinelhub.operators._files import ReadsFiles


class _OnCollection(ReadsFiles, SentinelHubTask, BaseOperator):
    """Base of operators on batch collections. Each of them declares its own arguments."""

    template_fields: Sequence[str] = ("sentinelhub_conn_id", "max_unknown_time")
    ui_color = "#e7f0dc"
    batch_api = "v1"

    def __init__(
        self,
        *,
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.max_unknown_time = max_unknown_time


class SentinelHubCreateBatchCollectionOperator(_OnCollection):
    """Create a batch collection, or find the one with this name and bucket.

    - **Calls** create. If an earlier try, or a call whose reply was lost, may have created the collection, it reads the
      list of collections first.
    - **Returns** the id of the collection.
    - **On kill** and **on timeout** (`execution_timeout`) the collection may have been created or not; it costs
      nothing.
    - **On retry** it uses a collection with the same name and bucket, if there is one, and creates no second one.

    :param collection: payload with `name` and `s3Bucket` (both required), `batchData`, `additionalData`.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    template_fields: Sequence[str] = (*_OnCollection.template_fields, "collection")
    template_fields_renderers = {"collection": "json"}

    def __init__(
        self,
        *,
        collection: Templated[Mapping[str, Any]],
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(sentinelhub_conn_id=sentinelhub_conn_id, max_unknown_time=max_unknown_time, **kwargs)
        self.collection = collection
        with self.literals():
            check_payload(self)

    def execute(self, context: Context) -> str:
        from airflow_sentinelhub.hooks.v1 import new_collection

        with airflow_errors(self):
            self.take_arguments()
            self._tried = tried(context)
            payload = new_collection(members(self.part("collection"), "collection", self._in_dag.get("collection")))
            flow = collection_once(payload, self.max_unknown_time, look=self._tried > 1)
            collection_id, existed = self.reach(flow, f"Batch collection {payload['name']!r} was not created.")
            self.log.info("%s batch collection %s", "Going on with" if existed else "Created", collection_id)
            return collection_id


class SentinelHubUpdateBatchCollectionOperator(_OnCollection):
    """Change the name of a batch collection.

    - **Calls** update.
    - **Returns** the id of the collection.
    - **On kill** and **on timeout** (`execution_timeout`) the name may have been changed or not.
    - **On retry** it sends the same name again, which is harmless.

    :param collection_id: id of the collection.
    :param name: its new name.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    template_fields: Sequence[str] = (*_OnCollection.template_fields, "collection_id", "name")
    collection_id: Rendered[str]
    name: Rendered[str]

    def __init__(
        self,
        *,
        collection_id: Templated[str],
        name: Templated[str],
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(sentinelhub_conn_id=sentinelhub_conn_id, max_unknown_time=max_unknown_time, **kwargs)
        self.collection_id = collection_id
        self.name = name
        self.check_arguments()

    def execute(self, context: Context) -> str:
        with airflow_errors(self):
            self.take_arguments()
            self._tried = tried(context)
            if not self.name:
                raise InvalidInputError("The batch collection has no name; nothing was sent.")
            update = v1.update_collection(id_of(self.collection_id), {"name": self.name})
            self.patiently(lambda: exchange(update), about=f"Batch collection {self.collection_id}")
            self.log.info("Batch collection %s is called %s now", self.collection_id, self.name)
            return self.collection_id


class SentinelHubDeleteBatchCollectionOperator(_OnCollection):
    """Delete a batch collection. The service refuses (409) while a request uses it.

    - **Calls** delete.
    - **Returns** the id of the deleted collection.
    - **On kill** and **on timeout** (`execution_timeout`) the collection may have been deleted or not.
    - **On retry** it succeeds if the collection does not exist any more.

    :param collection_id: id of the collection.
    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param max_unknown_time: seconds for which the service may be out of reach before the task fails.
    """

    template_fields: Sequence[str] = (*_OnCollection.template_fields, "collection_id")
    collection_id: Rendered[str]

    def __init__(
        self,
        *,
        collection_id: Templated[str],
        sentinelhub_conn_id: Templated[str] = "sentinelhub_default",
        max_unknown_time: Templated[float | timedelta] = 1800.0,
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(sentinelhub_conn_id=sentinelhub_conn_id, max_unknown_time=max_unknown_time, **kwargs)
        self.collection_id = collection_id
        self.check_arguments()

    def execute(self, context: Context) -> str:
        with airflow_errors(self):
            self.take_arguments()
            self._tried = tried(context)
            delete = v1.delete_collection(id_of(self.collection_id))
            about = f"Batch collection {self.collection_id}"
            try:
                self.reach(delete_once(delete, self.max_unknown_time, about=about), f"{about} was not touched.")
                self.log.info("Deleted batch collection %s", self.collection_id)
            except NotFoundError:
                if self._tried <= 1:
                    raise
                self.log.info("Batch collection %s does not exist any more", self.collection_id)
            return self.collection_id
