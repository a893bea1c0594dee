"""The outputs that an evalscript announces in ``setup()``: how many bands each has, and in which type.

The text is read, the script is never run: an output that is made by code and not written down as a literal is taken to
have one band of type AUTO.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Comments, and texts (kept). One that is never closed goes to its end of line or of the script, see ``evalscript``.
_COMMENT = re.compile(
    r"""("(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|`(?:\\.|[^`\\])*`?)|//[^\n]*|/\*.*?(?:\*/|\Z)""", re.S
)
_OUTPUT = re.compile(r"""(?:\boutput|["']output["'])\s*:\s*(?=[\[{])""")
_ID = re.compile(r"""\bid["']?\s*:\s*["']([^"']{1,200})["']""")
_BANDS = re.compile(r"""\bbands["']?\s*:\s*(?:(\d{1,4})|\[([^\]]{0,2000})\])""")
_TYPE = re.compile(r"""\bsampleType["']?\s*:\s*(?:SampleType\.)?["']?([A-Z0-9]{1,20})""")
_QUOTED = re.compile(r"""["'][^"']+["']""")
_BYTES = {"INT8": 1, "UINT8": 1, "INT16": 2, "UINT16": 2, "FLOAT32": 4}


@dataclass(frozen=True)
class ScriptOutput:
    """One output of the script."""

    bands: int = 1
    sample_type: str = "AUTO"

    @property
    def pixel_bytes(self) -> int:
        """Of one pixel in all bands, without compression; AUTO is one byte (doc)."""
        return self.bands * _BYTES.get(self.sample_type, 1)


def script_outputs(evalscript: str) -> dict[str, ScriptOutput]:
    """The outputs by identifier; one without is ``default`` (doc). Empty when none can be read."""
    code = _COMMENT.sub(lambda match: match[1] or " ", evalscript)
    match = _OUTPUT.search(code)
    found: dict[str, ScriptOutput] = {}
    for text in _objects(code[match.end() :]) if match else []:
        name, bands, kind = _ID.search(text), _BANDS.search(text), _TYPE.search(text)
        count = 1
        if bands is not None:
            count = int(bands[1]) if bands[1] else len(_QUOTED.findall(bands[2] or ""))
        found[name[1] if name else "default"] = ScriptOutput(max(1, count), kind[1] if kind else "AUTO")
    return found


def _objects(code: str) -> list[str]:
    """The objects ``{...}`` of the list that the code begins with, or the one object that it begins with."""
    objects: list[str] = []
    depth, begin, outside = 0, 0, 0 if code.startswith("{") else 1
    for at, character in enumerate(code):
        if character in "[{":
            if depth == outside:
                begin = at
            depth += 1
        elif character in "]}":
            depth -= 1
            if depth == outside and character == "}":
                objects.append(code[begin : at + 1])
            if depth <= 0:
                break
    return objects
