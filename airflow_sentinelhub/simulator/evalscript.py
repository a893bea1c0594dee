"""What analysis finds wrong with an evalscript, and what of it decides the cost."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..evalscripts import Output, read_setup

# The band that says where there is data; it costs nothing (doc).
DATA_MASK = "dataMask"
_QUOTED = re.compile(r"""["']([^"']+)["']""")


def problem(evalscript: str, identifiers: Iterable[str]) -> str | None:
    """The first error, in a sentence, or None.

    ``identifiers`` are those of the responses the request asks for: each must be an output of the script (contract);
    ``default`` needs no name in it and ``userdata`` none at all. The wording is ours, no message was recorded.
    """
    setup = read_setup(evalscript)
    if setup.problem:
        return f"Failed to evaluate script! {setup.problem}"
    named = {output.id for output in setup.outputs} if setup.exact else set(_QUOTED.findall(evalscript))
    for identifier in identifiers:
        if identifier not in ("default", "userdata") and identifier not in named:
            return f"Output {identifier} requested but missing from the evalscript's setup()."
    return None


def bands_read_of(evalscript: str, source: Any) -> list[str]:
    """The bands it reads of the data source with this identifier, and of those that it does not name."""
    return [band for item in read_setup(evalscript).inputs if item.datasource in (None, source) for band in item.bands]


def bands_of_sources(evalscript: str) -> dict[str | None, int]:
    """How many bands it reads of each data source that it names (None: it names no source), without ``dataMask``."""
    sources: dict[str | None, set[str]] = {}
    for item in read_setup(evalscript).inputs:
        sources.setdefault(item.datasource, set()).update(set(item.bands) - {DATA_MASK})
    return {source: len(bands) for source, bands in sources.items()}


def input_bands(evalscript: str) -> int:
    """How many bands it reads of all its data sources together, at least one."""
    return max(1, sum(bands_of_sources(evalscript).values()))


def outputs(evalscript: str) -> tuple[Output, ...]:
    """Its outputs; none where it names none, or where they cannot be read."""
    return read_setup(evalscript).outputs


def output_bands(evalscript: str) -> int:
    """How many bands its first output has."""
    return next((output.bands for output in outputs(evalscript)), 1)


def sample_type(evalscript: str) -> str:
    """The sample type of its first output; AUTO when the script does not say (doc)."""
    return next((output.sample_type for output in outputs(evalscript)), "AUTO")


def mosaicking(evalscript: str) -> str:
    """SIMPLE, ORBIT or TILE; SIMPLE when the script does not say (doc)."""
    return read_setup(evalscript).mosaicking
