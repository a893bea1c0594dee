"""Collections of the user's own data (BYOC) that tasks of v2 deliver into.

The service takes the bands of such a collection from the outputs: an output ``result`` with three bands makes
``result``, ``result2`` and ``result3`` (doc).
"""

from __future__ import annotations

from .bodies import Json, responses_of
from .script_outputs import ScriptOutput, script_outputs


def band_names(body: Json) -> list[str]:
    """Bands of the collection that a task delivers into, in the order of its outputs; some twice where they clash."""
    outputs = script_outputs(body["processRequest"]["evalscript"])
    names: list[str] = []
    for response in responses_of(body):
        name = response.get("identifier", "default")
        if name != "userdata":
            count = outputs.get(name, ScriptOutput()).bands
            names += [name, *(f"{name}{number}" for number in range(2, count + 1))]
    return names


def clash(body: Json) -> str | None:
    """The first band that two outputs would make."""
    names = band_names(body)
    return next((name for index, name in enumerate(names) if name in names[:index]), None)


def feeds(body: Json) -> bool:
    """Whether the task of this body delivers into a collection."""
    output = body.get("output") or {}
    return bool(output.get("createCollection")) or output.get("collectionId") is not None
