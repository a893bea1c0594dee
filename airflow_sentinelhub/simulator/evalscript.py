"""What analysis finds wrong with an evalscript, and what of it decides the cost. The script is read, never run."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PAIRS = {")": "(", "]": "[", "}": "{"}
# One token of JavaScript that can hide a bracket: comments, strings, templates, regular expressions after an operator.
# One that is never closed goes to the end of its line or of the script: were it no match, the search would begin anew
# behind it, and a long script of them take hours.
_HIDING = re.compile(
    r"""//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|`(?:\\.|[^`\\])*`?"""
    r"""|(?<=[(,=:\[!&|?{};+\n])[ \t]*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]?|[^/\\\n\[])+/?[gimsuy]*""",
    re.DOTALL,
)
# ``input: ["B04", "B08"]`` or ``input: [{bands: ["B04", "B08"]}]``.
_BANDS = re.compile(r"\b(?:bands|input)\s*:\s*\[([^\]\[{:]*)\]")
_COUNTED_BANDS = re.compile(r"\bbands\s*:\s*(\d{1,3})")
_QUOTED = re.compile(r"""["']([^"']+)["']""")


def problem(evalscript: str, identifiers: Iterable[str]) -> str | None:
    """The first error, in a sentence, or None.

    ``identifiers`` are those of the responses the request asks for: each must be an output of the script (contract);
    ``default`` needs no name in it and ``userdata`` none at all. The wording is ours, no message was recorded.
    """
    if not re.match(
        r"//\s*VERSION=3", evalscript.lstrip()
    ):  # the blank: let through until the service is seen to refuse
        return "Failed to evaluate script! The evalscript must start with //VERSION=3."
    code = _HIDING.sub(lambda match: '""' if match[0][0] in "\"'`" else " ", evalscript)
    unbalanced = _unbalanced(code)
    if unbalanced:
        return f"Failed to evaluate script! evalscript.js: SyntaxError: {unbalanced}"
    for function in ("setup", "evaluatePixel"):
        if not re.search(rf"\bfunction\s+{function}\s*\(|\b{function}\s*[=:]", code):
            return f"Failed to evaluate script! The function {function} is not defined."
    quoted = set(_QUOTED.findall(evalscript))
    for identifier in identifiers:
        if identifier not in ("default", "userdata") and identifier not in quoted:
            return f"Output {identifier} requested but missing from the evalscript's setup()."
    return None


def _unbalanced(code: str) -> str | None:
    open_brackets: list[str] = []
    for number, line in enumerate(code.split("\n"), start=1):
        for character in line:
            if character in "([{":
                open_brackets.append(character)
            elif character in _PAIRS and (not open_brackets or open_brackets.pop() != _PAIRS[character]):
                return f"Unexpected token {character} in line {number}"
    return f"Unexpected end of input, {open_brackets[-1]} is never closed" if open_brackets else None


def input_bands(evalscript: str) -> int:
    """How many bands it reads: the names listed in setup(), at least one."""
    return max(1, sum(len(_QUOTED.findall(names)) for names in _BANDS.findall(evalscript)))


def output_bands(evalscript: str) -> int:
    """How many bands its first output has."""
    match = _COUNTED_BANDS.search(evalscript)
    return int(match[1]) if match else 1


def sample_type(evalscript: str) -> str:
    """AUTO when the script does not say (doc)."""
    match = re.search(r"""\bsampleType\s*:\s*(?:SampleType\.)?["']?([A-Z0-9]+)""", evalscript)
    return match[1] if match else "AUTO"


def mosaicking(evalscript: str) -> str:
    """SIMPLE, ORBIT or TILE; SIMPLE when the script does not say (doc)."""
    match = re.search(r"""\bmosaicking\s*:\s*(?:Mosaicking\.)?["']?([A-Z]+)""", evalscript)
    return match[1] if match else "SIMPLE"
