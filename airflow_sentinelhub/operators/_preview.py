"""`preview()` of the operators that create a request: the job as the run would render it, with nothing sent."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowException
from airflow_sentinelhub._compat.masking import masked
from airflow_sentinelhub.api.decide.policy import Policy
from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.api.service.generations import NAMES, V2, Generation, generation
from airflow_sentinelhub.api.service.specification import Access
from airflow_sentinelhub.exceptions import InvalidInputError, SentinelHubError
from airflow_sentinelhub.redaction import redacted

if TYPE_CHECKING:
    from airflow_sentinelhub.preview.report import Finding, Preview


class NotThereYet(AirflowException):
    """A template of the task asks for the result of a task that has not run."""


class Previewed:
    """Mixed into operators that create a request."""

    stand_in: Access | None = None
    """Takes the place of the credentials for the bucket in a preview that cannot look them up."""
    stand_in_url: str | None = None
    """Takes the place of the service's address in a preview: empty where the connection cannot be looked up."""

    @property
    def service_url(self) -> str:
        """Base URL of the service, by which it is known what the deployment offers."""
        task: Any = self
        return str(task.hook.settings.base_url) if self.stand_in_url is None else self.stand_in_url

    def preview(self, context: Any, *, geopackage: str | os.PathLike[str] | None = None) -> Preview:
        """Look at the job before anything is sent: payload, tiles, area, estimate, and what would be refused.

        Templates and files are rendered as in a run. Nothing is sent to the service, and no bucket is read. It needs
        the extra `preview`.

        :param context: of a task, as `execute` gets it; the task need not be rendered yet.
        :param geopackage: path of a local copy of the GeoPackage, where the job has one.
        :raises SettingsError: a library of the extra is missing.
        """
        task: Any = self.prepare_for_execution()  # type: ignore[attr-defined]
        return _Preview(task, context, None if geopackage is None else Path(geopackage)).made()


class _Preview:
    """One preview of a copy of a task."""

    def __init__(self, task: Any, context: Any, geopackage: Path | None) -> None:
        self.task = task
        self.context = context
        self.geopackage = geopackage
        self.findings: list[Finding] = []
        index = getattr(context.get("ti"), "map_index", -1)
        self.names = (task.dag_id, task.task_id, index if isinstance(index, int) and index >= 0 else None)

    def add(self, kind: str, text: str) -> None:
        from airflow_sentinelhub.preview.report import Finding

        self.findings.append(Finding(kind, masked(redacted(text))))

    def made(self) -> Preview:
        from airflow_sentinelhub.preview.make import preview_of
        from airflow_sentinelhub.preview.report import Preview

        api = self.assumed()
        try:
            self.rendered()
            api = self.api()
            payload = self.payload(api)
        except SentinelHubError as err:
            self.add("refused", str(err))
            return Preview(api.name, findings=tuple(self.findings)).of_task(*self.names)
        found = preview_of(
            payload,
            api.name,
            policy=self.policy(),
            geopackage=self.geopackage or self.mounted(payload),
            region=self.region(),
            findings=tuple(self.findings),
        )
        shown = replace(
            found,
            payload=_masked(found.payload),
            findings=tuple(replace(each, text=masked(each.text)) for each in found.findings),
        )
        return shown.of_task(*self.names)

    def rendered(self) -> None:
        """Render the templates of the task, as Airflow does before `execute`.

        :raises InvalidInputError: that fails, by whatever error a macro of the user raises.
        """
        task = self.task
        if getattr(task, "request_id", None) is not None:
            raise InvalidInputError(
                "The task continues with a request that exists (request_id) and sends no payload of its own; preview "
                "the task that creates the request."
            )
        try:
            task.render_template_fields(self.context)
        except SentinelHubError:
            raise
        except NotThereYet as err:
            raise InvalidInputError(str(err)) from None
        except Exception as err:
            what = f"{type(err).__name__}: {err}"
            raise InvalidInputError(f"The templates of the task cannot be rendered: {what[:300]}") from err
        task.take_arguments()

    def api(self) -> Generation:
        """The generation of the task; without its connection, the default."""
        task = self.task
        try:
            found: Generation = task.api
            return found
        except AirflowException as err:
            self.add("unknown", f"{_sentence(err)} Batch v2, the default, is assumed.")
            return self.assumed()

    def assumed(self) -> Generation:
        """The generation that the task names itself, else the default of connections."""
        named = self.task.batch_api
        return generation(named) if isinstance(named, str) and named in NAMES else V2

    def payload(self, api: Generation) -> dict[str, Any]:
        task = self.task
        try:
            task.access() if api.needs_access else None
        except (AirflowException, SentinelHubError) as err:
            self.add("unknown", f"The bucket's connection cannot be used here: {_sentence(err)}")
            task.stand_in = Access(access_key="***", secret_access_key="***")
        settings = self.settings()
        task.stand_in_url = "" if settings is None else settings.base_url
        payload: dict[str, Any] = task.payload(self.context, api)
        return payload

    def policy(self) -> Policy:
        limits = getattr(self.task, "policy", None)
        try:
            return limits() if limits is not None else Policy()
        except InvalidInputError as err:
            self.add("refused", str(err))
        except (AirflowException, SentinelHubError) as err:
            self.add("unknown", f"The limits of the job were not read: {_sentence(err)}")
        return Policy()

    def region(self) -> str | None:
        from airflow_sentinelhub.hooks.prices import region_of

        settings = self.settings()
        return None if settings is None else region_of(settings.base_url)

    def settings(self) -> Any:
        try:
            return self.task.hook.settings
        except (AirflowException, SentinelHubError):
            return None  # without it, only what depends on the deployment is not known, and `api` has said so

    def mounted(self, payload: dict[str, Any]) -> Path | None:
        """The GeoPackage in a local folder that stands for the buckets (`bucket_mount`), if there is one."""
        settings = self.settings()
        url = member(payload, "input", "features", "s3", "url")
        mount = None if settings is None else settings.bucket_mount
        if not mount or "://" in mount or not isinstance(url, str):
            return None
        path = Path(mount, url.partition("://")[2].lstrip("/"))  # `?` and `#` are letters of a path in a bucket
        return path if path.is_file() else None


def _masked(value: Any) -> Any:
    """A payload with `***` for what Airflow masks, wherever a template has put it."""
    if isinstance(value, dict):
        return {name: _masked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return masked(value) if isinstance(value, str) else value


def _sentence(err: Exception) -> str:
    text = " ".join(str(err).split())
    return text if text.endswith(".") else f"{text}."
