"""Who may use the control plane, which has no token: programs on this machine, and those that call it by a known name.

A web page in a browser on the same machine could reach it otherwise: by a name of its own that it makes to mean
127.0.0.1 (DNS rebinding; the ``Host`` header tells), or by a form or script that posts to another site (``Origin``,
``Sec-Fetch-Site`` and the content type tell).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, ip_address

from .replies import Reply

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_ORIGIN = re.compile(r"https?://(.+)", re.IGNORECASE)


def host_name(text: str) -> str | None:
    """The name or address of a ``Host`` header, without port and brackets, in one form; None for what is none."""
    match = _HOST.fullmatch(text)
    return None if match is None else _in_one_form(match[1] or match[2])


def is_loopback(name: str) -> bool:
    """Whether a name or address can mean nothing but this machine itself."""
    name = _in_one_form(name)
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    # ::ffff:127.0.0.1, as a socket for both kinds of addresses shows the older one.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _in_one_form(name: str) -> str:
    name = name.lower().rstrip(".")
    try:
        return str(ip_address(name.strip("[]")))
    except ValueError:
        return name


class Access:
    """The names by which the control plane may be called, with any port.

    :param host: name or address that the server listens on.
    :param allow_hosts: further ones, as clients write them (``simulator``, ``host.docker.internal``). A port
        is ignored.
    :raises ValueError: one of ``allow_hosts`` is no name of a host.
    """

    def __init__(self, host: str = "127.0.0.1", allow_hosts: Iterable[str] = ()) -> None:
        names = {_in_one_form(host)}
        for given in [allow_hosts] if isinstance(allow_hosts, str) else allow_hosts:
            # An IPv6 address may be written without brackets.
            name = (host_name(given) or host_name(f"[{given}]")) if isinstance(given, str) else None
            if name is None:
                raise ValueError(f"{given!r} is no name or address of a host, such as simulator or 192.168.0.7.")
            names.add(name)
        self._names = names

    def refusal(self, method: str, headers: Mapping[str, str], address: str | None) -> Reply | None:
        """What to answer instead of obeying; None when there is nothing against the call.

        :param headers: by names in lower case; several of one name joined by commas.
        :param address: the server's own end of the connection.
        """
        host = headers.get("host", "")
        name = host_name(host)
        if name is None or not (is_loopback(name) or name in self._names or name == _in_one_form(address or "")):
            return _refused(
                403,
                f"The control plane cannot be called by the host name {host!r}: use the address it listens on, or start"
                " the simulator with --allow-host (allow_hosts in Python) and this name.",
            )
        origin = headers.get("origin")
        if origin is not None:
            match = _ORIGIN.fullmatch(origin)
            if match is None or match[1].lower() != host.lower():
                return _refused(
                    403, f"The control plane takes no calls from the web page of another site ({origin!r})."
                )
        if headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin"):
            return _refused(403, "The control plane takes no calls from the web page of another site.")
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        kind = headers.get("content-type")
        is_json = (kind or "").partition(";")[0].strip().lower() == "application/json"
        if method not in ("GET", "HEAD") and (has_body or kind is not None) and not is_json:
            return _refused(415, "The control plane takes JSON: send the header Content-Type: application/json.")
        return None


def _refused(status: int, sentence: str) -> Reply:
    return Reply(status, {"error": sentence})
