"""What lies in the bucket: manifest, execution database, outputs; when they come, and how they can be missing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub.simulator import Simulator, SimulatorError
from airflow_sentinelhub.simulator.geotiff import geotiff
from airflow_sentinelhub.simulator.gpkg import wkb_of

# Without <requestId>: all requests deliver to the same place.
SHARED = "s3://maps/shared/<tileName>/<outputId>.<format>"


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def files(sim: Simulator, folder: str = "") -> set[str]:
    """Kinds of files about requests: request, featureManifest, execution."""
    root = sim.bucket_dir / "maps" / folder
    return {path.name.partition("-")[0] for path in root.rglob("*") if path.suffix in (".json", ".gpkg", ".sqlite")}


def find(sim: Simulator, path: str, kind: str) -> Path:
    (found,) = sim.bucket_dir.rglob(f"{kind}-{id_of(path)}.*")
    return found


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def states(sim: Simulator, path: str) -> dict[str, int]:
    query = "SELECT status, count(*) FROM features GROUP BY status"
    return dict(rows(find(sim, path, "execution"), query))


def output(url: str, **members: Any) -> dict[str, Any]:
    storage = {"url": url, "accessKey": "AKIA", "secretAccessKey": "hush"}
    return {"type": "raster", "delivery": {"s3": storage}, **members}


def finished(api: Any, **members: Any) -> str:
    """Path of a new v2 request at its end."""
    path: str = api.create("v2", **members)
    assert api.post(f"{path}/start").status_code == 204
    api.simulator.step(7200)
    assert api.state(path)[0] == "DONE"
    return path


@pytest.fixture(autouse=True)
def _empty_buckets(sim: Simulator) -> None:
    """The simulator is shared, and a reset leaves its buckets alone."""
    for bucket in sim.bucket_dir.iterdir():
        shutil.rmtree(bucket)


class TestManifest:
    def test_comes_with_the_end_of_analysis(self, api: Any, sim: Simulator) -> None:
        path = api.create("v2")
        api.post(f"{path}/analyse")
        sim.step(20)
        assert api.state(path)[0] == "ANALYSING"
        assert files(sim) == {"request"}
        sim.step(20)
        assert api.state(path)[0] == "ANALYSIS_DONE"
        assert files(sim) == {"request", "featureManifest"}

    def test_not_with_a_failed_analysis(self, api: Any, sim: Simulator) -> None:
        path = api.create("v2")
        sim.fault("fail_analysis")
        api.post(f"{path}/analyse")
        sim.step(600)
        assert api.state(path)[0] == "FAILED"
        assert files(sim) == {"request"}

    def test_not_for_v1(self, api: Any, sim: Simulator) -> None:
        path = api.create("v1")
        api.post(f"{path}/start")
        sim.step(7200)
        assert api.state(path)[0] == "DONE"
        assert files(sim) == {"request"}

    def test_lies_at_the_root_of_the_delivery(self, api: Any, sim: Simulator) -> None:
        plain, shared = finished(api), finished(api, output=output(SHARED))
        assert find(sim, plain, "featureManifest").parent == sim.bucket_dir / "maps/ndvi" / id_of(plain)
        assert find(sim, shared, "featureManifest").parent == sim.bucket_dir / "maps/shared"

    def test_is_a_geopackage(self, api: Any, sim: Simulator) -> None:
        """By the standard: requirements 2, 3, 5 (application id), 10 (SRS), 13 (contents), 21 (geometry columns)."""
        path = find(sim, finished(api), "featureManifest")
        assert path.read_bytes()[:16] == b"SQLite format 3\0"
        assert rows(path, "PRAGMA application_id") == [(0x47504B47,)]
        assert rows(path, "PRAGMA user_version")[0][0] >= 10200
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        assert rows(path, "PRAGMA foreign_key_check") == []
        assert {-1, 0, 4326, 32632} == {code for (code,) in rows(path, "SELECT srs_id FROM gpkg_spatial_ref_sys")}
        contents = rows(path, "SELECT table_name, data_type, srs_id FROM gpkg_contents")
        assert contents == [("feature_32632", "features", 32632)]
        geometries = rows(path, "SELECT table_name, column_name, srs_id, z, m FROM gpkg_geometry_columns")
        assert geometries == [("feature_32632", "geometry", 32632, 0, 0)]

    def test_has_the_documented_columns(self, api: Any, sim: Simulator) -> None:
        path = find(sim, finished(api), "featureManifest")
        columns = [(row[1], row[2]) for row in rows(path, "PRAGMA table_info(feature_32632)")]
        assert columns == [
            ("fid", "INTEGER"),
            ("outputId", "TEXT"),
            ("identifier", "TEXT"),
            ("path", "TEXT"),
            ("width", "INTEGER"),
            ("height", "INTEGER"),
            ("geometry", "GEOMETRY"),
        ]

    def test_one_row_for_each_feature_and_output(self, api: Any, sim: Simulator) -> None:
        body = api.v2_body()["processRequest"]
        body["output"]["responses"].append({"identifier": "userdata", "format": {"type": "application/json"}})
        body["input"]["bounds"] = {"bbox": [9.01, 41.91, 9.05, 41.95]}
        grid = {"type": "tiling-grid", "id": 1, "resolution": 20, "bufferX": 5, "bufferY": 7}
        path = finished(api, processRequest=body, input=grid)
        found = rows(
            find(sim, path, "featureManifest"), "SELECT identifier, outputId, path, width, height FROM feature_32632"
        )
        names = sorted({row[0] for row in found})
        number = id_of(path)
        assert len(names) > 1
        assert sorted(found) == sorted(
            row
            for name in names
            for row in (
                (name, "default", f"s3://maps/ndvi/{number}/{name}/default.tif", 510, 514),
                (name, "userdata", f"s3://maps/ndvi/{number}/{name}/userdata.json", 510, 514),
            )
        )

    def test_tiles_are_those_of_v1(self, api: Any, sim: Simulator) -> None:
        """Same area, same grid: same names, same squares."""
        old = api.create("v1")
        api.post(f"{old}/analyse")
        path = api.create("v2")
        api.post(f"{path}/analyse")
        sim.step(600)
        api.get(path)
        wanted = {tile["name"]: tile["origin"]["coordinates"] for tile in api.get(f"{old}/tiles").json()["data"]}
        query = "SELECT identifier, geometry FROM feature_32632"
        found = {}
        for name, blob in rows(find(sim, path, "featureManifest"), query):
            west, south, east, north = shapely.from_wkb(wkb_of(blob)).bounds
            assert (east - west, north - south) == (10_000, 10_000)
            # The envelope in the header: west, east, south, north.
            assert struct.unpack_from("<i4d", blob, 4) == (32632, west, east, south, north)
            found[name] = [west, north]
        assert found == wanted

    def test_a_table_for_each_crs(self, api: Any, sim: Simulator) -> None:
        body = api.v2_body()["processRequest"]
        body["input"]["bounds"] = {"bbox": [5.95, 45.0, 6.05, 45.05]}
        path = find(sim, finished(api, processRequest=body), "featureManifest")
        tables = [name for (name,) in rows(path, "SELECT table_name FROM gpkg_contents ORDER BY 1")]
        assert tables == ["feature_32631", "feature_32632"]
        west, east = rows(path, "SELECT min_x, max_x FROM gpkg_contents WHERE srs_id = 32631")[0]
        assert 700_000 < west < east < 800_000

    def test_other_grids(self, api: Any, sim: Simulator) -> None:
        for number, resolution, code in ((3, 0.002, 4326), (6, 100, 3035)):
            path = finished(api, input={"type": "tiling-grid", "id": number, "resolution": resolution})
            assert rows(find(sim, path, "featureManifest"), f"SELECT count(*) FROM feature_{code}")[0][0] >= 1

    def test_for_zarr_the_path_is_the_store(self, api: Any, sim: Simulator) -> None:
        body = api.v2_body()["processRequest"]
        body["output"]["responses"] = [{"identifier": "default", "format": {"type": "zarr/array"}}]
        zarr = output("s3://maps/<requestId>/cube")
        zarr |= {"type": "zarr", "group": {"zarr_format": 2}}
        zarr["arrayParameters"] = {"dtype": "<f4", "chunks": [1, 100, 100], "order": "C", "fill_value": 0}
        grid = {"type": "tiling-grid", "id": 3, "resolution": 0.002}
        path = finished(api, processRequest=body, input=grid, output=zarr)
        found = rows(find(sim, path, "featureManifest"), "SELECT DISTINCT path FROM feature_4326")
        assert found == [(f"s3://maps/{id_of(path)}/cube",)]


class TestExecutionDatabase:
    def test_comes_with_the_first_upload_and_grows(self, api: Any, sim: Simulator) -> None:
        sim.settings(concurrency=2, execution_upload_period=60)
        path = api.create("v2")
        api.post(f"{path}/start")
        sim.step(40)
        assert api.state(path)[0] == "PROCESSING"
        assert "execution" not in files(sim)
        seen = []
        for _ in range(30):
            sim.step(30)
            api.get(path)
            if "execution" in files(sim):
                seen.append(states(sim, path))
        assert all(sum(state.values()) == 24 for state in seen)
        done = [state.get("DONE", 0) for state in seen]
        assert done == sorted(done)
        assert done[0] < 10
        assert done[-1] == 24
        # Uploaded every 60 seconds, looked at every 30.
        assert all(one == two for one, two in zip(done[0:8:2], done[1:8:2], strict=True))

    def test_the_last_one_comes_before_done(self, api: Any, sim: Simulator) -> None:
        sim.settings(settle_seconds=300)
        path = api.create("v2")
        api.post(f"{path}/start")
        sim.step(400)
        task = api.get(path).json()
        assert (task["status"], task["completionPercentage"]) == ("PROCESSING", 100)
        assert states(sim, path) == {"DONE": 24}

    def test_has_the_documented_columns(self, api: Any, sim: Simulator) -> None:
        path = find(sim, finished(api), "execution")
        columns = [(row[1], row[2]) for row in rows(path, "PRAGMA table_info(features)")]
        assert columns == [
            ("id", "INTEGER"),
            ("name", "TEXT"),
            ("status", "TEXT"),
            ("error", "TEXT"),
            ("delivered", "BOOLEAN"),
        ]
        manifest = find(sim, f"/{path.stem.removeprefix('execution-')}", "featureManifest")
        names = rows(path, "SELECT name FROM features ORDER BY name")
        assert names == rows(manifest, "SELECT DISTINCT identifier FROM feature_32632 ORDER BY identifier")

    def test_failed_features_in_a_request_that_is_done(self, api: Any, sim: Simulator) -> None:
        sim.fault("fail_tiles", share=0.25)
        path = finished(api)
        found = rows(
            find(sim, path, "execution"),
            "SELECT status, error IS NOT NULL, delivered, count(*) FROM features GROUP BY 1, 2, 3",
        )
        assert found == [("DONE", 0, 1, 18), ("FATAL", 1, 0, 6)]
        assert api.get(path).json()["completionPercentage"] == 100

    def test_failed_features_cost_nothing(self, api: Any, sim: Simulator) -> None:
        body = api.v2_body()["processRequest"]
        body["input"]["bounds"] = {"bbox": [8.9, 41.0, 10.3, 42.3]}
        good = api.get(finished(api, processRequest=body)).json()["costPU"]
        sim.fault("fail_tiles", share=0.5)
        assert api.get(finished(api, processRequest=body)).json()["costPU"] == pytest.approx(good / 2, rel=0.05)

    def test_features_by_name(self, api: Any, sim: Simulator) -> None:
        sim.fault("fail_tiles", names=["32TNM_0_1", "32TNM_1_1"])
        query = "SELECT name FROM features WHERE status = 'FATAL' ORDER BY name"
        assert rows(find(sim, finished(api), "execution"), query) == [("32TNM_0_1",), ("32TNM_1_1",)]

    def test_no_data(self, api: Any, sim: Simulator) -> None:
        sim.settings(no_data_share=0.125)
        found = rows(
            find(sim, finished(api), "execution"),
            "SELECT status, error, delivered, count(*) FROM features GROUP BY 1, 2, 3",
        )
        assert found == [("DONE", None, 1, 21), ("DONE", "No data", 0, 3)]

    def test_a_stopped_request_keeps_pending_features_until_it_goes_on(self, api: Any, sim: Simulator) -> None:
        sim.settings(concurrency=2)
        path = api.create("v2")
        api.post(f"{path}/start")
        sim.step(150)
        api.post(f"{path}/stop")
        sim.step(1000)
        assert api.state(path)[0] == "STOPPED"
        stopped = states(sim, path)
        assert stopped["PENDING"] > 10
        assert stopped["DONE"] > 1
        sim.step(1800)
        assert api.post(f"{path}/start").status_code == 204
        sim.step(7200)
        assert api.state(path)[0] == "DONE"
        assert states(sim, path) == {"DONE": 24}

    def test_whoever_lists_requests_finds_the_files_of_finished_ones(self, api: Any, sim: Simulator) -> None:
        sim.speed(1_000_000)
        path = api.create("v2")
        api.post(f"{path}/start")
        while api.get("/batch/v2/process").json()["data"][0]["status"] != "DONE":
            pass
        assert states(sim, path) == {"DONE": 24}

    def test_whoever_moves_the_clock_needs_not_call(self, api: Any, sim: Simulator) -> None:
        path = api.create("v2")
        api.post(f"{path}/start")
        sim.step(7200)
        assert states(sim, path) == {"DONE": 24}

    def test_what_somebody_removed_stays_away(self, api: Any, sim: Simulator) -> None:
        path = finished(api)
        find(sim, path, "execution").unlink()
        api.get(path)
        sim.step(1000)
        assert "execution" not in files(sim)


class TestFaults:
    def test_no_manifest(self, api: Any, sim: Simulator) -> None:
        sim.settings(manifest_missing=True)
        path = finished(api)
        assert files(sim) == {"request", "execution"}
        sim.settings(manifest_missing=False)
        api.get(path)
        assert files(sim) == {"request", "execution", "featureManifest"}

    def test_no_database(self, api: Any, sim: Simulator) -> None:
        sim.settings(execution_missing=True)
        finished(api)
        assert files(sim) == {"request", "featureManifest"}

    def test_half_uploaded(self, api: Any, sim: Simulator) -> None:
        sim.settings(execution_truncated=True)
        path = finished(api)
        with pytest.raises(sqlite3.DatabaseError):
            states(sim, path)
        sim.settings(execution_truncated=False)
        assert states(sim, path) == {"DONE": 24}

    def test_another_schema(self, api: Any, sim: Simulator) -> None:
        sim.settings(execution_other_schema=True)
        path = finished(api)
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            states(sim, path)

    def test_a_bucket_that_cannot_be_written_does_not_stop_the_service(self, api: Any, sim: Simulator) -> None:
        path = api.create("v2")
        folder = sim.bucket_dir / "maps/ndvi" / id_of(path)
        shutil.rmtree(folder)
        folder.write_bytes(b"in the way")
        api.post(f"{path}/start")
        sim.step(7200)
        assert api.state(path)[0] == "DONE"
        folder.unlink()
        api.get(path)
        assert states(sim, path) == {"DONE": 24}, "written as soon as that is possible"


class TestSkipExisting:
    def test_all_there(self, api: Any, sim: Simulator) -> None:
        """Analysis ends in DONE, nothing to start, nothing to pay (seen)."""
        finished(api, output=output(SHARED))
        path = api.create("v2", output=output(SHARED, skipExisting=True))
        api.post(f"{path}/analyse")
        sim.step(600)
        task = api.get(path).json()
        assert (task["status"], task["userAction"], task["costPU"]) == ("DONE", "ANALYSE", 0)
        assert api.post(f"{path}/start").status_code == 400

    def test_the_failed_part(self, api: Any, sim: Simulator) -> None:
        """The nearest that v2 has to a restart: a new request over the same place."""
        sim.fault("fail_tiles", share=0.25)
        first = finished(api, output=output(SHARED))
        second = finished(api, output=output(SHARED, skipExisting=True))
        assert states(sim, first) == {"DONE": 18, "FATAL": 6}
        assert states(sim, second) == {"DONE": 24}
        summary = {request["id"]: request for request in sim.requests()}
        assert summary[id_of(second)]["cost"] == 100, "six small tiles: the least a request costs"

    def test_a_plain_path_is_continued_by_naming_it(self, api: Any, sim: Simulator) -> None:
        first = finished(api)
        url = f"s3://maps/ndvi/{id_of(first)}/<tileName>/<outputId>.<format>"
        path = api.create("v2", output=output(url, skipExisting=True))
        api.post(f"{path}/analyse")
        sim.step(600)
        assert api.state(path) == ("DONE", "ANALYSE")

    def test_neither_skip_nor_overwrite(self, api: Any, sim: Simulator) -> None:
        finished(api, output=output(SHARED))
        path = api.create("v2", output=output(SHARED))
        api.post(f"{path}/start")
        sim.step(7200)
        task = api.get(path).json()
        assert task["status"] == "FAILED"
        assert task["error"].startswith("Output already exists: s3://maps/shared/")

    def test_overwrite(self, api: Any, sim: Simulator) -> None:
        finished(api, output=output(SHARED))
        assert states(sim, finished(api, output=output(SHARED, overwrite=True))) == {"DONE": 24}

    def test_other_outputs_are_not_there(self, api: Any, sim: Simulator) -> None:
        finished(api, output=output(SHARED))
        body = api.v2_body()["processRequest"]
        body["output"]["responses"] = [{"identifier": "userdata", "format": {"type": "application/json"}}]
        path = api.create("v2", processRequest=body, output=output(SHARED, skipExisting=True))
        api.post(f"{path}/analyse")
        sim.step(600)
        assert api.state(path)[0] == "ANALYSIS_DONE"

    def test_a_cleared_bucket_is_empty(self, api: Any, sim: Simulator) -> None:
        finished(api, output=output(SHARED))
        shutil.rmtree(sim.bucket_dir / "maps")
        path = api.create("v2", output=output(SHARED))
        api.post(f"{path}/analyse")
        sim.step(600)
        assert api.state(path)[0] == "ANALYSIS_DONE"

    def test_images_count_one_by_one(self, api: Any, sim: Simulator) -> None:
        sim.settings(write_images=True)
        finished(api, output=output(SHARED))
        removed = sorted((sim.bucket_dir / "maps/shared").glob("*/default.tif"))[:3]
        for image in removed:
            image.unlink()
        path = api.create("v2", output=output(SHARED, skipExisting=True))
        api.post(f"{path}/analyse")
        sim.step(600)
        assert api.state(path)[0] == "ANALYSIS_DONE"
        api.post(f"{path}/start")
        sim.step(600)
        assert api.state(path)[0] == "DONE"
        assert all(image.exists() for image in removed)

    def test_v1_too(self, api: Any, sim: Simulator) -> None:
        place = {"defaultTilePath": SHARED}
        first = api.create("v1", output=place)
        api.post(f"{first}/start")
        sim.step(7200)
        second = api.create("v1", output=place)
        api.post(f"{second}/start")
        sim.step(7200)
        assert api.state(second)[0] == "FAILED"


class TestImages:
    def test_off_unless_wanted(self, api: Any, sim: Simulator) -> None:
        finished(api)
        assert not list(sim.bucket_dir.rglob("*.tif"))

    def test_where_the_manifest_says(self, api: Any, sim: Simulator) -> None:
        sim.settings(write_images=True)
        sim.fault("fail_tiles", share=0.25)
        path = finished(api)
        query = "SELECT name FROM features WHERE delivered"
        delivered = {name for (name,) in rows(find(sim, path, "execution"), query)}
        listed = dict(rows(find(sim, path, "featureManifest"), "SELECT identifier, path FROM feature_32632"))
        there = {str(image.relative_to(sim.bucket_dir)) for image in sim.bucket_dir.rglob("*.tif")}
        assert there == {listed[name].removeprefix("s3://") for name in delivered}
        assert len(there) == 18

    def test_they_come_one_by_one(self, api: Any, sim: Simulator) -> None:
        sim.settings(write_images=True, concurrency=1)
        path = api.create("v1")
        api.post(f"{path}/start")
        seen = []
        for _ in range(20):
            sim.step(60)
            seen.append(len(list(sim.bucket_dir.rglob("*.tif"))))
            assert seen[-1] == api.statuses(path).count("PROCESSED") if seen[-1] else True
        assert seen == sorted(seen)
        assert len(set(seen)) > 10

    def test_a_geotiff(self, api: Any, sim: Simulator) -> None:
        sim.settings(write_images=True)
        path = finished(api)
        tags = tiff_tags(sim.bucket_dir / f"maps/ndvi/{id_of(path)}/32TNM_0_1/default.tif")
        assert (tags[256], tags[257], tags[258], tags[259], tags[277]) == ((64,), (64,), (8,), (1,), (1,))
        assert tags[33550] == (156.25, 156.25, 0.0), "64 pixels for 10 km"
        assert tags[33922] == (0.0, 0.0, 0.0, 500_000.0, 4_690_000.0, 0.0)
        assert tags[34735][-4:] == (3072, 0, 1, 32632)

    def test_user_data_and_own_paths(self, api: Any, sim: Simulator) -> None:
        sim.settings(write_images=True)
        body = api.v1_body()["processRequest"]
        body["output"]["responses"].append({"identifier": "userdata", "format": {"type": "application/json"}})
        place = {
            "defaultTilePath": "s3://maps/all",
            "responses": [{"identifier": "userdata", "tilePath": "s3://maps/extra/<tileName>.json"}],
        }
        path = api.create("v1", processRequest=body, output=place)
        api.post(f"{path}/start")
        sim.step(7200)
        assert api.state(path)[0] == "DONE"
        assert len(list((sim.bucket_dir / "maps/all" / id_of(path)).glob("*/default.tif"))) == 24
        told = json.loads((sim.bucket_dir / "maps/extra/32TNM_0_1.json").read_text())
        assert told == {"requestId": id_of(path), "tileName": "32TNM_0_1"}


def tiff_tags(path: Path) -> dict[int, tuple[Any, ...]]:
    """The tags of a little-endian TIFF, and whether its strip lies where they say."""
    content = path.read_bytes()
    assert content[:4] == b"II*\0"
    (begin,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, begin)
    tags: dict[int, tuple[Any, ...]] = {}
    for number in range(count):
        at = begin + 2 + 12 * number
        tag, kind, length = struct.unpack_from("<HHI", content, at)
        code = {3: "H", 4: "I", 12: "d"}[kind]
        size = struct.calcsize(f"<{length}{code}")
        place = at + 8 if size <= 4 else struct.unpack_from("<I", content, at + 8)[0]
        tags[tag] = struct.unpack_from(f"<{length}{code}", content, place)
    assert list(tags) == sorted(tags), "tags must be in order"
    assert tags[273][0] + tags[279][0] == len(content)
    assert tags[279][0] == tags[256][0] * tags[257][0]
    return tags


def test_a_geotiff_needs_as_many_bytes_as_pixels() -> None:
    with pytest.raises(ValueError, match="5 bytes are not 2 x 3 pixels"):
        geotiff(b"\1" * 5, 2, 3, (0, 0, 1, 1), 4326, geographic=True)


class TestWhereBucketsAre:
    def test_the_connection_says_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "a b&c"
        with Simulator(speed=0, bucket_dir=folder) as simulator:
            assert simulator.airflow_connection_uri.endswith(
                f"&bucket_mount={str(tmp_path).replace('/', '%2F')}%2Fa%20b%26c"
            )
            assert simulator.as_dict()["bucket_dir"] == str(folder)

    def test_a_relative_folder_becomes_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert Simulator(bucket_dir="b").bucket_dir == tmp_path / "b"

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(SimulatorError, match=r"^The simulator cannot use .*/file/b: Not a directory\.$"):
            Simulator(bucket_dir=tmp_path / "file/b").prepare()

    def test_in_s3(self) -> None:
        pytest.importorskip("boto3")
        with Simulator(speed=0, s3_endpoint="http://127.0.0.1:9") as simulator:
            assert "bucket_mount" not in simulator.airflow_connection_uri
            assert simulator.as_dict()["s3_endpoint"] == "http://127.0.0.1:9"
            assert "bucket_dir" not in simulator.as_dict()


@pytest.mark.parametrize("members", [{}, {"output": output(SHARED)}], ids=["its own folder", "a shared folder"])
@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_files_of_a_forgotten_request_are_not_those_of_a_new_one(
    generation: str, members: dict[str, Any], api: Any, tmp_path: Path
) -> None:
    """Without a state folder a restart forgets the requests, but the buckets stay: no id is given a second time."""
    if generation == "v1" and members:
        members = {"output": {"defaultTilePath": SHARED}}
    given = []
    for _ in range(3):
        with Simulator(speed=0, bucket_dir=tmp_path / "buckets") as simulator:
            client = type(api)(simulator)
            given += [id_of(client.create(generation, **members)) for _ in range(2)]
            client.http.close()
    assert len(set(given)) == 6


class TestAcrossRestarts:
    """A simulator with a state folder knows what it has written."""

    def test_nothing_is_written_twice_and_nothing_is_forgotten(self, api: Any, tmp_path: Path) -> None:
        def simulator() -> Simulator:
            return Simulator(speed=0, state=tmp_path / "state", bucket_dir=tmp_path / "buckets")

        with simulator() as first:
            client = type(api)(first)
            path = client.create("v2")
            client.post(f"{path}/start")
            first.step(100)
            find(first, path, "featureManifest").unlink()
            client.http.close()
        with simulator() as second:
            client = type(api)(second)
            second.step(7200)
            assert client.state(path)[0] == "DONE"
            assert states(second, path) == {"DONE": 24}
            assert "featureManifest" not in files(second)
            second.reset()
            client.http.close()
        with simulator() as third:
            assert third.requests() == []
