"""One poller for all waits: few calls, no reading in vain, and nobody held up by another's trouble."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from airflow_sentinelhub import exceptions as errors
from airflow_sentinelhub.api.call import Call, Flow, Lost, Note, Now, Renew, Reply, Send, Sleep, exchange
from airflow_sentinelhub.api.decide.pages import NOT_LISTED, goes_on, is_believed, pages_worth
from airflow_sentinelhub.api.decoding import decoded
from airflow_sentinelhub.api.service.generations import STATISTICAL, V1, V2, Generation
from airflow_sentinelhub.transport import list_pages
from airflow_sentinelhub.transport.list_pages import entries_of
from airflow_sentinelhub.transport.metrics import Metrics
from airflow_sentinelhub.transport.poller import Poller

# Which pages


@pytest.mark.parametrize(
    ("places", "pages"),
    [
        ([], 0),
        ([0], 0),  # one call either way: the request itself is the fresher reading
        ([0, 0], 1),
        ([0] * 100, 1),
        ([0, 5], 0),
        ([3, 3, 3, 3, 3], 4),
        ([3, 3, 3, 3], 0),
        ([0, 0, 0, 9], 1),
        ([0, 0, 0, 9, NOT_LISTED], 1),
        ([NOT_LISTED] * 500, 0),
        ([None], 0),
        ([None] * 1000, 10),
        ([None] * 150, 2),
        ([index // 100 for index in range(5000)], 50),
    ],
)
def test_how_many_pages_are_worth_their_calls(
    places: list[int | None], pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_sentinelhub.api.decide.pages.PAGE_SIZE", 100)
    assert pages_worth(places) == pages


def test_no_other_number_of_pages_takes_fewer_calls() -> None:
    import random

    source = random.Random(7)
    for _ in range(300):
        places = [source.choice([0, 1, 2, 5, 9, NOT_LISTED]) for _ in range(source.randint(0, 30))]

        def calls(pages: int, places: list[int] = places) -> int:
            return pages + sum(place >= pages for place in places)

        assert calls(pages_worth(places)) == min(map(calls, range(12)))


def test_a_walk_goes_on_while_pages_have_more_than_one_each() -> None:
    assert goes_on([10, 9, 8], 50)
    assert goes_on([0, 0, 7], 50)
    assert not goes_on([1, 1, 1], 50)
    assert not goes_on([100], 1)
    assert not goes_on([], 50)


def snapshot(status: str = "PROCESSING", action: str = "START") -> Any:
    return V2.get("7").parse({"id": "7", "status": status, "userAction": action})


@pytest.mark.parametrize(
    ("status", "action", "last", "believed"),
    [
        ("PROCESSING", "START", None, True),
        ("PROCESSING", "START", ("ANALYSING", "ANALYSE"), True),
        ("ANALYSING", "ANALYSE", ("ANALYSING", "ANALYSE"), True),
        ("ANALYSING", "ANALYSE", None, False),
        ("CREATED", "NONE", ("PROCESSING", "START"), False),
        ("PROCESSING", "STOP", ("PROCESSING", "START"), False),
        ("DONE", "START", ("PROCESSING", "START"), False),
        ("DONE", "START", ("DONE", "START"), False),
        ("FAILED", "START", None, False),
        ("A_NEW_WORD", "START", None, False),
    ],
)
def test_what_of_a_list_is_believed(status: str, action: str, last: Any, believed: bool) -> None:
    assert is_believed(snapshot(status, action), snapshot(*last) if last else None) is believed


# Pages that are decoded entry by entry


async def read_apart(body: bytes) -> tuple[list[Any], Any]:
    items, rest = entries_of(body)
    return [item async for item in items], rest()


@pytest.mark.parametrize("links", [{}, {"nextToken": "100"}, None])
@pytest.mark.parametrize("count", [0, 1, 7, 100])
async def test_a_page_is_the_same_however_it_is_decoded(
    count: int, links: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = {"data": [{"id": str(index), "text": '[]{},"é' * 3} for index in range(count)], "links": links}
    body = json.dumps(page).encode()
    whole = await read_apart(body)
    monkeypatch.setattr(list_pages, "SLICE", 0)
    for sliced in (body, json.dumps(page, indent=2, ensure_ascii=False).encode()):
        items, rest = await read_apart(sliced)
        assert items == whole[0] == page["data"]
        assert (bool(rest["data"]), rest["links"]) == (bool(page["data"]), links)


@pytest.mark.parametrize(
    "body", [b'{"data": [{"id": "1"}', b'{"data": [', b'{"data": [1 2 x', b"[" * 100_000, b"\xff", b"<html>"]
)
async def test_a_page_that_cannot_be_decoded_is_one_error(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (0, 1 << 30):
        monkeypatch.setattr(list_pages, "SLICE", limit)
        with pytest.raises(errors.UnreadableReplyError):
            await read_apart(body)


BEHIND = {"links": {"nextToken": "7"}, "more": "x" * 10}


@pytest.mark.parametrize(
    "page",
    [
        {"data": 50, **BEHIND},
        {**BEHIND, "data": 50},
        {"links": {}, "data": 50, "more": [{"data": []}]},
        {"more": {"data": [1, 2]}, "links": None, "data": 50},
    ],
    ids=["first", "last", "between", "behind another of its name"],
)
async def test_others_run_between_the_entries_of_a_page_whatever_the_order_of_its_members(
    page: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_pages, "SLICE", 0)
    monkeypatch.setattr(list_pages, "TURN", 3600.0)
    page = {
        name: [entry(str(number)) for number in range(value)] if value == 50 else value for name, value in page.items()
    }
    longest = 0
    decode = list_pages._entry

    def counted(*given: Any) -> Any:
        nonlocal longest
        since.append(1)
        longest = max(longest, len(since))
        return decode(*given)

    async def others() -> None:
        while True:
            since.clear()
            await asyncio.sleep(0)

    since: list[int] = []
    monkeypatch.setattr(list_pages, "_entry", counted)
    monkeypatch.setattr(
        list_pages, "decoded", lambda body: pytest.fail("at once") if len(body) > 5000 else decoded(body)
    )
    beside = asyncio.ensure_future(others())
    items, rest = entries_of(json.dumps(page).encode())
    found = [item async for item in items]
    beside.cancel()
    assert [item["id"] for item in found] == [str(number) for number in range(50)]
    assert rest()["links"] == page["links"]
    assert longest == 10


@pytest.mark.parametrize(
    "page", [{"more": [7] * 100_000, "data": []}, {"data": [], "more": [7] * 100_000}, [7] * 100_000]
)
async def test_what_is_large_and_no_entry_is_decoded_in_a_thread(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = list[bool]()

    def seen(body: bytes) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return decoded(body)

    monkeypatch.setattr(list_pages, "decoded", seen)
    items, rest = entries_of(json.dumps(page).encode())
    assert [item async for item in items] == []
    assert rest() == (page if isinstance(page, dict) else {"error": "it is no object"})
    assert threads == [False]


@pytest.mark.parametrize("described", ["\ud800", "a\0b", "\ud83d\ude00", "9" * 5000])
async def test_a_sliced_page_has_nothing_in_it_that_no_database_can_store(
    described: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"data": [entry("a1", request={"description": described}, error=described)]}).encode()
    if described.isdigit():
        body = body.replace(b'"error": "', b'"costPU": ').replace(b'9"}]', b"9}]")
    whole = (await read_apart(body))[0]
    monkeypatch.setattr(list_pages, "SLICE", 0)
    items = (await read_apart(body))[0]
    assert items[0]["request"]["description"] == whole[0]["request"]["description"]
    assert (items[0].get("error"), items[0].get("costPU")) == (whole[0].get("error"), whole[0].get("costPU"))


# The poller

S3 = {"url": "s3://maps/ndvi", "accessKey": "AKIA", "secretAccessKey": "hush"}


class Account:
    """A service in this process: runs flows by answering their calls, and counts them. A page has three requests."""

    PER_PAGE = 3

    def __init__(self, count: int, api: Generation = V2) -> None:
        self.api = api
        self.jobs = {
            f"id-{index}": {"id": f"id-{index}", "status": "PROCESSING", "userAction": "START"}
            for index in range(count)
        }
        self.asked: list[str] = []
        self.answer: Callable[[Call[Any]], Reply | Lost | None] = lambda call: None
        self.hang: set[str] = set()

    async def run(self, flow: Flow[Any]) -> Any:
        step, received = next(flow), None
        try:
            while True:
                if isinstance(step, Send):
                    received = await self._reply(step.call)
                elif isinstance(step, Now):
                    received = 0.0
                else:
                    assert isinstance(step, (Sleep, Note, Renew)), step
                    received = None
                step = flow.send(received)
        except StopIteration as end:
            return end.value

    async def _reply(self, call: Call[Any]) -> Reply | Lost:
        name = call.path.rpartition("/")[2]
        listed = name == "process"
        self.asked.append(f"page {call.params().get('viewtoken', '0')}" if listed else name)
        await asyncio.sleep(0)
        if name in self.hang:
            await asyncio.Event().wait()
        if (answer := self.answer(call)) is not None:
            return answer
        if not listed:
            job = self.jobs.get(name)
            return Reply(200, {}, json.dumps(job).encode()) if job else Reply(404, {}, b"{}")
        start = int(call.params().get("viewtoken", 0))
        page = list(self.jobs.values())[start : start + self.PER_PAGE]
        links = {"nextToken": start + self.PER_PAGE} if start + self.PER_PAGE < len(self.jobs) else {}
        return Reply(200, {}, json.dumps({"data": page, "links": links}).encode())

    @property
    def pages(self) -> int:
        return sum(call.startswith("page") for call in self.asked)

    @property
    def singles(self) -> list[str]:
        return [call for call in self.asked if not call.startswith("page")]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_sentinelhub.api.decide.pages.PAGE_SIZE", Account.PER_PAGE)


def poller_of(account: Account) -> Poller:
    return Poller(account, account.api, lambda name, by: None)


async def all_readings(poller: Poller, names: Any, within: float = 0.0) -> list[Any]:
    return list(
        await asyncio.wait_for(
            asyncio.gather(*(poller.reading(name, within, None) for name in names), return_exceptions=True), 20
        )
    )


@pytest.mark.parametrize("api", [V1, V2], ids=["v1", "v2"])
async def test_many_waits_are_read_by_pages(api: Generation) -> None:
    account = Account(30, api)
    poller = poller_of(account)
    for _ in range(3):
        jobs = await all_readings(poller, account.jobs)
        assert [job.request_id for job in jobs] == list(account.jobs)
    assert account.asked == [f"page {start}" for start in range(0, 30, 3)] * 3


async def test_equal_questions_are_one_call() -> None:
    account = Account(30)
    jobs = await all_readings(poller_of(account), ["id-7"] * 50 + ["ID-7"])
    assert {job.request_id for job in jobs} == {"id-7"}
    assert account.asked == ["id-7"]


async def test_few_waits_deep_in_the_list_are_read_one_by_one() -> None:
    account = Account(300)
    poller = poller_of(account)
    for _ in range(4):
        await all_readings(poller, ["id-290", "id-291"])
    assert account.pages <= 2  # where they are was looked for once
    assert sorted(account.singles)[:4] == ["id-290"] * 4


async def test_ours_are_found_among_many_of_others() -> None:
    """One of each page is ours: a walk takes no more calls than single ones, and where they are is remembered."""
    account = Account(300)
    ours = [name for index, name in enumerate(account.jobs) if index % 3 < 2]
    poller = poller_of(account)
    for _ in range(3):
        before = len(account.asked)
        await all_readings(poller, ours)
    assert len(account.asked) - before == 100  # pages, for 200 requests


async def test_where_requests_stand_is_remembered_while_new_ones_of_others_push_them_down() -> None:
    account = Account(15)
    ours, poller = list(account.jobs), poller_of(account)
    for walk in range(9):
        await all_readings(poller, ours)
        new = {f"new-{walk}-{number}": {"id": f"new-{walk}-{number}", "status": "CREATED"} for number in range(3)}
        account.jobs = {**new, **account.jobs}
    assert account.singles == []


async def test_what_a_list_says_is_at_its_end_is_confirmed() -> None:
    account = Account(9)
    poller = poller_of(account)
    await all_readings(poller, account.jobs)
    listed = {name: dict(job) for name, job in account.jobs.items()}
    listed["id-4"]["status"] = "DONE"

    def lagging(call: Call[Any]) -> Reply | None:
        if call.path.endswith("/process"):
            start = int(call.params().get("viewtoken", 0))
            links = {"nextToken": start + 3} if start < 6 else {}
            page = {"data": list(listed.values())[start : start + 3], "links": links}
            return Reply(200, {}, json.dumps(page).encode())
        return None

    account.answer = lagging
    account.asked.clear()
    jobs = await all_readings(poller, account.jobs)
    assert account.singles == ["id-4"]
    assert jobs[4].status == "PROCESSING"  # the request itself is what counts


def a_list_that_says(account: Account, **statuses: str) -> None:
    """The list shows other statuses than the requests themselves."""

    def answer(call: Call[Any]) -> Reply | None:
        if not call.path.endswith("/process"):
            return None
        start, size = int(call.params().get("viewtoken", 0)), account.PER_PAGE
        jobs = [
            {**job, "status": statuses.get(name.replace("-", "_"), job["status"])} for name, job in account.jobs.items()
        ]
        links = {"nextToken": start + size} if start + size < len(jobs) else {}
        return Reply(200, {}, json.dumps({"data": jobs[start : start + size], "links": links}).encode())

    account.answer = answer


@pytest.mark.parametrize("known", [True, False], ids=["read before", "never read"])
@pytest.mark.parametrize("true", [True, False], ids=["it has ended", "the list errs"])
async def test_an_end_on_a_page_read_for_others_is_confirmed_at_once_and_once(known: bool, true: bool) -> None:
    account = Account(9)
    poller, others = poller_of(account), [name for name in account.jobs if name != "id-4"]
    if known:
        await all_readings(poller, account.jobs)
    wait = asyncio.ensure_future(poller.reading("id-4", 600.0, None))
    await asyncio.sleep(0)
    if true:
        account.jobs["id-4"]["status"] = "DONE"
    else:
        a_list_that_says(account, id_4="DONE")
    await all_readings(poller, others)
    assert (await asyncio.wait_for(wait, 5)).status == ("DONE" if true else "PROCESSING")
    again = asyncio.ensure_future(poller.reading("id-4", 600.0, None))
    for _ in range(3):
        await all_readings(poller, others)
    assert not again.done()
    assert account.singles == ["id-4"]
    again.cancel()


@pytest.mark.parametrize("status", ["ANALYSING", "A_NEW_WORD_FOR_WORK", "PROCESSING", 7, None])
async def test_what_is_no_end_on_a_page_read_for_others_takes_no_call(status: Any) -> None:
    account = Account(9)
    poller, others = poller_of(account), [name for name in account.jobs if name != "id-4"]
    await all_readings(poller, account.jobs)
    wait = asyncio.ensure_future(poller.reading("id-4", 600.0, None))
    await asyncio.sleep(0)
    a_list_that_says(account, id_4=status)
    await all_readings(poller, others)
    assert not wait.done()
    assert account.singles == []
    wait.cancel()


async def test_a_change_is_seen_within_the_interval() -> None:
    account = Account(9)
    poller = poller_of(account)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await all_readings(poller, account.jobs, within=0.4)
    assert loop.time() - began >= 0.25  # not before three quarters of it, and 0.9 to 1 of it at the latest
    assert account.pages == 3


async def test_a_request_that_does_not_answer_holds_up_no_other() -> None:
    account = Account(30)
    account.jobs["bad"] = {"id": "bad", "status": "PROCESSING", "userAction": "START"}
    account.hang = {"bad"}
    poller = poller_of(account)
    stuck = asyncio.ensure_future(poller.reading("bad", 0.0, None))
    for _ in range(3):
        jobs = await all_readings(poller, [f"id-{index}" for index in range(30)])
        assert len(jobs) == 30
    assert not stuck.done()
    stuck.cancel()


async def test_an_entry_that_cannot_be_read_is_asked_for_itself() -> None:
    account = Account(9)
    account.jobs["id-4"]["status"] = 7
    jobs = await all_readings(poller_of(account), account.jobs)
    assert account.singles == ["id-4"] * 2  # and once more, since the reply was unreadable
    assert isinstance(jobs[4], errors.UnreadableReplyError)
    assert all(not isinstance(job, Exception) for index, job in enumerate(jobs) if index != 4)


async def test_one_request_is_asked_for_all_while_the_service_is_down() -> None:
    account = Account(90)
    poller = poller_of(account)
    await all_readings(poller, account.jobs)
    account.answer = lambda call: Reply(503, {}, b"down")
    account.asked.clear()
    for _ in range(5):
        jobs = await all_readings(poller, account.jobs)
        assert all(isinstance(job, errors.ServerError) for job in jobs)
    assert len(account.asked) <= 2 + 5 * 2  # one page, and one request at a time; each call is tried twice
    account.answer = lambda call: None
    jobs = await all_readings(poller, account.jobs)
    assert all(not isinstance(job, Exception) for job in jobs)


@pytest.mark.parametrize(
    "answer",
    [Reply(403, {}, b"{}"), Reply(500, {}, b"{}"), Reply(200, {}, b"{}"), Reply(200, {}, b'{"data": [{]'), Reply(204)],
    ids=["403", "500", "no data", "no JSON", "204"],
)
async def test_a_list_that_fails_is_replaced_by_single_calls(answer: Reply) -> None:
    account = Account(9)
    account.answer = lambda call: answer if call.path.endswith("/process") else None
    poller = poller_of(account)
    for _ in range(2):
        jobs = await all_readings(poller, account.jobs)
        assert [job.request_id for job in jobs] == list(account.jobs)
    assert account.pages <= 2  # it is left alone for a while
    assert len(account.singles) == 18


async def test_a_list_that_goes_in_circles_ends() -> None:
    account = Account(30)
    page = {"data": list(account.jobs.values())[:3], "links": {"nextToken": "0"}}
    account.answer = lambda call: Reply(200, {}, json.dumps(page).encode()) if call.path.endswith("/process") else None
    jobs = await all_readings(poller_of(account), account.jobs)
    assert all(not isinstance(job, Exception) for job in jobs)
    assert account.pages <= 3


async def test_a_wait_is_given_up_in_time_and_forgotten() -> None:
    import time

    account = Account(3)
    account.hang = {"id-0"}
    poller = poller_of(account)
    with pytest.raises(errors.UnreachableError, match="before the time for waiting was over") as caught:
        await poller.reading("id-0", 0.0, time.time() + 0.2)
    assert caught.value.over
    assert poller.waiting == 0


async def test_waits_that_are_cancelled_are_forgotten_and_read_no_more() -> None:
    account = Account(9)
    poller = poller_of(account)
    waits = [asyncio.ensure_future(poller.reading(name, 60.0, None)) for name in account.jobs]
    await asyncio.sleep(0.05)
    assert poller.waiting == 9
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    assert poller.waiting == 0
    assert account.asked == []
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "not after the interval, which may be hours"


async def test_an_unexpected_error_reaches_the_waits_and_ends_nothing() -> None:
    account = Account(9)
    poller = poller_of(account)

    def broken(call: Call[Any]) -> Reply:
        raise RuntimeError("not ours")

    account.answer = broken
    jobs = await all_readings(poller, account.jobs)
    assert all(isinstance(job, errors.SentinelHubError) for job in jobs)
    account.answer = lambda call: None
    jobs = await all_readings(poller, account.jobs)
    assert [job.request_id for job in jobs] == list(account.jobs)


async def test_an_unexpected_error_of_a_single_call_reaches_those_who_wait_for_it_and_nobody_else() -> None:
    account = Account(9)
    account.jobs["deep"] = {"id": "deep", "status": "PROCESSING", "userAction": "START"}

    def broken(call: Call[Any]) -> Reply | None:
        if call.path.endswith("/deep"):
            raise RuntimeError("not ours")
        return None

    account.answer = broken
    poller = poller_of(account)
    jobs = await all_readings(poller, ["deep", "deep"])
    assert [str(job) for job in jobs] == ["Reading batch request deep broke off (RuntimeError)."] * 2
    account.answer = lambda call: None
    (job,) = await all_readings(poller, ["deep"])
    assert job.request_id == "deep"


async def test_waits_of_a_triggerer_share_one_poller_and_one_look_at_the_connection(
    simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the real triggers' driver: 60 waits for the same requests, on a real socket."""
    from airflow_sentinelhub.api.flows.wait import WaitPlan, wait
    from airflow_sentinelhub.hooks import connection
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
    from airflow_sentinelhub.transport.process import PROCESS

    monkeypatch.setenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT", simulator.airflow_connection_uri)
    looked_up, told = 0, dict[str, float]()
    look_up = connection.connection_in_loop

    async def counted(conn_id: str) -> Any:
        nonlocal looked_up
        looked_up += 1
        return await look_up(conn_id)

    def tell(name: str, value: float) -> None:
        told[name] = told.get(name, 0) + value

    monkeypatch.setattr(connection, "connection_in_loop", counted)
    monkeypatch.setattr(connection, "metrics", lambda gauges, prefix: tell)
    monkeypatch.setattr(PROCESS, "metrics", Metrics())
    PROCESS.looked_up.clear()
    payload = {
        "processRequest": {
            "input": {"bounds": {"bbox": [8.9, 41.9, 9.3, 42.3]}, "data": [{"type": "sentinel-2-l2a"}]},
            "output": {"responses": [{"identifier": "default", "format": {"type": "image/tiff"}}]},
            "evalscript": "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}}; }\n"
            "function evaluatePixel(sample) { return [sample.B04]; }",
        },
        "input": {"type": "tiling-grid", "id": 1, "resolution": 10},
        "output": {
            "type": "raster",
            "delivery": {"s3": {"url": "s3://maps/ndvi", "accessKey": "AKIA", "secretAccessKey": "hush"}},
        },
    }
    driver = await SentinelHubHook().async_driver()
    jobs = [await driver.run(exchange(V2.create(payload))) for _ in range(4)]
    for job in jobs:
        await driver.run(exchange(V2.start(job.request_id)))
    simulator.step(3 * 3600)

    async def one(request_id: str) -> Any:
        own = await SentinelHubHook().async_driver()
        return await own.run(wait(V2, request_id, "DONE", WaitPlan(poll_interval=10.0, known=True)))

    before = len(simulator.journal())
    ended = await asyncio.gather(*(one(job.request_id) for job in jobs * 15))
    assert {waited.outcome.value for waited in ended} == {"reached"}
    calls = [call["path"] for call in simulator.journal()[before:]]
    assert len(calls) <= 2 + len(jobs)  # a page, and each end is confirmed
    assert looked_up == 1
    assert told["readings"] == 60
    PROCESS.looked_up.clear()


async def test_a_look_at_the_connection_that_fails_is_forgotten_also_if_all_who_waited_for_it_were_cancelled(
    simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the triggers of the next minute would end with that failure."""
    from airflow_sentinelhub.hooks import connection
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
    from airflow_sentinelhub.transport.process import PROCESS

    monkeypatch.setenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT", simulator.airflow_connection_uri)
    goes_on = asyncio.Event()

    async def fails(conn_id: str) -> Any:
        await goes_on.wait()
        raise RuntimeError("the database is away")

    PROCESS.looked_up.clear()
    with monkeypatch.context() as patched:
        patched.setattr(connection, "connection_in_loop", fails)
        first = asyncio.ensure_future(SentinelHubHook().async_settings())
        await asyncio.sleep(0.01)
        first.cancel()
        goes_on.set()
        await asyncio.sleep(0.01)
    assert (await SentinelHubHook().async_settings()).conn_id == "sentinelhub_default"
    PROCESS.looked_up.clear()


async def test_a_trigger_that_is_cancelled_takes_the_look_at_the_connection_from_no_other(
    simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triggers that begin together share one look; each of them would end, without an event."""
    from airflow_sentinelhub.hooks import connection
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
    from airflow_sentinelhub.transport.process import PROCESS

    monkeypatch.setenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT", simulator.airflow_connection_uri)
    look_up, goes_on = connection.connection_in_loop, asyncio.Event()

    async def slowly(conn_id: str) -> Any:
        await goes_on.wait()
        return await look_up(conn_id)

    PROCESS.looked_up.clear()
    monkeypatch.setattr(connection, "connection_in_loop", slowly)
    looks = [asyncio.ensure_future(SentinelHubHook().async_settings()) for _ in range(3)]
    await asyncio.sleep(0.01)
    looks[0].cancel()
    await asyncio.sleep(0.01)
    goes_on.set()
    found = await asyncio.gather(*looks, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert [settings.conn_id for settings in found[1:]] == ["sentinelhub_default"] * 2
    PROCESS.looked_up.clear()


def entry(identifier: str, **changes: Any) -> dict[str, Any]:
    """An entry of v2's list, with the members that the service writes before and behind what was asked for."""
    delivery = {"s3": {"url": f"s3://bucket/{identifier}"}}
    asked = {
        "description": f"job {identifier}",
        "processRequest": {"x": [1.5, {"}": "]"}]},
        "output": {"delivery": delivery},
    }
    return {
        "id": identifier,
        "domainAccountId": "a",
        "request": asked,
        "status": "PROCESSING",
        "userAction": "START",
        **changes,
    }


async def test_what_was_asked_for_is_decoded_again_only_if_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_pages, "SLICE", 0)
    bodies: dict[str, Any] = {}

    async def jobs(entries: list[Any], **form: Any) -> list[Any]:
        items, rest = entries_of(json.dumps({"data": entries, "links": {"nextToken": "7"}}, **form).encode(), bodies)
        read = [V2.get(item["id"]).parse(item) async for item in items]
        assert rest()["links"] == {"nextToken": "7"}
        assert read == [V2.get(item["id"]).parse(item) for item in entries]
        return read

    entries = [entry("A1"), entry("b2", costPU=1.5), entry("c3", error="x" * 9000)]
    await jobs(entries)
    assert set(bodies) == {"a1", "b2", "c3"}
    before = dict(bodies)
    entries[0]["costPU"], entries[1]["status"] = 7.5, "DONE"
    await jobs(list(reversed(entries)))
    assert all(bodies[name] is before[name] for name in before)
    entries[0]["request"]["description"] = "job B1"  # as long as before
    entries[2]["request"]["output"]["delivery"]["s3"]["url"] = "s3://other/place"
    await jobs(entries)
    assert bodies["b2"] is before["b2"]
    assert bodies["a1"] is not before["a1"]
    assert bodies["c3"] is not before["c3"]
    await jobs(entries, indent=2)
    await jobs([{**entry("d4"), "request": "none"}, {"status": "DONE", **entry("e5")}, entry("f6", request={})])
    await jobs([{"id": "g7", "costPU": 1.5, "error": None, **entry("g7")}])
    assert "g7" in bodies


async def test_an_evalscript_that_many_requests_have_is_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others' requests are kept, too, for weeks: 20,000 with 32 KB each would be 640 MB."""
    monkeypatch.setattr(list_pages, "SLICE", 0)
    bodies: dict[str, Any] = {}
    payload = {"aggregation": {"evalscript": "//VERSION=3 " + "x" * 1000}}
    items, _ = entries_of(json.dumps({"data": [{"id": name, "request": payload} for name in "abc"]}).encode(), bodies)
    assert [item["id"] async for item in items] == ["a", "b", "c"]
    assert len({id(kept.value["aggregation"]["evalscript"]) for kept in bodies.values()}) == 1


@pytest.mark.parametrize("api", [V1, V2, STATISTICAL], ids=lambda api: api.name)
@pytest.mark.parametrize(
    "asked",
    [
        {"description": "afx0123456789abcdef", "output": {"delivery": {"s3": {"url": "s3://b/x"}}}},
        {"description": {"x": 1}, "output": 7, "aggregation": {"evalscript": "// a note", "other": 1}},
        {"aggregation": "text", "output": {"delivery": "none"}},
    ],
)
async def test_a_reading_is_the_same_whether_what_was_asked_for_is_decoded_or_kept(
    api: Generation, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_pages, "SLICE", 0)
    bodies: dict[str, Any] = {}
    for name in ("request", "processRequest"):
        item = {
            "id": "7",
            name: asked,
            "status": "PROCESSING",
            "description": "outer",
            "output": {"defaultTilePath": "p"},
        }
        body = json.dumps({"data": [item]}).encode()
        whole = api.get("7").parse(item)
        for _ in range(2):
            assert [api.get("7").parse(found) async for found in entries_of(body, bodies)[0]] == [whole]
        bodies.clear()


async def test_triggers_that_begin_together_look_up_certificates_and_proxies_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow_sentinelhub.transport import client
    from airflow_sentinelhub.transport.aio import AsyncDriver
    from airflow_sentinelhub.transport.settings import Settings

    looked = 0
    found = client.proxy_for

    def proxy_for(*args: Any) -> str | None:
        nonlocal looked
        looked += 1
        return found(*args)

    monkeypatch.setattr(client, "proxy_for", proxy_for)

    def driver(secret: str = "s") -> AsyncDriver:
        return AsyncDriver(Settings("http://127.0.0.1:9", "http://127.0.0.1:9/token", "together", secret))

    pollers = list(await asyncio.gather(*(driver()._poller(V2) for _ in range(20))))
    assert len(set(pollers)) == 1
    assert looked == 2  # the service and the token's endpoint
    assert await driver("another secret")._poller(V2) is pollers[0]
    of_v1 = await driver()._poller(V1)
    assert of_v1 is not pollers[0]
    assert of_v1._places is pollers[0]._places  # what hangs in one holds places of the other


def test_requests_of_unknown_place_are_looked_for_behind_those_that_are_known_to_be_newer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("airflow_sentinelhub.api.decide.pages.PAGE_SIZE", 100)
    assert pages_worth([None] * 200, {0: 100, 1: 100, 2: 50}) == 5
    assert pages_worth([None] * 200, {0: 100, 1: 130}) == 4
    assert pages_worth([None] * 3, dict.fromkeys(range(50), 100)) == 0
