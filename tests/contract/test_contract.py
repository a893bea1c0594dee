"""What our client says and what the simulator answers, against the contract of the service, over whole lives of jobs.

Both sides were written from the same descriptions, but by themselves: of the package the simulator imports only how
evalscripts are read.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from tests.contract.checker import Contract, Exchange, Finding, the_contract, url_of
from tests.contract.faults import KNOWN, unknown
from tests.contract.lives import LIVES, live

pytest.importorskip("openapi_core", minversion="0.23", reason="older ones have other words for what they find")
pytestmark = pytest.mark.thorough

ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"
SENTINEL = {"type": "sentinel-2-l2a", "dataFilter": {"maxCloudCoverage": 70}}


exchanges_of = cache(live)


@cache
def findings_of(name: str, source: str) -> list[tuple[Exchange, list[Finding]]]:
    return [(exchange, the_contract(source).findings(exchange)) for exchange in exchanges_of(name)]


def all_findings(source: str) -> set[Finding]:
    return {finding for name in LIVES for _, findings in findings_of(name, source) for finding in findings}


def everything() -> list[Exchange]:
    return [exchange for name in LIVES for exchange in exchanges_of(name)]


@pytest.mark.parametrize("name", LIVES)
def test_what_is_said_is_as_the_contract_says(name: str, source: str) -> None:
    told = [
        f"{finding}   <- {exchange.method} {url_of(exchange)} {exchange.status}"
        for exchange, findings in findings_of(name, source)
        for finding in unknown(findings)
        if finding.side == "reply" or name != "nonsense"
    ]
    assert not told, "\n".join(told)
    assert exchanges_of(name)


def test_every_operation_is_called_and_every_success_is_answered(contract: Contract) -> None:
    seen = {(contract.operation_of(exchange), exchange.status) for exchange in everything()}
    wanted = {(name, status) for name in contract.operations for status in contract.successes(name)}
    assert wanted - seen == set()


def test_both_forms_of_the_paths_are_called() -> None:
    paths = {exchange.path.rsplit("/process", 1)[0] for exchange in everything()}
    assert paths >= {"/api/v1/batch", "/api/v2/batch", "/batch/v2"}
    assert paths >= {"/api/v1/statistics/batch", "/statistics/batch/v1"}


def test_every_known_fault_is_still_there(source: str) -> None:
    idle = [entry for entry in KNOWN if not any(entry.covers(finding) for finding in all_findings(source))]
    assert idle == []


def test_no_finding_is_covered_twice(source: str) -> None:
    """Entries that overlap would keep each other alive."""
    for finding in all_findings(source):
        assert len([entry.reason for entry in KNOWN if entry.covers(finding)]) < 2, str(finding)


# The check itself: what it must not let pass.


def good() -> Exchange:
    body = {
        "processRequest": {
            "input": {"bounds": {"bbox": [1, 2, 3, 4]}, "data": [SENTINEL]},
            "evalscript": "//VERSION=3",
        },
        "tilingGrid": {"id": 1, "resolution": 10.0},
    }
    reply = {**body, "id": ID, "created": "2020-12-21T22:28:38.824Z", "status": "CREATED", "tileCount": 4}
    headers = {"authorization": "Bearer token", "content-type": "application/json"}
    kind = {"content-type": "application/json"}
    sent, answered = json.dumps(body).encode(), json.dumps(reply).encode()
    return Exchange("POST", "/api/v1/batch/process", (), headers, sent, 201, kind, answered)


def changed(body: bytes, *path: Any, to: Any) -> bytes:
    """The body with one member changed or added."""
    whole = json.loads(body)
    inner = whole
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = to
    return json.dumps(whole).encode()


def one(contract: Contract, exchange: Exchange) -> str:
    """The one finding about the exchange, without its operation."""
    (finding,) = contract.findings(exchange)
    return f"{finding.side}: {finding.where}: {finding.problem}"


def test_the_check_takes_what_is_right(contract: Contract) -> None:
    assert contract.findings(good()) == []


@pytest.mark.parametrize(
    ("path", "to", "said"),
    [
        (("tilingGrid", "id"), "one", "tilingGrid/id: 'one' is not of type 'integer'"),
        (("tilingGrid", "buffer"), 1, "tilingGrid/buffer: not in the contract"),
        (("description",), None, "description: None is not of type 'string'"),
        (("processRequest", "input", "data", 0, "type"), "sentinel-9", "processRequest/input/data/*/dataFilter/max"),
        (("processRequest", "input", "data", 0, "from"), 7, "processRequest/input/data/*/from: not in the contract"),
        (("processRequest", "input", "bounds", "bbox"), [1], "processRequest/input/bounds/bbox: [1] is too short"),
    ],
)
def test_the_check_sees_into_bodies(contract: Contract, path: tuple[Any, ...], to: Any, said: str) -> None:
    exchange = good()
    assert one(contract, replace(exchange, body=changed(exchange.body, *path, to=to))).startswith(
        f"request: body {said}"
    )
    assert one(contract, replace(exchange, reply=changed(exchange.reply, *path, to=to))).startswith(
        f"reply: body {said}"
    )


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("created", "yesterday", "'yesterday' is not a 'date-time'"),
        ("status", "READY", "'READY' is not one of"),
        ("id", "12", "'12' is not a 'uuid'"),
    ],
)
def test_the_check_knows_formats_and_words(contract: Contract, member: str, value: str, said: str) -> None:
    exchange = good()
    reply = changed(exchange.reply, member, to=value)
    assert one(contract, replace(exchange, reply=reply)).startswith(f"reply: body {member}: {said}")


def test_the_check_refuses_a_client_that_writes_what_only_the_service_may(contract: Contract) -> None:
    exchange = good()
    told = one(contract, replace(exchange, body=changed(exchange.body, "id", to=ID)))
    assert told == "request: body id: not in the contract"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"headers": {"content-type": "application/json"}}, "request: header authorization: missing"),
        ({"query": (("dry", "1"),)}, "request: query dry: not in the contract"),
        ({"body": b""}, "request: body: missing"),
        ({"path": "/api/v1/batch/proces"}, "request: path: the contract has no such operation"),
        ({"status": 202}, "reply: status 202: not in the contract"),
        ({"status": 401}, "reply: status 401 body: the contract has none"),
        ({"reply_headers": {"content-type": "text/html"}}, "reply: body: Content for the following mimetype not found"),
        ({"reply": b'{"id": '}, "reply: body: Failed to deserialize value"),
    ],
)
def test_the_check_looks_at_all_of_an_exchange(contract: Contract, change: dict[str, Any], said: str) -> None:
    assert one(contract, replace(good(), **change)).startswith(said)


def test_the_check_reads_parameters(contract: Contract) -> None:
    reply = {"content-type": "application/json"}
    signed = {"authorization": "Bearer token"}
    query = (("count", "many"), ("status", "GONE"))
    asked = Exchange("GET", "/api/v1/batch/process/42/tiles", query, signed, b"", 200, reply, b'{"data": []}')
    assert {finding.where for finding in contract.findings(asked)} == {
        "path requestId",
        "query count",
        "query status",
    }


def test_a_known_fault_covers_nothing_else(contract: Contract) -> None:
    """`region` in a bucket's access is known; another member there is not."""
    access = {"url": "s3://maps", "region": "eu-central-1", "zone": "a"}
    body = {
        "processRequest": {
            "input": {"bounds": {}, "data": [SENTINEL]},
            "output": {"responses": []},
            "evalscript": "//VERSION=3",
        },
        "input": {"type": "tiling-grid", "id": 1, "resolution": 10},
        "output": {"type": "raster", "delivery": {"s3": access}},
    }
    exchange = replace(good(), path="/batch/v2/process", body=json.dumps(body).encode(), reply=b"{}")
    assert [finding.where for finding in unknown(contract.findings(exchange))] == ["body output/delivery/s3/zone"]
