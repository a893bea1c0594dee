"""One rule for certificates and proxies, for both drivers and the bucket reader, and the cause of what did not arrive.

In this order: the connection (`verify`, `proxy`), then the environment as requests reads it, then the platform's
certificates. The HTTP libraries are told what was decided and read nothing of the machine themselves: each has rules of
its own, and requests would send a password from `~/.netrc`.
"""

from __future__ import annotations

import atexit
import errno
import ipaddress
import os
import re
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from airflow_sentinelhub.exceptions import SettingsError, one_line
from airflow_sentinelhub.transport.settings import Settings

CA_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Environment variables that name certificates, the first one that is set counts."""


@dataclass(frozen=True)
class Certificates:
    """Which certificates are trusted.

    :param check: False: any.
    :param path: a file, or a folder of certificates that are named by their hashes (or several folders, as in
        `SSL_CERT_DIR`); None for the platform's.
    :param source: the setting that names the path, for messages.
    """

    check: bool = True
    path: str | None = None
    source: str = field(default="verify", compare=False)

    def context(self) -> ssl.SSLContext:
        """A TLS context that trusts them. It reads files and takes some 30 ms.

        :raises SettingsError: the file or folder cannot be read.
        """
        try:
            if self.path is not None:
                folders = os.pathsep.join(_folders(self.path))
                context = ssl.create_default_context(cafile=None if folders else self.path, capath=folders or None)
            else:
                context = ssl.create_default_context()
                if not context.get_ca_certs() and not os.path.isdir(ssl.get_default_verify_paths().capath or ""):
                    context.load_verify_locations(_certifi())  # a machine without certificates of its own
        except (OSError, ssl.SSLError) as err:
            raise SettingsError(
                f"The certificates in {self.path} cannot be read ({err}); {self.source} must name a file of PEM "
                "certificates, or a folder of such files that are named by their hashes (`openssl rehash`)."
            ) from None
        if not self.check:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def as_file(self) -> bool | str:
        """The same for a library that takes one file only: False, or its path. Those of a folder are put into one."""
        if not self.check:
            return False
        known = ssl.get_default_verify_paths()
        path = self.path or known.cafile or known.capath
        if path is None or (self.path is None and os.path.isdir(path) and not os.listdir(path)):
            return _certifi()
        folders = _folders(path)
        return _joined(tuple(folders)) if folders else path


def _folders(path: str) -> list[str]:
    """The folders that a path names; none if it names a file, or nothing that is there."""
    parts = [path] if os.path.isdir(path) else path.split(os.pathsep)
    return [part for part in parts if os.path.isdir(part)]


_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""The names by which OpenSSL finds a certificate in a folder: it looks at no other file."""


@cache
def _joined(folders: tuple[str, ...]) -> str:
    """One file with all certificates of folders. It is removed at the end of the process."""
    with tempfile.NamedTemporaryFile("wb", prefix="sentinelhub-ca-", suffix=".pem", delete=False) as file:
        atexit.register(Path(file.name).unlink, missing_ok=True)
        for entry in (entry for folder in folders for entry in sorted(Path(folder).iterdir())):
            if _HASHED.fullmatch(entry.name) and entry.is_file():
                file.write(entry.read_bytes().rstrip() + b"\n")
    return file.name


def certificates(
    settings: Settings, environ: Mapping[str, str] = os.environ, first: tuple[str, ...] = ()
) -> Certificates:
    """The certificates for a connection.

    :param first: further environment variables, which come before the others.
    """
    if settings.verify is False:
        return Certificates(check=False)
    if isinstance(settings.verify, str):
        return Certificates(path=settings.verify)
    named = next((name for name in (*first, *CA_FILES) if environ.get(name)), None)
    return Certificates() if named is None else Certificates(path=environ[named], source=named)


def proxy_for(settings: Settings, url: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The URL of the proxy for a URL; None for none.

    :raises SettingsError: it is of a kind that is not supported, or no URL.
    """
    parts = urlsplit(url)
    given = settings.proxy
    if not given:
        if _bypassed(parts, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
            return None
        given = _variable(f"{parts.scheme}_proxy", environ) or _variable("all_proxy", environ)
    if not given:
        return None
    proxy = with_scheme(given)
    try:
        found = urlsplit(proxy)
        usable = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
        usable = usable and "@" not in found.path + found.query + found.fragment  # a slash in a password ends the host
    except ValueError:  # a port that is no number, a bracket that is not closed
        usable = False
    if not usable or not proxy.isprintable() or " " in proxy:
        kind, _, rest = proxy.partition("://")
        host = re.match(r"(?:[\w.-]|\[[\w:.%]*\]?)*", rest.rpartition("@")[2])
        what = (
            "is not written as a URL; write http://user:password@host:port with % escapes in user and password, such "
            "as %2F for /"
            if kind.lower() in ("http", "https")
            else "is not supported; give an http or https proxy"
        )
        raise SettingsError(
            f"The proxy {one_line(kind, 20)}://{host.group() if host else ''} for {parts.hostname} {what} "
            "(`proxy` of the connection, or HTTPS_PROXY), or name the host in NO_PROXY."
        )
    return proxy


def proxy_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables that `proxy_for` may read, for several look-ups: reading all of them takes long."""
    return {name: environ[name] for name in environ if name.lower().endswith("_proxy")}


def with_scheme(proxy: str) -> str:
    """The URL of a proxy that may be given without `http://`."""
    proxy = proxy.strip()
    return proxy if "://" in proxy else f"http://{proxy.lstrip('/')}"


def _variable(name: str, environ: Mapping[str, str]) -> str:
    """The URL of a proxy in the environment. The name in lower case counts, even if it is empty, else any other."""
    if name in environ:
        return environ[name].strip()
    named = (environ[key].strip() for key in environ if key.lower() == name)
    return next(filter(None, named), "")


def _bypassed(parts: SplitResult, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host: by its name or the end of it, with a port, as an address or within a range."""
    host, port = (parts.hostname or "").lower(), parts.port
    address = _address(host)
    named = (host, f"{host}:{port}", f"[{host}]:{port}") if port else (host,)
    for entry in "".join(no_proxy.lower().split()).split(","):
        name = entry.lstrip(".")
        if entry == "*" or (name and name in named):
            return True
        if address is not None:
            network = _network(entry)
            if network is not None and address in network:
                return True
        elif name and any(known.endswith(f".{name}") for known in named):
            return True
    return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _certifi() -> str:
    import certifi

    return str(certifi.where())


def cause_of(error: BaseException, url: str, proxy: str | None, timeout: float) -> str:
    """Why a call to this URL did not arrive, in a few words."""
    host = urlsplit(url).hostname or url
    via = f" by the proxy {urlsplit(proxy).hostname}:{urlsplit(proxy).port or ''}".rstrip(":") if proxy else ""
    errors = list(_chain(error))
    for err in errors:
        if isinstance(err, ssl.SSLCertVerificationError):
            return f"certificate verify failed ({err.verify_message}); name the right CA file in `verify`"
        if isinstance(err, socket.gaierror):
            return f"name not known ({urlsplit(proxy).hostname if proxy else host})"
    for err in errors:
        if type(err).__name__ == "ProxyError" or "tunnel connection failed" in str(err).lower():
            return f"the proxy {urlsplit(proxy or '').hostname or ''} refused ({one_line(str(err), 100)})"
    for err in errors:
        if isinstance(err, ssl.SSLError):
            return f"no TLS connection{via} ({one_line(err.reason or str(err), 100)})"
        if isinstance(err, ConnectionRefusedError) or getattr(err, "errno", None) == errno.ECONNREFUSED:
            return f"connection refused{via}"
        if isinstance(err, TimeoutError) or "timeout" in type(err).__name__.lower():
            return f"no connection within {timeout:.0f} s{via}"
    return f"no connection{via} ({one_line(str(error), 200) or type(error).__name__})"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it comes from, by cause, context, `reason` (urllib3) and arguments."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        err = waiting.pop(0)
        if not isinstance(err, BaseException) or id(err) in seen:
            continue
        seen.add(id(err))
        yield err
        waiting += [err.__cause__, err.__context__, getattr(err, "reason", None), *err.args]
        waiting += list(getattr(err, "exceptions", ()))
