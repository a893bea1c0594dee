"""Programs that are surely ended again, with every process that they started, each by its own id.

Each program runs in a session of its own. A session's number stays on a process whose parent was killed, so that
nothing is lost sight of: an Airflow worker outlives a killed scheduler, a log server outlives a killed triggerer.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TypeVar

Found = TypeVar("Found")


class Row(NamedTuple):
    parent: int
    session: int


def running() -> dict[int, Row]:
    """Every process of this machine that is not a zombie."""
    if Path("/proc/self/stat").exists():
        return dict(_from_proc())
    return dict(_from_ps())


def _from_proc() -> Iterator[tuple[int, Row]]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has just ended
            # The name in brackets may itself hold spaces and brackets.
            state, parent, _, session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            if state not in "ZX":
                yield int(folder.name), Row(int(parent), int(session))


def _from_ps() -> Iterator[tuple[int, Row]]:
    said = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    for line in said.splitlines():
        pid, parent, state = line.split()[:3]
        with contextlib.suppress(OSError):
            if not state.startswith("Z"):
                yield int(pid), Row(int(parent), os.getsid(int(pid)))


def members(sessions: set[int]) -> list[int]:
    """The processes of these sessions and what descends from them; sessions that those began are added to the set."""
    table = running()
    found: set[int] = set()
    while True:
        more = {pid for pid, row in table.items() if row.session in sessions or row.parent in found} - found
        if not more:
            return sorted(found)
        found |= more
        sessions |= {table[pid].session for pid in more}


def wait_for(look: Callable[[], Found | None], *, timeout: float, every: float = 0.1) -> Found | None:
    """What `look` finds, or None when the time is over."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(every)


class Process:
    """One program in a session of its own, its output in a file."""

    def __init__(self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._said_before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [str(part) for part in command],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self.sessions = {self.pid}

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def members(self) -> list[int]:
        return members(self.sessions)

    def output(self) -> str:
        """What it has said since this start."""
        with self.log.open("rb") as file:
            file.seek(self._said_before)
            return file.read().decode(errors="replace")

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def first_json(self, timeout: float = 30) -> dict[str, Any]:
        """The first line of its output, which a program with --output json gives when it is ready."""

        def look() -> str | None:
            line, end, _ = self.output().partition("\n")
            return line if end or self.exit_code is not None else None

        line = wait_for(look, timeout=timeout) or ""
        try:
            return dict(json.loads(line))
        except ValueError:
            raise RuntimeError(
                f"{self.name} did not say that it is ready within {timeout:g} s:\n{self.tail()}"
            ) from None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the program alone, as a crash or an operator would."""
        self.members()  # while it is still known who belongs to it
        if self.exit_code is None:
            os.kill(self.pid, number)
        if number == signal.SIGKILL:
            self._popen.wait()

    def wait(self, timeout: float | None) -> int | None:
        """Its exit code, or None if it is still running then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(timeout)
        return None

    def end(self, grace: float = 10, number: int = signal.SIGTERM) -> None:
        end([self], grace, number)


def end(processes: Sequence[Process], grace: float = 10, number: int = signal.SIGTERM) -> None:
    """Ask politely, all at once; after the grace time end whatever is left of their sessions."""
    sessions = {session for process in processes for session in process.sessions}
    members(sessions)  # while it is still known who belongs to them
    try:
        for process in processes:
            if process.exit_code is None:
                os.kill(process.pid, number)
        wait_for(lambda: all(process.exit_code is not None for process in processes), timeout=grace)
    finally:
        # Also when a second Ctrl-C cuts the waiting short. What is left would stay for ever.
        def gone() -> bool:
            left = members(sessions)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        wait_for(gone, timeout=30)
        for process in processes:
            process.wait(5)


def free_ports(number: int) -> list[int]:
    """Ports of this machine that nobody listens on; held all at once, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def end_on_sigterm() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that every `with` ends what it started."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
