"""What takes an event loop from a thousand triggers at their start: modules that are loaded, clients that are made."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.transport import client
from airflow_sentinelhub.transport.network import Certificates
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings

PROGRAM = """
import asyncio, json, sys, threading
from airflow_sentinelhub.api.call import exchange
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.exceptions import NotFoundError
from airflow_sentinelhub.transport import client
from airflow_sentinelhub.transport.aio import AsyncDriver
from airflow_sentinelhub.transport.settings import Settings

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            asked.append(name)

async def first():
    sys.meta_path.insert(0, Finder)
    try:
        driver, request_id = AsyncDriver(Settings(**json.loads(sys.argv[1]))), "77777777-7777-7777-7777-777777777777"
        await driver.run(exchange(V2.get(request_id)))
    except NotFoundError:
        answered.append(True)
    sys.meta_path.remove(Finder)

def is_standard(name):
    return name.partition(".")[0] in sys.stdlib_module_names

asked, answered = [], []
asyncio.run(first())
print(json.dumps([answered, [name for name in asked if name in sys.modules and not is_standard(name)]]))
"""


def test_the_first_call_of_a_triggerer_loads_no_module_in_the_event_loop(simulator: Any) -> None:
    """The HTTP library loads 76 of them by its first call: 100 ms of CPU time, in which no trigger runs."""
    account = {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
    given = {"base_url": simulator.url, "token_url": simulator.auth_url, **account}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(given)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(ran.stdout.splitlines()[-1]) == [[True], []]


async def test_triggers_that_begin_together_make_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    context = Certificates.context

    def counted(self: Certificates) -> Any:
        nonlocal read
        read += 1
        return context(self)

    monkeypatch.setattr(Certificates, "context", counted)
    monkeypatch.setattr(PROCESS, "tls", {})
    settings = Settings("https://127.0.0.1:9", "https://127.0.0.1:9/token", "together", "secret")
    made = await asyncio.gather(*(client.in_loop(settings) for _ in range(50)))
    assert len(set(map(id, made))) == 1
    assert read == 1
