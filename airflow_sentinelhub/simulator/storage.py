"""Places in object storages as v2 and batch statistical take them: an address, and a way to get in."""

from __future__ import annotations

import copy
from typing import Any

from .bodies import STORAGES, Json
from .delivery import is_object_url
from .deployments import Deployment
from .payload import Findings

MASK = "*****"
_SECRETS = {"accessKey", "secretAccessKey", "credentials"}
_SCHEMES = {"s3": ("s3://",), "gs": ("gs://",), "pl:destinations": ("s3://", "gs://")}


def check_storage(
    given: Json, where: str, findings: Findings, place: Deployment, *, gs: bool = True, kept: bool = True
) -> str | None:
    """The URL, if one can be read. Any keys that are not empty are accepted.

    :param place: CDSE takes neither Google Cloud Storage nor roles (contract), nor destinations of Planet.
    :param gs: whether Google Cloud Storage may be named here at all.
    :param kept: whether a destination that is kept at the vendor may be named here at all.
    """
    offered = ["s3"]
    if place.is_aws:
        offered += ["gs"] * gs + ["pl:destinations"] * kept
    # Members that have no meaning here pass, like any other.
    found = [name for name in STORAGES if name in offered and name in given]
    if len(found) != 1:
        one = f"Exactly one of {', '.join(offered)}" if len(offered) > 1 else "s3"
        findings.add(where, f"{one} must be given.")
        return None
    name = found[0]
    storage = findings.child(given, where, name, dict)
    if storage is None:
        return None
    where = f"{where}->{name}"
    url = findings.child(storage, where, "url", str)
    if url is not None and not (is_object_url(url) and url.startswith(_SCHEMES[name])):
        findings.add(f"{where}->url", f"{url} is not a valid path: expected {_SCHEMES[name][0]}<bucket>/<path>.")
        url = None
    _check_access(storage, name, where, findings, place)
    return url if isinstance(url, str) else None


def _check_access(storage: Json, name: str, where: str, findings: Findings, place: Deployment) -> None:
    if name == "pl:destinations":
        # Its keys are kept with it.
        return
    if name == "gs":
        if not storage.get("credentials"):
            findings.add(where, "Access to the bucket needs credentials.")
        return
    ways = [bool(storage.get("iamRoleARN")), bool(storage.get("accessKey") and storage.get("secretAccessKey"))]
    if not place.is_aws and storage.get("iamRoleARN"):
        findings.add(f"{where}->iamRoleARN", "iamRoleARN is not supported by this deployment.")
    elif sum(ways) != 1:
        keys = "accessKey and secretAccessKey"
        findings.add(where, f"Access to the bucket needs {f'either {keys} or iamRoleARN' if place.is_aws else keys}.")


def masked(value: Any) -> Any:
    """A copy in which keys and credentials are ``*****`` (seen in echoed tasks)."""
    if isinstance(value, dict):
        return {key: MASK if key in _SECRETS else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return copy.copy(value)
