"""What the members of a payload may be, read like arguments: numbers and booleans may come as text out of templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_sentinelhub.api.kinds import (
    Kind,
    came_out_empty,
    nothing,
    number,
    refusal,
    text,
    truth,
    whole,
    within,
)
from airflow_sentinelhub.api.times import is_late


def _written_so(*words: str) -> Kind:
    """A member that the service takes as one of these words, written so."""

    def read(value: Any) -> str:
        word = value.strip() if isinstance(value, str) else ""
        if word not in words:
            raise ValueError(value)
        return word

    return Kind(read, f"is one of {', '.join(words)}")


_WORDS: dict[str, Kind] = {
    "mosaickingOrder": _written_so("mostRecent", "leastRecent", "leastCC"),
    **dict.fromkeys(("upsampling", "downsampling"), _written_so("NEAREST", "BILINEAR", "BICUBIC")),
    "orbitDirection": _written_so("ASCENDING", "DESCENDING"),
    "backCoeff": _written_so("BETA0", "SIGMA0_ELLIPSOID", "GAMMA0_ELLIPSOID", "GAMMA0_TERRAIN"),
}
"""Members whose words are the same for all collections that have them."""
_MEMBERS: dict[str, Kind] = {
    **_WORDS,
    "maxCloudCoverage": Kind(within(number, lambda found: 0 <= found <= 100), "is a percentage from 0 to 100"),
    **dict.fromkeys(
        (
            "width",
            "height",
            "nBins",
            "overviewMinSize",
            "blockxsize",
            "blockysize",
            "windowSizeX",
            "windowSizeY",
        ),
        Kind(within(whole, lambda found: found > 0), "is a whole number above 0"),
    ),
    **dict.fromkeys(("resx", "resy"), Kind(within(number, lambda found: found > 0), "is a number above 0")),
    **dict.fromkeys(("lowEdge", "highEdge", "binWidth", "noData", "minQa"), Kind(number, "is a number")),
    **dict.fromkeys(
        (
            "overwrite",
            "skipExisting",
            "cogOutput",
            "createCollection",
            "usePredictor",
            "orthorectify",
            "harmonizeValues",
            "egm",
            "clampNegative",
            "logo",
        ),
        Kind(truth, "is true or false"),
    ),
    **dict.fromkeys(
        ("description", "bucketName", "collectionId", "name", "s3Bucket", "defaultTilePath", "tilePath", "url"),
        Kind(text, "must be text"),
    ),
}
_OF_A_GRID: dict[str, Kind] = {
    "id": Kind(within(whole, lambda found: found >= 0), "is the number of a grid"),
    "resolution": Kind(within(number, lambda found: found > 0), "is a positive number"),
    **dict.fromkeys(
        ("bufferX", "bufferY"), Kind(within(whole, lambda found: found >= 0), "is a number of pixels from 0")
    ),
}
_NOT_OURS = ("area", "bounds", "geometry")
"""Parts that are read elsewhere, see `areas`; the properties of a feature may have any names."""


def members(value: Any, name: str, template: Any = None, *, grid: bool = False) -> Any:
    """A part of a payload with numbers and booleans in place of the text that templates render to.

    :param name: of the argument; members are called by their path in it.
    :param template: the same part as it stands in the DAG, None where that is not known.
    :param grid: it is a tiling grid. Templates (while a DAG is parsed) are left as they are.
    :raises InvalidInputError: a member that wants a number or a boolean has come out as something else.
    """
    if name.rpartition(".")[2] in _NOT_OURS:
        return value
    if isinstance(value, Mapping):
        kinds = {**_MEMBERS, **_OF_A_GRID} if grid else _MEMBERS
        return {
            key: _member(item, f"{name}.{key}", _at(template, key), kinds.get(key) if isinstance(key, str) else None)
            for key, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        read = [members(item, f"{name}[{index}]", _at(template, index)) for index, item in enumerate(value)]
        return read if isinstance(value, (list, tuple)) else value
    return value


def member_taken(member: str, value: Any, name: str) -> Any:
    """The value of a member of a payload that is given as the argument `name` of a builder.

    :raises InvalidInputError: it cannot have this value. None and templates are returned as they are.
    """
    return value if value is None else _member(value, name, None, _MEMBERS[member], checked=True)


def _member(value: Any, path: str, template: Any, kind: Kind | None, *, checked: bool = False) -> Any:
    if is_late(value) or kind is None or (isinstance(value, (Mapping, list)) and not checked):
        return members(value, path, template)
    if kind.read is not text and is_late(template) and nothing(value):
        raise came_out_empty(path, kind, value, template)
    is_number = isinstance(value, (int, float)) and value == value  # what JSON does not have is left to `plain`
    checked = checked or isinstance(value, str) or is_number
    wanted = not isinstance(value, str) if kind.read is text else checked
    if value is None or not wanted:
        return value
    if kind.read is text:
        return text(value) if isinstance(value, (int, float, Decimal)) else value
    try:
        return kind.read(value)
    except (ValueError, TypeError, OverflowError):
        raise refusal(path, kind, value, template) from None


def _at(template: Any, key: Any) -> Any:
    """The part of what stands in the DAG; a template that renders to a whole object is the origin of each part."""
    if isinstance(template, Mapping):
        return template.get(key)
    if isinstance(template, (list, tuple)):
        return template[key] if isinstance(key, int) and key < len(template) else None
    return template if is_late(template) else None
