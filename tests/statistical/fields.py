"""Field parcels as a GeoPackage, an evalscript, and a job over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import shapely

from airflow_sentinelhub.simulator.gpkg import Layer, geometry, geopackage

NDVI = """//VERSION=3
function setup() {
  return {
    input: [{bands: ["B04", "B08", "dataMask"]}],
    output: [{id: "ndvi", bands: 1, sampleType: "FLOAT32"}, {id: "dataMask", bands: 1}],
  };
}
function evaluatePixel(sample) {
  return {ndvi: [(sample.B08 - sample.B04) / (sample.B08 + sample.B04)], dataMask: [sample.dataMask]};
}
"""
GEOPACKAGE = "s3://farm/fields.gpkg"
OUTPUT = "s3://farm/statistics"
DATA = [{"type": "sentinel-2-l2a", "dataFilter": {"maxCloudCoverage": 30}}]
ACCESS = {"accessKey": "AKIAEXAMPLE", "secretAccessKey": "hush-hush"}
COLUMNS = (("id", "INTEGER"), ("identifier", "TEXT"), ("geometry", "POLYGON"))


def parcels(count: int = 6, *, crs: int = 32632, first: int = 10, table: str = "fields", **changed: str) -> Layer:
    """Squares of 200 m in a row, `field-00` and so on; `changed`: other identifiers by number (`n3="field-00"`)."""
    boxes = [shapely.box(500_000 + at * 300, 4_600_000, 500_200 + at * 300, 4_600_200) for at in range(count)]
    rows = [
        (first + at, changed.get(f"n{at}", f"field-{at:02}"), geometry(shapely.to_wkb(box), crs, box.bounds))
        for at, box in enumerate(boxes)
    ]
    bounds = (500_000.0, 4_600_000.0, 500_000.0 + 300 * count, 4_600_200.0)
    return Layer(table, crs, COLUMNS, rows, bounds, geometry_type="POLYGON")


def put_fields(bucket: Path, *layers: Layer, url: str = GEOPACKAGE) -> None:
    """Put the parcels where the job looks for them."""
    place = bucket / url.removeprefix("s3://")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(geopackage(layers or (parcels(),)))


def body(**members: Any) -> dict[str, Any]:
    """The body of a create call."""
    base = {
        "input": {"features": {"s3": {"url": GEOPACKAGE, **ACCESS}}, "data": DATA},
        "aggregation": {
            "timeRange": {"from": "2024-06-01T00:00:00Z", "to": "2024-07-01T00:00:00Z"},
            "aggregationInterval": {"of": "P10D"},
            "resx": 10,
            "resy": 10,
            "evalscript": NDVI,
        },
        "output": {"s3": {"url": OUTPUT, **ACCESS}},
    }
    return {**base, **members}
