"""What only analysis finds wrong with the sources of data (seen: created without complaint, FAILED later)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .evalscript import bands_read_of

# contract.
_DEM_INSTANCES = {"MAPZEN", "COPERNICUS", "COPERNICUS_30", "COPERNICUS_90"}
# What a Sentinel-1 product of each polarization holds.
_POLARIZATIONS = {
    "SH": {"HH"},
    "SV": {"VV"},
    "DH": {"HH", "HV"},
    "DV": {"VV", "VH"},
    **{name: {name} for name in ("HH", "HV", "VV", "VH")},
}
_RADAR_BANDS = {"HH", "HV", "VV", "VH"}


def problem(data: Iterable[Any], evalscript: str) -> str | None:
    """The first error, in the words that were seen, or None."""
    for source in data:
        wanted, processing = source.get("dataFilter") or {}, source.get("processing") or {}
        if not isinstance(processing, dict):
            continue
        for instance in (wanted.get("demInstance"), processing.get("demInstance")):
            if instance is not None and instance not in _DEM_INSTANCES:
                return f"Invalid DEM instance: {instance}"
        offered = _POLARIZATIONS.get(str(wanted.get("polarization")))
        if source.get("type") in ("sentinel-1-grd", "S1GRD") and offered is not None:
            for band in bands_read_of(evalscript, source.get("id")):
                if band in _RADAR_BANDS - offered:
                    return f"Requested band '{band}' is not present in Sentinel 1 tile"
    return None
