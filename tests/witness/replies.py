"""Replies of the service as they were recorded; ids and secrets are invented, left-out parts filled in alike."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_PROCESS: Json = {
    "input": {
        "bounds": {
            "bbox": [8.44, 41.31, 9.66, 43.1],
            "properties": {"crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"},
        },
        "data": [
            {
                "type": "sentinel-2-l2a",
                "dataFilter": {
                    "timeRange": {"from": "2019-04-01T00:00:00Z", "to": "2019-06-30T00:00:00Z"},
                    "maxCloudCoverage": 70.0,
                },
            }
        ],
    },
    "output": {"responses": [{"identifier": "default", "format": {"type": "image/tiff"}}]},
    "evalscript": "//VERSION=3\nfunction setup() {}",
}
_V1_CREATED: Json = {
    "id": "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10",
    "userId": "1b1d4b5e-7a51-4f43-8c8f-6a6d4b1f0c11",
    "accountId": "9c6a2b4e-3a3f-4a5e-9f0b-1f2a7d7c2d22",
    "created": "2020-12-21T22:28:38.824Z",
    "processRequest": _PROCESS,
    "tilingGrid": {"id": 0, "resolution": 60.0},
    "output": {
        "defaultTilePath": "s3://my-bucket/ndvi",
        "overwrite": False,
        "skipExisting": False,
        "cogOutput": False,
        "createCollection": False,
        "collectionId": None,
    },
    "description": "CyL batch request - April 2020",
    "tileCount": 1033,
    "tileWidthPx": 334,
    "tileHeightPx": 334,
    "userAction": "NONE",
    "userActionUpdated": "2020-12-21T22:28:38.824Z",
    "status": "CREATED",
}
_V1_ANALYSED: Json = {
    **_V1_CREATED,
    "status": "ANALYSIS_DONE",
    "userAction": "ANALYSE",
    "userActionUpdated": "2020-12-21T22:31:02.117Z",
    "valueEstimate": 140005.7441392164,
    "tileCount": 1083,
}
_V1_DONE: Json = {
    "id": "0c1f7c5a-58b5-4d9a-a0b1-3c0f0f4a7e33",
    "created": "2020-12-21T16:57:21.152Z",
    "status": "DONE",
    "userAction": "START",
    "userActionUpdated": "2020-12-21T17:01:40.530Z",
    "valueEstimate": 553.1310903279518,
    "tileCount": 9,
    "tileWidthPx": 2004,
    "tileHeightPx": 2004,
    "tilingGrid": {"id": 0, "resolution": 10.0},
    "bucketName": "my-bucket",
    "description": "CyL batch request - Test April 2020",
    "processRequest": _PROCESS,
}
_SHAPE: Json = {
    "type": "Polygon",
    "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC::CRS84"}},
    "coordinates": [[[36.165, -6.774], [36.166, -6.774], [36.166, -6.773], [36.165, -6.773], [36.165, -6.774]]],
}
_BY_SHAPE: Json = {"bounds": {"geometry": _SHAPE, "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/4326"}}}
_NO_CRS: Json = {"bounds": {"bbox": [8.44, 41.31, 9.66, 43.1]}}
_UTM: Json = {
    "bounds": {
        "bbox": [500000.0, 4600000.0, 520040.0, 4620040.0],
        "properties": {"crs": "http://www.opengis.net/def/crs/EPSG/0/32632"},
    }
}

V1: dict[str, Json] = {
    "created": _V1_CREATED,
    "analysed": _V1_ANALYSED,
    "started, the status not moved yet": {
        **_V1_ANALYSED,
        "userAction": "START",
        "userActionUpdated": "2020-12-21T22:33:10.402Z",
    },
    "done": _V1_DONE,
    "partial": {
        **_V1_DONE,
        "status": "PARTIAL",
        "error": "Too many failed tiles",
        "valueEstimate": 45.77636855174205,
        "tileCount": 4,
    },
    "failed": {
        **_V1_DONE,
        "status": "FAILED",
        "error": "Requested band 'HH' is not present in Sentinel 1 tile",
        "tileCount": 4,
    },
    "cancelled": {**_V1_DONE, "status": "CANCELED", "userAction": "CANCEL"},
    "area by geometry": {**_V1_DONE, "processRequest": {**_PROCESS, "input": {**_PROCESS["input"], **_BY_SHAPE}}},
    "area in metres": {**_V1_DONE, "processRequest": {**_PROCESS, "input": {**_PROCESS["input"], **_UTM}}},
    "no CRS": {**_V1_DONE, "processRequest": {**_PROCESS, "input": {**_PROCESS["input"], **_NO_CRS}}},
    "zarr, a member that nobody knows": {**_V1_DONE, "zarrOutput": {"path": "s3://b/cube"}, "orderId": 7, "x_y": None},
    "no time": {name: value for name, value in _V1_DONE.items() if name not in ("created", "userActionUpdated")},
    "no action": {name: value for name, value in _V1_DONE.items() if name != "userAction"},
    "a status that nobody knows": {**_V1_DONE, "status": "HIBERNATING"},
    "an action that nobody knows": {**_V1_DONE, "userAction": "PAUSE"},
}

COLLECTIONS: dict[str, Json] = {
    "initialised": {
        "id": "7c3d1a9e-2f4b-4b0e-8c1d-5e6f7a8b9c44",
        "accountId": "9c6a2b4e-3a3f-4a5e-9f0b-1f2a7d7c2d22",
        "name": "ndvi-2020",
        "s3Bucket": "my-bucket",
        "batchData": {"tilingGridId": 0},
        "additionalData": {"bands": {"default": {"bitDepth": 32}}},
        "created": "2020-12-21T16:40:00.000Z",
    },
    "with all there is": {
        "id": "7c3d1a9e-2f4b-4b0e-8c1d-5e6f7a8b9c44",
        "userId": "1b1d4b5e-7a51-4f43-8c8f-6a6d4b1f0c11",
        "name": "ndvi-2020",
        "s3Bucket": "my-bucket",
        "batchData": {"tilingGridId": 0, "more": 1},
        "additionalData": {"bands": None, "hasSensingTimes": "YES", "maxMetersPerPixel": 60.0},
        "created": None,
        "noData": 0,
    },
    "bare": {"name": "ndvi-2020", "s3Bucket": "my-bucket"},
}

_KEYS = {"accessKey": "*****", "secretAccessKey": "*****"}
_TASK: Json = {
    "id": "6aa8765a-0000-4000-8000-000000000001",
    "request": {
        "instanceType": "normal",
        "processRequest": {
            "input": {
                **_BY_SHAPE,
                "data": [
                    {
                        "dataFilter": {
                            "timeRange": {"from": "2021-08-14T15:55:04Z", "to": "2021-08-14T15:55:05Z"},
                            "mosaickingOrder": "mostRecent",
                            "maxCloudCoverage": 100.0,
                        },
                        "type": "S1GRD",
                    }
                ],
            },
            "output": {
                "responses": [
                    {"identifier": "VV", "format": {"type": "image/tiff"}, "logo": False},
                    {"identifier": "userdata", "format": {"type": "application/json"}, "logo": False},
                ]
            },
            "evalscript": "//VERSION=3\nfunction setup() {}",
        },
        "input": {"type": "tiling-grid", "id": 2, "bufferY": 10, "bufferX": 5, "resolution": 360.0},
        "output": {
            "delivery": {
                "s3": {
                    "url": "s3://my-bucket/s1_rtc/<tileName>/<outputId>.<format>",
                    **_KEYS,
                    "region": "eu-central-1",
                }
            },
            "type": "raster",
            "overwrite": True,
            "skipExisting": False,
            "cogOutput": True,
            "createCollection": False,
        },
        "description": "my task",
    },
    "domainAccountId": "e024f6e1-0000-4000-8000-000000000002",
    "projectId": "ffe4e816-0000-4000-8000-000000000003",
    "status": "DONE",
    "userAction": "START",
    "userActionUpdated": "2025-08-14T14:02:47.848281Z",
    "created": "2025-08-14T14:01:12.306339Z",
    "completionPercentage": 100,
    "lastUpdated": "2025-08-14T14:30:46.716642Z",
    "costPU": 9006.923884650554,
}


def _task(**members: Any) -> Json:
    gone = {"userActionUpdated", "lastUpdated"} - set(members)
    return {name: value for name, value in _TASK.items() if name not in gone} | members


V2: dict[str, Json] = {
    "done": _TASK,
    "created": _task(status="CREATED", userAction="NONE", completionPercentage=0, costPU=0.0),
    "processing": _task(
        status="PROCESSING",
        userActionUpdated="2025-08-14T14:02:47.848281Z",
        completionPercentage=37.5,
        lastUpdated="2025-08-14T14:12:41.003000Z",
        costPU=3371.2,
    ),
    "failed": _task(status="FAILED", error="Output VH requested but missing", completionPercentage=0, costPU=0.0),
    "stopped by the user": _task(
        status="STOPPED", stoppedStatusReason="USER_ACTION", userAction="STOP", completionPercentage=61, costPU=5494.0
    ),
    "stopped for lack of PU": _task(
        status="STOPPED", stoppedStatusReason="OUT_OF_PU", completionPercentage=80, costPU=7205.5
    ),
    "done out of analysis": _task(userAction="ANALYSE", costPU=0.0),
    "older, in milliseconds": _task(created="2024-08-14T14:01:12.306Z", lastUpdated="2024-08-14T14:30:46Z"),
    "the least there is": {name: _TASK[name] for name in ("id", "request", "domainAccountId", "status")},
    "a status that nobody knows": _task(status="HIBERNATING"),
    "a reason that nobody knows": _task(status="STOPPED", stoppedStatusReason="BAD_WEATHER"),
}

_STATISTICS: Json = {
    "id": "4700adcb-b0fc-44b4-80df-d97ae1f33ec3",
    "request": {
        "input": {
            "features": {
                "s3": {"url": "s3://my-bucket/parcels.gpkg", "accessKey": "*****", "secretAccessKey": "*****"}
            },
            "data": [{"type": "sentinel-2-l2a"}],
        },
        "aggregation": {
            "timeRange": {"from": "2020-01-01T00:00:00Z", "to": "2020-12-31T00:00:00Z"},
            "aggregationInterval": {"of": "P30D"},
            "evalscript": "//VERSION=3",
            "resx": 10,
            "resy": 10,
        },
        "output": {"s3": {"url": "s3://my-bucket/statistics", **_KEYS}},
    },
    "domainAccountId": "e024f6e1-0000-4000-8000-000000000002",
    "status": "CREATED",
    "userAction": "NONE",
    "completionPercentage": 0,
    "costPU": 0.0,
    "created": "2022-08-26T08:40:36.127266Z",
}
STATISTICAL: dict[str, Json] = {
    "created": _STATISTICS,
    "done": {
        **_STATISTICS,
        "status": "DONE",
        "userAction": "START",
        "userActionUpdated": "2022-08-26T08:41:02.000001Z",
        "completionPercentage": 100,
        "lastUpdated": "2022-08-26T08:55:08.962021Z",
        "costPU": 6.027410152775339,
    },
    "stopped": {**_STATISTICS, "status": "STOPPED", "stoppedStatusReason": "OUT_OF_PU", "completionPercentage": 37.5},
    "failed": {**_STATISTICS, "status": "FAILED", "error": "The GeoPackage cannot be read"},
    "a status that nobody knows": {**_STATISTICS, "status": "HIBERNATING"},
}
