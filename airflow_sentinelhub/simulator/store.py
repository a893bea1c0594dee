"""State on disk: one line for each call that changed something, written before the reply is sent.

A line is a JSON list of ``[table, key, value]`` (value null: removed) and reaches the kernel in one write, so a
simulator that is killed has either all of a call or nothing of it. At a start, and when much has been written over, the
file is replaced by a compact one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Change = tuple[str, str, Any]
_COMPACT_AFTER = 50_000


class Store:
    """An append-only log in ``<folder>/state.jsonl``; without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / "state.jsonl"
        self._handle: int | None = None
        self.lines = 0

    @property
    def keeps(self) -> bool:
        """Whether there is a folder."""
        return self._path is not None

    def load(self) -> list[Change]:
        """Everything written so far, oldest first."""
        if self._path is None or not self._path.exists():
            return []
        changes: list[Change] = []
        for line in self._path.read_bytes().split(b"\n")[:-1]:
            # What follows the last line feed is half a write: its caller never got a reply.
            changes += [(table, key, value) for table, key, value in json.loads(line)]
        return changes

    def append(self, changes: list[Change]) -> None:
        if self._path is None or not changes:
            return
        if self._handle is None:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        data = json.dumps(changes, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(self._handle, data) :]
        self.lines += 1

    @property
    def is_long(self) -> bool:
        return self.lines >= _COMPACT_AFTER

    def replace(self, changes: Iterable[Change]) -> None:
        """The whole state anew, in one file put in the old one's place."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        with open(beside, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            for change in changes:
                file.write(json.dumps([change], separators=(",", ":")) + "\n")
        self.close()
        os.replace(beside, self._path)
        self.lines = 0

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
