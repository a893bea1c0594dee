"""The driver of a worker: runs flows with requests, in this thread."""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from requests_oauthlib import OAuth2
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProtocolError, SSLError

from airflow_sentinelhub.api.call import Call, Flow, Lost, Mask, Note, Now, Renew, Reply, Send, Sleep, Step, Work
from airflow_sentinelhub.exceptions import Interrupted
from airflow_sentinelhub.transport.network import cause_of, certificates, proxy_for
from airflow_sentinelhub.transport.process import PROCESS, Log, user_agent
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.tokens import Token, TokenCall, authorization

R = TypeVar("R")


class _Signed(OAuth2):
    """requests-oauthlib's signature of a call. That refuses plain http, which a connection asks for by name."""

    def __init__(self, token: str) -> None:
        super().__init__(token={"access_token": token, "token_type": "Bearer"})
        self._token = token

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if str(r.url).lower().startswith("https:"):
            return super().__call__(r)
        r.headers.update(authorization(self._token))
        return r


class _Adapter(HTTPAdapter):
    """Connects with a TLS context of ours, also through a proxy, instead of requests' own rule for certificates."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__()

    def init_poolmanager(self, *given: Any, **how: Any) -> Any:
        return super().init_poolmanager(*given, ssl_context=self._tls, **how)

    def proxy_manager_for(self, proxy: str, **how: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._tls, proxy_ssl_context=self._tls, **how)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_NONE" if self._tls.verify_mode is ssl.CERT_NONE else "CERT_REQUIRED"

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        where, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        return where, {"ssl_context": self._tls, "cert_reqs": self._tls.verify_mode, **_without_certificates(pool)}


def _without_certificates(pool: Any) -> dict[str, Any]:
    return {name: value for name, value in pool.items() if name not in ("ca_certs", "ca_cert_dir", "cert_reqs")}


def _session(settings: Settings) -> requests.Session:
    """A session that reads nothing of the machine: proxies and certificates are decided by `network.py`."""
    session = requests.Session()
    session.trust_env = False
    session.headers["User-Agent"] = user_agent()
    if "https://" in (settings.base_url + settings.token_url):
        trusted = certificates(settings)
        if trusted not in PROCESS.tls:
            PROCESS.tls[trusted] = trusted.context()
        session.mount("https://", _Adapter(PROCESS.tls[trusted]))
    return session


class SyncDriver:
    """Runs flows. One driver per hook; token and limit are the process's.

    :param log: gets the flow's notes; :param mask: is told every secret that a log must not show.
    """

    def __init__(
        self, settings: Settings, log: Log | None = None, mask: Callable[[str], None] = lambda secret: None
    ) -> None:
        self._settings = settings
        self._tokens = PROCESS.tokens_of(settings)
        self._log: Log = log or logging.getLogger(__name__)
        self._mask = mask
        self._session = _session(settings)
        self._gate = PROCESS.gate_of(settings)
        self._used: str | None = None
        self._stop = threading.Event()

    def run(self, flow: Flow[R]) -> R:
        """Drive the flow to its end and return its result; its errors come out as they are."""
        try:
            step = next(flow)
            while True:
                try:
                    received = self._perform(step)
                except BaseException as err:
                    step = flow.throw(err)
                else:
                    step = flow.send(received)
        except StopIteration as end:
            result: R = end.value
            return result

    def interrupt(self) -> None:
        """End the flow that runs in another thread, or below this signal handler, at its next sleep or call.

        A call that is under way is not cut short; none follows it. So a task whose request was ended in the middle of a
        reading cannot start it after that.
        """
        self._stop.set()

    def close(self) -> None:
        self._session.close()

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Send):
            if self._stop.is_set():
                raise Interrupted("The task is being ended.")
            return self._send(step.call)
        if isinstance(step, Sleep):
            if self._stop.wait(step.seconds * (1 + step.jitter * random.random())):
                raise Interrupted("The task is being ended.")
        elif isinstance(step, Now):
            return time.time()
        elif isinstance(step, Note):
            self._log.log(logging.WARNING if step.warning else logging.INFO, "%s", step.message)
        elif isinstance(step, Work):
            return step.function()
        elif isinstance(step, Mask):
            self._mask(step.secret)
        elif isinstance(step, Renew):
            self._tokens.refused(self._used)
        return None

    def _send(self, call: Call[Any]) -> Reply | Lost:
        if isinstance(call, TokenCall):
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._request("POST", self._settings.token_url, data=self._tokens.form(), headers=form)
        token = self._token()
        self._used = token.value
        url = self._settings.url(call.path)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return self._request(
            call.method, url, params=call.params(), json=call.json, headers=headers, auth=_Signed(token.value)
        )

    def _token(self) -> Token:
        with PROCESS.fetching:
            return self._tokens.current(time.time()) or self.run(self._tokens.fetch())

    def _request(self, method: str, url: str, **how: Any) -> Reply | Lost:
        proxy, timeout = proxy_for(self._settings, url), self._settings.timeout
        proxies = {"http": proxy, "https": proxy} if proxy else {}
        with self._gate:
            try:
                got = self._session.request(method, url, timeout=timeout, allow_redirects=False, proxies=proxies, **how)
            except requests.exceptions.ReadTimeout:
                return Lost(f"no reply within {timeout:.0f} s", ambiguous=True)
            except requests.exceptions.ConnectionError as err:
                if not _never_sent(err):
                    return Lost("the connection was cut", ambiguous=True)
                why = cause_of(err, url, proxy, timeout)
                return Lost(f"{url.split('?')[0]} cannot be reached: {why}", ambiguous=False)
            except requests.exceptions.ChunkedEncodingError:
                return Lost("the connection was cut", ambiguous=True)
            except requests.exceptions.RequestException as err:
                return Lost(f"the exchange broke off ({type(err).__name__})", ambiguous=True)
        headers = {name.lower(): value for name, value in got.headers.items()}
        return Reply(got.status_code, headers, got.content)


def _never_sent(err: BaseException) -> bool:
    """Whether the connection could not be made at all: unknown host, refused, bad certificate."""
    reason: Any = err.args[0] if err.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    if isinstance(reason, ProtocolError):
        return False
    never = (requests.exceptions.SSLError, requests.exceptions.ProxyError, requests.exceptions.ConnectTimeout)
    return isinstance(reason, (NewConnectionError, SSLError, ConnectTimeoutError)) or isinstance(err, never)
