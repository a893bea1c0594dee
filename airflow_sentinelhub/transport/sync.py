"""The driver of a worker: runs flows with requests, in this thread."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from requests_oauthlib import OAuth2
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, SSLError

from airflow_sentinelhub.api.call import Call, Flow, Lost, Mask, Note, Now, Renew, Reply, Send, Sleep, Step, Work
from airflow_sentinelhub.exceptions import Interrupted
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
        self._session = requests.Session()
        self._session.headers["User-Agent"] = user_agent()
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
        with self._gate:
            try:
                got = self._session.request(method, url, timeout=self._settings.timeout, allow_redirects=False, **how)
            except requests.exceptions.ConnectTimeout:
                return Lost(f"no connection to {self._settings.base_url} in time", ambiguous=False)
            except requests.exceptions.Timeout:
                return Lost(f"no reply within {self._settings.timeout:.0f} s", ambiguous=True)
            except requests.exceptions.ConnectionError as err:
                refused = _never_sent(err)
                why = f"{url.split('?')[0]} cannot be reached" if refused else "the connection was cut"
                return Lost(why, ambiguous=not refused)
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
    return isinstance(reason, (NewConnectionError, SSLError)) or isinstance(err, requests.exceptions.SSLError)
