"""Build the payload of a create call from the arguments of an operator, and check it before anything is created."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from airflow_sentinelhub._identity import run_of
from airflow_sentinelhub._task_arguments import naming_task
from airflow_sentinelhub._types import Rendered
from airflow_sentinelhub.api.areas import kept_area
from airflow_sentinelhub.api.arguments import KINDS
from airflow_sentinelhub.api.call import Flow, Work
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.flows.task_request import check_grid
from airflow_sentinelhub.api.payload_members import members
from airflow_sentinelhub.api.places import check_buckets
from airflow_sentinelhub.api.service.data_sources import check_offered
from airflow_sentinelhub.api.service.generations import Generation, refuse_other_kinds
from airflow_sentinelhub.api.service.payloads import dated
from airflow_sentinelhub.api.service.specification import Access, BatchSpecification, check_shape
from airflow_sentinelhub.exceptions import SettingsError
from airflow_sentinelhub.operators._arguments import check_values, renamed
from airflow_sentinelhub.operators._files import ReadsFiles, beside
from airflow_sentinelhub.operators._own_request import OwnsRequest
from airflow_sentinelhub.operators._preview import Previewed
from airflow_sentinelhub.operators._times import names_both_ends


class CreatesRequest(Previewed, ReadsFiles, OwnsRequest):
    """Mixed into operators that create a request of any kind: template files, credentials, GeoPackage checks."""

    aws_conn_id: Rendered[str | None]
    iam_role_arn: Rendered[str | None]
    description: Rendered[str | None]
    reads_by = ""
    """Name of the argument that switches the reading of the results on or off; empty if the operator reads none."""

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Like Airflow's `partial`, but takes `output` as `destination`, whose values create task dependencies."""
        with naming_task(kwargs.get("task_id")):
            given = renamed(kwargs)
            check_values({name: value for name, value in given.items() if name in KINDS})
        return super().partial(**given)

    def read(self, name: str) -> Any:
        """A part of the payload with numbers and booleans in place of text that templates have rendered to.

        :raises InvalidInputError: it cannot be read, or a member of it cannot have its value.
        """
        return members(self.part(name), name, self._in_dag.get(name), grid=name == "tiling_grid")

    def access(self) -> Access | None:
        """The credentials for the bucket, which the payload contains."""
        from airflow_sentinelhub.hooks.storage import access_from

        if self.stand_in is not None:
            return self.stand_in
        return access_from(self.aws_conn_id, self.iam_role_arn)

    def geopackage_check(self, payload: Mapping[str, Any], *, statistical: bool = False) -> Flow[None]:
        """Refuse a GeoPackage that breaks the service's rules, if it can be read here."""
        from airflow_sentinelhub.hooks.storage import bucket_reader, check_geopackage

        reader = partial(bucket_reader, self.aws_conn_id, self.hook.settings)
        yield from check_geopackage(payload, reader, statistical=statistical)

    def check_reader(self, payload: Mapping[str, Any]) -> None:
        """Check, before anything is created, that the results can be read from here once the job is done.

        This applies to operators that read them (`reads_by`). The check does not access the bucket.

        :raises SettingsError: the connection or the setup for the bucket is incomplete.
        """
        from airflow_sentinelhub.hooks.storage import bucket_reader

        flag = self.reads_by
        if not flag or not getattr(self, flag):
            return
        output = payload.get("output") or {}
        places = (output.get("delivery") or output).values()
        url = next((place["url"] for place in places if isinstance(place, Mapping) and place.get("url")), None)
        try:
            if url:
                bucket_reader(self.aws_conn_id, self.hook.settings).ready(str(url))
        except SettingsError as err:
            raise SettingsError(
                f"The results of this job could not be read here: {err} Correct that (aws_conn_id, or bucket_mount of "
                f"the Sentinel Hub connection), or give {flag}=False to run the job without reading them. This try has "
                "created nothing."
            ) from err


class DescribesBatchJob(CreatesRequest):
    """Mixed into operators that create a request of batch v1 or v2 from the arguments below.

    Each operator has them in its own signature, and explains them in its own docstring.
    """

    process_request: Rendered[Mapping[str, Any] | str | None]
    tiling_grid: Rendered[Mapping[str, Any] | str | None]
    geopackage: Rendered[Mapping[str, Any] | str | None]
    destination: Rendered[Mapping[str, Any] | str | None]
    bucket_name: Rendered[str | None]
    area: Any
    simplify: Rendered[float | None]
    evalscript: Rendered[str | os.PathLike[str] | None]
    payload_extra: Rendered[Mapping[str, Any] | str | None]

    template_fields_renderers = {
        "process_request": "json",
        "tiling_grid": "json",
        "destination": "json",
        "area": "json",
        "evalscript": "js",
        "payload_extra": "json",
    }

    def payload(self, context: Any, api: Generation) -> dict[str, Any]:
        """The payload of the create call. It may contain storage keys, so it is neither stored nor logged."""
        refuse_other_kinds(api.name)
        process = self.read("process_request")
        check_offered(member(process, "input", "data"), self.service_url)
        kept, tolerance = kept_area(process)
        job = BatchSpecification(
            process_request=dated(process, run_of(context), from_interval=names_both_ends(self, "process_request")),
            tiling_grid=self.read("tiling_grid"),
            geopackage=self.read("geopackage"),
            output=self.read("destination"),
            bucket_name=self.bucket_name,
            description=self.description,
            area=beside(self, kept if self.area is None else self.area),
            simplify=tolerance if self.simplify is None else self.simplify,
            evalscript=self.script(),
            extra=self.read("payload_extra") or {},
        )
        payload = api.payload(job, self.access() if api.needs_access else None)
        check_shape(payload, api.name)
        check_buckets(payload)
        return payload

    def payload_checks(self, api: Generation, payload: dict[str, Any]) -> Flow[None]:
        """Check the payload before anything is created: grid, GeoPackage, access to the results."""
        yield from check_grid(api, payload)
        yield from self.geopackage_check(payload)
        if api.results == "bucket":
            yield Work(lambda: self.check_reader(payload))
