"""Certificates and proxies: one rule, the same answer by both drivers, over real TLS and a real proxy on loopback."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import socketserver
import ssl
import subprocess
import threading
from collections import UserDict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_sentinelhub.api.call import ONCE, Call, Sleep, exchange
from airflow_sentinelhub.exceptions import SettingsError, UnreachableError
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.network import CA_FILES, certificates, proxy_for
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.sync import SyncDriver

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
NOTHING = Call("GET", "/api/v2/batch/nothing", lambda body: body, repeatable=True)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CA_FILES, *PROXIES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(PROCESS, "tls", {})
    monkeypatch.setattr(SyncDriver, "_perform", without_pauses(SyncDriver._perform))
    monkeypatch.setattr(AsyncDriver, "_perform", without_pauses_in_a_loop(AsyncDriver._perform))
    monkeypatch.setattr(PROCESS, "tokens", {})


def without_pauses(perform: Any) -> Any:
    return lambda driver, step: None if isinstance(step, Sleep) else perform(driver, step)


def without_pauses_in_a_loop(perform: Any) -> Any:
    async def performed(driver: AsyncDriver, step: Any) -> Any:
        return None if isinstance(step, Sleep) else await perform(driver, step)

    return performed


KEY_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def signed(name: str, issuer: Any = None, key: Any = None) -> tuple[Any, Any]:
    """A certificate for 127.0.0.1 and its key; without an issuer one that signs others."""
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer is not None else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]),
            critical=False,
        )
        # Python 3.13 takes no certificate without these two.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key((key or own).public_key()), critical=False)
    )
    if issuer is None:
        signs = dict.fromkeys(("key_cert_sign", "crl_sign"), True)
        builder = builder.add_extension(x509.KeyUsage(**{**dict.fromkeys(KEY_USES, False), **signs}), critical=True)
    return builder.sign(key or own, hashes.SHA256()), own


def pem(thing: Any) -> bytes:
    if hasattr(thing, "private_bytes"):
        how = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return bytes(thing.private_bytes(*how))
    return bytes(thing.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca.pem` signs `server.pem`; `other.pem` signs nothing here."""
    folder = tmp_path_factory.mktemp("certificates")
    ca, key = signed("a CA of this test")
    other, _ = signed("another CA")
    server, server_key = signed("127.0.0.1", ca, key)
    (folder / "ca.pem").write_bytes(pem(ca))
    (folder / "other.pem").write_bytes(pem(other))
    (folder / "server.pem").write_bytes(pem(server) + pem(server_key))
    return folder


class Service(BaseHTTPRequestHandler):
    """Gives a token to everybody, and an empty object."""

    def _answer(self) -> None:
        body = b'{"access_token": "abc.def", "expires_in": 3600}' if self.command == "POST" else b"{}"
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(dict(self.headers))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.seen = []  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Tunnel(socketserver.StreamRequestHandler):
    """A proxy that connects to anything, or refuses."""

    def handle(self) -> None:
        words = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            continue
        self.server.asked.append(words[1])  # type: ignore[attr-defined]
        if self.server.refuses:  # type: ignore[attr-defined]
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = words[1].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as there:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=copy, args=(there, self.connection), daemon=True)
            back.start()
            copy(self.connection, there)
            back.join(timeout=10)


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.fixture
def proxy() -> Iterator[Any]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
    server.daemon_threads = True
    server.asked, server.refuses = [], False  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def settings(service: ThreadingHTTPServer, **changes: Any) -> Settings:
    url = f"https://127.0.0.1:{service.server_port}"
    given = {"base_url": url, "token_url": f"{url}/token", "client_id": "id", "client_secret": "hush", **changes}
    return Settings(timeout=10.0, **given)


def asked(driver: str, how: Settings) -> str:
    """`fine`, or what the driver says."""
    try:
        if driver == "worker":
            SyncDriver(how).run(exchange(NOTHING, ONCE))
        else:
            asyncio.run(AsyncDriver(how).run(exchange(NOTHING, ONCE)))
    except UnreachableError as err:
        return str(err)
    return "fine"


drivers = pytest.mark.parametrize("driver", ["worker", "triggerer"])


@drivers
@pytest.mark.parametrize(
    ("connection", "environment", "trusted"),
    [
        ({}, {}, False),
        ({"verify": "ca.pem"}, {}, True),
        ({"verify": "other.pem"}, {}, False),
        ({"verify": False}, {}, True),
        ({"verify": "ca.pem"}, {"REQUESTS_CA_BUNDLE": "other.pem"}, True),
        ({"verify": "other.pem"}, {"REQUESTS_CA_BUNDLE": "ca.pem"}, False),
        *(({}, {name: "ca.pem"}, True) for name in CA_FILES[:-1]),
        *(({}, {name: "other.pem"}, False) for name in CA_FILES[:-1]),
        ({}, {"REQUESTS_CA_BUNDLE": "ca.pem", "SSL_CERT_FILE": "other.pem"}, True),
        ({}, {"REQUESTS_CA_BUNDLE": "other.pem", "SSL_CERT_FILE": "ca.pem"}, False),
        ({}, {"SSL_CERT_DIR": "."}, False),  # a folder whose files have no names of their hashes
    ],
)
def test_both_drivers_trust_the_same(
    service: ThreadingHTTPServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    driver: str,
    connection: dict[str, Any],
    environment: dict[str, str],
    trusted: bool,
) -> None:
    for name, file in environment.items():
        monkeypatch.setenv(name, str(folder / file))
    given = {name: str(folder / value) if isinstance(value, str) else value for name, value in connection.items()}
    said = asked(driver, settings(service, **given))
    assert said == "fine" if trusted else "certificate verify failed" in said


@drivers
@pytest.mark.parametrize(
    ("connection", "environment", "used"),
    [
        (False, {}, False),
        (True, {}, True),
        (False, {"HTTPS_PROXY": "{proxy}"}, True),
        (False, {"https_proxy": "{proxy}"}, True),
        (False, {"ALL_PROXY": "{proxy}"}, True),
        (False, {"HTTP_PROXY": "{proxy}"}, False),
        (False, {"HTTPS_PROXY": "{proxy}", "NO_PROXY": "127.0.0.1"}, False),
        (False, {"HTTPS_PROXY": "{proxy}", "NO_PROXY": "10.0.0.0/8,127.0.0.0/8"}, False),
        (False, {"HTTPS_PROXY": "{proxy}", "NO_PROXY": "10.0.0.0/8, fd00::/8"}, True),
        (False, {"HTTPS_PROXY": "{proxy}", "NO_PROXY": "*"}, False),
        (False, {"HTTPS_PROXY": "{proxy}", "NO_PROXY": "127.0.0.1:1"}, True),
        (False, {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "127.0.0.0/8"}, False),
        (True, {"NO_PROXY": "127.0.0.1"}, True),
    ],
)
def test_both_drivers_use_the_same_proxy(
    service: ThreadingHTTPServer,
    folder: Path,
    proxy: Any,
    monkeypatch: pytest.MonkeyPatch,
    driver: str,
    connection: bool,
    environment: dict[str, str],
    used: bool,
) -> None:
    here = f"http://127.0.0.1:{proxy.server_address[1]}"
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(proxy=here))
    how = {"proxy": here} if connection else {}
    assert asked(driver, settings(service, verify=str(folder / "ca.pem"), **how)) == "fine"
    assert bool(proxy.asked) == used


@drivers
def test_a_proxy_that_refuses_is_named(service: ThreadingHTTPServer, folder: Path, proxy: Any, driver: str) -> None:
    proxy.refuses = True
    here = f"http://127.0.0.1:{proxy.server_address[1]}"
    said = asked(driver, settings(service, verify=str(folder / "ca.pem"), proxy=here))
    assert "the proxy 127.0.0.1 refused" in said


@drivers
def test_the_cause_is_in_the_message(service: ThreadingHTTPServer, driver: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    said = asked(driver, settings(service, base_url=nobody, token_url=f"{nobody}/token"))
    assert "cannot be reached: connection refused" in said
    unknown = "http://no-such-host.invalid"
    said = asked(driver, settings(service, base_url=unknown, token_url=f"{unknown}/token"))
    assert "name not known (no-such-host.invalid)" in said


@drivers
def test_nothing_of_netrc_is_sent(
    service: ThreadingHTTPServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    service.seen.clear()  # type: ignore[attr-defined]
    assert asked(driver, settings(service, verify=str(folder / "ca.pem"))) == "fine"
    words = [headers.get("Authorization") for headers in service.seen]  # type: ignore[attr-defined]
    assert words == [None, "Bearer abc.def"]


@drivers
def test_a_proxy_of_another_kind_is_refused_in_a_sentence(service: ThreadingHTTPServer, driver: str) -> None:
    with pytest.raises(SettingsError, match=r"socks5://127\.0\.0\.1 for 127\.0\.0\.1 is not supported"):
        asked(driver, settings(service, proxy="socks5://me:hush@127.0.0.1:1080", verify=False))


@pytest.mark.parametrize(
    ("url", "no_proxy", "bypassed"),
    [
        ("https://sh.example.org", "example.org", True),
        ("https://sh.example.org", ".example.org", True),
        ("https://example.org", ".example.org", True),
        ("https://sh.example.org", "example.com,sh.example.org", True),
        ("https://sh.example.org:8443", "example.org:8443", True),
        ("https://sh.example.org:8443", "example.org:443", False),
        ("https://[fd00::1]/x", "fd00::/8", True),
        ("https://[fd00::1]:8443/x", "[fd00::1]:8443", True),
        ("https://[fd00::1]/x", "[fd00::1]", True),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3", "10.1.2.4", False),
        ("https://10.1.2.3", "not/a/range", False),
        ("https://sh.example.org", "", False),
        ("https://sh.example.org", " , ", False),
        ("https://sh.example.org", "a , *", True),
        ("https://sh.example.org", "..EXAMPLE.org", True),
        ("https://sh.example.org", "*.example.org", False),
        ("https://sh.example.org:8443", ":8443", False),
        ("https://badexample.org", "example.org", False),
        ("https://10.1.2.3", "10.0.0.0 /8", True),
        ("https://10.1.2.3:8443", "10.1.2.3:8443", True),
        ("https://[fd00::1]/x", "FD00:0:0::1", True),
    ],
)
def test_hosts_that_need_no_proxy(url: str, no_proxy: str, bypassed: bool) -> None:
    how = Settings("https://a", "https://a/t", "id", "hush")
    environ = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": no_proxy}
    assert proxy_for(how, url, environ) == (None if bypassed else "http://proxy:3128")


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": ""}, None),  # switched off, as for requests and curl
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:1"}, "http://q:1"),
        ({"Https_Proxy": "http://p:1"}, "http://p:1"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "p:1"}, "http://p:1"),
        ({"HTTPS_PROXY": " http://p:1\n"}, "http://p:1"),
        ({"HTTPS_PROXY": "//p:1"}, "http://p:1"),
    ],
)
def test_variables_of_proxies_are_read_as_requests_reads_them(environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(Settings("https://a", "https://a/t", "id", "hush"), "https://a", environ) == proxy


def test_no_variable_is_read_that_names_no_proxy() -> None:
    """It is done before each call, and reading a variable takes long: there are a hundred in a container."""
    read: list[str] = []

    class Environment(UserDict[str, str]):
        def __getitem__(self, name: str) -> str:
            read.append(name)
            return super().__getitem__(name)

    environ = Environment({f"SERVICE_{number}_HOST": "10.0.0.1" for number in range(100)}, ALL_PROXY="http://p:1")
    assert proxy_for(Settings("https://a", "https://a/t", "id", "hush"), "https://a", environ) == "http://p:1"
    assert set(read) <= {"ALL_PROXY", "NO_PROXY", "no_proxy"}


@drivers
@pytest.mark.parametrize(
    "proxy",
    [
        *("http://[::1", "http://p:abc", "http://", "http://me:hush@p:99999", "http://a b:1", "http://me:hu sh@p:1"),
        *("http://me:12/hush@p:1", "http://me:#hush@p:1", "http://me:1?hush@p:1", "me:hush/hush@p:1"),
    ],
)
def test_a_proxy_that_is_no_url_is_one_sentence(service: ThreadingHTTPServer, driver: str, proxy: str) -> None:
    """Most often it is the password of an http proxy: a slash in it ends the host, and `me` would be asked."""
    with pytest.raises(SettingsError, match=r"The proxy http://.* is not written as a URL; .*%2F for /") as caught:
        asked(driver, settings(service, proxy=proxy, verify=False))
    assert "hush" not in str(caught.value)


@drivers
def test_several_folders_of_certificates(
    service: ThreadingHTTPServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    named = ["openssl", "x509", "-hash", "-noout", "-in", str(folder / "ca.pem")]
    hashed = subprocess.run(named, capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "empty").mkdir()
    (tmp_path / f"{hashed}.0").write_bytes((folder / "ca.pem").read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path / 'empty'}:{tmp_path}")
    assert asked(driver, settings(service)) == "fine"


def test_a_proxy_without_a_scheme_is_an_http_proxy() -> None:
    how = Settings("https://a", "https://a/t", "id", "hush")
    assert proxy_for(how, "https://a", {"https_proxy": "proxy:3128"}) == "http://proxy:3128"


def test_no_password_of_a_proxy_shows() -> None:
    how = Settings("https://a", "https://a/t", "id", "hush", proxy="http://me:secretword@proxy:3128")
    assert "secretword" not in repr(how)


def test_certificates_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    how = Settings("https://a", "https://a/t", "id", "hush", verify=str(tmp_path / "ca.pem"))
    with pytest.raises(SettingsError, match=r"certificates in .*ca\.pem cannot be read .*verify must name"):
        certificates(how, {}).context()
