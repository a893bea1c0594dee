"""Scripts in the styles that users write, and what each reads, writes and costs, counted by hand.

The price is that of 512 x 512 pixels before the batch factor: bands / 3, times the format, times the observations.
"""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.evalscripts import read_setup
from airflow_sentinelhub.simulator.cost import tile_estimate

pytest.importorskip("quickjs", reason="without the engine such scripts are guessed")

V = "//VERSION=3\n"
E = "function evaluatePixel(s) { return [1]; }\n"
MONTH = {"timeRange": {"from": "2024-01-01T00:00:00Z", "to": "2024-01-31T00:00:00Z"}}  # ten observations
S2 = [{"type": "sentinel-2-l2a", "dataFilter": MONTH}]
S1 = [{"type": "sentinel-1-grd", "processing": {"orthorectify": True}, "dataFilter": MONTH}]
TWO = [{"id": "ls8", "type": "landsat-ot-l2"}, {"id": "s2", "type": "sentinel-2-l2a"}]


def asked(*names: str, kind: str = "image/tiff") -> list[dict[str, Any]]:
    return [{"identifier": name, "format": {"type": kind}} for name in names]


def script(given: str, output: str = "{bands: 1}", more: str = "", before: str = "", after: str = E) -> str:
    return f"{V}{before}function setup() {{ return {{input: {given}, output: {output}{more}}}; }}\n{after}"


def of(text: str, bands: int, times: float = 1.0, data: Any = S2, responses: Any = None) -> Any:
    return pytest.param(text, bands, times, data, responses or asked("default"))


ORBIT = ', mosaicking: "ORBIT"'
BOTH = '[{id: "a", bands: 1, sampleType: "UINT8"}, {id: "b", bands: 1, sampleType: "FLOAT32"}]'


@pytest.mark.parametrize(
    ("text", "bands", "times", "data", "responses"),
    [
        # Bands
        of(script('["dataMask", "B04", "B08"]'), 2),
        of(script('{bands: ["B02", "B03", "B04", "dataMask"]}'), 3),
        of(script('[{bands: ["B02", "B03"], units: ["REFLECTANCE", "DN"]}]'), 2),
        of(script('[{bands: ["B02", "B03"], units: "DN"}]'), 2),
        of(script('["B04", "B04", "B08",]', "{bands: 1,}", ","), 2),
        of(script('["B04", "sunAzimuthAngles", "viewZenithMean", "SCL", "CLM"]'), 5),
        of(
            script('[...BANDS, "dataMask"]', "{bands: BANDS.length}", before='const BANDS = ["B02", "B03", "B04"];\n'),
            3,
        ),
        of(script("[1, 2, 3, 4].map((i) => `B0${i}`)"), 4),
        of(script("Object.keys(m)", before="const m = {B04: 1, B08: 2};\n"), 2),
        of(script('o?.a ?? ["B04", "B08"]', before="const o = {a: null};\n"), 2),
        of(script("K.bands()", before='class K { static bands() { return ["B04", "B08"]; } }\n'), 2),
        of(f'{V}var setup = function () {{ return {{input: ["B04"], output: {{bands: 1}}}}; }};\n{E}', 1),
        of(f'{V}const setup = () => ({{input: ["B04", "B08"], output: {{bands: 1}}}});\n{E}', 2),
        of(f'{V}function setup() {{ return {{get input() {{ return ["B04"]; }}, output: {{bands: 1}}}}; }}\n{E}', 1),
        of(f'{V}function setup() {{ return {{"input": [{{"bands": ["B04"]}}], "output": {{"bands": 1}}}}; }}\n{E}', 1),
        of(
            f'{V}function setup() {{ return {{input: ["B01", "B02"], output: {{bands: 1}}}}; }}\n'
            + script('["B04"]')[len(V) :],
            1,
        ),
        of(script('["B04", "B08"]', before="// } ] ) {{{\n/* function setup() { input: ['B01'] } */\n"), 2),
        of(script('["B04"]', before="const r = /[{(\\/]}/g, t = 'function setup() { return {input: [1'; \n"), 1),
        of(script('["B04", "B08"]').replace("\n", "\r\n"), 2),
        of("\N{ZERO WIDTH NO-BREAK SPACE}" + script('["B04", "B08"]'), 2),
        # Formats
        of(script('["B04"]', "{bands: 1, sampleType: SampleType.FLOAT32}"), 1, 2),
        of(script('["B04"]', '{bands: 3, sampleType: "UINT16"}'), 1),
        of(script('["B04"]', BOTH), 1, responses=asked("a")),
        of(script('["B04"]', BOTH), 1, 2, responses=asked("a", "b")),
        of(
            script('["B04"]', '[{id: "i", bands: ["ndvi", "evi"]}, {id: "dataMask", bands: 1}]'),
            1,
            responses=asked("i"),
        ),
        of(script('["B04"]'), 1, 1.4, responses=asked("default", kind="application/octet-stream")),
        of(script('["B04"]', '{bands: 1, sampleType: "FLOAT32"}'), 1, responses=asked("default", kind="image/png")),
        # Mosaicking
        of(script('["B04"]', more=ORBIT), 1, 10),
        of(script('["B04"]', more=", mosaicking: Mosaicking.TILE"), 1, 10),
        of(script('["B04"]', more=", mosaicking: m", before='const m = "ORBIT";\n'), 1, 10),
        of(script('["B04"]', more='// mosaicking: "ORBIT"\n'), 1),
        of(
            script('["B04"]', more=ORBIT, after=f"{E}function updateOutput(o, c) {{ o.default.bands = c.length; }}\n"),
            1,
            10,
        ),
        of(script('["B04"]', more=ORBIT, after=f"{E}function preProcessScenes(c) {{ return c; }}\n"), 1, 10),
        # Several sources, radar
        of(script('[{datasource: "ls8", bands: ["B02", "B03"]}, {datasource: "s2", bands: ["B02"]}]'), 3, data=TWO),
        of(
            script('[{datasource: "ls8", bands: ["B02", "dataMask"]}, {datasource: "s2", bands: ["dataMask"]}]'),
            1,
            data=TWO,
        ),
        of(script('["VV", "VH"]'), 2, 2, data=S1),
        of(script('["VV"]', more=ORBIT), 1, 20, data=S1),
    ],
)
def test_the_price_of_a_script(text: str, bands: int, times: float, data: Any, responses: Any) -> None:
    assert read_setup(text).problem is None
    assert tile_estimate(512, 512, text, data, responses) == pytest.approx(bands / 3 * times)


@pytest.mark.parametrize(
    "text",
    [
        script('["B04"]', before="while (true) {}\n"),
        script('["B04"]', before="let a = []; for (;;) { a.push(new Array(1e6).fill(7)); }\n"),
        script('["B04"]', before='let a = "x"; for (let i = 0; i < 60; i++) { a += a; }\n'),
        script('["B04"]', before="function f() { return f(); }\nf();\n"),
        script('["B04"]', before='/(a+)+$/.test("a".repeat(40) + "b");\n'),
        f"{V}function setup() {{ return new Proxy({{}}, {{get() {{ for (;;) {{}} }}}}); }}\n{E}",
        f"{V}function setup() {{ const a = {{}}; a.input = a; return a; }}\n{E}",
        f'{V}function setup() {{ return {{input: {{bands: ["B04"], get datasource() {{ for (;;) {{}} }}}}}}; }}\n{E}',
        f"{V}function setup() {{ return {{get then() {{ for (;;) {{}} }}}}; }}\n{E}",
        script("BANDS"),
        script('["B04"]', after=""),
        script('["B04"]', "{bands: 1n}"),
        script('["B04"]', more=', mosaicking: "DAILY"'),
    ],
)
def test_a_script_that_cannot_be_run_is_a_problem_and_still_has_a_price(text: str) -> None:
    assert read_setup(text).problem is not None
    assert tile_estimate(512, 512, text, S2, asked("default")) > 0
