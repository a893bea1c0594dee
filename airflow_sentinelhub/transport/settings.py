"""Reads an Airflow connection: the deployment, the OAuth client and options. Only checks whether a CA file exists."""

from __future__ import annotations

import difflib
import hashlib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from airflow_sentinelhub.exceptions import MovedError, SettingsError, one_line

MAIN_TOKEN_URL = "https://services.sentinel-hub.com/auth/realms/main/protocol/openid-connect/token"
CDSE_TOKEN_URL = "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"

DEPLOYMENTS: dict[str, tuple[str, str]] = {
    "aws-eu": ("https://services.sentinel-hub.com", MAIN_TOKEN_URL),
    "aws-us-west-2": ("https://services-uswest2.sentinel-hub.com", MAIN_TOKEN_URL),
    "cdse": ("https://sh.dataspace.copernicus.eu", CDSE_TOKEN_URL),
    "creodias": ("https://creodias.sentinel-hub.com", MAIN_TOKEN_URL),
    "mundi": ("https://shservices.mundiwebservices.com", MAIN_TOKEN_URL),
    "code-de": ("https://code-de.sentinel-hub.com", MAIN_TOKEN_URL),
}
"""Short name -> (base URL, token URL). Tokens of all AWS deployments come from the main one."""

CALLS_PER_MINUTE = 540.0
"""Calls of one process a minute. The smallest account that may run batch jobs has 600, for all its processes."""
LEAST_INTERVAL = 5.0
"""Seconds between two polls below which no known client of the service goes; the vendor's own waits 5 s at least."""
_SERVICE_DOMAINS = (".sentinel-hub.com", ".dataspace.copernicus.eu")
BATCH_APIS = ("v1", "v2")
PATH_FORMS = {"version-first": "/api/v2/batch", "service-first": "/batch/v2"}
EXTRAS = ("auth_url", "batch_api", "path_form", "timeout", "verify", "proxy", "max_calls_per_minute", "bucket_mount")
"""The members of a connection's extra; `token_url`, the old name of `auth_url`, is read too."""
_USUAL_PORTS = {"https": 443, "http": 80}
_NEW_FORMS = (
    ("/api/v2/batch", "/batch/v2"),
    ("/api/v1/statistics/batch", "/statistics/batch/v1"),
    ("/api/v1/catalog/1.0.0", "/catalog/v1"),
)


Key = tuple[str, str, str]
"""Base URL, token URL and client id."""


@dataclass(frozen=True)
class Settings:
    """The settings of a connection that the drivers need.

    :param base_url: of the API, without a trailing slash.
    :param token_url: of the OAuth token endpoint.
    :param batch_api: generation used where a task names none.
    :param path_form: `version-first` (`/api/v2/batch`) or `service-first` (`/batch/v2`, since 2026).
    :param timeout: seconds for one call.
    :param verify: whether certificates are checked, or a file or folder of those to trust; True: see `network.py`.
    :param proxy: URL of the proxy for all calls, instead of the environment's; it may hold a password.
    :param bucket_mount: folder or fsspec URL under which buckets can be read, where it is not their own S3 address; it
        may hold a password, too.
    :param max_calls_per_minute: calls that a process makes at the most; see `transport/gate.py`.
    :param warnings: sentences about the connection for the log.
    """

    base_url: str
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    batch_api: str = "v2"
    path_form: str = "version-first"
    timeout: float = 60.0
    bucket_mount: str | None = field(default=None, repr=False)
    conn_id: str = ""
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    max_calls_per_minute: float = CALLS_PER_MINUTE
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def deployment(self) -> str | None:
        """The short name of the deployment, None for a host of its own."""
        names = (name for name, (base_url, _) in DEPLOYMENTS.items() if base_url == self.base_url)
        return next(names, None)

    @property
    def key(self) -> Key:
        """Identifies settings that share a token and a limit. The secret may change, so it is left out."""
        return self.base_url, self.token_url, self.client_id

    @property
    def least_interval(self) -> float:
        """Seconds that polls keep apart at least; 0 at a host that is not the service's, such as the simulator."""
        host = urlsplit(self.base_url).hostname or ""
        known = any(host == urlsplit(url).hostname for url, _ in DEPLOYMENTS.values())
        return LEAST_INTERVAL if known or host.endswith(_SERVICE_DOMAINS) else 0.0

    def place(self) -> dict[str, str]:
        """The deployment and the account, to be stored with the id of a request. Contains no secret."""
        account = hashlib.sha256(self.client_id.encode()).hexdigest()[:8]
        return {"base_url": self.base_url, "token_url": self.token_url, "account": account}

    def at(self, place: Mapping[str, str] | None) -> Settings:
        """These settings, for a request that was made at another deployment before the connection was edited.

        :raises MovedError: with another client id too; its secret is not sent to the deployment of before.
        """
        if not place or place.get("base_url") in (None, self.base_url):
            return self
        if place.get("account") != self.place()["account"]:
            raise MovedError(
                f"Connection {self.conn_id!r} names {self.base_url} with another client id than before; the batch "
                f"request of this task is at {place['base_url']}, and cannot be looked at with this connection. It was "
                "left alone: if it was started, it runs on and bills. Enter the former deployment and client again "
                "until the task has ended, and retry it."
            )
        return replace(self, base_url=place["base_url"], token_url=place.get("token_url") or self.token_url)

    def not_found(self, place: Mapping[str, str], request_id: str) -> MovedError | None:
        """The error for a request of this place that these settings do not find.

        An OAuth client of the same account finds it, so with another client id it is most likely another account's:
        an error. None where the client is the same: then the request was deleted.
        """
        if place.get("account") in (None, self.place()["account"]):
            return None
        return MovedError(
            f"Connection {self.conn_id!r} has another client id than before, and {self.base_url} does not show it the "
            f"batch request {request_id} of this task: most likely that belongs to the account of before. It was left "
            "alone: if it was started, it runs on and bills. Enter the former client again until the task has ended, "
            "and retry it; or clear the task to run the job anew with this client."
        )

    def url(self, path: str) -> str:
        """The URL of a call's path."""
        if self.path_form == "service-first":
            for old, new in _NEW_FORMS:
                if path.startswith(old):
                    path = new + path[len(old) :]
        return self.base_url + path


def settings_from(
    *,
    conn_id: str,
    login: str | None,
    password: str | None,
    host: str | None,
    schema: str | None = None,
    port: int | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from the members of an Airflow connection.

    :raises SettingsError: something is missing or unknown; the sentence says what and where.
    """
    where = f"Connection {conn_id!r}"
    extra = members_of(where, "extra", extra)
    login, given = text_of(where, "login", login).strip(), text_of(where, "password", password)
    host, schema = text_of(where, "host", host), text_of(where, "schema", schema)
    password = given.strip("\r\n")
    if not login or not password.strip():
        what = "client id (login)" if not login else "client secret (password)"
        raise SettingsError(
            f"{where} has no {what}; create an OAuth client in the Sentinel Hub dashboard and enter it."
        )
    base_url, token_url = _addresses(where, host, schema, port, extra)
    batch_api = text_of(where, "batch_api", extra.get("batch_api")).strip() or "v2"
    if batch_api not in BATCH_APIS:
        raise SettingsError(f"{where}: batch_api is {batch_api!r}; it must be {' or '.join(BATCH_APIS)}.")
    path_form = text_of(where, "path_form", extra.get("path_form")).strip() or "version-first"
    if path_form not in PATH_FORMS:
        raise SettingsError(f"{where}: path_form is {path_form!r}; it must be {' or '.join(PATH_FORMS)}.")
    timeout = _above_zero(where, extra, "timeout", 60.0, "a number of seconds")
    calls = _above_zero(where, extra, "max_calls_per_minute", CALLS_PER_MINUTE, "a number of calls")
    verify = verify_from(where, extra.get("verify"))
    warnings = [f"{where}: extra has {_unknown(name)}" for name in extra if name not in (*EXTRAS, "token_url")]
    if password != given:
        warnings.append(f"{where}: the client secret ends in a line break, which was left out; enter it without one.")
    if password != password.strip():
        blanks = "the client secret begins or ends with a blank, which is sent as it stands"
        warnings.append(f"{where}: {blanks}; if it is refused, enter it without one.")
    if verify is False:
        warnings.append(
            f"{where}: verify is false, so certificates are not checked: whoever is on the way can read the client "
            "secret. Name a CA file in verify instead."
        )
    return Settings(
        base_url=base_url,
        token_url=token_url,
        client_id=login,
        client_secret=password,
        batch_api=batch_api,
        path_form=path_form,
        timeout=timeout,
        bucket_mount=text_of(where, "bucket_mount", extra.get("bucket_mount")).strip() or None,
        conn_id=conn_id,
        verify=verify,
        max_calls_per_minute=calls,
        proxy=text_of(where, "proxy", extra.get("proxy")).strip() or None,
        warnings=tuple(warnings),
    )


def _addresses(where: str, host: str, schema: str, port: int | None, extra: Mapping[str, Any]) -> tuple[str, str]:
    """The addresses of the service and of its OAuth endpoint.

    :raises SettingsError: one is missing or unknown, or the client secret would go over the net in plain text.
    """
    name = (host or "aws-eu").strip()
    name = name if name.endswith("://") else name.rstrip("/")
    check_url(where, "host", name, user_only=True)
    if name.lower() in DEPLOYMENTS:
        base_url, token_url = DEPLOYMENTS[name.lower()]
    elif "." in name or ":" in name or name == "localhost" or port:
        base_url = name if "://" in name else f"{schema or 'https'}://{name}"
        check_url(where, "host", base_url)
        parts = urlsplit(base_url)
        if port and parts.port is None and port != _USUAL_PORTS.get(parts.scheme):
            base_url = f"{parts.scheme}://{parts.netloc}:{port}{parts.path}"
            check_url(where, "host", base_url)
        known, token_url = _known(base_url)
        if known and parts.path:
            raise SettingsError(f"{where}: host {base_url!r} has a path; the deployment is {known} alone.")
        if known and parts.scheme == "https" and urlsplit(base_url).port in (None, 443):
            base_url = known  # however it is written, so that it is the same place
    else:
        raise SettingsError(
            f"{where} names the deployment {name!r}, which is not known; "
            f"use one of {', '.join(DEPLOYMENTS)}, or a URL such as https://services.sentinel-hub.com."
        )
    given_urls = (text_of(where, label, extra.get(label)).strip() for label in ("auth_url", "token_url"))
    token_url = next(filter(None, given_urls), token_url)
    if not token_url:
        plain = urlsplit(base_url).scheme == "http"
        raise SettingsError(
            f"{where}: host {base_url} is no deployment that is known here, and there is no auth_url. Enter in "
            "auth_url the OAuth endpoint of that host; none is assumed, so that the client secret goes to nobody else."
            + (" As the host is plain http, it must be an endpoint on this machine, too." if plain else "")
        )
    check_url(where, "auth_url", token_url)
    if urlsplit(base_url).scheme != urlsplit(token_url).scheme and not (_loops(base_url) and _loops(token_url)):
        raise SettingsError(
            f"{where}: one of host ({base_url}) and auth_url ({token_url}) is plain http and the other https; a secret "
            "or a token would go over the net in plain text. Use https for both."
        )
    return base_url, token_url


def _unknown(name: str) -> str:
    """What is said about a member of extra that nothing reads: most often one that is misspelt."""
    meant = difflib.get_close_matches(name.lower().replace("-", "_"), EXTRAS, 1)
    known = f"{meant[0]} is meant" if meant else f"it may have {', '.join(EXTRAS)}"
    return f"{one_line(name, 50)!r}, which is not read; {'most likely ' if meant else ''}{known}."


LEAST = 1e-6
"""A number that is taken for 0: no call in a year, and no time for one."""


def _above_zero(where: str, extra: Mapping[str, Any], name: str, default: float, what: str) -> float:
    """A number of the connection's extra.

    :raises SettingsError: it is not a number above 0.
    """
    given = extra.get(name)
    if given is None or given == "":
        return default
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if isinstance(given, bool) or not LEAST <= number < float("inf"):
        raise SettingsError(f"{where}: {name} is {given!r}; it must be {what} above 0.")
    return number


def text_of(where: str, what: str, value: Any) -> str:
    """A member of a connection that is a text, empty where there is none.

    :raises SettingsError: it is something else, which is not shown: it may be a secret.
    """
    if value is None or isinstance(value, str):
        return value or ""
    raise SettingsError(f"{where}: {what} is of type {type(value).__name__}; it must be a text.")


def members_of(where: str, what: str, value: Any) -> Mapping[str, Any]:
    """A member of a connection that is a JSON object, empty where there is none.

    :raises SettingsError: it is something else.
    """
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where}: {what} is of type {type(value).__name__}; it must be a JSON object.")
    return value


def verify_from(where: str, given: Any, look: bool = True) -> bool | str:
    """Whether certificates are checked, or by which file or folder. Nothing given: they are.

    :param look: check whether the file exists; otherwise a missing file is reported when it is used.
    :raises SettingsError: there is no such file.
    """
    if given is None or isinstance(given, bool):
        return given is not False
    text = given.strip() if isinstance(given, str) else None
    if text is not None and text.lower() in ("", "true"):
        return True
    if text is not None and text.lower() == "false":
        return False
    if text is None or "\0" in text or (look and not os.path.exists(text)):
        raise SettingsError(f"{where}: verify is {given!r}; it must be true, false, or a CA file of this machine.")
    return text


def _loops(url: str) -> bool:
    """Whether the host of a URL is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_url(where: str, label: str, url: str, user_only: bool = False) -> None:
    """Refuse a URL to which the path of a call cannot be appended, or that contains a password.

    :param user_only: look for a user name or a password only: it may still be the name of a deployment.
    :raises SettingsError: the sentence does not show the URL where a password may stand in it.
    """
    if "@" in url:  # wherever it stands: a slash in a password has it stand in the path
        raise SettingsError(
            f"{where}: {label} has a user name or a password in it, which would stand in messages; enter "
            "those in login and password."
        )
    if user_only:
        return
    if not _is_url(url):
        raise SettingsError(f"{where}: {label} {url!r} is not an http(s) URL.")
    if "#" in url or (label == "host" and "?" in url):
        raise SettingsError(f"{where}: {label} {url!r} has a query or a fragment; leave out what begins with ? or #.")


def _is_url(text: str) -> bool:
    if not text.isprintable() or " " in text or "\\" in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False


def _known(base_url: str) -> tuple[str, str]:
    """Base URL and token URL of the deployment that a base URL given in full belongs to; empty for any other host."""
    host = urlsplit(base_url).hostname
    return next((urls for urls in DEPLOYMENTS.values() if urlsplit(urls[0]).hostname == host), ("", ""))
