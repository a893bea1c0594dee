"""The simulator as a process of its own, as users start it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from dev.processes import Process


class Simulator:
    """Sentinel Hub on a free port of this machine; `speed` simulated seconds pass in one."""

    def __init__(self, *, speed: float = 1, options: tuple[str, ...] = ()) -> None:
        self.options = ("--port", "0", "--speed", f"{speed:g}", *options)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Simulator:
        self._folder = tempfile.TemporaryDirectory(prefix="airflow-sentinelhub-")
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def start(self) -> None:
        """Start the process, or start it anew after it was killed."""
        command = [sys.executable, "-m", "airflow_sentinelhub.simulator", *self.options, "--output", "json"]
        log = Path(self._folder.name) / "simulator.log"
        self.process = Process("simulator", command, env={**os.environ, "PYTHONUNBUFFERED": "1"}, log=log)
        self.ready = self.process.first_json()
        self.url = str(self.ready["url"])
        self.connection_uri = str(self.ready["airflow_connection_uri"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.end(grace=5)
        self._folder.cleanup()

    def connections(self, batch_api: str) -> dict[str, str]:
        """The environment that gives the example DAGs their connections: the service, and the bucket it writes to."""
        # Reads the buckets where the simulator keeps them; with the real service they are read at their S3 address.
        service = with_extra(self.connection_uri, batch_api=batch_api, bucket_mount=str(self.ready["bucket_dir"]))
        return {
            "AIRFLOW_CONN_SENTINELHUB_DEFAULT": service,
            # Any keys are good enough for the simulator's buckets.
            "AIRFLOW_CONN_SENTINELHUB_BUCKET": "aws://simulator:simulator@",
        }

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A call to the control plane, for example ("POST", "clock", {"speed": 600})."""
        request = urllib.request.Request(
            f"{self.url}/_simulator/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with self._opener.open(request, timeout=30) as reply:
            return dict(json.loads(reply.read() or b"{}"))

    def requests(self) -> list[dict[str, Any]]:
        """Every request that the service has, with its cost and its billed starts."""
        return list(self.control("GET", "requests")["requests"])

    def billed_starts(self) -> list[dict[str, Any]]:
        """Every start that cost money, whatever the client was told of it."""
        return [call for call in self.control("GET", "journal")["calls"] if call["effect"] == "billed_start"]


def with_extra(uri: str, **extra: str) -> str:
    """The connection with more in its extra."""
    parts = urllib.parse.urlsplit(uri)
    query = dict(urllib.parse.parse_qsl(parts.query))
    if "__extra__" in query:
        query["__extra__"] = json.dumps({**json.loads(query["__extra__"]), **extra})
    else:
        query.update(extra)
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))
