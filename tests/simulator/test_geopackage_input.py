"""A GeoPackage in the place of a tiling grid: the documented rules, and what becomes of its features."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import shapely

from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.simulator.features import FeaturesError, read_features
from airflow_sentinelhub.simulator.gpkg import Layer, geometry, geopackage, wkb_of

URL = "s3://parcels/fields.gpkg"
COLUMNS = (
    ("id", "INTEGER"),
    ("identifier", "TEXT"),
    ("geometry", "POLYGON"),
    ("width", "INTEGER"),
    ("height", "INTEGER"),
    ("resolution", "REAL"),
)
# A field of 1 km by 500 m in UTM zone 32, and its neighbours to the east.
WEST, SOUTH = 500_000.0, 4_649_000.0


def field(number: int, **members: Any) -> dict[str, Any]:
    west = WEST + 2000 * number
    shape = shapely.box(west, SOUTH, west + 1000, SOUTH + 500)
    row = {
        "id": number,
        "identifier": f"field-{number}",
        "geometry": shape,
        "width": 100,
        "height": 50,
        "resolution": None,
    }
    return {**row, **members}


def layer(*fields: dict[str, Any], name: str = "fields", crs: int = 32632, **changes: Any) -> Layer:
    def blob(shape: Any) -> Any:
        if not isinstance(shape, shapely.Geometry):
            return shape
        return geometry(shapely.to_wkb(shape, byte_order=1), crs, shape.bounds if not shape.is_empty else (0, 0, 0, 0))

    columns = changes.pop("columns", COLUMNS)
    rows = [[blob(row[column]) for column, _ in columns] for row in fields]
    return Layer(
        **{
            "name": name,
            "crs": crs,
            "columns": columns,
            "rows": rows,
            "bounds": (0, 0, 1, 1),
            "geometry_type": "POLYGON",
            **changes,
        }
    )


def without(column: str) -> tuple[tuple[str, str], ...]:
    return tuple(item for item in COLUMNS if item[0] != column)


THREE = [field(number) for number in range(3)]


class TestRules:
    """Read directly; over the API the same sentences come as a violation."""

    @pytest.mark.parametrize(
        ("layers", "sentence"),
        [
            ([], "The GeoPackage has no feature table."),
            ([layer()], "The GeoPackage has no features."),
            ([layer(columns=without("id"))], "Table fields has no column id."),
            ([layer(columns=without("identifier"))], "Table fields has no column identifier."),
            ([layer(field(1, id=None))], "Table fields, feature field-1: id is not a whole number."),
            ([layer(field(1, identifier=None))], "Table fields, feature 1: identifier is not a text."),
            ([layer(field(1, identifier=""))], "Table fields, feature 1: identifier is not a text."),
            ([layer(field(1), field(2, id=1))], "Table fields: id 1 is not unique."),
            ([layer(field(1), field(2, identifier="field-1"))], "The identifier field-1 is not unique."),
            ([layer(field(1)), layer(field(1), name="more")], "The identifier field-1 is not unique."),
            (
                [layer(field(1), geometry_type="POINT")],
                "Table fields holds geometries of type POINT, not POLYGON or MULTIPOLYGON.",
            ),
            ([layer(field(1, geometry=None))], "Table fields, feature field-1: the geometry cannot be read."),
            ([layer(field(1, geometry=b"GP junk"))], "Table fields, feature field-1: the geometry cannot be read."),
            ([layer(field(1, geometry=shapely.Polygon()))], "Table fields, feature field-1: the geometry is empty."),
            (
                [layer(field(1, geometry=shapely.box(0, 0, 1, 1).boundary))],
                "Table fields, feature field-1: the geometry is a LineString, not a polygon or multipolygon.",
            ),
            (
                [layer(field(1, width=None, height=None))],
                "Table fields, feature field-1: neither width and height nor resolution are given.",
            ),
            ([layer(field(1, width=None))], "Table fields, feature field-1: width and height must be given together."),
            (
                [layer(field(1, width=3501))],
                "Table fields, feature field-1: width is 3501 pixels, not a whole number from 1 to 3500.",
            ),
            (
                [layer(field(1, height=0))],
                "Table fields, feature field-1: height is 0 pixels, not a whole number from 1 to 3500.",
            ),
            (
                [layer(field(1, width=None, height=None, resolution=0.1))],
                "Table fields, feature field-1: width is 10000 pixels, not a whole number from 1 to 3500.",
            ),
            (
                [layer(field(1, width=None, height=None, resolution=-1))],
                "Table fields, feature field-1: resolution is not a number above 0.",
            ),
        ],
    )
    def test_broken(self, layers: list[Layer], sentence: str) -> None:
        with pytest.raises(FeaturesError) as caught:
            read_features(geopackage(layers), None, None)
        assert str(caught.value) == sentence

    def test_a_crs_that_is_not_of_epsg(self) -> None:
        content = changed(geopackage([layer(*THREE)]), "UPDATE gpkg_spatial_ref_sys SET organization = 'ESRI'")
        with pytest.raises(FeaturesError, match=r"^The CRS of table fields is not one of EPSG\.$"):
            read_features(content, None, None)

    def test_too_many(self) -> None:
        with pytest.raises(FeaturesError, match=r"^The GeoPackage has 3 features, more than the 2 allowed\.$"):
            read_features(geopackage([layer(*THREE)]), None, None, most=2)

    @pytest.mark.parametrize("content", [b"", b"<html>", geopackage([layer(*THREE)])[:3000]])
    def test_no_geopackage(self, content: bytes) -> None:
        with pytest.raises(FeaturesError, match=r"^The file is not a valid GeoPackage\.$"):
            read_features(content, None, None)

    def test_nothing_in_the_area(self) -> None:
        with pytest.raises(FeaturesError, match=r"^The GeoPackage has no features that touch the area\.$"):
            read_features(geopackage([layer(*THREE)]), None, shapely.box(0, 0, 1, 1))


class TestSizes:
    def sizes(self, **members: Any) -> tuple[int, int]:
        defaults = members.pop("defaults", None)
        found = read_features(geopackage([layer(field(0, **members))]), defaults, None)
        return int(found.widths[0]), int(found.heights[0])

    def test_width_and_height_win(self) -> None:
        assert self.sizes(resolution=1.0) == (100, 50)

    def test_resolution(self) -> None:
        assert self.sizes(width=None, height=None, resolution=10.0) == (100, 50)
        assert self.sizes(width=None, height=None, resolution=30.0) == (34, 17)
        assert self.sizes(width=None, height=None, resolution=5000.0) == (1, 1)

    def test_defaults_are_for_features_that_have_none(self) -> None:
        assert self.sizes(defaults={"width": 7, "height": 8}) == (100, 50)
        assert self.sizes(width=None, height=None, defaults={"width": 7, "height": 8}) == (7, 8)
        assert self.sizes(width=None, height=None, defaults={"resolution": 100}) == (10, 5)
        assert self.sizes(width=None, height=None, resolution=10.0, defaults={"width": 7, "height": 8}) == (100, 50)

    def test_without_the_optional_columns(self) -> None:
        content = geopackage([layer(field(0), columns=COLUMNS[:3])])
        found = read_features(content, {"width": 7, "height": 8}, None)
        assert (int(found.widths[0]), int(found.heights[0])) == (7, 8)


class TestFeatures:
    def test_layers_and_crs(self) -> None:
        degrees = shapely.MultiPolygon([shapely.box(9, 42, 9.01, 42.01)])
        content = geopackage(
            [
                layer(*THREE),
                layer(
                    field(0, identifier="x", geometry=degrees),
                    name='odd "name"',
                    crs=4326,
                    geometry_type="MULTIPOLYGON",
                ),
            ]
        )
        found = read_features(content, None, None)
        assert list(found.names) == ["field-0", "field-1", "field-2", "x"]
        assert found.crs.tolist() == [32632, 32632, 32632, 4326]
        assert found.polygons[3].equals(degrees)

    def test_only_what_touches_the_area(self) -> None:
        area = shapely.box(9.0, 41.9, 9.013, 42.1)  # up to about 501,075 m east
        assert list(read_features(geopackage([layer(*THREE)]), None, area).names) == ["field-0"]

    @pytest.mark.parametrize("indicator", [0, 1, 2, 3, 4])
    def test_envelopes_of_every_kind(self, indicator: int) -> None:
        wkb = shapely.to_wkb(shapely.box(0, 0, 1, 1))
        size = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}[indicator]
        blob = b"GP\0" + bytes([indicator << 1 | 1]) + b"\0" * (4 + size) + wkb
        assert wkb_of(blob) == wkb


def changed(content: bytes, statement: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gpkg"
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as database:
            database.execute(statement)
            database.commit()
        return path.read_bytes()


def upload(sim: Simulator, *layers: Layer) -> None:
    (sim.bucket_dir / "parcels").mkdir(exist_ok=True)
    (sim.bucket_dir / "parcels/fields.gpkg").write_bytes(geopackage(layers))


def members(api: Any, area: list[float] | None = None, **more: Any) -> dict[str, Any]:
    """What a create call needs; without an area there are no bounds."""
    request = api.v2_body()["processRequest"]
    if area is None:
        del request["input"]["bounds"]
    else:
        request["input"]["bounds"] = {"bbox": area}
    storage = {"url": URL, "accessKey": "AKIA", "secretAccessKey": "hush"}
    return {"processRequest": request, "input": {"type": "geopackage", "features": {"s3": storage}, **more}}


def query(sim: Simulator, kind: str, statement: str) -> list[Any]:
    (path,) = sim.bucket_dir.rglob(f"{kind}-*")
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


class TestTask:
    @pytest.fixture(autouse=True)
    def _empty_buckets(self, sim: Simulator) -> None:
        """The simulator is shared, and a reset leaves its buckets alone."""
        for bucket in sim.bucket_dir.iterdir():
            shutil.rmtree(bucket)

    def test_from_create_to_delivered_features(self, api: Any, sim: Simulator) -> None:
        upload(sim, layer(*(field(number) for number in range(10))))
        sim.settings(write_images=True)
        sim.fault("fail_tiles", names=["field-3"])
        path = api.create("v2", **members(api))
        api.post(f"{path}/start")
        sim.step(7200)
        task = api.get(path).json()
        assert (task["status"], task["completionPercentage"]) == ("DONE", 100)
        assert task["costPU"] == 100
        number = task["id"]
        found = query(sim, "featureManifest", "SELECT identifier, path, width, height FROM feature_32632 LIMIT 1")
        assert found == [("field-0", f"s3://maps/ndvi/{number}/field-0/default.tif", 100, 50)]
        assert query(sim, "execution", "SELECT name FROM features WHERE status = 'FATAL'") == [("field-3",)]
        assert len(list((sim.bucket_dir / "maps/ndvi" / number).glob("field-*/default.tif"))) == 9

    def test_shapes_in_the_manifest_are_those_of_the_file(self, api: Any, sim: Simulator) -> None:
        upload(sim, layer(*THREE))
        api.post(f"{api.create('v2', **members(api))}/analyse")
        sim.step(600)
        for name, blob in query(sim, "featureManifest", "SELECT identifier, geometry FROM feature_32632"):
            wanted = next(row["geometry"] for row in THREE if row["identifier"] == name)
            assert shapely.from_wkb(wkb_of(blob)).equals(wanted)

    def test_only_features_in_the_area_are_processed(self, api: Any, sim: Simulator) -> None:
        upload(sim, layer(*THREE))
        path = api.create("v2", **members(api, [9.0, 41.9, 9.013, 42.1]))
        api.post(f"{path}/start")
        sim.step(7200)
        assert query(sim, "execution", "SELECT id, name FROM features") == [(1, "field-0")]

    def test_cost_goes_by_the_size_of_each_feature(self, api: Any, sim: Simulator) -> None:
        """3500 x 3500 pixels of two bands in floats, a third of that by the discount; the small ones weigh nothing."""
        big = [field(number, width=3500, height=3500) for number in range(40)]
        upload(sim, layer(*big, *(field(number, width=50, height=50) for number in range(40, 50))))
        path = api.create("v2", **members(api))
        api.post(f"{path}/start")
        sim.step(7200)
        one = 3500 * 3500 / 512**2 * 2 / 3 * 2
        assert api.get(path).json()["costPU"] == pytest.approx(40 * one / 3, rel=0.05)

    def test_a_broken_file_is_a_violation(self, api: Any, sim: Simulator) -> None:
        upload(sim, layer(field(1), field(2, id=1)))
        reply = api.post("/batch/v2/process", json=api.v2_body(**members(api)))
        assert reply.status_code == 400
        error = reply.json()["error"]
        violation = "Table fields: id 1 is not unique."
        assert error["errors"] == [{"parameter": "input->features", "violation": violation}]
        assert (error["code"], error["message"]) == ("COMMON_BAD_PAYLOAD", f"{violation}\n")
        assert not list(sim.bucket_dir.rglob("request-*.json"))

    def test_a_missing_file(self, api: Any, sim: Simulator) -> None:
        reply = api.post("/batch/v2/process", json=api.v2_body(**members(api)))
        assert reply.status_code == 400
        assert reply.json()["error"]["message"] == f"The GeoPackage {URL} does not exist.\n"

    def test_defaults_of_the_task(self, api: Any, sim: Simulator) -> None:
        upload(sim, layer(field(0, width=None, height=None)))
        reply = api.post("/batch/v2/process", json=api.v2_body(**members(api)))
        assert reply.status_code == 400
        path = api.create("v2", **members(api, defaults={"resolution": 20}))
        api.post(f"{path}/analyse")
        sim.step(600)
        assert query(sim, "featureManifest", "SELECT width, height FROM feature_32632") == [(50, 25)]

    def test_the_file_may_go_once_the_task_is_there(self, api: Any, tmp_path: Path) -> None:
        """Also when the simulator is started anew on its state."""

        def simulator() -> Simulator:
            return Simulator(speed=0, state=tmp_path / "state", bucket_dir=tmp_path / "buckets")

        with simulator() as first:
            client = type(api)(first)
            upload(first, layer(*THREE))
            path = client.create("v2", **members(client))
            (first.bucket_dir / "parcels/fields.gpkg").unlink()
            client.http.close()
        with simulator() as second:
            client = type(api)(second)
            client.post(f"{path}/start")
            second.step(7200)
            assert client.state(path)[0] == "DONE"
            assert query(second, "execution", "SELECT count(*) FROM features") == [(3,)]
            client.http.close()
