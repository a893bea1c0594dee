"""The value that ``setup()`` returned, which may be written in several ways, in one shape."""

from __future__ import annotations

from typing import Any

from .setup import AUTO, DEFAULT_OUTPUT, MOSAICKINGS, Input, Output, Setup

MOST_BANDS = 100_000  # of one output: more are a mistake, and nothing to reckon with


class UnreadableError(ValueError):
    """Something that ``setup()`` returned is none of what the language of evalscripts knows; the text says what."""


def setup_of(value: Any) -> Setup:
    """The returned value, read. What is left out is empty: what the service says to that is not known.

    :raises UnreadableError: a part of it has none of the known shapes.
    """
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise UnreadableError("setup() does not return an object.")
    return Setup(
        inputs=tuple(_input(item) for item in _items(value, "input")),
        outputs=tuple(_output(item) for item in _items(value, "output")),
        mosaicking=_mosaicking(value.get("mosaicking")),
        exact=True,
        problem=None,
    )


def _items(value: dict[str, Any], key: str) -> list[Any]:
    """The entries of ``input`` or ``output``: a list of objects, one object, or (input) names of bands."""
    given = value.get(key)
    if given is None:
        return []
    if isinstance(given, dict):
        return [given]
    if key == "input" and (isinstance(given, str) or (isinstance(given, list) and _all_texts(given))):
        return [{"bands": given}]
    if not isinstance(given, list):
        raise UnreadableError(f"The {key} of setup() is neither an object nor a list.")
    texts = [item for item in given if isinstance(item, str)] if key == "input" else []
    rest = [item for item in given if not (texts and isinstance(item, str))]
    if not all(isinstance(item, dict) for item in rest):
        raise UnreadableError(f"An entry in the {key} of setup() is no object.")
    return [*([{"bands": texts}] if texts else []), *rest]


def _all_texts(given: list[Any]) -> bool:
    return bool(given) and all(isinstance(item, str) for item in given)


def _input(item: dict[str, Any]) -> Input:
    source, bands = item.get("datasource"), item.get("bands")
    if source is not None and not isinstance(source, str):
        raise UnreadableError("A datasource in the input of setup() is no text.")
    names = [bands] if isinstance(bands, str) else list(bands) if isinstance(bands, (list, dict)) else None
    if not names or not _all_texts(names):
        raise UnreadableError("The bands in the input of setup() are no list of names.")
    return Input(source, tuple(dict.fromkeys(names)))


def _output(item: dict[str, Any]) -> Output:
    name, bands, kind = item.get("id"), item.get("bands"), item.get("sampleType")
    if name is not None and not isinstance(name, str):
        raise UnreadableError("An id in the output of setup() is no text.")
    if kind is not None and not isinstance(kind, str):
        raise UnreadableError("A sampleType in the output of setup() is no text.")
    if isinstance(bands, (list, dict)):  # named bands, as the statistical API knows them
        count = len(bands)
    elif isinstance(bands, (int, float)) and not isinstance(bands, bool) and bands == int(bands):
        count = int(bands)
    else:
        raise UnreadableError("The bands in the output of setup() are no whole number.")
    if not 1 <= count <= MOST_BANDS:
        raise UnreadableError(f"An output of setup() has {count} bands.")
    return Output(name or DEFAULT_OUTPUT, count, (kind or AUTO).upper())


def _mosaicking(given: Any) -> str:
    if given is None:
        return MOSAICKINGS[0]
    if not isinstance(given, str) or given.upper() not in MOSAICKINGS:
        raise UnreadableError(f"The mosaicking of setup() is none of {', '.join(MOSAICKINGS)}.")
    return given.upper()
