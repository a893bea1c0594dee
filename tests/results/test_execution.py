"""The execution database, by the simulator, by hand, and broken in every way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.results import execution
from airflow_sentinelhub.results.execution import FeatureState

TABLE = "CREATE TABLE features (id INTEGER, name TEXT, status TEXT, error TEXT, delivered BOOLEAN)"
INTO = "INSERT INTO features VALUES (?, ?, ?, ?, ?)"
ROWS = [
    (1, "30TVM_2_5", "DONE", None, 1),
    (2, "30TVM_2_4", "DONE", "No data", 0),
    (3, "30TVM_2_3", "FATAL", "Out of memory", 0),
    (4, "30TVM_2_2", "PENDING", None, 0),
    (5, "30TVM_2_1", "DONE", "", 0),
    (6, "30TVM_2_0", "ASLEEP", None, None),
    (7, "30TVM_1_9", "FATAL", None, "false"),
    (8, "30TVM_1_8", None, None, "true"),
]
MakeFile = Callable[..., Path]


@pytest.fixture
def file(sqlite_file: MakeFile) -> execution.DatabaseFile:
    return execution.source(sqlite_file(TABLE, rows=ROWS, into=INTO), "req-1", "s3://b/p/execution-req-1.sqlite")


def test_states_by_name(file: execution.DatabaseFile) -> None:
    assert list(execution.read_states(file)) == [
        FeatureState("30TVM_1_8", "UNKNOWN", None, True),
        FeatureState("30TVM_1_9", "FATAL"),
        FeatureState("30TVM_2_0", "ASLEEP"),
        FeatureState("30TVM_2_1", "DONE"),
        FeatureState("30TVM_2_2", "PENDING"),
        FeatureState("30TVM_2_3", "FATAL", "Out of memory"),
        FeatureState("30TVM_2_4", "DONE", "No data"),
        FeatureState("30TVM_2_5", "DONE", None, True),
    ]


@pytest.mark.parametrize(
    ("state", "word", "no_data"),
    [
        (FeatureState("a", "DONE", None, True), "PROCESSED", False),
        (FeatureState("a", "DONE", "No data", False), "PROCESSED", True),
        (FeatureState("a", "DONE", "no data found in the time range", False), "PROCESSED", True),
        (FeatureState("a", "DONE", None, False), "PROCESSING", False),
        (FeatureState("a", "FATAL", "No data", False), "FAILED", False),
        (FeatureState("a", "PENDING"), "PENDING", False),
        (FeatureState("a", "ASLEEP"), "ASLEEP", False),
    ],
)
def test_words_of_v1(state: FeatureState, word: str, no_data: bool) -> None:
    assert (state.tile_status, state.no_data) == (word, no_data)


def test_counts(file: execution.DatabaseFile) -> None:
    assert execution.count_states(file) == {"DONE": 3, "FATAL": 2, "PENDING": 1, "ASLEEP": 1, "UNKNOWN": 1}
    assert execution.count_tiles(file) == {
        "PROCESSED": 2,
        "PROCESSING": 1,
        "FAILED": 2,
        "PENDING": 1,
        "ASLEEP": 1,
        "UNKNOWN": 1,
    }


def test_counts_are_those_of_the_rows(file: execution.DatabaseFile) -> None:
    by_hand: dict[str, int] = {}
    for state in execution.read_states(file):
        by_hand[state.tile_status] = by_hand.get(state.tile_status, 0) + 1
    assert execution.count_tiles(file) == by_hand


def test_failed(file: execution.DatabaseFile) -> None:
    assert execution.failed_names(file) == ["30TVM_1_9", "30TVM_2_3"]
    assert execution.failed_names(file, limit=1) == ["30TVM_1_9"]


def test_an_empty_one(sqlite_file: MakeFile) -> None:
    file = execution.source(sqlite_file(TABLE), "req-1")
    assert list(execution.read_states(file)) == []
    assert execution.count_states(file) == {}


def test_a_file_with_odd_letters_in_its_path(tmp_path: Path, sqlite_file: MakeFile) -> None:
    odd = tmp_path / "100% of #1?"
    odd.mkdir()
    moved = sqlite_file(TABLE, rows=ROWS, into=INTO).rename(odd / "a.sqlite")
    assert execution.count_states(execution.source(moved, "req-1"))["DONE"] == 3


def test_more_columns_do_no_harm(sqlite_file: MakeFile) -> None:
    path = sqlite_file(
        TABLE.replace("(id", "(tries INTEGER, id"), "INSERT INTO features VALUES (1, 1, 'a', 'DONE', '', 1)"
    )
    assert execution.count_tiles(execution.source(path, "req-1")) == {"PROCESSED": 1}


READERS = [
    lambda file: list(execution.read_states(file)),
    execution.count_states,
    execution.count_tiles,
    execution.failed_names,
]


def refused(path: Path) -> str:
    """What all readers say about the file; they agree."""
    said = set()
    for read in READERS:
        with pytest.raises(ResultsError) as caught:
            read(execution.source(path, "req-1", "s3://b/p/x.sqlite"))
        said.add(str(caught.value))
    assert len(said) == 1
    text = said.pop()
    assert "req-1" in text
    assert "s3://b/p/x.sqlite" in text
    return text


def test_half_uploaded_at_every_tenth(tmp_path: Path, sqlite_file: MakeFile) -> None:
    rows = [(number, f"tile-{number:05}", "DONE", None, 1) for number in range(5000)]
    whole = sqlite_file(TABLE, rows=rows, into=INTO).read_bytes()
    part = tmp_path / "part.sqlite"
    for tenth in range(1, 10):
        part.write_bytes(whole[: len(whole) * tenth // 10])
        assert "half of it" in refused(part)
    part.write_bytes(whole[:-1])
    assert "half of it" in refused(part)


@pytest.mark.parametrize(
    "content", [b"<Error><Code>AccessDenied</Code></Error>" * 20, b"\x00" * 8192, b"PK\x03\x04 a zip"]
)
def test_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert "not an SQLite file" in refused(path)


def test_an_empty_file_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"")
    assert "another schema" in refused(path)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    assert "unable to open" in refused(tmp_path / "x")


def test_another_schema(sqlite_file: MakeFile) -> None:
    assert "without the table 'features'" in refused(sqlite_file("CREATE TABLE progress (name TEXT)"))
    assert "no column error, delivered" in refused(sqlite_file("CREATE TABLE features (name TEXT, status TEXT)"))


def test_no_reader_leaves_anything_behind(tmp_path: Path, file: execution.DatabaseFile) -> None:
    file.path.chmod(0o444)
    before = sorted(tmp_path.iterdir())
    list(execution.read_states(file))
    assert sorted(tmp_path.iterdir()) == before
