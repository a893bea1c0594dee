"""What it costs to deliver to a bucket in another region of the same cloud (doc: 0.03 PU a MB)."""

from __future__ import annotations

from .bodies import Json, responses_of
from .deployments import Deployment
from .script_outputs import ScriptOutput, script_outputs

PU_PER_MEGABYTE = 0.03


def transfer_pu(body: Json, place: Deployment, width: int, height: int) -> float:
    """PU for the outputs of one tile or feature of a task of v2; 0.0 within the region.

    The region is the one that the delivery names; without a name it is the deployment's. Size is that of the pixels:
    which bytes the service counts is not known. On CDSE the names of regions are not published: nothing is charged.
    """
    bucket = (body.get("output") or {}).get("delivery", {}).get("s3") or {}
    region = bucket.get("region")
    if region is None or place.region is None or region == place.region:
        return 0.0
    outputs = script_outputs(body["processRequest"]["evalscript"])
    size = sum(
        outputs.get(response.get("identifier", "default"), ScriptOutput()).pixel_bytes
        for response in responses_of(body)
        if response.get("format", {}).get("type") != "application/json"
    )
    return PU_PER_MEGABYTE * size * width * height / 1_000_000
