"""Where the files of v1's tiles lie, by the request and the tile as the service shows them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.api.service.v1 import read_request
from airflow_sentinelhub.api.tile_table import TileTable
from airflow_sentinelhub.api.tiles import output_paths, tile_item
from airflow_sentinelhub.exceptions import ResultsError
from airflow_sentinelhub.hooks.job_map import RequestSource, ShownRequest, point_of, tiles_of
from tests.api.feeding import ID, feed, page

TILE = {"id": 7, "name": "31TVM_2_5", "status": "PROCESSED"}
UNNAMED = {name: value for name, value in TILE.items() if name != "name"}
TWO = [
    {"identifier": "ndvi", "format": {"type": "image/tiff"}},
    {"identifier": "seen", "format": {"type": "image/png"}},
]


def paths(tile: dict[str, Any], responses: Any = None, **request: Any) -> dict[str, str]:
    process = {} if responses is None else {"output": {"responses": responses}}
    return output_paths({"id": ID, "status": "DONE", "processRequest": process, **request})(tile)


def test_a_plain_path_and_a_template() -> None:
    assert paths(TILE, TWO, output={"defaultTilePath": "s3://maps/a/"}) == {
        "ndvi": f"s3://maps/a/{ID}/31TVM_2_5/ndvi.tif",
        "seen": f"s3://maps/a/{ID}/31TVM_2_5/seen.png",
    }
    assert paths(TILE, bucketName="maps") == {"default": f"s3://maps/{ID}/31TVM_2_5/default.tif"}
    output = {
        "defaultTilePath": "s3://maps/<tileId>.<format>",
        "responses": [{"identifier": "seen", "tilePath": "s3://b/<tileName>"}],
    }
    assert paths(UNNAMED, TWO[:1], output=output) == {"ndvi": "s3://maps/7.tif"}
    assert paths(TILE, TWO, output=output) == {"ndvi": "s3://maps/7.tif", "seen": "s3://b/31TVM_2_5"}


def test_all_tiles_of_a_zarr_lie_in_its_store() -> None:
    bands = [{"identifier": "B04", "format": {"type": "zarr/array"}}, {"identifier": "B08"}]
    store = f"s3://maps/{ID}/cube"
    assert paths(TILE, bands, zarrOutput={"path": "s3://maps/<requestId>/cube"}) == {"B04": store, "B08": store}
    assert paths(UNNAMED, bands, zarrOutput={"path": "s3://cube"}) == {"B04": "s3://cube", "B08": "s3://cube"}


@pytest.mark.parametrize("tile", [UNNAMED, *({**TILE, "name": name} for name in (None, "", " ", [], {}, True, 1.5))])
def test_a_path_with_the_name_of_a_tile_that_has_none_is_not_known(tile: dict[str, Any]) -> None:
    with pytest.raises(ResultsError, match=rf"A tile of batch request {ID} \(id 7, name None\) lacks .* <tileName>"):
        paths(tile, bucketName="maps")


def test_a_number_may_be_a_name() -> None:
    assert paths({**TILE, "name": 5}, bucketName="maps") == {"default": f"s3://maps/{ID}/5/default.tif"}
    assert [tile_item({**TILE, "name": name})["name"] for name in (5, "a", "", [1])] == ["5", "a", "7", "7"]


@pytest.mark.parametrize("request_", [{}, {"output": {}}, {"output": None, "bucketName": None}, {"bucketName": 5}])
def test_no_place_is_not_known(request_: dict[str, Any]) -> None:
    with pytest.raises(ResultsError, match=f"Batch request {ID} names no place for its output 'default'"):
        paths(TILE, **request_)


@pytest.mark.parametrize("odd", [5, "ndvi", {"identifier": "ndvi"}, [5, None, "ndvi"], [[]]], ids=str)
def test_members_of_another_kind_are_as_if_they_were_not_there(odd: Any) -> None:
    assert paths(TILE, odd, bucketName="maps", output={"responses": odd}) == paths(TILE, bucketName="maps")
    assert paths(TILE, [{"format": odd}], bucketName="maps") == paths(TILE, bucketName="maps")


class Hook:
    def __init__(self, *tiles: dict[str, Any]) -> None:
        self.tiles = tiles

    def run(self, flow: Any) -> Any:
        return feed(flow, [page(list(self.tiles))]).result


def table_of(*tiles: dict[str, Any]) -> TileTable:
    request = {"id": ID, "status": "DONE", "bucketName": "maps"}
    known = ShownRequest(job=read_request(request), payload=request)
    (table,) = tiles_of(Hook(*tiles), RequestSource(ID, "v1", "sentinelhub_default"), known)  # type: ignore[arg-type]
    return table


@pytest.mark.parametrize(("cost", "known"), [(6.0, 3.0), (None, None), ("dear", None)])
def test_the_cost_on_the_page_is_unknown_if_a_tile_that_is_done_does_not_say_it(cost: Any, known: float | None) -> None:
    table = table_of({**TILE, "cost": 3.0}, {**TILE, "cost": cost}, {**TILE, "status": "FAILED", "cost": 0.0})
    assert point_of(table, 0.0)[2] == known


def test_a_tile_without_a_name_is_on_the_map_without_its_files() -> None:
    table = table_of(UNNAMED, TILE, {**TILE, "status": "PENDING"})
    assert table.names == ["7", "31TVM_2_5", "31TVM_2_5"]
    assert table.paths == [{}, {"default": f"s3://maps/{ID}/31TVM_2_5/default.tif"}, {}]
