"""The marker: which task a request belongs to, as searchable words at the end of its description.

The service has no idempotency key; the free-text description is the only handle. The marker is three words:
`afx<16 hex>` the identity (a digest of Airflow deployment, dag, run, task and map index), `r<number>` the round
(`max_tries - retries`: the same for all automatic retries, another after a user cleared the task), and `j<8 hex>` a
digest of the job. Three more may follow: `x<number>`, how often the failed part has been restarted; `c<id>`, the
request that this one continues (v2, which restarts by a new request over the same output); and `a<id>`, which makes
the request a *note*: never started, it only says that this round goes on with request <id>.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MARK = re.compile(
    r"\b(afx[0-9a-f]{16}) r(\d+) j([0-9a-f]{8})(?: x(\d+))?(?: c([0-9a-f-]{36}))?(?: a([0-9a-f-]{36}))?(?!\S)"
)
MARK_WORD = re.compile(r"afx[0-9a-f]{16}")
"""An identity anywhere in a text: what carries one may belong to a task."""
_SECRET_KEYS = frozenset({"accessKey", "secretAccessKey", "credentials", "iamRoleARN"})


@dataclass(frozen=True)
class Mark:
    """A marker.

    :param identity: the searchable word; :param round: number of tries used before the task was last cleared;
    :param job: digest of the job; :param restarts: of the failed part; :param continues: request that this one
        continues; :param adopts: request that a note is about.
    """

    identity: str
    round: int
    job: str
    restarts: int = 0
    continues: str | None = None
    adopts: str | None = None

    def __str__(self) -> str:
        more = {"x": self.restarts, "c": self.continues, "a": self.adopts}
        tail = "".join(f" {letter}{value}" for letter, value in more.items() if value)
        return f"{self.identity} r{self.round} j{self.job}{tail}"


def identity(deployment: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """The identity word of a task instance; its tries and rounds share it.

    :param deployment: what tells this Airflow from its clones.
    """
    text = json.dumps([deployment, dag_id, run_id, task_id, map_index])
    return "afx" + hashlib.sha256(text.encode()).hexdigest()[:16]


def restart_word(mark: Mark) -> str:
    """The word by which the tries of a task that restarts a request know that one of them has asked for it."""
    return f"afr{mark.identity[3:]}r{mark.round}"


def job_digest(payload: Mapping[str, Any]) -> str:
    """A digest of what is to be done. Description and storage keys do not count: a rotated key is not another job."""
    kept = {key: value for key, value in payload.items() if key != "description"}
    text = json.dumps(_without_secrets(kept), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_secrets(item) for key, item in value.items() if key not in _SECRET_KEYS}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(item) for item in value]
    return value


def marked(description: str | None, mark: Mark) -> str:
    """The description with this marker at its end, in place of one that it may carry."""
    return f"{unmarked(description)} {mark}".strip()


def unmarked(description: str | None) -> str:
    """The description without its marker: what the user wrote."""
    return _MARK.sub("", description or "").strip()


def mark_of(description: str | None) -> Mark | None:
    """The marker in a description, None if it carries none."""
    found = _MARK.search(description or "")
    return Mark(found[1], int(found[2]), found[3], int(found[4] or 0), found[5], found[6]) if found else None
