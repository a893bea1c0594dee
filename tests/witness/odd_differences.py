"""Where ours differ on purpose in odd uses, see `test_patterns.py`: (generation, pattern) -> what ours do."""

from __future__ import annotations

_MODELS = {"v1": "BatchRequest", "v2": "BatchProcessRequest", "statistical": "BatchStatisticalRequest"}
_CLIENTS = {"v1": "SentinelHubBatch", "v2": "BatchProcessClient", "statistical": "SentinelHubBatchStatistical"}
_LISTS = (
    ("v1", "SentinelHubBatch.iter_tiles"),
    ("v1", "SentinelHubBatch.iter_tiling_grids"),
    ("v2", "BatchProcessClient.iter_tiling_grids"),
)
_OF_MODELS = {
    ".from_dict of what is no object": "Raises ValueError; the vendor's raises AttributeError.",
    ": times without a zone": "Read as UTC, as the service writes them; the vendor's has no zone.",
    ": times that are none": "Read as None: only an id and a status are needed; the vendor's raises.",
}
_OF_LISTS = {
    ": a copy of a part": "The original is not disturbed; with the vendor's both share the pages, and read some twice.",
    ": by position": "Works; the vendor's iterator has no positions.",
    ".client, url, params, next": "Not there. `index`, `finished` and `features` are.",
}
_EMPTY = (
    "Raises `InvalidInputError` (a ValueError) and sends nothing; with the vendor's the call goes to the address of "
    "the list, which answers something else."
)
ODD_DIFFERENCES: dict[tuple[str, str], str] = {
    **{(generation, name + use): said for generation, name in _MODELS.items() for use, said in _OF_MODELS.items()},
    **{(generation, name + use): said for generation, name in _LISTS for use, said in _OF_LISTS.items()},
    **{(generation, f"{name}: an empty id"): _EMPTY for generation, name in _CLIENTS.items()},
    ("v1", "SentinelHubBatch.tiling_grid: a buffer that is not two numbers"): (
        "Raises `InvalidInputError` (a ValueError); the vendor's raises IndexError or TypeError, or leaves numbers out."
    ),
    ("v1", "SentinelHubBatch.create: a date in the payload"): "Sent as a text; the vendor's raises TypeError.",
    ("v1", "SentinelHubBatch.create: what JSON cannot hold in the payload"): (
        "Raises `InvalidInputError` (a ValueError) and sends nothing; the vendor's raises TypeError, or an error of a "
        "failed download."
    ),
    ("v1", "SentinelHubBatch.get_tiling_grid(None)"): (
        "The service refuses it; with the vendor's the call goes to the address of the list."
    ),
    ("v1", "BatchCollection with name and bucket alone"): (
        "Made and read, as the service's contract has it; the vendor's raises TypeError or KeyError."
    ),
    ("v1", "SentinelHubBatch.get_collection of an object or its JSON"): "Works; the vendor's takes an id alone.",
    ("v1", "BatchRequest.bbox of a request without bounds"): "None; the vendor's raises KeyError or TypeError.",
    ("v1", "BatchRequest.bbox: buffer, reverse, transform, apply, get_partition"): (
        "Not there. Write `sentinelhub.BBox(tuple(request.bbox), request.bbox.crs.value).buffer(0.1)`."
    ),
    ("v2", "BatchProcessClient: places that are none"): (
        "Raises `InvalidInputError` (a ValueError); with the vendor's the service refuses the task."
    ),
    ("v2", "BatchProcessClient.zarr_output with array_parameters"): (
        "Sends `arrayParameters`, as the service's contract has it; the vendor's sends `arrayParameter`."
    ),
    ("statistical", "SentinelHubBatchStatistical.create: parts that are none"): (
        "Raises `InvalidInputError` (a ValueError) and sends nothing; with the vendor's the service refuses."
    ),
    ("statistical", "SentinelHubBatchStatistical.create_from_request of a payload without aggregation or input"): (
        "Raises `InvalidInputError` (a ValueError); the vendor's raises KeyError."
    ),
}
