"""Where the files about a request lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sentinelhub.results.root import delivery_root, execution_url, manifest_url, request_url
from airflow_sentinelhub.simulator import delivery

ID = "6aa8765a-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("s3://b", f"s3://b/{ID}"),
        ("s3://b/", f"s3://b/{ID}"),
        ("s3://b/p", f"s3://b/p/{ID}"),
        ("s3://b/p/", f"s3://b/p/{ID}"),
        ("s3://b/p/<requestId>", f"s3://b/p/{ID}"),
        ("s3://b/p/<tileName>/<outputId>.<format>", "s3://b/p"),
        ("s3://b/p/<requestId>/<tileName>/<outputId>.<format>", f"s3://b/p/{ID}"),
        ("s3://b/p/<tileName>/<requestId>/<outputId>.<format>", "s3://b/p"),
        ("s3://b/<tileName>", "s3://b"),
        ("s3://b/<tileName>/", "s3://b"),
        ("s3://b/p/map-<tileName>.<format>", "s3://b/p"),
        ("s3://b/p/run-<requestId>/<tileName>.tif", f"s3://b/p/run-{ID}"),
        ("s3://b/p/<requestId>-<tileName>/<outputId>.tif", "s3://b/p"),
        ("gs://b/p", f"gs://b/p/{ID}"),
    ],
)
def test_root(url: str, root: str) -> None:
    assert delivery_root(url, ID) == root


def test_names_of_the_files() -> None:
    url = "s3://b/p/<tileName>/<outputId>.<format>"
    assert request_url(url, ID) == f"s3://b/p/request-{ID}.json"
    assert manifest_url(url, ID) == f"s3://b/p/featureManifest-{ID}.gpkg"
    assert execution_url(url, ID) == f"s3://b/p/execution-{ID}.sqlite"


_SEGMENTS = st.sampled_from(
    ["a", "b-c", "<requestId>", "<tileName>", "x-<tileName>", "<outputId>.<format>", "<requestId>-1"]
)


@given(st.lists(_SEGMENTS, max_size=6), st.sampled_from(["", "/"]))
def test_two_readings_of_the_rule_agree(segments: list[str], end: str) -> None:
    """The simulator has the rule from the same reference, in code of its own."""
    url = "/".join(["s3://bucket", *segments]) + end
    assert delivery_root(url, ID) == delivery.root(url, ID)
