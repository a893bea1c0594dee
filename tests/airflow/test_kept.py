"""What a task keeps in Airflow 3.3's task state store, and who reads it: the next try, the next round, nobody else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException, AirflowSkipException
from airflow_sentinelhub._identity import Kept, kept_before, mark_for, remember, remembered
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import Settings
from tests.airflow.conftest import AWS
from tests.airflow.job import CLEARED, RETRY, Killed, creating, job, kill

KEY = "sentinelhub_request"
NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
PLACE = {"base_url": "https://sh.example.com", "token_url": "https://sh.example.com/token", "account": "0a1b2c3d"}
KEPT = Kept("5f2a7a4e-0000-4000-8000-000000000001", "v2", PLACE)


class Store:
    """As that of 3.3: a value goes through JSON, and it outlives tries, clears and the run."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.texts[key]) if key in self.texts else default

    def set(self, key: str, value: Any) -> None:
        self.texts[key] = json.dumps(value, allow_nan=False)


@pytest.fixture
def store() -> Store:
    return Store()


def seen(store: Any, *, try_number: int = 1, max_tries: int = 3, start: datetime = NOON, **more: Any) -> dict[str, Any]:
    """The context of a try of a task with three retries, as `bench.context()` without a service."""
    names = {"dag_id": "maps", "run_id": "run", "task_id": "job", "map_index": -1}
    run = SimpleNamespace(start_date=start, clear_number=more.pop("clear_number", 0), queued_at=NOON)
    ti = SimpleNamespace(**{**names, **more}, try_number=try_number, max_tries=max_tries)
    return {"ti": ti, "dag_run": run, "task_state_store": store}


def write(store: Store, over: bool = False, **of: Any) -> None:
    context = seen(store, **of)
    remember(context, mark_for(context), KEPT, over=over)


def read(store: Any, **of: Any) -> tuple[Kept | None, Kept | None]:
    """What a try reads as its own round's, and as that of a round before."""
    context = seen(store, **of)
    mark = mark_for(context)
    return remembered(context, mark), kept_before(context, mark)


# What is stored


@pytest.mark.parametrize("over", [False, True])
def test_the_request_its_place_and_its_round(store: Store, over: bool) -> None:
    context = seen(store, try_number=2, clear_number=1)
    mark = replace(mark_for(context), job="12345678", limit=50.0)
    remember(context, mark, KEPT, over=over)
    assert {key: store.get(key) for key in store.texts} == {
        KEY: {"request_id": KEPT.request_id, "batch_api": "v2", "place": PLACE, "marker": str(mark), "over": over}
    }
    assert " r3 j12345678 t2 n1 b" in store.get(KEY)["marker"]


def test_the_newest_counts(store: Store) -> None:
    write(store)
    context = seen(store, try_number=2)
    newer = replace(KEPT, request_id="5f2a7a4e-0000-4000-8000-000000000002", batch_api="v1", place={})
    remember(context, mark_for(context), newer)
    assert read(store, try_number=3) == (newer, None)


def test_before_3_3_there_is_no_store() -> None:
    context = seen(None)
    del context["task_state_store"]
    for without in (context, seen(None)):
        remember(without, mark_for(without), KEPT)
        assert remembered(without, mark_for(without)) is kept_before(without, mark_for(without)) is None


# Who reads what

HOUR = timedelta(hours=1)
SAME, BEFORE, NOTHING = (KEPT, None), (None, KEPT), (None, None)
TABLE: list[tuple[str, dict[str, Any], tuple[Kept | None, Kept | None]]] = [
    ("the same try, resumed", {}, SAME),
    ("a retry", {"try_number": 2}, SAME),
    ("a retry beside the clear of another task", {"try_number": 2, "clear_number": 1}, SAME),
    ("a retry in a run queued by hand", {"try_number": 2, "start": NOON + HOUR}, SAME),
    ("a clear", {"try_number": 2, "max_tries": 4, "clear_number": 1}, BEFORE),
    (
        "a clear of a run that had ended",
        {"try_number": 2, "max_tries": 4, "clear_number": 1, "start": NOON + HOUR},
        BEFORE,
    ),
    ("a clear with fewer retries", {"try_number": 3, "max_tries": 2, "clear_number": 1}, BEFORE),
    ("a copy that has outlived a clear", {"try_number": 1, "max_tries": 2}, NOTHING),
    ("a run made again under its id", {"start": NOON + HOUR}, NOTHING),
    ("another run", {"run_id": "other", "try_number": 2}, NOTHING),
    ("another task", {"task_id": "other", "try_number": 2}, NOTHING),
    ("another of the mapped tasks", {"map_index": 1, "try_number": 2}, NOTHING),
]


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize(("who", "reader", "reads"), TABLE, ids=[who for who, _, _ in TABLE])
def test_who_reads_what(
    store: Store, who: str, reader: dict[str, Any], reads: tuple[Kept | None, Kept | None], over: bool
) -> None:
    """`over` alone makes a round before of none but a cleared one (see the next test)."""
    write(store, over)
    if who == "a retry beside the clear of another task" and over:
        reads = BEFORE
    if who == "a copy that has outlived a clear":
        store.texts.clear()
        write(store, over, try_number=2, max_tries=4, clear_number=1)
    assert read(store, **reader) == reads


@pytest.mark.parametrize(
    ("over", "wrote", "now", "ended"),
    [
        (True, {}, {"clear_number": 1}, 1),
        (False, {}, {"clear_number": 1}, None),
        (True, {}, {"clear_number": 0}, None),
        (True, {"clear_number": 1}, {"clear_number": 1}, None),
        (True, {}, {"clear_number": None}, None),
        (True, {"max_tries": 5}, {"clear_number": 1}, None),
    ],
    ids=["ended, then cleared", "cut off", "nothing cleared", "cleared before", "no count of clears", "another round"],
)
def test_a_clear_that_leaves_the_number_of_the_round(
    store: Store, over: bool, wrote: dict[str, Any], now: dict[str, Any], ended: int | None
) -> None:
    """With `retries` lowered by the tries used: only a task known to have ended has been cleared, not retried."""
    write(store, over, **wrote)
    assert mark_for(seen(store, try_number=2, **now)).ended == ended


# Odd contents

GOOD = str(mark_for(seen(None)))
WRITTEN = {"request_id": KEPT.request_id, "batch_api": "v2", "place": PLACE, "marker": GOOD, "over": False}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        GOOD,
        7,
        [],
        [WRITTEN],
        {},
        {"version": 2, "request": WRITTEN},
        {**WRITTEN, "marker": None},
        {**WRITTEN, "marker": "r3"},
        {**WRITTEN, "marker": [GOOD[:-1]]},
    ],
    ids=repr,
)
def test_what_is_no_note_of_a_request_is_no_note(store: Store, content: Any) -> None:
    store.set(KEY, content)
    assert read(store) == read(store, try_number=2, max_tries=4, clear_number=1) == NOTHING
    assert mark_for(seen(store, try_number=2, clear_number=1)).ended is None


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in WRITTEN.items() if name not in names}


@pytest.mark.parametrize(
    "content",
    [
        without("request_id"),
        without("batch_api"),
        {**WRITTEN, "request_id": None},
        {**WRITTEN, "request_id": ["a"]},
        {**WRITTEN, "request_id": ""},
        {**WRITTEN, "batch_api": 2},
        {**WRITTEN, "place": "https://sh.example.com"},
        {**WRITTEN, "place": ["base_url"]},
        {**WRITTEN, "place": {"base_url": 7}},
    ],
    ids=lambda content: ",".join(f"{key}={content.get(key)}" for key in ("request_id", "batch_api", "place")),
)
def test_a_note_of_another_version_is_left_to_the_search(store: Store, content: dict[str, Any]) -> None:
    """Its marker is ours, its members are not: the request is found by its marker, and no try breaks."""
    store.set(KEY, content)
    assert read(store, try_number=2) == NOTHING
    assert read(store, try_number=2, max_tries=4, clear_number=1) == NOTHING


def test_a_note_without_a_place_is_about_the_connection(store: Store) -> None:
    """So wrote the versions that did not keep it."""
    for content in (without("place"), {**WRITTEN, "place": None}):
        store.set(KEY, content)
        assert read(store, try_number=2) == (replace(KEPT, place={}), None)


def test_members_of_a_later_version_are_passed_over(store: Store) -> None:
    store.set(KEY, {**WRITTEN, "place": {**PLACE, "region": "eu"}, "more": 1})
    assert read(store, try_number=2) == (replace(KEPT, place={**PLACE, "region": "eu"}), None)


@pytest.mark.parametrize(
    "content", [None, "a text", {"request_id": "x"}, {"marker": "ours"}, {"place": "x", "marker": "ours"}]
)
def test_a_try_finds_its_request_whatever_the_store_holds(bench: Any, store: Store, content: Any) -> None:
    bench.clock.at(90, kill)
    with pytest.raises(Killed):
        bench.run(job(bench), {**bench.context(), "task_state_store": store})
    request_id = store.get(KEY)["request_id"]
    if isinstance(content, dict) and content.get("marker"):
        content = {**content, "marker": store.get(KEY)["marker"]}
    store.set(KEY, content)
    result = bench.run(job(bench), {**bench.context(**RETRY), "task_state_store": store})
    assert (result["request_id"], bench.effects().count("billed_start")) == (request_id, 1)


@pytest.mark.parametrize("make", [job, creating])
def test_a_retry_goes_to_where_its_request_was_made(
    bench: Any, store: Store, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever `batch_api` the connection names since."""
    moment = "_note_end" if make is creating else "_answer"
    with monkeypatch.context() as patched:
        patched.setattr(type(make(bench)()), moment, lambda *_: kill())
        with pytest.raises(Killed):
            bench.run(make(bench), {**bench.context(), "task_state_store": store})
    request_id = store.get(KEY)["request_id"]
    bench.connect(batch_api="v1" if bench.api == "v2" else "v2")
    result = bench.run(make(bench), {**bench.context(**RETRY), "task_state_store": store})
    assert (result["request_id"], result["batch_api"]) == (request_id, bench.api)
    assert bench.effects().count("created") == 1


# The operators


def test_what_operators_keep_at_each_end(bench: Any, store: Store) -> None:
    """Cut off: not over. After the retry's result, and after a final error of the round after it: over."""
    context = {**bench.context(), "task_state_store": store}
    bench.clock.at(90, kill)
    with pytest.raises(Killed):
        bench.run(job(bench), context)
    first = store.get(KEY)
    assert (first["batch_api"], first["over"]) == (bench.api, False)
    assert first["place"] == bench.hook.settings.place()

    bench.run(job(bench), {**bench.context(**RETRY), "task_state_store": store})
    second = store.get(KEY)
    assert (second["request_id"], second["over"]) == (first["request_id"], True)

    bench.clock.at(90, lambda: bench.act(store.get(KEY)["request_id"], "end"))
    with pytest.raises(AirflowFailException):
        bench.run(job(bench), {**bench.context(**CLEARED, run={"clear_number": 1}), "task_state_store": store})
    third = store.get(KEY)
    assert third["request_id"] != first["request_id"]
    assert third["over"] is True


def test_a_skip_ends_a_round_too(bench: Any, store: Store) -> None:
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2"], times=None)
    with pytest.raises(AirflowSkipException, match="tiles failed"):
        bench.run(job(bench, on_partial="skip"), {**bench.context(), "task_state_store": store})
    assert store.get(KEY)["over"] is True


def test_a_try_that_may_be_retried_is_not_over(bench: Any, store: Store) -> None:
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_2"], times=None)
    with pytest.raises(Exception, match=r"1 of .* tiles failed"):
        bench.run(job(bench), {**bench.context(), "task_state_store": store})
    assert store.get(KEY)["over"] is False


def test_nothing_secret_is_stored(bench: Any, store: Store) -> None:
    """Neither the client's id and secret, nor a token, nor the keys of the bucket."""
    bench.run(job(bench), {**bench.context(), "task_state_store": store})
    text = "".join(store.texts.values())
    tokens = [tokens.current(0).value for tokens in PROCESS.tokens.values()]
    assert tokens
    secrets = (bench.sim.client_secret, bench.sim.client_id, AWS["login"], AWS["password"], *tokens)
    for secret in secrets:
        assert len(secret) > 3
        assert secret not in text
    assert set(store.get(KEY)) == {"request_id", "batch_api", "place", "marker", "over"}
    assert set(store.get(KEY)["place"]) == {"base_url", "token_url", "account"}


def test_the_account_of_a_place_tells_clients_apart_and_nothing_of_their_secret() -> None:
    def place(client: str, secret: str) -> dict[str, str]:
        return Settings("https://sh.example.com", "https://sh.example.com/token", client, secret).place()

    assert place("one", "a") == place("one", "b")
    assert place("one", "a")["account"] != place("two", "a")["account"]
    assert len(place("one", "a")["account"]) == 8
