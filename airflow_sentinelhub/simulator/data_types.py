"""The data collections that a request may name as the ``type`` of its data.

Names of the contract, and two that only the documentation of Copernicus Data Space has (``sentinel-3-slstr-l2``,
``sentinel-3-synergy-l2``). Every simulated deployment offers all of them. What the live service says to another name is
not recorded; here it is a violation like any other.
"""

from __future__ import annotations

NAMES = frozenset(
    {
        "sentinel-1-grd",
        "sentinel-2-l1c",
        "sentinel-2-l2a",
        "sentinel-3-olci",
        "sentinel-3-olci-l2",
        "sentinel-3-slstr",
        "sentinel-3-slstr-l2",
        "sentinel-3-synergy-l2",
        "sentinel-5p-l2",
        "landsat-8-l1c",
        "landsat-ot-l1",
        "landsat-ot-l2",
        "landsat-etm-l1",
        "landsat-etm-l2",
        "landsat-tm-l1",
        "landsat-tm-l2",
        "landsat-mss-l1",
        "modis",
        "hls",
        "dem",
        "custom",
    }
)
# seen: a task of 2025 whose data has the type S1GRD.
FORMER = frozenset({"S1GRD", "S2L1C", "S2L2A", "L8L1C", "S3OLCI", "S3SLSTR", "S5PL2", "MODIS", "DEM", "CUSTOM"})
# contract: followed by the id of the user's collection.
_OWN = ("byoc-", "batch-", "zarr-")


def is_known(name: str) -> bool:
    """Whether a collection has this name. Which collections a user has is not known here: any id passes."""
    return name in NAMES or name in FORMER or any(name.startswith(own) and name != own for own in _OWN)
