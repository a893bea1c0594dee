"""The outputs that an evalscript announces in ``setup()``: how many bands each has, and in which type."""

from __future__ import annotations

from dataclasses import dataclass

from . import evalscript as scripts

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
    found = scripts.outputs(evalscript)
    return {output.id: ScriptOutput(max(1, output.bands), output.sample_type) for output in found}
