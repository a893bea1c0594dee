"""The marker: one task instance, one word; a retry finds it, a clone of the deployment does not."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from airflow_sentinelhub.api.decide.marker import (
    Mark,
    Relation,
    identity,
    job_digest,
    mark_of,
    marked,
    relation,
    restart_word,
    unmarked,
)
from tests.api.feeding import ID, OTHER

WHO = identity("production", "dag", "run", "task", -1)
MARK = Mark(WHO, 3, "0123abcd")


def test_an_identity_is_one_searchable_word() -> None:
    assert identity("production", "dag", "run", "task", -1) == WHO
    assert WHO.isalnum()
    assert len(WHO) == 19


def test_whatever_differs_makes_another_identity() -> None:
    given = ["production", "dag", "run", "task", -1]
    others = [identity("clone", *given[1:])]  # type: ignore[arg-type]
    others += [identity(*given[:at], f"{given[at]}x", *given[at + 1 :]) for at in range(1, 4)]  # type: ignore[arg-type]
    others += [identity(*given[:4], 0), identity(*given[:4], 1)]  # type: ignore[arg-type]
    others += [identity("production", "dagrun", "", "task", -1), identity("production", "dag", "runtask", "", -1)]
    assert len({WHO, *others}) == 1 + len(others)


@pytest.mark.parametrize(
    "mark",
    [
        MARK,
        Mark(WHO, 0, "00000000"),
        Mark(WHO, 12, "ffffffff", restarts=2),
        Mark(WHO, 12, "ffffffff", tried=2, clears=1, born=2**50, first=(0, 2**50 - 1)),
        Mark(WHO, 12, "ffffffff", tried=2, dag="0123456789ab", reserved=7, first=(None, 0)),
        Mark(WHO, 1, "ffffffff", adopts=ID),
        Mark(WHO, 1, "ffffffff", restarts=1, continues=OTHER),
        Mark(WHO, 1, "ffffffff", restarts=1, continues=OTHER, adopts=ID),
    ],
)
@pytest.mark.parametrize(
    "words", ["", "max NDVI", "  with\nlines ", "ends in a5", "afx", f"{WHO} is my favourite", "Ж"]
)
def test_a_marker_is_read_as_it_was_written(words: str, mark: Mark) -> None:
    text = marked(words, mark)
    assert mark_of(text) == mark
    assert text.endswith(str(mark))
    assert unmarked(text) == words.strip()
    assert mark_of(f"{text} and what somebody added") == mark


def test_a_description_carries_one_marker() -> None:
    """Somebody copies the description of another request, marker and all."""
    copied = marked("max NDVI", Mark(identity("x", "y", "z", "t", 0), 0, "99999999"))
    again = marked(copied, MARK)
    assert mark_of(again) == MARK
    assert again == f"max NDVI {MARK}"
    assert marked(again, MARK) == again


@pytest.mark.parametrize(
    "text",
    [None, "", "max NDVI", WHO, f"{WHO} r0", f"{WHO} r0 j123", f"x{MARK}", f"{MARK}0", str(MARK).upper()],
)
def test_what_is_no_marker(text: str | None) -> None:
    assert mark_of(text) is None
    assert unmarked(text) == (text or "")


PAYLOAD = {
    "processRequest": {"evalscript": "//VERSION=3", "input": {"data": [{"type": "sentinel-2-l2a"}]}},
    "output": {"delivery": {"s3": {"url": "s3://b/p", "accessKey": "A", "secretAccessKey": "S"}}},
    "description": "max NDVI",
}


def test_keys_and_words_are_no_part_of_the_job() -> None:
    digest = job_digest(PAYLOAD)
    assert len(digest) == 8
    assert digest == job_digest({**PAYLOAD, "description": "another"})
    assert digest == job_digest({key: PAYLOAD[key] for key in reversed(PAYLOAD)})
    for access in ({"accessKey": "B", "secretAccessKey": "T"}, {"iamRoleARN": "arn"}, {}):
        assert digest == job_digest({**PAYLOAD, "output": {"delivery": {"s3": {"url": "s3://b/p", **access}}}})


def test_what_is_done_and_where_it_goes_is_the_job() -> None:
    changed = [
        {**PAYLOAD, "processRequest": {**PAYLOAD["processRequest"], "evalscript": "//VERSION=3 "}},  # type: ignore[dict-item]
        {**PAYLOAD, "output": {"delivery": {"s3": {"url": "s3://b/q"}}}},
        {**PAYLOAD, "tilingGrid": {"id": 1, "resolution": 10}},
        {**PAYLOAD, "tilingGrid": {"id": 1, "resolution": 20}},
    ]
    digests = [job_digest(payload) for payload in (PAYLOAD, *changed)]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("within", [list, tuple])
def test_a_rotated_key_within_a_list_does_not_change_the_job(within: type) -> None:
    one, other = (job_digest({"outputs": within([{"secretAccessKey": key}])}) for key in ("hush", "quiet"))
    assert one == other


def test_the_word_of_a_restart_names_the_round_and_the_run() -> None:
    marks = [Mark(WHO, round, "", born=born) for round in (0, 3) for born in (None, 500, 600)]
    assert len({restart_word(mark) for mark in marks}) == len(marks)


def test_no_secret_is_in_a_marker() -> None:
    for secret, other in itertools.permutations(("hush", "quiet"), 2):
        assert job_digest({"secretAccessKey": secret}) == job_digest({"secretAccessKey": other})


# How a request stands to a try

TRY = Mark(WHO, 3, "0123abcd", tried=2, clears=1, born=500, airflow="aaaaaaaa")
"""The second try of a run that was cleared once and has the start 500."""


@pytest.mark.parametrize(
    ("its", "mine", "expected"),
    [
        # Of this run: the start is the same, or nobody knows it. The number names the round, the try orders rounds.
        ({"tried": 1}, {}, Relation.SAME),
        ({"tried": 1, "round": 2}, {}, Relation.EARLIER),
        ({"tried": 1, "round": 5}, {}, Relation.EARLIER),
        ({"tried": 3, "round": 2}, {}, Relation.LATER),
        ({"tried": None, "round": 2}, {}, Relation.EARLIER),
        ({"tried": None, "round": 5}, {}, Relation.LATER),
        ({"tried": 1, "airflow": "bbbbbbbb"}, {}, Relation.SAME),  # a worker that reaches Airflow by another address
        ({"tried": 1, "born": None, "airflow": "bbbbbbbb"}, {}, Relation.SAME),
        # A clear of another task is none of this one, unless this one is known to have ended.
        ({"tried": 1, "clears": 0}, {}, Relation.SAME),
        ({"tried": 1, "clears": 0}, {"ended": 1}, Relation.EARLIER),
        ({"tried": 1, "clears": 1}, {"ended": 1}, Relation.SAME),
        ({"tried": 1, "clears": None}, {"ended": 1}, Relation.SAME),
        ({"tried": 2, "clears": 0}, {"ended": 1, "tried": 4}, Relation.SAME),  # what the round has adopted since
        ({"tried": 2, "clears": 0}, {"ended": 2}, Relation.SAME),
        # The start moves with a clear of a run that has finished, and the count of clears the same way.
        ({"tried": 1, "clears": 0, "born": 400}, {}, Relation.EARLIER),
        ({"tried": 3, "clears": 2, "born": 600}, {}, Relation.LATER),
        ({"tried": 1, "clears": 0, "born": 600}, {}, Relation.FOREIGN),
        ({"tried": 1, "clears": 2, "born": 400}, {}, Relation.FOREIGN),
        ({"tried": 1, "clears": 0, "born": 400, "airflow": "bbbbbbbb"}, {}, Relation.FOREIGN),
        ({"tried": 1, "clears": 0, "born": 400, "airflow": None}, {}, Relation.EARLIER),
        # A run made again begins with its first try: of two starts the later one counts, not the numbers of the tries.
        ({"tried": 3, "clears": 0, "born": 400}, {}, Relation.EARLIER),
        ({"tried": 2, "round": 5, "clears": 0, "born": 400}, {}, Relation.EARLIER),
        ({"tried": 1, "clears": 2, "born": 600}, {}, Relation.LATER),
        # Where the count is not known, the number of the round tells.
        ({"tried": 1, "clears": None, "born": 400, "round": 2}, {}, Relation.EARLIER),
        ({"tried": 1, "born": 400, "round": 2}, {"clears": None}, Relation.EARLIER),
        # The start alone moves when somebody sets the run to queued; a run made again begins with its first try.
        ({"tried": 1, "born": 400}, {}, Relation.SAME),
        ({"tried": 3, "born": 600}, {}, Relation.SAME),
        ({"tried": 1, "born": 600}, {}, Relation.FOREIGN),
        ({"tried": 2, "born": 400}, {}, Relation.FOREIGN),
        ({"tried": 3, "born": 400}, {}, Relation.FOREIGN),
        ({"tried": 1, "identity": identity("clone", "dag", "run", "task", -1)}, {}, Relation.FOREIGN),
    ],
)
def test_how_a_request_stands_to_a_try(its: dict[str, object], mine: dict[str, object], expected: Relation) -> None:
    assert relation(replace(TRY, **its), replace(TRY, **mine)) is expected  # type: ignore[arg-type]


def test_all_words_of_a_marker_are_read_as_they_were_written() -> None:
    words = replace(TRY, restarts=2, limit=1250.5, continues=OTHER, adopts=ID)
    assert mark_of(marked("max NDVI", words)) == words
    assert mark_of(str(replace(words, limit=1e-6))) == replace(words, limit=1e-6)
