"""A batch v2 service for measurements, in a process of its own: it must never be what is waited for.

It answers what a list page and a single reading of the service look like, from texts that are made once. The simulator
is truer and a hundred times dearer. Every reading of a job differs from the one before, as those of large jobs do.

    python -m dev.bench.service '{"jobs": 1000, "latency": 0.05}'

It writes its port as the first line. `/count` tells what it was asked, and how often it answered 429.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dev.bench import end_with_parent

PAGE = 100
JOB_SECONDS = 6000.0
"""How long a job is processed from the start of the service on, if it is not told to end earlier."""


def identifier(number: int) -> str:
    """The id of a job."""
    return f"{number:08d}-0000-4000-8000-000000000000"


class Service:
    """The jobs and their replies.

    :param jobs: how many the account has, the newest first; :param latency: seconds before each reply.
    :param limit: calls per minute above which 429 is answered (a bucket that is full at first); None for no limit.
    :param ends: seconds from the start of the service over which the jobs end one by one; None: they do not.
    """

    def __init__(
        self, jobs: int, latency: float = 0.05, limit: float | None = None, ends: tuple[float, float] | None = None
    ) -> None:
        self.latency, self.limit, self.ends, self.jobs = latency, limit, ends, jobs
        self.began = time.time()
        self.left, self.filled = limit or 0.0, self.began
        self.asked = {"list": 0, "single": 0, "token": 0, "create": 0, "limited": 0, "bytes": 0}
        ring = [[13.0 + point / 1000, 45.0 + point / 999] for point in range(60)]
        asked = {
            "description": "crop map of a district, " + "x" * 150,
            "processRequest": {
                "input": {"bounds": {"geometry": {"type": "Polygon", "coordinates": [ring]}}},
                "evalscript": "//VERSION=3\n" + "return [sample.B04];" * 75,
            },
            "output": {"type": "raster", "delivery": {"s3": {"url": "s3://results/bench"}}},
        }
        self.request = json.dumps(asked)

    def end_of(self, number: int) -> float | None:
        """When a job is done, in seconds since 1970."""
        if self.ends is None:
            return None
        first, last = self.ends
        return self.began + first + (last - first) * number / max(self.jobs - 1, 1)

    def entry(self, number: int, now: float) -> str:
        end = self.end_of(number)
        done = end is not None and end <= now
        share = 100 if done else round((now - self.began + number % 50) / JOB_SECONDS * 100, 2)
        return (
            f'{{"id": "{identifier(number)}", "request": {self.request}, "domainAccountId": "bench", '
            f'"status": "{"DONE" if done else "PROCESSING"}", "userAction": "START", '
            f'"userActionUpdated": "2026-01-01T10:00:01.000000Z", "created": "2026-01-01T10:00:00.000000Z", '
            f'"completionPercentage": {share}, "costPU": {share * 3:.2f}}}'
        )

    def page(self, begin: int, now: float) -> str:
        end = min(begin + PAGE, self.jobs)
        links = f'{{"nextToken": "{end}"}}' if end < self.jobs else "{}"
        return f'{{"data": [{", ".join(self.entry(number, now) for number in range(begin, end))}], "links": {links}}}'

    def refused(self, now: float) -> bool:
        """Whether the account has used up its calls."""
        if self.limit is None:
            return False
        self.left, self.filled = min(self.left + (now - self.filled) * self.limit / 60, self.limit), now
        if self.left < 1:
            return True
        self.left -= 1
        return False

    def reply(self, method: str, target: str) -> tuple[int, str]:
        """Status and body of the reply to a call."""
        parts, now = urlsplit(target), time.time()
        if parts.path == "/count":
            return 200, json.dumps({**self.asked, "began": self.began})
        if parts.path == "/token":
            self.asked["token"] += 1
            return 200, '{"access_token": "a.b.c", "expires_in": 3600}'
        listed = parts.path.endswith("/process")
        self.asked["create" if method == "POST" else "list" if listed else "single"] += 1
        if self.refused(now):
            self.asked["limited"] += 1
            return 429, '{"error": {"status": 429, "message": "You have exceeded your rate limit"}}'
        if listed:
            return 200, self.page(int(parse_qs(parts.query).get("viewtoken", ["0"])[0]), now)
        return 200, self.entry(int(parts.path.rpartition("/")[2][:8]), now)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the calls of a connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.lower().split("\r\n")
                size = next((line.partition(":")[2] for line in lines if line.startswith("content-length:")), "0")
                await reader.readexactly(int(size))
                method, target, _ = head.split(" ", 2)
                if target != "/count":
                    await asyncio.sleep(self.latency)
                status, text = self.reply(method, target)
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


async def main(options: dict[str, Any]) -> None:
    service = Service(**options)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(main(json.loads(sys.argv[1])))
