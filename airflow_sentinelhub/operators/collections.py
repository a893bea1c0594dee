"""Operators for batch collections (v1): create, update, delete. On v2 use BYOC collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub._task import SentinelHubTask, airflow_errors
from airflow_sentinelhub.operators._job import as_json

if TYPE_CHECKING:
    from airflow_sentinelhub._compat import Context


class _OnCollection(SentinelHubTask, BaseOperator):
    """An operator on batch collections. :param sentinelhub_conn_id: connection of type `sentinelhub`."""

    template_fields: Sequence[str] = ("sentinelhub_conn_id",)
    template_ext: Sequence[str] = (".json",)
    ui_color = "#e7f0dc"
    batch_api = "v1"

    def __init__(self, *, sentinelhub_conn_id: str = "sentinelhub_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sentinelhub_conn_id = sentinelhub_conn_id


class SentinelHubCreateBatchCollectionOperator(_OnCollection):
    """Create a batch collection, or find the one with this name and bucket.

    - **Calls** the list of collections, then create.
    - **Returns** the id of the collection.
    - **On kill**, **on timeout** the collection is there or not; it costs nothing.
    - **On retry** a collection with the same name and bucket is taken instead of making a second one.

    :param collection: payload with `name` and `s3Bucket` (both required), `batchData`, `additionalData`.
    """

    template_fields: Sequence[str] = (*_OnCollection.template_fields, "collection")
    template_fields_renderers = {"collection": "json"}

    def __init__(self, *, collection: Mapping[str, Any] | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.collection = collection

    def execute(self, context: Context) -> str:
        with airflow_errors(self):
            wanted = as_json(self.collection, "collection")
            collections = self.hook.batch
            if context["ti"].try_number > 1:
                for found in collections.iter_collections():
                    if (found.get("name"), found.get("s3Bucket")) == (wanted.get("name"), wanted.get("s3Bucket")):
                        self.log.info("Going on with batch collection %s", found["id"])
                        return str(found["id"])
            made = collections.create_collection(wanted)
            self.log.info("Created batch collection %s", made["id"])
            return str(made["id"])


class SentinelHubUpdateBatchCollectionOperator(_OnCollection):
    """Change the name of a batch collection.

    - **Calls** update.
    - **Returns** the id of the collection.
    - **On kill**, **on timeout** the change is made or not.
    - **On retry** it is made again, which changes nothing more.

    :param collection_id: the collection; :param name: its new name.
    """

    template_fields: Sequence[str] = (*_OnCollection.template_fields, "collection_id", "name")

    def __init__(self, *, collection_id: str, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.collection_id = collection_id
        self.name = name

    def execute(self, context: Context) -> str:
        with airflow_errors(self):
            self.hook.batch.update_collection({"id": self.collection_id, "name": self.name})
            self.log.info("Batch collection %s is called %s now", self.collection_id, self.name)
            return self.collection_id


class SentinelHubDeleteBatchCollectionOperator(_OnCollection):
    """Delete a batch collection. The service refuses (409) while a request uses it.

    - **Calls** delete.
    - **Returns** the id of the collection that is gone.
    - **On kill**, **on timeout** it is deleted or not.
    - **On retry** a collection that is gone already is success.

    :param collection_id: the collection.
    """

    template_fields: Sequence[str] = (*_OnCollection.template_fields, "collection_id")

    def __init__(self, *, collection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.collection_id = collection_id

    def execute(self, context: Context) -> str:
        from airflow_sentinelhub.exceptions import NotFoundError

        with airflow_errors(self):
            try:
                self.hook.batch.delete_collection(self.collection_id)
                self.log.info("Deleted batch collection %s", self.collection_id)
            except NotFoundError:
                if context["ti"].try_number <= 1:
                    raise
                self.log.info("Batch collection %s is gone already", self.collection_id)
            return self.collection_id
