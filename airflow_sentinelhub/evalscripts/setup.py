"""What ``setup()`` of an evalscript returns, in one shape for all the ways of writing it."""

from __future__ import annotations

from dataclasses import dataclass

AUTO = "AUTO"
DEFAULT_OUTPUT = "default"
MOSAICKINGS = ("SIMPLE", "ORBIT", "TILE")


@dataclass(frozen=True)
class Input:
    """Bands of one data source. ``datasource`` is its identifier in the request, None where the script names none.

    ``bands`` are the names as the script gives them, ``dataMask`` among them, each once.
    """

    datasource: str | None
    bands: tuple[str, ...]


@dataclass(frozen=True)
class Output:
    """One output: its identifier, how many bands it has and their sample type, ``AUTO`` where none is named."""

    id: str
    bands: int
    sample_type: str


@dataclass(frozen=True)
class Setup:
    """What an evalscript reads and writes.

    :param inputs: one for each entry of ``input``; empty when nothing could be read.
    :param outputs: one for each entry of ``output``; empty when nothing could be read.
    :param mosaicking: ``SIMPLE``, ``ORBIT`` or ``TILE``.
    :param exact: True when a JavaScript engine ran the script, which makes ``problem`` certain and, where that is
        None, all the rest. False when it was read from the text, which is a guess (computed bands, constants and
        helper functions are not followed), or when the engine reached its limits of time or memory.
    :param problem: why the service will refuse the script, as a sentence; None when nothing was found. With a
        problem the inputs, the outputs and the mosaicking are a guess from the text.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    mosaicking: str
    exact: bool
    problem: str | None
