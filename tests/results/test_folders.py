"""Folders for copies are gone when they are not needed any more, whatever becomes of their process."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_sentinelhub.results import folders
from airflow_sentinelhub.results.folders import PREFIX, TemporaryFolder, clear_abandoned, is_abandoned, temporary_folder

DIRECTORY, LINK, FILE = stat.S_IFDIR | 0o700, stat.S_IFLNK | 0o777, stat.S_IFREG | 0o600
HOLDER = """
import sys
from airflow_sentinelhub.results.folders import TemporaryFolder
folder = TemporaryFolder()
(folder.path / "copy").write_text("x")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder for temporary files, which no process has cleared."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def holder(place: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a folder until its input ends, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(place), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    try:
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("name", "mode", "owner", "held", "expected"),
    [
        (PREFIX + "a", DIRECTORY, 1000, False, True),
        (PREFIX + "a", DIRECTORY, 1000, True, False),
        (PREFIX + "a", DIRECTORY, 0, False, False),
        (PREFIX + "a", LINK, 1000, False, False),
        (PREFIX + "a", FILE, 1000, False, False),
        ("other-a", DIRECTORY, 1000, False, False),
        ("x" + PREFIX, DIRECTORY, 1000, False, False),
    ],
)
def test_which_are_abandoned(name: str, mode: int, owner: int, held: bool, expected: bool) -> None:
    assert is_abandoned(name, mode, owner, 1000, held) is expected


def test_it_goes_with_its_block_also_by_an_error(place: Path) -> None:
    with temporary_folder() as path:
        (path / "deep").mkdir()
        (path / "deep" / "copy").write_text("x")
    assert not path.exists()
    with pytest.raises(KeyboardInterrupt), temporary_folder() as path:
        raise KeyboardInterrupt
    assert list(place.iterdir()) == []


def test_it_goes_with_its_object(place: Path) -> None:
    folder = TemporaryFolder()
    folder.remove()
    folder.remove()
    folder = TemporaryFolder()
    del folder
    assert list(place.iterdir()) == []


def test_that_of_a_killed_process_is_cleared_and_that_of_a_living_one_stays(place: Path) -> None:
    with holder(place) as (killed, left), holder(place) as (_, held):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "copy").exists()  # nothing else removes it
        with temporary_folder() as own:
            assert not left.exists()
            assert (held / "copy").exists()
            clear_abandoned(place)
            assert own.exists()
            assert (held / "copy").exists()


def test_a_process_that_ends_leaves_none(place: Path) -> None:
    with holder(place) as (process, path):
        assert path.exists()
        process.communicate("")
        assert process.returncode == 0
        assert list(place.iterdir()) == []


def test_it_is_looked_for_once_in_a_process(place: Path) -> None:
    with temporary_folder():
        pass
    (place / f"{PREFIX}late").mkdir()
    with temporary_folder():
        assert (place / f"{PREFIX}late").exists()
    clear_abandoned(place)
    assert list(place.iterdir()) == []


def test_nothing_else_is_touched_and_no_link_followed(place: Path) -> None:
    treasure = place / "treasure"
    treasure.mkdir()
    (treasure / "gold").write_text("x")
    (place / f"{PREFIX}link").symlink_to(treasure)
    (place / f"{PREFIX}file").write_text("x")
    (place / f"{PREFIX}nowhere").symlink_to(place / "nothing")
    left = place / f"{PREFIX}left"
    left.mkdir()
    (left / "link").symlink_to(treasure)
    clear_abandoned(place)
    assert not left.exists()
    assert (treasure / "gold").exists()
    assert len(list(place.iterdir())) == 4


def test_a_folder_that_is_cleared_before_it_is_locked_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making and locking: the one that clears may come before, or after the folder is opened."""
    opened, stolen = folders._opened, []

    def steal(path: Path) -> int | None:
        if len(stolen) == 0:
            path.rmdir()
        lock = opened(path)
        if len(stolen) == 1:
            path.rmdir()
        stolen.append(path)
        return lock

    folders.clear_abandoned_once()
    monkeypatch.setattr(folders, "_opened", steal)
    with temporary_folder() as path:
        assert path.is_dir()
        assert len(stolen) == 3


def test_a_forked_process_removes_nothing_of_its_parents(place: Path) -> None:
    folder = TemporaryFolder()
    (folder.path / "copy").write_text("x")
    child = os.fork()
    if child == 0:
        folder.remove()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (folder.path / "copy").exists()
    clear_abandoned(place)
    assert (folder.path / "copy").exists()
    folder.remove()
    assert list(place.iterdir()) == []


def test_where_there_are_no_locks_all_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(lock: int, how: int) -> None:
        raise OSError

    monkeypatch.setattr("fcntl.flock", without)
    (place / f"{PREFIX}left").mkdir()
    with temporary_folder() as path:
        assert path.is_dir()
    assert [item.name for item in place.iterdir()] == [f"{PREFIX}left"]


def test_a_place_that_cannot_be_listed_is_no_error(tmp_path: Path) -> None:
    clear_abandoned(tmp_path / "gone")
