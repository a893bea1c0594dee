"""Evalscripts in the shapes that people write them in, and what each reads and writes, counted by hand."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = "//VERSION=3\n"
PIXEL = "\nfunction evaluatePixel(sample) {\n  return [1];\n}\n"
FLOAT, AUTO = "FLOAT32", "AUTO"
Outputs = tuple[tuple[str, int, str], ...]


@dataclass(frozen=True)
class Shape:
    """A script, the bands it reads of each source (without `dataMask`), its outputs and its mosaicking.

    `guessed`: the reading of the text alone finds the same.
    """

    name: str
    script: str
    bands: dict[str | None, int]
    outputs: Outputs
    mosaicking: str = "SIMPLE"
    guessed: bool = True


def _one(bands: int, kind: str = AUTO, name: str = "default") -> Outputs:
    return ((name, bands, kind),)


SHAPES = [
    Shape(
        "true colour",
        HEAD + 'function setup() {\n  return {input: ["B02", "B03", "B04"], output: { bands: 3 }};\n}\n'
        "function evaluatePixel(sample) { return [2.5 * sample.B04, 2.5 * sample.B03, 2.5 * sample.B02]; }",
        {None: 3},
        _one(3),
    ),
    Shape(
        "data mask as a band of the list",
        HEAD + "function setup() {\n  return {\n    input: ['B04', 'B08', 'dataMask'],\n    output: {bands: 4}\n  }\n}"
        "\nfunction evaluatePixel(s) { let ndvi = index(s.B08, s.B04); return [ndvi, ndvi, ndvi, s.dataMask]; }",
        {None: 2},
        _one(4),
    ),
    Shape(
        "data mask first, trailing commas",
        HEAD + 'function setup() { return { input: ["dataMask", "VV", "VH",], output: { bands: 2, }, }; }' + PIXEL,
        {None: 2},
        _one(2),
    ),
    Shape(
        "objects with units as text",
        HEAD + 'function setup() { return { input: [{ bands: ["B01", "B02"], units: "REFLECTANCE" }], '
        'output: { id: "default", bands: 2, sampleType: SampleType.FLOAT32 } }; }' + PIXEL,
        {None: 2},
        _one(2, FLOAT),
    ),
    Shape(
        "units as a list, longer than the bands that count",
        HEAD + 'function setup() { return { input: [{ bands: ["B02", "B03", "dataMask"], '
        'units: ["DN", "REFLECTANCE", "DN"] }], output: { bands: 1, sampleType: "UINT16" } }; }' + PIXEL,
        {None: 2},
        _one(1, "UINT16"),
    ),
    Shape(
        "units before bands, metadata asked for",
        HEAD + 'function setup() { return { input: [{ units: "DN", metadata: ["bounds"], bands: ["B8A"] }], '
        'output: [{ id: "x", bands: 1 }] }; }' + PIXEL,
        {None: 1},
        _one(1, name="x"),
    ),
    Shape(
        "input as one object",
        HEAD + 'function setup() { return { input: { bands: ["B05", "B06", "B07"] }, output: { bands: 3 } }; }' + PIXEL,
        {None: 3},
        _one(3),
    ),
    Shape(
        "keys in quotes",
        HEAD + 'function setup() { return { "input": [{ "bands": ["B04"] }], "output": [{ "id": "a", "bands": 1, '
        '"sampleType": "INT16" }], "mosaicking": "TILE" }; }' + PIXEL,
        {None: 1},
        _one(1, "INT16", "a"),
        "TILE",
    ),
    Shape(
        "arrow function with a body",
        HEAD + 'const setup = () => {\n  return { input: ["B03", "B11"], output: { bands: 1 } };\n};\n'
        "const evaluatePixel = (s) => [index(s.B03, s.B11)];",
        {None: 2},
        _one(1),
    ),
    Shape(
        "arrow function with an expression",
        HEAD + "let setup = () => ({ input: ['B03'], output: { bands: 1, sampleType: 'UINT8' } })\n"
        "let evaluatePixel = ({B03}) => [B03 * 255]",
        {None: 1},
        _one(1, "UINT8"),
    ),
    Shape(
        "function expression in a var",
        HEAD + 'var setup = function () { return { input: ["B12"], output: { bands: 1 } }; };\n'
        "var evaluatePixel = function (s) { return [s.B12]; };",
        {None: 1},
        _one(1),
    ),
    Shape(
        "an old parameter that nobody gives",
        HEAD + 'function setup(ds) { return { input: ["B04"], output: { bands: 1 } }; }' + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "header with a note, blank lines before it",
        '\n\n//VERSION=3 (auto-converted from 1)\nfunction setup() { return { input: [{ bands: ["B04", "B03"] }], '
        "output: { bands: 3 } }; }" + PIXEL,
        {None: 2},
        _one(3),
    ),
    Shape(
        "header with a blank, lines of Windows",
        '// VERSION=3\r\nfunction setup() {\r\n  return {\r\n    input: ["B04"],\r\n'
        "    output: { bands: 1 }\r\n  };\r\n}\r\n"
        "function evaluatePixel(s) { return [s.B04]; }\r\n",
        {None: 1},
        _one(1),
    ),
    Shape(
        "a byte order mark",
        "\N{ZERO WIDTH NO-BREAK SPACE}"
        + HEAD
        + 'function setup() { return { input: ["B04"], output: { bands: 1 } }; }'
        + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "bands in a constant",
        HEAD + 'const BANDS = ["B02", "B03", "B04", "B08"];\n'
        "function setup() { return { input: BANDS, output: { bands: 4 } }; }" + PIXEL,
        {None: 4},
        _one(4),
        guessed=False,
    ),
    Shape(
        "bands computed from a number",
        HEAD + "function setup() {\n  const bands = [];\n  for (let i = 1; i <= 9; i++) bands.push(`B0${i}`);\n"
        '  return { input: bands.concat("dataMask"), output: { bands: bands.length, sampleType: "FLOAT32" } };\n}'
        + PIXEL,
        {None: 9},
        _one(9, FLOAT),
        guessed=False,
    ),
    Shape(
        "bands spread into the list",
        HEAD + 'const rgb = ["B04", "B03", "B02"];\nconst swir = ["B11", "B12"];\n'
        'function setup() { return { input: [...rgb, ...swir, "dataMask"], output: { bands: 5 } }; }' + PIXEL,
        {None: 5},
        _one(5),
        guessed=False,
    ),
    Shape(
        "bands of a table that the pixels use too",
        HEAD + "const WEIGHTS = { B02: 0.1, B03: 0.3, B04: 0.6 };\nfunction setup() {\n"
        "  return { input: Object.keys(WEIGHTS), output: { bands: 1 } };\n}\n"
        "function evaluatePixel(s) { return [Object.entries(WEIGHTS).reduce((sum, [b, w]) => sum + w * s[b], 0)]; }",
        {None: 3},
        _one(1),
        guessed=False,
    ),
    Shape(
        "the whole answer from a helper",
        HEAD + 'const inputs = (names) => [{ bands: [...names, "dataMask"], units: "DN" }];\n'
        "function outputs(n) { return [{ id: 'default', bands: n, sampleType: 'UINT8' }]; }\n"
        'function setup() { return { input: inputs(["B02", "B03"]), output: outputs(3) }; }' + PIXEL,
        {None: 2},
        _one(3, "UINT8"),
        guessed=False,
    ),
    Shape(
        "the answer built up member by member",
        HEAD + 'function setup() {\n  const s = {};\n  s.input = ["B04", "B08"];\n  s.output = { bands: 1 };\n'
        '  s.mosaicking = "ORBIT";\n  return s;\n}' + PIXEL,
        {None: 2},
        _one(1),
        "ORBIT",
        guessed=False,
    ),
    Shape(
        "the answer decided by a switch",
        HEAD + "const MODE = 'radar';\nfunction setup() {\n  if (MODE === 'radar') {\n"
        "    return { input: ['VV'], output: { bands: 1, sampleType: 'FLOAT32' } };\n  }\n"
        "  return { input: ['B02', 'B03', 'B04'], output: { bands: 3 } };\n}" + PIXEL,
        {None: 1},
        _one(1, FLOAT),
    ),
    Shape(
        "shorthand members",
        HEAD + "function setup() {\n  const input = ['B01', 'B09'], output = { bands: 2 }, mosaicking = 'TILE';\n"
        "  return { input, output, mosaicking };\n}" + PIXEL,
        {None: 2},
        _one(2),
        "TILE",
        guessed=False,
    ),
    Shape(
        "a class that knows its bands",
        HEAD
        + "class Index {\n  constructor(...bands) { this.bands = bands; }\n  get input() { return this.bands; }\n}\n"
        "const NDMI = new Index('B8A', 'B11');\n"
        "function setup() { return { input: NDMI.input, output: { bands: 1 } }; }" + PIXEL,
        {None: 2},
        _one(1),
        guessed=False,
    ),
    Shape(
        "a template string as the name of a band",
        HEAD
        + "const swir = 11;\nfunction setup() { return { input: [`B${swir}`, `B${swir + 1}`], output: { bands: 1 } }; }"
        + PIXEL,
        {None: 2},
        _one(1),
    ),
    Shape(
        "a band twice",
        HEAD + 'function setup() { return { input: ["B04", "B08", "B04"], output: { bands: 1 } }; }' + PIXEL,
        {None: 2},
        _one(1),
    ),
    Shape(
        "comments between the members",
        HEAD
        + "function setup() {\n  return {\n    input: [ // red, infrared\n      'B04', /* 'B05', */ 'B08' // , 'B11'\n"
        "    ],\n    // output: { bands: 9 }\n    output: { bands: 1 /* 3 */ }\n  };\n}" + PIXEL,
        {None: 2},
        _one(1),
    ),
    Shape(
        "a comment that names another mosaicking",
        HEAD + '// mosaicking: "ORBIT" would read every pass\nfunction setup() {\n'
        '  return { input: ["B04"], output: { bands: 1 } /* , mosaicking: "TILE" */ };\n}' + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "a comment with half a comment in it",
        HEAD
        + "/* // */ function setup() { /* { [ ( */ return { input: ['B04'], output: { bands: 1 } }; // */ }\n}"
        + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "text that looks like a setup",
        HEAD + 'const help = \'function setup() { return {input: ["X", "Y"], mosaicking: "TILE"} }\';\n'
        "function setup() { return { input: ['B04'], output: { bands: 1 } }; }" + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "a commented out setup before the real one",
        HEAD
        + "/*\nfunction setup() {\n  return { input: ['B01', 'B02', 'B03', 'B04'], output: { bands: 4 } };\n}\n*/\n"
        "function setup() {\n  return { input: ['B04'], output: { bands: 1 } };\n}" + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "a regular expression with brackets",
        HEAD + "const odd = /[{(\"']/g;\nfunction setup() { return { input: ['B04'], output: { bands: 1 } }; }" + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "two outputs",
        HEAD
        + 'function setup() { return { input: ["B04", "B08"], output: [{ id: "ndvi", bands: 1, sampleType: "FLOAT32" },'
        ' { id: "mask", bands: 1, sampleType: "UINT8" }] }; }\n'
        "function evaluatePixel(s) { return { ndvi: [index(s.B08, s.B04)], mask: [1] }; }",
        {None: 2},
        (("ndvi", 1, FLOAT), ("mask", 1, "UINT8")),
    ),
    Shape(
        "outputs with named bands, as statistics have them",
        HEAD + 'function setup() { return { input: [{ bands: ["B04", "B08", "dataMask"] }], output: ['
        '{ id: "indices", bands: ["ndvi", "evi", "savi"], sampleType: "FLOAT32" }, { id: "dataMask", bands: 1 }] }; }'
        + PIXEL,
        {None: 2},
        (("indices", 3, FLOAT), ("dataMask", 1, AUTO)),
    ),
    Shape(
        "named bands of the output before the input",
        HEAD + 'function setup() { return { output: [{ id: "data", bands: ["B01", "B02", "B03", "B04"] }], '
        'input: [{ bands: ["B01"] }] }; }' + PIXEL,
        {None: 1},
        _one(4, name="data"),
    ),
    Shape(
        "outputs computed one for each band",
        HEAD + "const B = ['B02', 'B03', 'B04'];\nfunction setup() { return { input: B, "
        "output: B.map((id) => ({ id, bands: 1, sampleType: 'UINT16' })) }; }" + PIXEL,
        {None: 3},
        (("B02", 1, "UINT16"), ("B03", 1, "UINT16"), ("B04", 1, "UINT16")),
        guessed=False,
    ),
    Shape(
        "output bands counted by an expression",
        HEAD
        + "const N = 12;\nfunction setup() { return { input: ['B04', 'B08'], output: { bands: N * 2 } }; }"
        + PIXEL,
        {None: 2},
        _one(24),
        guessed=False,
    ),
    Shape(
        "eight bits with a sign, and no data",
        HEAD
        + "function setup() { return { input: ['B04'], output: { bands: 1, sampleType: 'INT8', nodataValue: -128 } }; }"
        + PIXEL,
        {None: 1},
        _one(1, "INT8"),
    ),
    Shape(
        "an output of automatic type, said out loud",
        HEAD
        + "function setup() { return { input: ['B04'], output: { bands: 1, sampleType: SampleType.AUTO } }; }"
        + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "all passes of a time range",
        HEAD
        + 'function setup() { return { input: [{ bands: ["B04", "B08"] }], output: { bands: 1, sampleType: "FLOAT32" },'
        ' mosaicking: "ORBIT" }; }\nfunction preProcessScenes(collections) {\n'
        "  collections.scenes.orbits = collections.scenes.orbits.filter((o) => new Date(o.dateFrom).getUTCDay() < 5);\n"
        "  return collections;\n}\nfunction evaluatePixel(samples, scenes) { return [samples.length]; }",
        {None: 2},
        _one(1, FLOAT),
        "ORBIT",
    ),
    Shape(
        "tiles one by one, by the constant of the service",
        HEAD
        + "function setup() { return { input: ['B04'], output: { bands: 1 }, mosaicking: Mosaicking.TILE }; }"
        + PIXEL,
        {None: 1},
        _one(1),
        "TILE",
    ),
    Shape(
        "simple, said out loud",
        HEAD + "function setup() { return { mosaicking: 'SIMPLE', input: ['B04'], output: { bands: 1 } }; }" + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "mosaicking from a constant",
        HEAD + "const PASSES = true;\nconst kind = PASSES ? 'ORBIT' : 'SIMPLE';\n"
        "function setup() { return { input: ['B04'], output: { bands: 1 }, mosaicking: kind }; }" + PIXEL,
        {None: 1},
        _one(1),
        "ORBIT",
        guessed=False,
    ),
    Shape(
        "user data of an orbit script",
        HEAD + "function setup() { return { input: ['B02', 'dataMask'], output: { bands: 1, sampleType: 'UINT16' }, "
        "mosaicking: 'ORBIT' }; }\nfunction updateOutputMetadata(scenes, inputMetadata, outputMetadata) {\n"
        "  outputMetadata.userData = { 'bands': ['not', 'read'], norm: inputMetadata.normalizationFactor };\n}" + PIXEL,
        {None: 1},
        _one(1, "UINT16"),
        "ORBIT",
    ),
    Shape(
        "output size changed before processing",
        HEAD + "function setup() { return { input: ['B02'], output: { bands: 0 + 1, sampleType: 'FLOAT32' }, "
        "mosaicking: 'TILE' }; }\nfunction updateOutput(outputs, collections) {\n"
        "  Object.values(outputs).forEach((output) => { output.bands = collections.scenes.length; });\n}" + PIXEL,
        {None: 1},
        _one(1, FLOAT),
        "TILE",
    ),
    Shape(
        "two data sources",
        HEAD + 'function setup() { return { input: [{ datasource: "s1", bands: ["VV", "VH"] }, '
        '{ datasource: "s2", bands: ["B02", "B03", "B04", "dataMask"], units: "REFLECTANCE" }], '
        "output: { bands: 3 } }; }\n"
        "function evaluatePixel(samples) { return [samples.s1[0].VV, samples.s2[0].B03, 1]; }",
        {"s1": 2, "s2": 3},
        _one(3),
    ),
    Shape(
        "two data sources with a band of the same name",
        HEAD + "function setup() { return { input: [{ bands: ['B04'], datasource: 'before' }, "
        "{ bands: ['B04'], datasource: 'after' }], output: { bands: 1 } }; }" + PIXEL,
        {"before": 1, "after": 1},
        _one(1),
    ),
    Shape(
        "a source of which the mask alone is read",
        HEAD + "function setup() { return { input: [{ datasource: 'a', bands: ['B04', 'B08'] }, "
        "{ datasource: 'b', bands: ['dataMask'] }], output: { bands: 1 } }; }" + PIXEL,
        {"a": 2, "b": 0},
        _one(1),
    ),
    Shape(
        "data mask in every source",
        HEAD + "function setup() { return { input: [{ datasource: 'l2a', bands: ['B04', 'SCL', 'dataMask'] }, "
        "{ datasource: 'dem', bands: ['DEM', 'dataMask'] }, { datasource: 'grd', bands: ['dataMask', 'VV'] }], "
        "output: { bands: 2 }, mosaicking: 'SIMPLE' }; }" + PIXEL,
        {"l2a": 2, "dem": 1, "grd": 1},
        _one(2),
    ),
    Shape(
        "sources from a table",
        HEAD + "const SOURCES = { s2: ['B04', 'B08'], s3: ['B17'], l8: ['B10'] };\nfunction setup() {\n  return {\n"
        "    input: Object.entries(SOURCES).map(([datasource, bands]) => ({ datasource, bands })),\n"
        "    output: { bands: 3 },\n  };\n}" + PIXEL,
        {"s2": 2, "s3": 1, "l8": 1},
        _one(3),
        guessed=False,
    ),
    Shape(
        "one source named twice",
        HEAD + "function setup() { return { input: [{ datasource: 's2', bands: ['B02', 'B03'], units: 'DN' }, "
        "{ datasource: 's2', bands: ['B03', 'B04'], units: 'DN' }], output: { bands: 1 } }; }" + PIXEL,
        {"s2": 3},
        _one(1),
    ),
    Shape(
        "colours of the service's library",
        HEAD + "const ramp = [[-0.2, 0x000000], [0, 0xa50026], [1, 0x006837]];\n"
        "const viz = new ColorRampVisualizer(ramp, -0.2, 1);\n"
        "function setup() { return { input: ['B04', 'B08'], output: { bands: 3 } }; }\n"
        "function evaluatePixel(s) { return viz.process(index(s.B08, s.B04)); }",
        {None: 2},
        _one(3),
    ),
    Shape(
        "colours of the library made by its own function",
        HEAD + "let viz = ColorGradientVisualizer.createWhiteGreen(-0.1, 1.0);\n"
        "let viz2 = new HighlightCompressVisualizer(0, 0.4);\n"
        "function setup() { return { input: ['B04', 'B08', 'dataMask'], output: { bands: 4 } }; }" + PIXEL,
        {None: 2},
        _one(4),
    ),
    Shape(
        "own functions with the names of the library's",
        HEAD
        + "function index(x, y) { return (x - y) / (x + y); }\nconst inverse = (x) => 1 / x;\nlet colorBlend = 3;\n"
        "function setup() { return { input: ['B04', 'B08'], output: { bands: 1 } }; }" + PIXEL,
        {None: 2},
        _one(1),
    ),
    Shape(
        "strict mode",
        HEAD + '"use strict";\nfunction setup() { return { input: ["B04"], output: { bands: 1 } }; }' + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "cloud statistics of a day",
        HEAD + "function setup() {\n  return {\n    input: [{ bands: ['CLM', 'CLP', 'dataMask'] }],\n    output: [\n"
        "      { id: 'clouds', bands: ['share'], sampleType: 'FLOAT32' },\n"
        "      { id: 'dataMask', bands: 1 },\n    ],\n"
        "    mosaicking: Mosaicking.ORBIT,\n  };\n}" + PIXEL,
        {None: 2},
        (("clouds", 1, FLOAT), ("dataMask", 1, AUTO)),
        "ORBIT",
    ),
    Shape(
        "a fallback of today's JavaScript",
        HEAD + "const options = { bands: null };\n"
        "function setup() { const bands = options?.bands ?? ['B04', 'B05', 'B06'];\n"
        "  return { input: [{ bands }], output: { bands: bands.length } }; }" + PIXEL,
        {None: 3},
        _one(3),
        guessed=False,
    ),
    Shape(
        "evalscript with everything in one line",
        HEAD
        + 'let a=1;function setup(){return{input:["B02","B03","B04","B08","B11","B12"],output:{id:"default",bands:6,'
        'sampleType:"UINT16"}}}function evaluatePixel(s){return[s.B02,s.B03,s.B04,s.B08,s.B11,s.B12]}',
        {None: 6},
        _one(6, "UINT16"),
    ),
    Shape(
        "a nested function called setup's helper",
        HEAD + "function presetup() { return { input: ['X', 'Y'] }; }\nfunction setup() {\n"
        "  function bands() { return ['B02', 'B03']; }\n  return { input: bands(), output: { bands: 2 } };\n}" + PIXEL,
        {None: 2},
        _one(2),
        guessed=False,
    ),
    Shape(
        "evaluatePixel before setup, with members of the same names",
        HEAD + "function evaluatePixel(s) { const told = { input: ['a', 'b', 'c'], bands: ['d'] }; return [s.B04]; }\n"
        "function setup() { return { input: ['B04'], output: { bands: 1 } }; }",
        {None: 1},
        _one(1),
    ),
    Shape(
        "a cache filled by setup",
        HEAD
        + "let calls = 0;\nfunction setup() { calls += 1; return { input: ['B04'], output: { bands: calls } }; }"
        + PIXEL,
        {None: 1},
        _one(1),
        guessed=True,
    ),
    Shape(
        "members that nobody knows",
        HEAD + "function setup() { return { input: [{ bands: ['B04'], upsampling: 'BILINEAR' }], output: { bands: 1 }, "
        "processing: { note: ['x', 'y'] }, helper: () => 1 }; }" + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "thirteen bands of an archive",
        HEAD + "function setup() {\n  return {\n    input: [{\n"
        "      bands: ['B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07',\n"
        "              'B08', 'B8A', 'B09', 'B11', 'B12', 'SCL', 'dataMask'],\n      units: 'DN'\n    }],\n"
        "    output: { id: 'default', bands: 13, sampleType: 'INT16' },\n    mosaicking: 'TILE'\n  }\n}" + PIXEL,
        {None: 13},
        _one(13, "INT16"),
        "TILE",
    ),
    Shape(
        "nothing but the mask",
        HEAD
        + "function setup() { return { input: ['dataMask'], output: { bands: 1, sampleType: 'UINT8' } }; }"
        + PIXEL,
        {None: 0},
        _one(1, "UINT8"),
    ),
    Shape(
        "notes to the console, which V8 has",
        HEAD + "console.log('loaded', new Date().getFullYear());\n"
        "function setup() { console.warn('setup'); return { input: ['B04', 'B08'], output: { bands: 1 } }; }" + PIXEL,
        {None: 2},
        _one(1),
    ),
    Shape(
        "what else V8 has beside the language",
        HEAD + "const format = new Intl.NumberFormat('en');\nconst fast = typeof WebAssembly === 'undefined' ? 0 : 1;\n"
        "function setup() { return { input: ['B04'], output: { bands: 1 } }; }" + PIXEL,
        {None: 1},
        _one(1),
    ),
    Shape(
        "an own object called console",
        HEAD + "const console = { log: () => 3 };\n"
        "function setup() { return { input: ['B04'], output: { bands: console.log() } }; }" + PIXEL,
        {None: 1},
        _one(3),
        guessed=False,
    ),
    Shape(
        "lines that end as on an old Mac",
        (
            HEAD + "// mosaicking: 'TILE'\nfunction setup() { // all of it\n"
            "  return { input: ['B04'], output: { bands: 1 } }; }" + PIXEL
        ).replace("\n", "\r"),
        {None: 1},
        _one(1),
    ),
    Shape(
        "members of a prototype and of a class",
        HEAD
        + "class Told { get input() { return ['B04', 'B08', 'dataMask']; } get output() { return { bands: 3 }; } }\n"
        "Told.prototype.mosaicking = 'ORBIT';\nfunction setup() { return new Told(); }" + PIXEL,
        {None: 2},
        _one(3),
        "ORBIT",
        guessed=False,
    ),
]
