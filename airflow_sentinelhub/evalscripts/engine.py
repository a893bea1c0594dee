"""Runs ``setup()`` of an evalscript in an embedded JavaScript engine, bounded in time, memory and stack.

The engine is QuickJS, of the package ``quickjs-ng``: one wheel of 2.5 MB for Python 3.10 to 3.14, no threads of its
own, so it works in any thread and after a fork. V8 (``mini-racer``) is 22 MB a wheel and aborts a process that was
forked after its first use, which is what Airflow does with its tasks; Duktape (``dukpy``) does not know today's
JavaScript.
The script can reach nothing but the language: no files, no network, no clock that would wait.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

# Seconds of CPU, for the script and for its setup(), each. Bytes of memory and of stack.
_SECONDS, _MEMORY, _STACK = 0.5, 64 * 1024 * 1024, 256 * 1024
_LONGEST = 300  # characters of a message
# What the service puts beside the language: constants for setup(), and its library for colours and values, of which
# anything can be called or read when the script is loaded; and what its engine, V8, has in each context and QuickJS
# has not.
_PRELUDE = """
(() => {
  const words = (...names) => Object.freeze(Object.fromEntries(names.map((name) => [name, name])));
  globalThis.Mosaicking = words("SIMPLE", "ORBIT", "TILE");
  globalThis.SampleType = words("AUTO", "INT8", "UINT8", "INT16", "UINT16", "FLOAT32");
  const anything = new Proxy(function () {}, {
    get: (_, name) => (name === Symbol.toPrimitive ? () => 0 : name === "toJSON" ? () => null
      : name === Symbol.iterator ? function* () {} : anything),
    apply: () => anything,
    construct: () => anything,
  });
  for (const name of ["ColorGradientVisualizer", "ColorMapVisualizer", "ColorRampVisualizer",
    "HighlightCompressVisualizer", "HighlightCompressVisualizerSingle", "Identity", "colorBlend", "combine", "index",
    "inverse", "valueInterpolate", "valueMap", "console", "Intl", "WebAssembly"]) globalThis[name] = anything;
})()
"""
_KINDS = "(() => [typeof setup, typeof evaluatePixel].join())"
# Only what is read: the rest of the object may be of any kind.
_CALL = """
(() => {
  const made = setup();
  if (made && typeof made.then === "function") return "a promise";
  return made && typeof made === "object" && !Array.isArray(made)
    ? {input: made.input, output: made.output, mosaicking: made.mosaicking} : made;
})
"""
_FRAME = re.compile(r"<input>:([0-9]+)")


@dataclass(frozen=True)
class SetupResult:
    """What came of running a script: the value of its ``setup()`` as plain data, or the problem.

    ``certain`` is False when the engine gave up for its own limits, so that the service may do otherwise.
    """

    value: Any = None
    problem: str | None = None
    certain: bool = True


def is_there() -> bool:
    """Whether an engine is installed."""
    try:
        import quickjs  # noqa: F401
    except ImportError:
        return False
    return True


def run(script: str) -> SetupResult | None:
    """Loads a script and calls its ``setup()``. None: no engine is installed."""
    try:
        import quickjs
    except ImportError:
        return None
    context = quickjs.Context()
    context.set_memory_limit(_MEMORY)
    context.set_time_limit(_SECONDS)
    context.set_max_stack_size(_STACK)
    try:
        # Before the script, which may put others in their place.
        context.eval(_PRELUDE)
        to_text, kinds, call = context.eval("JSON.stringify"), context.eval(_KINDS), context.eval(_CALL)
        context.eval(_readable(script))
        for function, kind in zip(("setup", "evaluatePixel"), str(kinds()).split(","), strict=True):
            if kind != "function":
                return SetupResult(problem=f"The function {function} is not defined.")
        returned = call()
    except quickjs.JSException as err:
        return _failed(str(err))
    try:
        text = to_text(returned)
        return SetupResult(value=json.loads(text) if isinstance(text, str) else None)
    except quickjs.JSException as err:
        failure = _failed(str(err))
        return SetupResult(problem=f"setup() returns what is no plain data: {failure.problem}", certain=failure.certain)
    except RecursionError:
        return SetupResult(problem="setup() returns lists or objects that are nested too deeply.", certain=False)


def _readable(script: str) -> str:
    """The script as the engine takes it, which knows no half characters and no zeros."""
    return script.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _failed(report: str) -> SetupResult:
    """An exception of JavaScript, in the manner of the service: file, line, error."""
    message, _, frames = report.partition("\n")
    if message == "null":  # also what is thrown where no memory is left for an error
        report = f"the script throws null, or needs more than {_MEMORY // 1024 // 1024} MB of memory"
        return SetupResult(problem=f"evalscript.js: {report}.", certain=False)
    if message == "InternalError: interrupted":
        return SetupResult(
            problem=f"evalscript.js: the script does not end within {_SECONDS:g} s of computing time.", certain=False
        )
    if message.startswith("InternalError: "):
        return SetupResult(
            problem=f"evalscript.js: the script needs more than {_MEMORY // 1024 // 1024} MB of memory.", certain=False
        )
    line = _FRAME.search(frames)
    place = f"evalscript.js:{line[1]}" if line else "evalscript.js"
    return SetupResult(problem=f"{place}: {message[:_LONGEST]}", certain="call stack" not in message)
