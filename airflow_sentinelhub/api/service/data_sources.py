"""The data collections that the service knows by name: a misspelled one is refused before anything is created.

The names are those of the service's contract and of its documentation. The list ages, so a new name is let through
where the user says so: `check_collection=False` of `process_request()`, or the same member of a `data` object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.times import is_template
from airflow_sentinelhub.exceptions import InvalidInputError

PLANET, CDSE = "AWS (Planet)", "Copernicus Data Space"

_EVERYWHERE = ("sentinel-1-grd", "sentinel-2-l1c", "sentinel-2-l2a", "landsat-ot-l1", "dem")
_BY_DEPLOYMENT: dict[str, tuple[str, ...]] = {
    PLANET: (
        *("landsat-8-l1c", "landsat-ot-l2", "landsat-etm-l1", "landsat-etm-l2", "landsat-tm-l1", "landsat-tm-l2"),
        *("landsat-mss-l1", "modis", "hls"),
    ),
    CDSE: (
        *("sentinel-3-olci", "sentinel-3-olci-l2", "sentinel-3-slstr", "sentinel-3-slstr-l2", "sentinel-3-synergy-l2"),
        "sentinel-5p-l2",
    ),
}
COLLECTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_EVERYWHERE, (PLANET, CDSE)),
    **{name: (place,) for place, names in _BY_DEPLOYMENT.items() for name in names},
}
"""Name of each collection, and the deployments whose documents name it."""

_HOSTS = {
    "services.sentinel-hub.com": PLANET,
    "services-uswest2.sentinel-hub.com": PLANET,
    "sh.dataspace.copernicus.eu": CDSE,
}
"""Which deployment a host is of. What others offer is not known."""

FORMER: dict[str, str] = {
    "S1GRD": "sentinel-1-grd",
    "S2L1C": "sentinel-2-l1c",
    "S2L2A": "sentinel-2-l2a",
    "L8L1C": "landsat-8-l1c",
    "S3OLCI": "sentinel-3-olci",
    "S3SLSTR": "sentinel-3-slstr",
    "S5PL2": "sentinel-5p-l2",
    "MODIS": "modis",
    "DEM": "dem",
}
"""Former names, which the service still takes, and today's."""

OWN = ("byoc-", "batch-", "zarr-")
"""How the names of users' own collections begin; the id of the collection follows."""
CUSTOM = ("custom", "CUSTOM")
"""The former name of all collections of users, whose id then stands in the data filter."""

UNCHECKED = "check_collection"
"""Member of a `data` object that is not sent: False lets a name through that is not in the list."""


_LIST = f"{', '.join(sorted(COLLECTIONS))}, and collections of yours as byoc-<id>, batch-<id> or zarr-<id>"


def complaint(name: Any) -> str | None:
    """What is wrong with the name of a collection, None if nothing is or if it is a template.

    :param name: the `type` of a `data` object.
    """
    if not isinstance(name, str) or is_template(name) or name in COLLECTIONS or name in FORMER or name in CUSTOM:
        return None
    if any(name.startswith(start) and name != start for start in OWN):
        return None
    meant = " or ".join(map(repr, _similar(name)))
    hint = f": did you mean {meant}?" if meant else f"; known are {_LIST}."
    return (
        f"{shown(name, 60)}, which is no data collection known here{hint} Nothing was sent. If it is a new one, give "
        f"{UNCHECKED}=False to process_request() or input_data()."
    )


def check_sources(sources: Any, name: str = "data") -> None:
    """Refuse `data` objects that name no known collection, unless they say not to check.

    :param sources: the objects, or the name of a single collection; anything else passes, JSON among it.
    :param name: of the argument, for the error.
    :raises InvalidInputError: one names none.
    """
    if isinstance(sources, str) and sources.lstrip()[:1] in ("[", "{"):
        return  # objects as JSON, which are checked once they are read
    for where, source in _to_check(sources, name):
        if why := complaint(source.get("type")):
            raise InvalidInputError(f"{where} is {why}")


def _to_check(sources: Any, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What messages call each object that is to be checked, and the object."""
    if isinstance(sources, (str, Mapping)):
        sources = [{"type": sources} if isinstance(sources, str) else sources]
    if not isinstance(sources, Sequence):
        return
    for index, source in enumerate(sources):
        if isinstance(source, Mapping) and source.get(UNCHECKED) is not False:
            yield name if len(sources) == 1 else f"{name}[{index}].type", source


def check_offered(sources: Any, base_url: str, name: str = "data") -> None:
    """Refuse collections that the deployment does not offer, unless a `data` object says not to check.

    :param sources: as in `check_sources`.
    :param base_url: of the deployment. One that is not known offers everything.
    :raises InvalidInputError: by its documents it does not offer one of them.
    """
    here = _HOSTS.get((urlsplit(base_url).hostname or "").lower())
    for where, source in _to_check(sources, name) if here else ():
        given = source.get("type")
        places = COLLECTIONS.get(FORMER.get(given, given)) if isinstance(given, str) else None
        if places is not None and here not in places:
            raise InvalidInputError(
                f"{where} is {given!r}, which {here} ({base_url}) does not offer, and {' and '.join(places)} does. "
                f"Nothing was sent. If it does by now, give {UNCHECKED}=False to process_request() or input_data()."
            )


def as_sent(sources: Any) -> Any:
    """The `data` objects without the member that says whether to check their names.

    :raises InvalidInputError: as `check_sources`.
    """
    check_sources(sources)
    if not isinstance(sources, Sequence) or isinstance(sources, str):
        return sources
    return [
        {key: value for key, value in source.items() if key != UNCHECKED}
        if isinstance(source, Mapping) and UNCHECKED in source
        else source
        for source in sources
    ]


def proposal(name: str) -> str:
    """The known name of a collection that this one probably means, in brackets; empty if it is one, or none is near."""
    meant = [] if name in COLLECTIONS else _similar(name)
    return f" (did you mean {' or '.join(map(repr, meant))}?)" if meant and meant != [name] else ""


def _similar(name: str) -> list[str]:
    """The known names that are meant, if any: first those that differ only in case and in marks between the words."""
    by_letters: dict[str, str] = {_letters(known): known for known in COLLECTIONS}
    by_letters |= {_letters(former): known for former, known in FORMER.items()}
    by_letters["harmonizedlandsatsentinel"] = "hls"
    wanted = _letters(name).removeprefix("datacollection")  # as the vendor's library names them
    if wanted in by_letters:
        return [by_letters[wanted]]
    if name.lower().startswith(OWN) and "-" in name.strip("-"):
        return [name.lower()]
    begin = [letters for letters in by_letters if len(wanted) > 1 and letters.startswith(wanted)]
    found = [by_letters[letters] for letters in begin or get_close_matches(wanted, by_letters, n=3, cutoff=0.7)]
    if not found:  # letters of a short name in another order, or a name with more before or behind it
        found = [known for letters, known in by_letters.items() if sorted(letters) == sorted(wanted)]
        found += [by_letters[each] for each in by_letters if wanted.startswith(each) or wanted.endswith(each)]
    return list(dict.fromkeys(found))[:3]


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
