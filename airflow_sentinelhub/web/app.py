"""The FastAPI app of the pages. It runs in Airflow's api-server, below `/sentinelhub`.

Each route of a job depends on Airflow's own check of who may read the XComs of the DAG; the page of all jobs leaves out
the jobs of other DAGs. The static files are open. Replies hold no
secret, pages load nothing from elsewhere, and nothing here changes a job.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from airflow_sentinelhub._compat.pages import dags_to_read, may_read_xcoms, user_of_request
from airflow_sentinelhub._compat.task_tables import TaskFacts, task_facts, tasks_with
from airflow_sentinelhub._task import ORIGIN_KEY
from airflow_sentinelhub.hooks.job_map import RequestSource, ShownRequest
from airflow_sentinelhub.web.accounts import Accounts
from airflow_sentinelhub.web.job_view import KEYS, job_view, source_of
from airflow_sentinelhub.web.jobs_view import KEYS as JOBS_KEYS
from airflow_sentinelhub.web.jobs_view import jobs_view
from airflow_sentinelhub.web.reading import MOST_KEPT, Readings

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
JOB = "/job/{dag_id}/{run_id}/{task_id}/{map_index}"


def make_app() -> FastAPI:
    """The app, with its own cache of readings."""
    app = FastAPI(title="Sentinel Hub", docs_url=None, redoc_url=None, openapi_url=None)
    readings = Readings()
    app.include_router(_pages(readings), dependencies=[Depends(may_read_xcoms())])
    app.include_router(_jobs(Accounts()))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(GZipMiddleware, minimum_size=2_000, compresslevel=5)
    return app


def _pages(readings: Readings) -> APIRouter:
    router, packed = APIRouter(), _Packed()

    @router.get(JOB, response_class=HTMLResponse)
    def job_page(dag_id: str, run_id: str, task_id: str, map_index: str) -> Response:
        return HTMLResponse((STATIC / "job.html").read_text(), headers=HEADERS)

    @router.get(f"{JOB}/facts")
    def job_facts(dag_id: str, run_id: str, task_id: str, map_index: str) -> Response:
        facts, known = _look(readings, dag_id, run_id, task_id, map_index)
        return _json(job_view(facts, known, time.time()))

    @router.get(f"{JOB}/tiles")
    def job_tiles(request: Request, dag_id: str, run_id: str, task_id: str, map_index: str) -> Response:
        facts, known = _look(readings, dag_id, run_id, task_id, map_index)
        source = source_of(facts) if facts is not None else None
        if known is None or source is None:
            raise HTTPException(404, "This task has no Sentinel Hub job.")
        content, tag = packed.of(source, known)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={**HEADERS, "ETag": tag})
        packing = {"Content-Encoding": "gzip"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            content, packing = gzip.decompress(content), {}
        headers = {**HEADERS, **packing, "ETag": tag, "Vary": "Accept-Encoding"}
        return Response(content, media_type="application/json", headers=headers)

    @router.get(f"{JOB}/tile/{{index}}")
    def job_tile(dag_id: str, run_id: str, task_id: str, map_index: str, index: int) -> Response:
        _, known = _look(readings, dag_id, run_id, task_id, map_index)
        table = known.table if known is not None else None
        if table is None or not 0 <= index < len(table.names):
            raise HTTPException(404, "There is no such tile.")
        return _json({"name": table.names[index], "paths": dict(table.paths[index])})

    return router


MOST_JOBS = 500
"""Tasks with a job that the page of all jobs looks at: the newest ones."""


def _jobs(accounts: Accounts) -> APIRouter:
    """The page of all jobs: whoever is logged in sees those of the DAGs whose XComs they may read."""
    router = APIRouter()
    user = user_of_request()

    @router.get("/jobs", response_class=HTMLResponse, dependencies=[Depends(user)])
    def jobs_page() -> Response:
        return HTMLResponse((STATIC / "jobs.html").read_text(), headers=HEADERS)

    @router.get("/jobs/facts")
    def jobs_facts(who: Any = Depends(user)) -> Response:  # noqa: B008, this is how FastAPI is told
        tasks = tasks_with(ORIGIN_KEY, JOBS_KEYS, MOST_JOBS, lambda dag_ids: dags_to_read(who, dag_ids))
        listed = accounts.of(source for task in tasks if (source := source_of(task)) is not None)
        return _json(jobs_view(tasks, time.time(), listed, more=len(tasks) >= MOST_JOBS))

    return router


_NO_TASK = "There is no such task instance."
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NUMBER = re.compile(r"-1|[0-9]{1,9}")
"""Map indexes. A larger number is no map index, and a database refuses it."""


def _look(
    readings: Readings, dag_id: str, run_id: str, task_id: str, map_index: str
) -> tuple[TaskFacts | None, ShownRequest | None]:
    """The task instance and what is known of its request."""
    if any(_CONTROL.search(name) for name in (dag_id, run_id, task_id)):
        raise HTTPException(404, _NO_TASK)  # PostgreSQL takes no NUL, and Airflow no such names
    facts = task_facts(dag_id, run_id, task_id, _index(map_index), KEYS, ORIGIN_KEY)
    source = source_of(facts) if facts is not None else None
    return facts, None if source is None else readings.of(source)


def _index(text: str) -> int:
    """The map index in a path. Airflow's page leaves the words `{MAP_INDEX}` in it for a task that is not mapped."""
    if text.strip("{}") in ("MAP_INDEX", ""):
        return -1
    if _NUMBER.fullmatch(text) is None:
        raise HTTPException(404, _NO_TASK)
    return int(text)


def _json(value: Any, **headers: str) -> Response:
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=str)
    return Response(text, media_type="application/json", headers={**HEADERS, **headers})


class _Packed:
    """Tiles as they are sent: made and packed once for all viewers, in the thread that answers, not in the event loop.

    A hundred thousand tiles are some megabytes, which take half a second.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[RequestSource, tuple[int, bytes, str]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, source: RequestSource, known: ShownRequest) -> tuple[bytes, str]:
        """The reply, and its tag: of the content, since another process of the api-server counts readings anew."""
        with self._lock:
            made = self._made.get(source)
            if made is None or made[0] != known.revision:
                table = None if known.table is None else known.table.as_json()
                value = {"request_id": source.request_id, "area": known.area, "table": table}
                text = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
                tag = f'"{hashlib.blake2b(text, digest_size=16).hexdigest()}"'
                made = self._made[source] = known.revision, gzip.compress(text, 4), tag
            self._made.move_to_end(source)
            while len(self._made) > MOST_KEPT:
                self._made.popitem(last=False)
            return made[1:]
