"""Temporary folders for copies of files: removed when they are not needed any more, also those of killed processes.

A process that is killed (SIGKILL, out of memory, power) removes nothing. So each folder is locked (`flock`) while its
process runs, and a process that creates its first folder removes those that are not locked. A process id could not
replace the lock: ids are reused, and another container that shares the folder for temporary files has ids of its own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

PREFIX = "sentinelhub-copies-"


class TemporaryFolder:
    """A new folder, at `path`. It is removed by `remove`, or when this object goes, or when the process ends."""

    def __init__(self) -> None:
        clear_abandoned_once()
        self.path, lock = _locked_folder()
        self._finalizer = weakref.finalize(self, _remove, self.path, lock, os.getpid())

    def remove(self) -> None:
        """Remove the folder and its content. A second call does nothing."""
        self._finalizer()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is there as long as the block runs."""
    folder = TemporaryFolder()
    try:
        yield folder.path
    finally:
        folder.remove()


def is_abandoned(name: str, mode: int, owner: int, user: int, held: bool) -> bool:
    """Whether an entry of the folder for temporary files is a folder of ours whose process has ended.

    :param mode, owner: of the entry itself, not of what a link leads to.
    :param user: who we are.
    :param held: a running process has locked it, or may have.
    """
    return name.startswith(PREFIX) and stat.S_ISDIR(mode) and owner == user and not held


def clear_abandoned_once() -> None:
    """Remove the folders of processes that are gone; only the first call of a process looks for them."""
    _cleared(os.getpid(), tempfile.gettempdir())


@cache
def _cleared(process: int, place: str) -> None:
    """A forked process is another one, and clears once, too."""
    clear_abandoned(Path(place))


def clear_abandoned(place: Path) -> None:
    """Remove the folders of processes that have ended. A folder that cannot be opened or removed is left."""
    try:
        names = [name for name in os.listdir(place) if name.startswith(PREFIX)]
    except OSError:
        return
    for name in names:
        lock = _opened(place / name)
        if lock is None:
            continue
        try:
            found = os.fstat(lock)
            if is_abandoned(name, found.st_mode, found.st_uid, os.geteuid(), held=not _taken(lock)):
                shutil.rmtree(place / name, ignore_errors=True)
        finally:
            os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    """A new folder, and its lock, which ends when it is closed, by us or by the end of the process."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = _opened(path)
        if lock is None:
            continue  # another process has removed it before it was locked
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            return path, lock  # a file system without locks: no process gets one, so no folder is removed
        if _is_there(path, lock):
            return path, lock
        os.close(lock)


def _opened(path: Path) -> int | None:
    """A descriptor of a folder; None for a link, for what is no folder, and for what is gone or not ours to open."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None


def _taken(lock: int) -> bool:
    """Whether the lock was free, and is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_there(path: Path, lock: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(lock))
    except OSError:
        return False


def _remove(path: Path, lock: int, process: int) -> None:
    """Remove a folder of this process; a forked one, which has inherited the object, only lets go of it."""
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
