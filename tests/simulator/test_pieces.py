"""Small pure parts: evalscripts, cost, paths in the bucket, search, multi-line states."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_sentinelhub.simulator import cost, delivery, evalscript
from airflow_sentinelhub.simulator.delivery import LocalBucket
from airflow_sentinelhub.simulator.handlers import matches
from airflow_sentinelhub.simulator.journal import Journal

GOOD = """//VERSION=3
// braces in comments { [ ( do no harm
function setup() {
  return {input: ["B04", "B08"], output: [{id: "index", bands: 1, sampleType: "FLOAT32"}], mosaicking: "ORBIT"};
}
const label = "}" + '{' + `${1} (`;
const pattern = /[{(]/g;
function evaluatePixel(samples) { return {index: [samples[0].B04 / 2]}; }
"""


class TestEvalscript:
    def test_a_good_one(self) -> None:
        assert evalscript.problem(GOOD, ["index", "userdata"]) is None
        assert evalscript.problem("\n" + GOOD, ["default"]) is None
        arrow = "//VERSION=3\nlet setup = () => ({});\nconst evaluatePixel = (s) => [1];"
        assert evalscript.problem(arrow, ["default"]) is None

    @pytest.mark.parametrize(
        ("script", "word"),
        [
            ("return [B04]", "VERSION=3"),
            (GOOD.replace("//VERSION=3", "//VERSION=2"), "VERSION=3"),
            (GOOD.replace("setup", "prepare"), "setup is not defined"),
            (GOOD.replace("evaluatePixel", "evaluate"), "evaluatePixel is not defined"),
            (GOOD + "}", "Unexpected token }"),
            (GOOD + "function f( {", "never closed"),
            (GOOD.replace('"FLOAT32"}]', '"FLOAT32"})'), "Unexpected token )"),
        ],
    )
    def test_bad_ones(self, script: str, word: str) -> None:
        found = evalscript.problem(script, ["default"])
        assert found is not None
        assert word in found

    def test_an_output_that_is_not_there(self) -> None:
        assert "Output ndvi requested" in str(evalscript.problem(GOOD, ["ndvi"]))

    def test_what_decides_the_cost(self) -> None:
        assert evalscript.input_bands(GOOD) == 2
        assert evalscript.input_bands('input: [{bands: ["B02", "B03", "B04"]}], output: {bands: 3}') == 3
        assert evalscript.input_bands("") == 1
        assert (evalscript.sample_type(GOOD), evalscript.sample_type("")) == ("FLOAT32", "AUTO")
        assert (evalscript.mosaicking(GOOD), evalscript.mosaicking("")) == ("ORBIT", "SIMPLE")


class TestCost:
    SIMPLE = """//VERSION=3
const setup = () => ({input: ["B02", "B03", "B04"], output: {bands: 3}});
const evaluatePixel = () => [1, 2, 3];"""
    ORBIT = SIMPLE.replace("})", ', mosaicking: "ORBIT"})')

    def test_one_processing_unit(self) -> None:
        assert cost.tile_estimate(512, 512, self.SIMPLE, []) == 1

    def test_what_multiplies_it(self) -> None:
        assert cost.tile_estimate(1024, 512, self.SIMPLE, []) == 2
        assert cost.tile_estimate(512, 512, self.SIMPLE.replace('4"]', '4", "B08"]'), []) == pytest.approx(4 / 3)
        assert cost.tile_estimate(512, 512, self.SIMPLE.replace("3}", '3, sampleType: "FLOAT32"}'), []) == 2
        month = [{"dataFilter": {"timeRange": {"from": "2020-01-01T00:00:00Z", "to": "2020-01-31T00:00:00Z"}}}]
        assert cost.tile_estimate(512, 512, self.ORBIT, month) == 10
        assert cost.tile_estimate(512, 512, self.SIMPLE, month) == 1

    def test_the_discount_and_the_minimum(self) -> None:
        assert cost.batch_factor(10_000) == pytest.approx(1 / 3)
        assert cost.batch_factor(9_999) == 1
        assert (cost.charged(0), cost.charged(3), cost.charged(300)) == (0, 100, 300)

    def test_times(self) -> None:
        assert cost.parse_time("2019-04-01T00:00:00Z") == cost.parse_time("2019-04-01T02:00:00+02:00")
        for wrong in ("2019-04-01", "yesterday", None, 5, "2019-04-01T00:00:00"):
            assert cost.parse_time(wrong) is None


class TestDelivery:
    @pytest.mark.parametrize(
        ("url", "root"),
        [
            ("s3://b/p", "s3://b/p/ID"),
            ("s3://b/p/", "s3://b/p/ID"),
            ("s3://b", "s3://b/ID"),
            ("s3://b/p/<tileName>/<outputId>.<format>", "s3://b/p"),
            ("s3://b/p/<requestId>/<tileName>/<outputId>.<format>", "s3://b/p/ID"),
            ("s3://b/p/x-<tileName>.tif", "s3://b/p"),
            ("s3://b/<requestId>", "s3://b/ID"),
        ],
    )
    def test_root(self, url: str, root: str) -> None:
        assert delivery.root(url, "ID") == root

    def test_objects(self) -> None:
        tiff, data = (
            {"identifier": "index", "format": {"type": "image/tiff"}},
            {
                "identifier": "userdata",
                "format": {"type": "application/json"},
            },
        )
        assert delivery.object_url("s3://b/p", "ID", (7, "30TVM"), tiff) == "s3://b/p/ID/30TVM/index.tif"
        assert delivery.object_url("s3://b/p", "ID", (7, "30TVM"), data) == "s3://b/p/ID/30TVM/userdata.json"
        assert delivery.object_url("s3://b/<tileId>/<outputId>.x", "ID", (7, "30TVM"), tiff) == "s3://b/7/index.x"

    def test_local_buckets(self, tmp_path: Path) -> None:
        bucket = LocalBucket(tmp_path)
        assert bucket.get("s3://maps/a/b.txt") is None
        assert not bucket.exists("s3://maps/a/b.txt")
        bucket.put("s3://maps/a/b.txt", b"1")
        bucket.put("s3://maps/a/b.txt", b"2")
        assert bucket.get("s3://maps/a/b.txt") == b"2"
        assert bucket.exists("s3://maps/a/b.txt")
        assert [file.name for file in (tmp_path / "maps" / "a").iterdir()] == ["b.txt"]
        for wrong in ("s3://maps/../../etc/passwd", "/etc/passwd", "s3://../x", "file:///etc/passwd"):
            with pytest.raises(ValueError, match=r"bucket|folder"):
                bucket.put(wrong, b"x")

    def test_what_cannot_be_written_leaves_nothing(self, tmp_path: Path) -> None:
        bucket = LocalBucket(tmp_path)
        bucket.put("s3://maps/a/b.txt/c", b"1")
        with pytest.raises(OSError, match="directory"):
            bucket.put("s3://maps/a/b.txt", b"2")
        assert [file.name for file in (tmp_path / "maps" / "a").iterdir()] == ["b.txt"]

    def test_a_name_that_looks_like_a_placeholder_stays_one(self) -> None:
        tile, output = (7, "<outputId>"), {"identifier": "<requestId>", "format": {"type": "image/tiff"}}
        assert delivery.object_url("s3://b/p", "ID", tile, output) == "s3://b/p/ID/<outputId>/<requestId>.tif"

    @pytest.mark.parametrize(
        "key",
        ["..", "a/../b", "a\x00b", "a\nb", "\x7f", "\ud800", "x\n", "x" * 256, "\u00e4" * 128, "/".join("x" * 600)],
    )
    def test_addresses_of_no_object(self, key: str) -> None:
        assert not delivery.is_object_url(f"s3://maps/{key}")

    @pytest.mark.parametrize("key", ["", "a b", "..a/b..", "x" * 255, "\u00e4" * 127, "<tileName>/a.tif", "a//b"])
    def test_addresses_of_objects(self, key: str) -> None:
        assert delivery.is_object_url(f"s3://maps/{key}")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (None, True),
        ("", True),
        ("Corsica", True),
        ("cors", True),
        ("alpha & corsica", True),
        ("alpha&malta", False),
        ("malta|corsica", True),
        ("malta & alpha | corsica", True),
        ("malta|", False),
        ("|", False),
    ],
)
def test_search(search: str | None, found: bool) -> None:
    assert matches(search, "Alpha job over Corsica") is found


def test_the_journal_forgets_the_oldest_calls_and_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_sentinelhub.simulator.journal._LIMIT", 3)
    journal = Journal()
    for _ in range(5):
        journal.add({"n": journal.next_number()})
    assert [call["n"] for call in journal.since(0)] == [3, 4, 5]
    assert [call["n"] for call in journal.since(4)] == [5]
    assert journal.since(5) == journal.since(99) == []
