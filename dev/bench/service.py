"""A batch service for measurements, in a process of its own: it must never be what is waited for.

It answers what list pages, single readings and lists of tiles of the service look like, from texts that are made once.
The simulator is truer and a hundred times dearer. Every reading of a job differs from the one before, as those of large
jobs do. Batch v1 knows single requests and their tiles only.

    python -m dev.bench.service '{"jobs": 1000, "latency": 0.05}'

It writes its port as the first line. `/count` tells what it was asked, and how often it answered 429.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dev.bench import end_with_parent

PAGE = 100
APART = 60.0
"""Seconds between the creation of two jobs."""
NEWEST = datetime(2026, 1, 1, 10, tzinfo=timezone.utc)
"""When the newest job was created."""
STATUSES = (("PROCESSED", 0.6), ("FAILED", 0.001), ("PROCESSING", 0.01), ("QUEUED", 0.1), ("PENDING", 1.0))
"""The share of a v1 job's tiles in each status, of those that are left."""
WORDS = "crop map of a district, " + "x" * 150
"""The description of a job."""
JOB_SECONDS = 6000.0
"""How long a job is processed from the start of the service on, if it is not told to end earlier."""


BEHIND = 10**8


def identifier(number: int) -> str:
    """The id of a job. Numbers below 0 are those of jobs that were created since the start of the service."""
    return f"{number % BEHIND:08d}-0000-4000-8000-000000000000"


def start_of_run(number: int) -> int:
    """When the run was started whose task has made the job with this number, in microseconds since 1970."""
    return round((NEWEST - timedelta(seconds=number * APART)).timestamp() * 1_000_000) - 1


def number_of(request_id: str) -> int:
    """The number of a job by its id."""
    number = int(request_id[:8])
    return number - BEHIND if number > BEHIND // 2 else number


class Service:
    """The jobs and their replies.

    :param jobs: how many the account has, the newest first.
    :param latency: seconds before each reply.
    :param limit: calls per minute above which 429 is answered (a bucket that is full at first); None for no limit.
    :param ends: seconds from the first call over which the jobs end one by one; None: they do not.
    :param tiles: tiles of each job (v1).
    :param own: descriptions of jobs that differ from the others', by the number of the job as text.
    :param idle: whether those jobs were never started; otherwise they are done.
    """

    def __init__(
        self,
        jobs: int,
        latency: float = 0.05,
        limit: float | None = None,
        ends: tuple[float, float] | None = None,
        tiles: int = 0,
        own: dict[str, str] | None = None,
        idle: bool = False,
    ) -> None:
        self.latency, self.limit, self.ends, self.jobs = latency, limit, ends, jobs
        self.began, self.called = time.time(), False
        self.left, self.filled = limit or 0.0, self.began
        self.asked = {"list": 0, "single": 0, "token": 0, "create": 0, "limited": 0, "bytes": 0}
        ring = [[13.0 + point / 1000, 45.0 + point / 999] for point in range(60)]
        self.tiles, self.own, self.idle, self.created = tiles, own or {}, idle, list[str]()
        asked = {
            "description": WORDS,
            "processRequest": {
                "input": {"bounds": {"geometry": {"type": "Polygon", "coordinates": [ring]}}},
                "evalscript": "//VERSION=3\n" + "return [sample.B04];" * 75,
            },
            "output": {"type": "raster", "delivery": {"s3": {"url": "s3://results/bench"}}},
        }
        self.request = json.dumps(asked)
        self.process_request = json.dumps(asked["processRequest"])
        self.by_status = dict[str, range]()
        begin = 0
        for status, share in STATUSES:
            end = begin + round((tiles - begin) * share)
            self.by_status[status], begin = range(begin, end), end

    def end_of(self, number: int) -> float | None:
        """When a job is done, in seconds since 1970."""
        if self.ends is None:
            return None
        first, last = self.ends
        return self.began + first + (last - first) * number / max(self.jobs - 1, 1)

    def described(self, number: int) -> str:
        """What was asked for, as JSON."""
        words = self.created[-number - 1] if number < 0 else self.own.get(str(number))
        return self.request if words is None else self.request.replace(json.dumps(WORDS), json.dumps(words))

    def entry(self, number: int, now: float) -> str:
        """A request of v2."""
        created = (NEWEST - timedelta(seconds=number * APART)).isoformat()
        if number < 0 or (self.idle and str(number) in self.own):
            created = datetime.now(timezone.utc).isoformat() if number < 0 else created
            return (
                f'{{"id": "{identifier(number)}", "request": {self.described(number)}, "domainAccountId": "bench", '
                f'"status": "CREATED", "userAction": "NONE", "created": "{created}"}}'
            )
        end = self.end_of(number)
        done = (end is not None and end <= now) or str(number) in self.own
        share = 100 if done else round((now - self.began + number % 50) / JOB_SECONDS * 100, 2)
        return (
            f'{{"id": "{identifier(number)}", "request": {self.described(number)}, "domainAccountId": "bench", '
            f'"status": "{"DONE" if done else "PROCESSING"}", "userAction": "START", '
            f'"userActionUpdated": "{created}", "created": "{created}", '
            f'"completionPercentage": {share}, "costPU": {share * 3:.2f}}}'
        )

    def page(self, begin: int, now: float) -> str:
        """A page of v2's list, the newest first."""
        end = min(begin + PAGE, self.jobs)
        numbers = [*(range(-len(self.created), 0) if begin == 0 else ()), *range(begin, end)]
        return _page([self.entry(number, now) for number in numbers], end, self.jobs)

    def entry_v1(self, number: int) -> str:
        """A request of v1."""
        return (
            f'{{"id": "{identifier(number)}", "processRequest": {self.process_request}, "status": "PROCESSING", '
            f'"userAction": "START", "created": "2026-01-01T10:00:00Z", "tileCount": {self.tiles}, '
            f'"valueEstimate": 100.0, "description": "{WORDS}"}}'
        )

    def tile_page(self, status: str | None, begin: int) -> str:
        """A page of the tiles of a v1 job. Each time that it is asked for some more are done."""
        of_status = range(self.tiles) if status is None else self.by_status.get(status, range(0))
        chosen = of_status[begin : begin + PAGE]
        words = [next(word for word, numbers in self.by_status.items() if number in numbers) for number in chosen]
        items = [
            f'{{"id": {number}, "name": "31TCJ_{number}", "status": "{word}", "cost": 1.25, '
            f'"geometry": {{"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}}}}'
            for number, word in zip(chosen, words, strict=True)
        ]
        return _page(items, begin + len(chosen), len(of_status))

    def refused(self, now: float) -> bool:
        """Whether the account has used up its calls."""
        if self.limit is None:
            return False
        self.left, self.filled = min(self.left + (now - self.filled) * self.limit / 60, self.limit), now
        if self.left < 1:
            return True
        self.left -= 1
        return False

    def reply(self, method: str, target: str, body: bytes = b"") -> tuple[int, str]:
        """Status and body of the reply to a call."""
        parts, now = urlsplit(target), time.time()
        if parts.path == "/count":
            return 200, json.dumps({**self.asked, "began": self.began})
        if not self.called:  # a side takes its time to load
            self.began, self.called = now, True
        if parts.path == "/token":
            self.asked["token"] += 1
            return 200, '{"access_token": "a.b.c", "expires_in": 3600, "token_type": "bearer"}'
        listed = parts.path.endswith("/process")
        self.asked["create" if method == "POST" else "list" if listed else "single"] += 1
        if self.refused(now):
            self.asked["limited"] += 1
            return 429, '{"error": {"status": 429, "message": "You have exceeded your rate limit"}}'
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        token, name = int(query.get("viewtoken", "0")), parts.path.rpartition("/")[2]
        if method == "POST":
            self.created.append(json.loads(body)["description"])
            return 201, self.entry(-len(self.created), now)
        if listed:
            return 200, self.page(token, now)
        if name == "tiles":
            return 200, self.tile_page(query.get("status"), token)
        number = number_of(name)
        return 200, self.entry_v1(number) if "/v1/" in parts.path else self.entry(number, now)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the calls of a connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.lower().split("\r\n")
                size = next((line.partition(":")[2] for line in lines if line.startswith("content-length:")), "0")
                sent = await reader.readexactly(int(size))
                method, target, _ = head.split(" ", 2)
                if target != "/count":
                    await asyncio.sleep(self.latency)
                status, text = self.reply(method, target, sent)
                body = text.encode()
                self.asked["bytes"] += len(body)
                more = "Retry-After: 1000\r\n" if status == 429 else ""
                kind = "Content-Type: application/json\r\n"
                writer.write(f"HTTP/1.1 {status} X\r\n{kind}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _page(items: list[str], end: int, total: int) -> str:
    links = f'{{"nextToken": "{end}"}}' if end < total else "{}"
    return f'{{"data": [{", ".join(items)}], "links": {links}}}'


async def main(options: dict[str, Any]) -> None:
    service = Service(**options)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(main(json.loads(sys.argv[1])))
