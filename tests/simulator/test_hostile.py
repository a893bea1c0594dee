"""Input that no client of the service sends: whatever comes, the reply is no 5xx, is JSON, and the server goes on."""

from __future__ import annotations

import copy
import http.client
import itertools
import json
import random
import shutil
import socket
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub.simulator import Simulator, control, evalscript, faults, patterns, statistical, v1, v2
from airflow_sentinelhub.simulator.app import BODY_LIMIT
from airflow_sentinelhub.simulator.clock import FASTEST, LATEST, Clock
from airflow_sentinelhub.simulator.deployments import TOKEN_PATHS
from airflow_sentinelhub.simulator.faults import parse
from airflow_sentinelhub.simulator.features import FeaturesError, read_features
from airflow_sentinelhub.simulator.gpkg import geometry, geopackage
from airflow_sentinelhub.simulator.replies import Call
from airflow_sentinelhub.simulator.settings import Settings
from tests.growth import assert_linear
from tests.in_process import InProcess

from .conftest import NDVI, Api
from .test_geopackage_input import field, layer

pytestmark = pytest.mark.thorough

DEEP = "[" * 100_000 + "]" * 100_000
# JSON, and what only looks like it, as text: much of it cannot be made by a JSON library.
JUNK = [
    *("null", "true", "false", "0", "-1", "1.5", "1e300", "-1e300", "1e-320", "1e400", "NaN", "-Infinity", "1e", "'x'"),
    *("1" + "0" * 18, "1" + "0" * 400, "9" * 5000, "-" + "9" * 5000, "32768", "0." + "0" * 400 + "1"),
    *(
        '""',
        '"x"',
        '" "',
        '"NaN"',
        '"\\ud800"',
        '"\\udfff/\\ud800"',
        '"\\u0000"',
        '"a\\nb"',
        '"\u202e"',
        f'"{"x" * 3000}"',
    ),
    *(
        '"../up"',
        '"../../../up"',
        '"s3://maps/../../up"',
        '"s3://maps/a\\u0000b"',
        '"s3://maps/<tileName>/../<outputId>"',
    ),
    *('"<outputId>"', '"s3://maps/<"', f'"s3://maps/{"x" * 300}"', f'"s3://maps/{"x/" * 600}"', '"s3://maps/x\\n"'),
    *(
        '"9999-12-31T23:59:59-23:59"',
        '"0001-01-01T00:00:00+23:59"',
        '"P999999999999Y"',
        '"PT1S"',
        '"P' + "9" * 5000 + 'D"',
    ),
    *('"http://www.opengis.net/def/crs/EPSG/0/' + "9" * 5000 + '"', '"http://www.opengis.net/def/crs/EPSG/0/4979"'),
    *("[]", "[[]]", "[null]", "[[[]]]", "[[[[]]]]", '["x"]', "[1, 2, 3, 4]", "[1e308, 1e308, -1e308, -1e308]", "[{}]"),
    *(
        '[["NaN", "NaN"]]',
        "[[[0, 0], [0, 1], [1, 1], [0, 0]]]",
        "[[[0], [0, 1], [1, 1]]]",
        "[[[1, 2, 3], [4, 5], [6, 7]]]",
    ),
    *("{}", '{"a": {}}', '{"type": "GeometryCollection", "geometries": []}', '{"type": "Polygon", "coordinates": {}}'),
    *('{"type": "Polygon", "coordinates": [[[1e308, 0], [0, 1e308], [1, 1], [1e308, 0]]]}', '{"type": []}'),
    *('{"type": "Polygon", "coordinates": ["xxxx", "yyyy"]}', '{"type": "Polygon", "coordinates": [[null, 1]]}'),
    *(DEEP, "[" * 99 + "]" * 99, "[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "{", "[1,]", "\ufeff1"),
]
TEXTS = [
    *(
        "",
        "x",
        "0",
        "-1",
        "1e9",
        "9" * 18,
        "9" * 19,
        "9" * 5000,
        "\u0663",
        "null",
        "../up",
        "a" * 5000,
        "(a+)+$",
        "status:desc",
    ),
    *(
        "%",
        "%00",
        "%ff%fe",
        "%ED%A0%80",
        "%2e%2e%2f",
        "%C3%28",
        "a%0d%0aX:%20y",
        "%23",
        "%3F",
        "?",
        ";",
        "&&",
        "|",
        "created:up",
    ),
]


HEADERS: list[dict[str, str]] = [
    *({}, {"Authorization": "Bearer \xff.\xff"}, {"Authorization": "x" * 4000}, {"X-Forwarded-Proto": "\xff"}),
    *({"Host": "["}, {"Host": "a b"}, {"Host": ""}, {"Host": "\xff:99999999"}, {"Upgrade": "websocket"}),
]


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A simulator whose buckets lie deep in a folder of which the rest stays empty."""
    top = tmp_path_factory.mktemp("top")
    with InProcess(speed=0, bucket_dir=top / "a" / "b" / "buckets", write_images=True, balance=1e12) as simulator:
        yield simulator
    outside = [
        path for path in top.rglob("*") if path.is_file() and not path.is_relative_to(top / "a" / "b" / "buckets")
    ]
    assert not outside, "nothing leaves the folder of the buckets"


@pytest.fixture
def rough(roomy: Simulator) -> Iterator[Api]:
    roomy.reset()
    client = Api(roomy)
    yield client
    client.http.close()


def answer(api: Api, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Status and body of the reply to a call whose parts are sent as they are."""
    connection = http.client.HTTPConnection("127.0.0.1", api.simulator.port, timeout=60)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        sent = {
            "Host": "127.0.0.1",
            "Authorization": api.http.headers["Authorization"],
            "Content-Type": "application/json",
        }
        if body is not None:
            sent["Content-Length"] = str(len(body))
        for name, value in {**sent, **{name.replace("_", "-"): value for name, value in headers.items()}}.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(body)
        reply = connection.getresponse()
        content = reply.read()
    finally:
        connection.close()
    return reply.status, judged(method, target, body, reply.status, content)


def answer_of_the_service(api: Api, method: str, target: str, body: bytes | None = None) -> tuple[int, Any]:
    """The same without the way there, which `test_any_body_at_any_route` goes with every body of this kind."""
    simulator = api.simulator
    assert isinstance(simulator, InProcess)
    call = Call(method, target, headers={"authorization": api.http.headers["Authorization"]}, body=body or b"")
    reply = simulator.told(call) if target.startswith("/_simulator/") else simulator.answered(call).reply
    assert reply is not None
    return reply.status, judged(method, target, body, reply.status, reply.content())


def judged(method: str, target: str, body: bytes | None, status: int, content: bytes) -> Any:
    """What is told; and whether it is told as the service does."""
    what = f"{method} {target[:200]} {(body or b'')[:300]!r} -> {status} {content[:300]!r}"
    assert status < 500, what
    told = json.loads(content) if content else None
    if status >= 400 and method != "HEAD":
        assert set(told) >= {"error"}, what
        if not target.startswith(("/_simulator", *TOKEN_PATHS)):
            assert told["error"].keys() >= {"status", "reason", "message", "code"}, what
            assert told["error"]["status"] == status, what
    return told


def is_alive(api: Api) -> None:
    assert answer(api, "GET", "/batch/v2/tilinggrids/1")[0] == 200


# Whole bodies, by every route

ROUTES = [
    *((method, path) for method, path, _ in (*v1.ROUTES, *v2.ROUTES, *statistical.ROUTES)),
    *(("POST", path) for path in TOKEN_PATHS),
    *((method, f"/_simulator{path}") for method, path in control.ROUTES),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_any_body_at_any_route(method: str, path: str, rough: Api) -> None:
    number = ROUTES.index((method, path))
    known = {"{id}": "x", "{tile}": "7"}
    if "v1/batch/process" in path:
        known["{id}"] = rough.create("v1").rpartition("/")[2]
    elif "process" in path:
        known["{id}"] = rough.create("v2").rpartition("/")[2]
    for name, value in known.items():
        path = path.replace(name, value)
    bodies = [junk.encode("utf-8", "surrogatepass") for junk in JUNK]
    bodies += [
        b"\xff\xfe{}",
        b"\xed\xa0\x80",
        b'{"description": "\xff"}',
        b"\x00" * 50,
        b"grant_type=%ff&client_id=\xff",
        b"",
    ]
    # What reads no body gets some of them, and the next such route others.
    for body in bodies if method in ("POST", "PUT", "PATCH") else bodies[number % 5 :: 5]:
        answer(rough, method, path, body)
    is_alive(rough)


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "multipart/form-data; boundary=", "\xff", "a" * 4000]
)
def test_any_content_type(kind: str, rough: Api) -> None:
    for path in (
        "/api/v1/batch/process",
        "/batch/v2/process",
        "/statistics/batch/v1",
        *TOKEN_PATHS,
        "/_simulator/clock",
    ):
        for body in (b"", b"{}", b"--x\r\n\r\n--x--", DEEP.encode()):
            answer(rough, "POST", path, body, Content_Type=kind)
    is_alive(rough)


def test_a_form_that_is_none(rough: Api) -> None:
    nested = b"".join(
        b'--b%d\r\nContent-Type: multipart/mixed; boundary="b%d"\r\n\r\n' % (i, i + 1) for i in range(3000)
    )
    parts = [
        nested,
        b'--b0\r\nContent-Disposition: form-data; name="request"\r\n\r\n' + DEEP.encode() + b"\r\n--b0--\r\n",
    ]
    parts += [
        b"--b0\r\nContent-Disposition: form-data; name*=utf-8''%ff; name=\"request\"\r\n\r\n{}\r\n--b0--\r\n",
        b"--b0--",
    ]
    parts += [
        b"--b0\r\nContent-Disposition: "
        + b"x;=" * 2000
        + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n=\r\n--b0--\r\n"
    ]
    for body in parts:
        assert (
            answer(rough, "POST", "/batch/v2/process", body, Content_Type="multipart/form-data; boundary=b0")[0] == 400
        )
    is_alive(rough)


@pytest.mark.parametrize("seed", range(4))
def test_any_path_query_and_header(seed: int, rough: Api) -> None:
    """Seeded, so that what fails can be repeated."""
    dice = random.Random(seed)
    ids = [rough.create("v1").rpartition("/")[2], rough.create("v2").rpartition("/")[2]]
    rough.post(f"/api/v1/batch/process/{ids[0]}/analyse")
    rough.simulator.step(1000)
    names = ["viewtoken", "count", "sort", "search", "status", "userid", "collectionId", "since", "x"]
    for _ in range(250):
        method, path = dice.choice(ROUTES)
        method = dice.choice([method, method, method, "GET", "HEAD", "PATCH", "OPTIONS", "TRACE", "X-Y"])
        for hole in ("{id}", "{tile}"):
            path = path.replace(
                hole, dice.choice([*ids, *(text.replace("?", "%3F").replace("#", "%23") for text in TEXTS)])
            )
        path += dice.choice(["", "", "/", "//", "/..", "%2f", "/x"])
        query = "&".join(f"{dice.choice(names)}={dice.choice(TEXTS)}" for _ in range(dice.randrange(4)))
        # A path and a header are ASCII on the wire.
        target = f"{path}?{query}".encode("ascii", "ignore").decode()
        headers = dice.choice(HEADERS)
        if method == "DELETE" and path.endswith("/faults"):
            continue
        answer(rough, method, target, dice.choice([None, b"{}"]), **headers)
    is_alive(rough)


# Each member of a valid body

STORAGE = {"s3": {"url": "s3://parcels/fields.gpkg", "accessKey": "AKIA", "secretAccessKey": "hush", "region": "eu"}}
GEOMETRY = {"type": "Polygon", "coordinates": [[[8.9, 41.9], [9.1, 41.9], [9.1, 42.1], [8.9, 41.9]]]}
SOURCE = {
    "type": "sentinel-2-l2a",
    "dataFilter": {
        "timeRange": {"from": "2019-04-01T00:00:00Z", "to": "2019-06-30T00:00:00Z"},
        "maxCloudCoverage": 50,
        "mosaickingOrder": "mostRecent",
    },
}
PROCESS: dict[str, Any] = {
    "input": {
        "bounds": {
            "bbox": [8.9, 41.9, 9.3, 42.3],
            "geometry": GEOMETRY,
            "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/4326"},
        },
        "data": [SOURCE],
    },
    "output": {"responses": [{"identifier": "default", "format": {"type": "image/tiff"}}]},
    "evalscript": NDVI,
}
TILING = {"id": 2, "resolution": 120, "bufferX": 5, "bufferY": 5}
RASTER = {
    "overwrite": True,
    "skipExisting": False,
    "cogOutput": True,
    "cogParameters": {"resamplingAlgorithm": "average", "overviewLevels": [2]},
    "createCollection": False,
}
ARRAYS = {
    "group": {"zarr_format": 2},
    "arrayParameters": {"dtype": "<u2", "chunks": [1, 100, 100], "order": "C", "fill_value": 0},
    "arrayOverrides": {"default": {"dtype": "<f4"}},
}
ZARR_PROCESS = {**PROCESS, "output": {"responses": [{"identifier": "default", "format": {"type": "zarr/array"}}]}}
DELIVERY = {"s3": {**STORAGE["s3"], "url": "s3://maps/<requestId>/<tileName>/<outputId>.<format>"}}
AGGREGATION = {
    "timeRange": SOURCE["dataFilter"]["timeRange"],  # type: ignore[index]
    "aggregationInterval": {"of": "P30D", "lastIntervalBehavior": "SHORTEN"},
    "resx": 100,
    "resy": 100,
    "evalscript": NDVI,
}
PERCENTILES = {"statistics": {"B0": {"percentiles": {"k": [0.25, 0.5], "interpolation": "higher"}}}, "histograms": {}}
BODIES: dict[str, tuple[str, Any]] = {
    "v1": (
        "/api/v1/batch/process",
        {
            "processRequest": PROCESS,
            "tilingGrid": TILING,
            "output": {
                **RASTER,
                "defaultTilePath": "s3://maps/<requestId>/<tileName>/<outputId>.<format>",
                "responses": [{"identifier": "default", "tilePath": "s3://maps/<requestId>/<tileId>.tif"}],
            },
            "description": "x",
        },
    ),
    "v1 bucket": (
        "/api/v1/batch/process",
        {"processRequest": PROCESS, "tilingGridId": 2, "resolution": 120, "bucketName": "maps"},
    ),
    "v1 zarr": (
        "/api/v1/batch/process",
        {
            "processRequest": ZARR_PROCESS,
            "tilingGrid": {"id": 6, "resolution": 100},
            "zarrOutput": {"path": "s3://maps/<requestId>", **ARRAYS},
        },
    ),
    "v2": (
        "/batch/v2/process",
        {
            "instanceType": "normal",
            "processRequest": PROCESS,
            "input": {"type": "tiling-grid", **TILING},
            "output": {"type": "raster", "delivery": DELIVERY, **RASTER},
            "description": "x",
        },
    ),
    "v2 features": (
        "/batch/v2/process",
        {
            "processRequest": PROCESS,
            "input": {"type": "geopackage", "features": STORAGE, "defaults": {"resolution": 100}},
            "output": {"type": "raster", "delivery": {"s3": {**STORAGE["s3"], "url": "s3://maps/x"}}},
            # Members of other kinds of requests.
            "aggregation": {"resx": 1},
            "tilingGrid": {},
        },
    ),
    "v2 zarr": (
        "/batch/v2/process",
        {
            "processRequest": ZARR_PROCESS,
            "input": {"type": "tiling-grid", "id": 6, "resolution": 100},
            "output": {"type": "zarr", "delivery": {"s3": {**STORAGE["s3"], "url": "s3://maps/<requestId>"}}, **ARRAYS},
        },
    ),
    "statistical": (
        "/statistics/batch/v1",
        {
            "input": {"features": STORAGE, "data": [SOURCE]},
            "aggregation": AGGREGATION,
            "calculations": {"default": PERCENTILES},
            "output": {"s3": {**STORAGE["s3"], "url": "s3://maps/<REQUEST_ID>/<ID>-<IDENTIFIER>.json"}},
        },
    ),
}
MARK = "put the junk here"


# Pieces of junk that each member is replaced by: with all of them the tests below take some minutes, and find no more.
SAMPLE = 8
# Bodies whose input is that of the first of their generation, and is read by the same code: there few of the pieces do.
AGAIN = {"v1 bucket", "v1 zarr", "v2 features", "v2 zarr"}
FEW = 2


def mutations(body: Any, sample: int = len(JUNK), again: bool = False) -> Iterator[str]:
    """The body as JSON with each member, however deep, replaced by pieces of junk, and left out. Seeded."""
    dice = random.Random(11)
    for way in list(ways(body)):
        changed = copy.deepcopy(body)
        place = changed
        for step in way[:-1]:
            place = place[step]
        place[way[-1]] = MARK
        text = json.dumps(changed)
        pieces = dice.sample(JUNK, sample)
        for junk in pieces[:FEW] if again and way[:2] == ("processRequest", "input") else pieces:
            yield text.replace(f'"{MARK}"', junk)
        del place[way[-1]]
        yield json.dumps(changed)


def ways(body: Any) -> Iterator[tuple[Any, ...]]:
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, item in items:
        yield (key,)
        for rest in ways(item):
            yield (key, *rest)


def put_fields(simulator: Simulator, *rows: dict[str, Any]) -> None:
    path = simulator.bucket_dir / "parcels" / "fields.gpkg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(geopackage([layer(*(rows or (field(1), field(2))))]))


def live(api: Api, path: str) -> None:
    """The whole life of a request that was taken, with every file it writes."""
    answer_of_the_service(api, "POST", f"{path}/analyse")
    api.simulator.step(500)
    answer_of_the_service(api, "GET", path)
    answer_of_the_service(api, "POST", f"{path}/start")
    for _ in range(2):
        api.simulator.step(100_000)
        for part in ("", "/tiles", "/status"):
            answer_of_the_service(api, "GET", path + part)
    answer_of_the_service(api, "PUT", path, b'{"description": "y"}')
    answer_of_the_service(api, "DELETE", path)


@pytest.mark.parametrize("kind", BODIES)
def test_each_member_of_a_valid_body(kind: str, rough: Api) -> None:
    base, body = BODIES[kind]
    put_fields(rough.simulator)
    status, told = answer(rough, "POST", base, json.dumps(body).encode())
    assert status == 201, told
    live(rough, f"{base}/{told['id']}")
    taken = 0
    for text in mutations(body, SAMPLE, kind in AGAIN):
        status, told = answer_of_the_service(rough, "POST", base, text.encode("utf-8", "surrogatepass"))
        assert status in (201, 400), text[:300]
        if status == 201:
            taken += 1
            live(rough, f"{base}/{told['id']}")
        if taken % 50 == 49:
            rough.simulator.reset()
    assert taken
    is_alive(rough)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {"speed": 0, "step": 1}),
        ("settings", {"action_lag": 1, "concurrency": 2}),
        (
            "faults",
            {"kind": "status", "path": "/nowhere$", "method": "GET", "times": 1, "status": 429, "when": "after"},
        ),
        (
            "faults",
            {"kind": "status", "path": "/nowhere$", "retry_after_ms": 5, "body": {}, "bare": True, "message": "m"},
        ),
        ("faults", {"kind": "delay", "path": "/nowhere$", "seconds": 1}),
        ("faults", {"kind": "lag", "path": "/nowhere$", "seconds": 1}),
        ("faults", {"kind": "fail_tiles", "path": "/nowhere$", "share": 0.5}),
        ("faults", {"kind": "stuck_tiles", "path": "/nowhere$", "names": ["x"], "rounds": 1}),
        ("faults", {"kind": "fail_analysis", "path": "/nowhere$", "error": "e"}),
        ("requests", {"id": "x", "status": "FAILED", "reason": "USER_ACTION", "error": "e"}),
    ],
)
def test_each_member_of_an_order(path: str, body: dict[str, Any], rough: Api) -> None:
    request = rough.create("v1")
    if "id" in body:
        body = {**body, "id": request.rpartition("/")[2]}
    for text in mutations(body):
        status, _ = answer_of_the_service(rough, "POST", f"/_simulator/{path}", text.encode("utf-8", "surrogatepass"))
        if status == 200:  # else nothing has changed
            answer_of_the_service(rough, "GET", "/_simulator/requests")
            answer_of_the_service(rough, "GET", "/_simulator/faults")
    answer(rough, "GET", "/_simulator/requests")
    answer(rough, "GET", "/_simulator/faults")
    rough.simulator.clear_faults()
    rough.login()
    answer(rough, "GET", request)
    is_alive(rough)


# Those that make calls fail on purpose: a token that ends at once, and a 503 for a call that was right.
ENDING = {"token_lifetime", "odd_share"}


@pytest.mark.parametrize("name", [name for name in Settings().as_dict() if name not in ENDING])
def test_any_value_of_a_setting(name: str, rough: Api) -> None:
    """What is taken can be lived with."""
    values = [junk for junk in JUNK if junk in ("0", "1.5", "32768", "1e300", "true", "null", "1e-320", "1" + "0" * 18)]
    for value in [*values, "1000000000000", "1000000", "1"]:
        order = f'{{"{name}": {value}}}'.encode()
        status, _ = answer_of_the_service(rough, "POST", "/_simulator/settings", order)
        if status == 200:
            for generation in ("v1", "v2"):
                base, body = BODIES[generation]
                status, told = answer_of_the_service(rough, "POST", base, json.dumps(body).encode())
                if status == 201:
                    live(rough, f"{base}/{told['id']}")
            answer_of_the_service(rough, "GET", "/_simulator/requests")
        rough.simulator.reset()
    is_alive(rough)


# Single findings, each of which was a failure or would have been one

SPECIAL = [
    ("v1", "output.responses", '["s3://maps/a.tif"]', "must be an object"),
    ("v1", "processRequest.output.responses.0.identifier", '"../up"', "../up cannot be part of the path"),
    ("v2", "processRequest.output.responses.0.identifier", '"a/../../up"', "cannot be part of the path"),
    ("v2", "processRequest.output.responses.0.identifier", f'"{"x" * 300}"', "cannot be part of the path"),
    ("v1", "tilingGrid.bufferX", "32768", "at most 32767"),
    ("v1", "processRequest.input.bounds.geometry.coordinates", "{}", "no valid coordinates"),
    (
        "v1",
        "processRequest.input.bounds.geometry.coordinates",
        '[[["NaN", 0], [0, 1], [1, 1]]]',
        "no valid coordinates",
    ),
    ("v2", "processRequest.input.bounds.bbox", "[0, 0, 1e308, 1]", "outside the world"),
    ("v2", "description", '"\\ud800"', "not valid Unicode"),
    ("v2", "description", "1" + "0" * 400, "a number that is too large"),
    ("v2", "description", "1e999", "a number that is too large"),
    ("v2", "description", "NaN", "not valid JSON"),
    ("v2", "description", DEEP, "nested more than 100 levels deep"),
    ("statistical", "aggregation.aggregationInterval.of", '"PT1S"', "More than 10000 intervals"),
    ("statistical", "aggregation.aggregationInterval.of", '"P200Y"', "longer than 100 years"),
    ("statistical", "aggregation.resx", "1e-300", "more than the 2500 allowed"),
    ("statistical", "calculations.default", '"x"', "must be an object"),
    ("statistical", "calculations.default.statistics.B0.percentiles.k", "[2]", "numbers from 0 to 1"),
    ("statistical", "input.features.s3.url", '"s3://maps/a\\u0000b.gpkg"', "not a valid path"),
]


@pytest.mark.parametrize(("kind", "where", "junk", "sentence"), SPECIAL)
def test_the_sentence_says_what_is_wrong(kind: str, where: str, junk: str, sentence: str, rough: Api) -> None:
    base, body = BODIES[kind]
    put_fields(rough.simulator)
    place = body = copy.deepcopy(body)
    *way, last = (int(step) if step.isdigit() else step for step in where.split("."))
    for step in way:
        place = place[step]
    place[last] = MARK
    status, told = answer(rough, "POST", base, json.dumps(body).replace(f'"{MARK}"', junk).encode())
    assert status == 400
    assert sentence in told["error"]["message"]


def test_a_plain_tile_path_as_the_vendors_page_types_it(rough: Api) -> None:
    body = rough.v1_body(output={"defaultTilePath": "s3://maps/x", "responses": ["s3://maps/<tileName>.tif"]})
    reply = rough.post("/api/v1/batch/process", json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["errors"][0]["parameter"] == "output->responses->0"


@pytest.mark.parametrize(
    "order", ['{"step": 1e300}', '{"step": NaN}', '{"step": 1' + "0" * 400 + "}", '{"speed": 1e300}']
)
def test_a_clock_stays_a_clock(order: str, rough: Api) -> None:
    before = rough.simulator.clock()
    assert answer(rough, "POST", "/_simulator/clock", order.encode())[0] == 400
    assert rough.simulator.clock() == before


def test_time_ends_before_dates_do(rough: Api) -> None:
    path = rough.create("v2")
    rough.simulator.step(LATEST - rough.simulator.clock()["seconds"])
    assert Clock(LATEST - 1, 0.0, FASTEST).now(1e12) == LATEST
    rough.login()
    assert rough.get(path).status_code == 200
    assert rough.simulator.clock()["now"].startswith("9000")


# Features of a GeoPackage


def broken_files() -> Iterator[tuple[str, bytes]]:
    whole = geopackage([layer(field(1), field(2))])
    yield "empty", b""
    yield "text", b"not a database"
    dice = random.Random(7)
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 20, 400])):
            damaged[dice.randrange(16, len(damaged))] = dice.randrange(256)
        yield f"damaged {number}", bytes(damaged)
        yield f"cut {number}", whole[: dice.randrange(len(whole))]


def test_broken_files_are_refused_or_read() -> None:
    for name, content in broken_files():
        with suppress(FeaturesError):
            assert len(read_features(content, {"width": 1, "height": 1}, shapely.box(-180, -80, 180, 80))), name


def curve() -> bytes:
    """A geometry of a GeoPackage: CURVEPOLYGON(CIRCULARSTRING(0 0, 1 1, 2 0, 1 -1, 0 0))."""
    points = [(0, 0), (1, 1), (2, 0), (1, -1), (0, 0)]
    ring = struct.pack("<BII", 1, 8, len(points)) + b"".join(struct.pack("<dd", *point) for point in points)
    return geometry(struct.pack("<BII", 1, 10, 1) + ring, 32632, (0, -1, 2, 1))


def polygon(*points: tuple[float, float]) -> bytes:
    """A geometry of a GeoPackage with these corners, whatever they are."""
    ring = struct.pack("<I", len(points)) + b"".join(struct.pack("<dd", *point) for point in points)
    return geometry(struct.pack("<BII", 1, 3, 1) + ring, 32632, (0, 0, 1, 1))


NAN, INF = float("nan"), float("inf")
ODD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"geometry": curve()}, "the geometry"),
    ({"geometry": shapely.GeometryCollection([shapely.Point(1, 1)])}, "a GeometryCollection, not a polygon"),
    ({"geometry": polygon((0, 0), (NAN, 1), (1, 1), (0, 0))}, "lie nowhere on Earth"),
    ({"geometry": polygon((0, 0), (INF, 1), (1, 1), (0, 0))}, "lie nowhere on Earth"),
    (
        {"geometry": polygon((0, 0), (1e308, 0), (-1e308, 1), (0, 0)), "width": None, "height": None, "resolution": 1},
        "",
    ),
    ({"geometry": b"GP" + b"\xff" * 20}, "cannot be read"),
    ({"geometry": b"GP\x00\x01\x00\x00\x00\x00" + b"\x01\x03\x00\x00\x00\xff\xff\xff\xff"}, "cannot be read"),
    ({"width": None, "height": None, "resolution": 1e-320}, "width is inf pixels"),
    ({"width": 10**18, "height": "x"}, "width is"),
    ({"identifier": "../../up"}, "cannot be part of the path"),
    ({"identifier": "x" * 300}, "cannot be part of the path"),
    ({"identifier": "a\x00b"}, "cannot be part of the path"),
    ({"identifier": b"\xff"}, "identifier is not a text"),
]


@pytest.mark.parametrize(("members", "sentence"), ODD_FIELDS)
@pytest.mark.parametrize("kind", ["v2 features", "statistical"])
def test_odd_features(kind: str, members: dict[str, Any], sentence: str, rough: Api) -> None:
    put_fields(rough.simulator, field(1, **members))
    base, body = BODIES[kind]
    status, told = answer(rough, "POST", base, json.dumps(body).encode())
    if status == 201:
        # Statistics do not ask for the sizes of features.
        assert kind == "statistical"
        live(rough, f"{base}/{told['id']}")
    else:
        assert sentence in told["error"]["message"]
    is_alive(rough)


def test_a_file_that_never_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A view in the place of a table, whose rows are made without end."""
    monkeypatch.setattr("airflow_sentinelhub.simulator.features.LONGEST_SECONDS", 0.2)
    path = tmp_path / "endless.gpkg"
    path.write_bytes(geopackage([layer(field(1))]))
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "ALTER TABLE fields RENAME TO real; CREATE VIEW fields AS WITH RECURSIVE more(n) AS"
            " (SELECT 1 UNION ALL SELECT n + 1 FROM more) SELECT n AS fid, id, identifier, geometry FROM more, real;"
        )
    with pytest.raises(FeaturesError, match="not a valid GeoPackage"):
        read_features(path.read_bytes(), {"width": 1, "height": 1}, None)


def test_a_place_that_is_no_file(rough: Api) -> None:
    base, body = BODIES["v2 features"]
    shutil.rmtree(rough.simulator.bucket_dir / "parcels", ignore_errors=True)
    (rough.simulator.bucket_dir / "parcels" / "fields.gpkg").mkdir(parents=True)
    try:
        assert answer(rough, "POST", base, json.dumps(body).encode())[0] == 400
    finally:
        shutil.rmtree(rough.simulator.bucket_dir / "parcels")


# Bodies that are too large, and what is no HTTP


def raw(api: Api, *pieces: bytes) -> bytes:
    """What comes back for these bytes; the connection must be closed by the server."""
    with socket.create_connection(("127.0.0.1", api.simulator.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def refused(reply: bytes, status: int) -> None:
    head, _, content = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), reply[:300]
    assert b"content-type: application/json" in head.lower()
    assert json.loads(content)["error"]["status"] == status


@pytest.mark.parametrize("path", ["/batch/v2/process", TOKEN_PATHS[0], "/_simulator/clock", "/nowhere"])
def test_a_long_body_is_refused_before_it_is_read(path: str, rough: Api) -> None:
    host = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head = b"POST " + path.encode() + b" HTTP/1.1\r\n" + host
    # Nothing of it is sent, and the answer is there.
    for length in (BODY_LIMIT + 1, 10**12, 10**19):
        assert answer(rough, "POST", path, Content_Length=str(length))[0] == 413
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    count = BODY_LIMIT // 0x10000
    refused(raw(rough, head + b"Transfer-Encoding: chunked\r\n\r\n", chunk * count, b"1\r\n \r\n0\r\n\r\n"), 413)
    # One that sends all of it first reads the answer as well.
    status, _ = answer(rough, "POST", path, b" " * (BODY_LIMIT + 1))
    assert status == 413
    assert answer(rough, "POST", path, b" " * BODY_LIMIT)[0] != 413
    is_alive(rough)


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"POST /batch/v2/process HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n",
        b"POST /batch/v2/process HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /batch/v2/process HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_http_is_a_400_in_json(text: bytes, rough: Api) -> None:
    refused(raw(rough, text), 400)
    is_alive(rough)


def test_a_client_that_goes_away(rough: Api, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", rough.simulator.port), timeout=20) as connection:
        connection.sendall(b"POST /batch/v2/process HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    is_alive(rough)
    assert "Traceback" not in capfd.readouterr().err


def test_a_status_without_content(rough: Api) -> None:
    for status in (204, 205, 304):
        rough.simulator.fault("status", "/tilinggrids", status=status, body={"a": 1})
        reply = rough.get("/batch/v2/tilinggrids")
        assert (reply.status_code, reply.content) == (status, b"")


# Evalscripts are read by regular expressions

LONG_SCRIPTS = [
    "/*",
    '"\\"',
    "'\\'",
    "`\\`",
    "[/",
    "=/[",
    "=/\\",
    "bands:[",
    "input: ['a',",
    "id: '",
    "setup ",
    "function ",
    "bands: 9",
]


@pytest.mark.parametrize("piece", [*LONG_SCRIPTS, '"', "'", "(", "sampleType: ", "= \t", "\n"])
def test_a_long_evalscript_is_read_once(piece: str) -> None:
    """What begins anew and anew and never ends; a search that goes to the end each time takes minutes."""

    def read_all(size: int) -> None:
        script = "//VERSION=3\n" + piece * (size // len(piece))
        evalscript.problem(script, ["x"])
        for read in (evalscript.input_bands, evalscript.output_bands, evalscript.sample_type, evalscript.mosaicking):
            assert read(script)

    assert_linear(read_all, 40_000)


# Regular expressions of faults

GOOD_PATTERNS = [
    *(
        "",
        "/start$",
        "/(start|restartpartial)$",
        r"^(?!.*/token$)",
        "/process/[^/]+/tiles$",
        r"/process/[0-9a-f-]{36}$",
    ),
    *("^/api/v1/batch/process(/.*)?$", r"/process/(?P<id>[^/]*)/start$", r"a\*\+\?\{\(b", "[*+?(]x", "/(stop|cancel)"),
    *("/process$|/collections$|/tilinggrids$", ".*/process/.*/tiles.*", "/(v1|v2)/.*(start|stop|cancel)$"),
]
BAD_PATTERNS = [
    ("(a+)+$", "repeats a group"),
    ("(a|a)*$", "repeats a group"),
    ("(?:a{1,9}){9}$", "repeats a group"),
    ("([^/]*/)*x", "repeats a group"),
    (".*.*.*.*.*x", "too many"),
    ("a?" * 30 + "a" * 30, "too many"),
    ("(a|a)" * 30 + "x", "too many"),
    (r"(a*)\1", "refers back"),
    ("(?P<x>a*)(?P=x)", "refers back"),
    ("(?x)(a+ # (\n)+$", "of a kind"),
    ("(?i)a", "of a kind"),
    ("a" * 201, "more than the 200"),
    ("(", "no regular expression"),
    ("a{99999999999}", "no regular expression"),
    ("[", "no regular expression"),
]


@pytest.mark.parametrize("pattern", GOOD_PATTERNS)
def test_patterns_that_people_write(pattern: str) -> None:
    patterns.check(pattern)


@pytest.mark.parametrize(("pattern", "sentence"), BAD_PATTERNS)
def test_patterns_that_may_take_long(pattern: str, sentence: str, rough: Api) -> None:
    status, told = answer(rough, "POST", "/_simulator/faults", json.dumps({"kind": "html", "path": pattern}).encode())
    assert status == 400
    assert sentence in told["error"]
    is_alive(rough)


@pytest.mark.slow
def test_no_pattern_that_is_taken_takes_long() -> None:
    """Seeded: patterns of all that repeats and branches, against paths that almost match them."""
    dice = random.Random(3)
    pieces = [
        "a",
        "a",
        ".",
        "[ab]",
        "a*",
        "a+",
        ".*",
        "(a|a)",
        "(a*)",
        "(a|b*)",
        "a?",
        "(a)?",
        "a{1,9}",
        "(?=a*b)",
        "(",
        ")",
    ]
    pieces += ["*", "+", "|", "(?:", "\\a", "[^/]*", "*?", "a{2,}", "(?!a*a*b)"]
    taken = 0
    for _ in range(4000):
        pattern = "".join(dice.choice(pieces) for _ in range(dice.randrange(1, 9))) + dice.choice(["$", "x", "b$", ""])
        try:
            patterns.check(pattern)
        except ValueError:
            continue
        taken += 1
        for path in ("a" * 128, "a" * 127 + "c", "ab" * 64):
            patterns.matches(pattern, path)  # one that searches for ever meets the time limit of each test
    assert taken > 500


def test_a_longer_path_than_the_service_has_is_hit_by_no_pattern(rough: Api) -> None:
    rough.simulator.fault("status", "/tilinggrids", status=418)
    assert rough.get("/batch/v2/tilinggrids/" + "9" * 200).status_code == 400
    assert rough.get("/batch/v2/tilinggrids/9").status_code == 418
    rough.simulator.fault("status", status=418)
    assert rough.get("/batch/v2/tilinggrids/" + "9" * 200).status_code == 418


def test_an_order_that_is_taken_can_be_kept() -> None:
    """Every kind of fault with every piece of junk in every option is taken or refused in a sentence."""
    for kind, options in faults.KINDS.items():
        for name, value in itertools.product(
            options, (None, True, -1, 10**400, 1e300, "", "a\r\nb: c", [], {}, [None])
        ):
            order = {"kind": kind, **({"share": 0.5} if "share" in options else {}), name: value}
            try:
                fault = parse("1", order)
            except ValueError:
                continue
            assert json.loads(json.dumps(fault.as_dict(), allow_nan=False)), order
            if kind in ("status", "html"):
                assert isinstance(faults.answer(fault).content(), bytes)
