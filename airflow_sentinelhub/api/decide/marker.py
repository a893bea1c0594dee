"""The marker: searchable words at the end of a request's description that name the task it belongs to.

The service has no idempotency key; the free-text description is the only field we control. Three words are always
there:

- `afx<16 hex>`, the identity: a digest of the Airflow deployment, dag, run, task and map index.
- `r<number>`, the round: the task instance's `max_tries` as it stands. See `relation` for what it means.
- `j<8 hex>`, a digest of the job.

Others follow where they are known, in this order:

- `t<number>`, the try in which the marker was written; `n<number>`, how often the run had been cleared;
  `b<14 hex>`, the start of the run in microseconds since 1970; `d<8 hex>`, a digest of the Airflow's base URL.
- `x<number>`, how often the failed part has been restarted; `m<number>`, the PU that the job might cost.
- `c<id>`, the request that this one continues (v2, which restarts by a new request over the same output).
- `g<12 hex>`, a digest of the Airflow deployment and the DAG, and `k<8 hex>`, one of the task too: for the costs of a
  DAG.
- `e<number>`, the PU that the job will probably cost, and `u<8 hex>`, the time (seconds since 1970) at which the task
  was about to start it: for the budget of a month.
- `f<number>-<14 hex>`, `n` and `b` as the first try of the task has written them, in a marker that a later try has
  renewed: a task has no request from before its first try.
- `a<id>` makes the request a *note*: it is never started and only records that this round continues with request <id>.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Any

_MARK = re.compile(
    r"\b(?P<identity>afx[0-9a-f]{16}) r(?P<round>\d+) j(?P<job>[0-9a-f]{8})"
    r"(?: t(?P<tried>\d+))?(?: n(?P<clears>\d+))?(?: b(?P<born>[0-9a-f]{14}))?(?: d(?P<airflow>[0-9a-f]{8}))?"
    r"(?: x(?P<restarts>\d+))?(?: m(?P<limit>\d+(?:\.\d+)?))?"
    r"(?: c(?P<continues>[0-9a-f-]{36}))?(?: a(?P<adopts>[0-9a-f-]{36}))?"
    r"(?: g(?P<dag>[0-9a-f]{12}))?(?: k(?P<task>[0-9a-f]{8}))?"
    r"(?: e(?P<expected>\d+(?:\.\d+)?))?(?: u(?P<reserved>[0-9a-f]{8}))?"
    r"(?: f(?P<first>\d*-[0-9a-f]{14}))?(?!\S)"
)
UNKNOWN_JOB = "0" * 8
"""The digest in a marker that is written where the job is not known."""
_SECRET_KEYS = frozenset({"accessKey", "secretAccessKey", "credentials", "iamRoleARN"})


@dataclass(frozen=True)
class Mark:
    """A marker: of a request, or of the try that searches for its request.

    :param identity: the searchable word.
    :param round: the task instance's `max_tries`.
    :param job: digest of the job, empty for a try that could not render it.
    :param tried: number of the try.
    :param clears: how often the run had been cleared.
    :param born: start of the run, microseconds since 1970.
    :param airflow: digest of the Airflow's base URL. None where it is not known.
    :param restarts: number of restarts of the failed part.
    :param limit: PU that the job may cost, None for no limit.
    :param continues: request that this one continues.
    :param adopts: request that a note names.
    :param dag, task: digests of the DAG and of the task (`dag_word`, `task_word`).
    :param expected: PU that the job will probably cost.
    :param reserved: when its task was about to start it.
    :param first: `clears` and `born` as the first try has written them, where a later one has renewed the marker.
    :param ended: number of the last try that is known to have ended the task in a round with the number `round`, so
        that this try comes after a clear. Not written.
    """

    identity: str
    round: int
    job: str
    tried: int | None = None
    clears: int | None = None
    born: int | None = None
    airflow: str | None = None
    restarts: int = 0
    limit: float | None = None
    continues: str | None = None
    adopts: str | None = None
    dag: str | None = None
    task: str | None = None
    expected: float | None = None
    reserved: int | None = None
    first: tuple[int | None, int] | None = None
    ended: int | None = None

    def __str__(self) -> str:
        words = [self.identity, f"r{self.round}", f"j{self.job or UNKNOWN_JOB}"]
        words += [f"{letter}{value}" for letter, value in (("t", self.tried), ("n", self.clears)) if value is not None]
        words += [f"b{self.born:014x}"] if self.born is not None else []
        words += [f"d{self.airflow}"] if self.airflow else []
        words += [f"x{self.restarts}"] if self.restarts else []
        words += _amount("m", self.limit)
        words += [f"{letter}{value}" for letter, value in (("c", self.continues), ("a", self.adopts)) if value]
        words += [f"{letter}{value}" for letter, value in (("g", self.dag), ("k", self.task)) if value]
        words += _amount("e", self.expected)
        words += [f"u{self.reserved:08x}"] if self.reserved is not None else []
        if self.first is not None:
            clears, born = self.first
            words.append(f"f{'' if clears is None else clears}-{born:014x}")
        return " ".join(words)

    def of_first_try(self) -> Mark | None:
        """The marker as the first try of the task has written it; None if that one has not, or it is not known."""
        if self.tried == 1:
            return self
        return None if self.first is None else replace(self, tried=1, clears=self.first[0], born=self.first[1])


def _amount(letter: str, value: float | None) -> list[str]:
    """The word for a number of PU; none for what is no limit."""
    return [f"{letter}{Decimal(repr(value)):f}"] if value is not None and value < float("inf") else []


class Relation(str, Enum):
    """The relation of a request to the try that has found it, by their markers."""

    SAME = "same"
    """The request is of this round: the try is a retry or a copy of the try that created it."""
    EARLIER = "earlier"
    """The request is of an earlier round: a user has cleared the task since."""
    LATER = "later"
    """The request is of a later round: this try is an old copy that still runs after a clear."""
    FOREIGN = "foreign"
    """The request is not of this task instance: another Airflow, or a run deleted and created again under its id."""


def relation(other: Mark, own: Mark) -> Relation:
    """The relation of the request with the marker `other` to the try with the marker `own`.

    What Airflow does, seen on 2.11, 3.0 and 3.3 (`tests/e2e/test_rounds.py` tests each of these facts):

    - `max_tries` is written when the task instance is created and when it is cleared (try number + `retries`), not by
      a retry or an edit of `retries`. So the number names the round. It can decrease, by a clear with fewer `retries`;
      the number of the try never does, and orders the rounds.
    - The run's `start_date` moves when a run that has finished is cleared, which raises its `clear_number` too. So a
      request with another start, but without a `clear_number` that has moved the same way, is of another run: one
      deleted and created again under its id, or one of another Airflow. The start also moves, alone, when a user sets
      the run to queued: then an earlier try with an earlier start counts as one of this run, since a run created again
      begins with its first try. (A run set to queued, plus a clear of another task in the same round, looks like a
      clear of this one.) Of two starts the later one is of the later round, whatever the numbers of the tries, which
      begin anew in a run that is created again.
    - Two rounds have the same number only if `retries` was lowered before the clear by exactly the tries used. If the
      start does not distinguish them (the run was still running), the `clear_number` has grown, but a clear of another
      task raises it too, and treating a retry as a clear would pay twice. So it counts only if the task is known to
      have ended (`ended`), which Airflow 3.3 can store. Else the request counts as one of this round.
    """
    if other.identity != own.identity:
        return Relation.FOREIGN
    moved = other.born is not None and own.born is not None and other.born != own.born
    if moved and other.clears == own.clears and _queued_by_hand(other, own):
        moved = False
    if moved and not _of_one_run(other, own):
        return Relation.FOREIGN
    if moved and other.airflow and own.airflow and other.airflow != own.airflow:
        return Relation.FOREIGN
    tried, now = other.tried or 0, own.tried or 0
    if other.round == own.round and not moved:
        before = own.ended is not None and tried <= own.ended and tried < now and cleared_since(other, own)
        return Relation.EARLIER if before else Relation.SAME
    if moved:
        later = (other.born or 0) > (own.born or 0)
    else:
        later = tried > now if tried and now and tried != now else other.round > own.round
    return Relation.LATER if later else Relation.EARLIER


def _of_one_run(other: Mark, own: Mark) -> bool:
    """Whether two different starts can be of the same run: only if the later one has the higher `clear_number`."""
    if other.clears is None or own.clears is None or other.born is None or own.born is None:
        return True
    return other.clears != own.clears and (other.clears < own.clears) == (other.born < own.born)


def _queued_by_hand(other: Mark, own: Mark) -> bool:
    """Whether a user may have set the run to queued between two tries, which changes its start only."""
    first, second = sorted((other, own), key=lambda mark: mark.tried or 0)
    return (first.tried or 0) < (second.tried or 0) and (first.born or 0) < (second.born or 0)


def cleared_since(other: Mark, own: Mark) -> bool:
    """Whether a task of the run, this one or another, has been cleared since the marker was written."""
    return other.clears is not None and own.clears is not None and other.clears < own.clears


def identity(deployment: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """The identity word of a task instance; its tries and rounds share it.

    :param deployment: unique name of this Airflow, the same on all of its machines.
    """
    text = json.dumps([deployment, dag_id, run_id, task_id, map_index])
    return "afx" + hashlib.sha256(text.encode()).hexdigest()[:16]


def dag_word(deployment: str, dag_id: str) -> str:
    """The digest of a DAG in the markers of its tasks."""
    return hashlib.sha256(json.dumps([deployment, dag_id]).encode()).hexdigest()[:12]


def dag_search(word: str) -> str:
    """The word of the description that names the DAG, whole: a search may find words only by all of their letters."""
    return f"g{word}"


def task_word(deployment: str, dag_id: str, task_id: str) -> str:
    """The digest of a task in its markers."""
    return short_digest(json.dumps([deployment, dag_id, task_id]))


def short_digest(text: str) -> str:
    """The first eight hexadecimal digits of the text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def restart_word(mark: Mark) -> str:
    """The word in a request's description that records that a try of this round has asked for the restart."""
    return f"afr{mark.identity[3:]}r{mark.round}" + (f"b{mark.born:014x}" if mark.born is not None else "")


def job_digest(payload: Mapping[str, Any]) -> str:
    """A digest of the job. Description and storage keys do not count: a rotated key does not change the job."""
    kept = {key: value for key, value in payload.items() if key != "description"}
    return short_digest(json.dumps(_without_secrets(kept), sort_keys=True, default=str))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_secrets(item) for key, item in value.items() if key not in _SECRET_KEYS}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(item) for item in value]
    return value


def marked(description: str | None, mark: Mark) -> str:
    """The description with this marker at its end; a marker that it carries already is replaced."""
    return f"{unmarked(description)} {mark}".strip()


def unmarked(description: str | None) -> str:
    """The description without its marker: what the user wrote."""
    return _MARK.sub("", description or "").strip()


def mark_of(description: str | None) -> Mark | None:
    """The marker in a description, None if it carries none."""
    match = _MARK.search(description or "")
    if match is None:
        return None
    words = match.groupdict()
    tried, clears, born, limit = words["tried"], words["clears"], words["born"], words["limit"]
    expected, reserved, first = words["expected"], words["reserved"], words["first"]
    return Mark(
        words["identity"],
        int(words["round"]),
        words["job"],
        tried=None if tried is None else int(tried),
        clears=None if clears is None else int(clears),
        born=None if born is None else int(born, 16),
        airflow=words["airflow"],
        restarts=int(words["restarts"] or 0),
        limit=None if limit is None else float(limit),
        continues=words["continues"],
        adopts=words["adopts"],
        dag=words["dag"],
        task=words["task"],
        expected=None if expected is None else float(expected),
        reserved=None if reserved is None else int(reserved, 16),
        first=None if first is None else _first(first),
    )


def _first(word: str) -> tuple[int | None, int]:
    clears, _, born = word.partition("-")
    return int(clears) if clears else None, int(born, 16)
