"""Events of a job's outlets in Airflow's own tables: of an asset, and of an alias for the folder of the results."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_sentinelhub import assets
from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS
from airflow_sentinelhub._compat.assets import asset_of, is_alias, is_asset
from airflow_sentinelhub.assets import event_extra, sanitize_uri, tell_outlets
from airflow_sentinelhub.simulator import Simulator
from tests.airflow.home import live_in, run

DAGS = """
import pendulum
from tests.names import DAG, Asset, AssetAlias
from tests.names import BaseOperator
from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator

START = pendulum.datetime(2024, 1, 1, tz="UTC")
MAPS, NEW = Asset("s3://my-bucket/ndvi"), AssetAlias("new-maps")

class Empty(BaseOperator):
    def execute(self, context):
        return None

with DAG("reader", schedule=[MAPS], start_date=START) as reader:
    Empty(task_id="read")

with DAG("maker", schedule=None, start_date=START) as maker:
    SentinelHubBatchOperator(
        task_id="job",
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        evalscript="//VERSION=3\\nfunction setup() { return {input: ['B04'], output: {bands: 1}}; }\\n"
        "function evaluatePixel(s) { return [s.B04]; }",
        area=[8.9, 41.9, 9.0, 42.0], tiling_grid=tiling_grid(1, 10), destination="s3://my-bucket/ndvi",
        aws_conn_id="aws", poll_interval=0.2, analysis_poll_interval=0.2, outlets=[MAPS, NEW],
    )
"""
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import asset_runs
try:
    from airflow.models.asset import AssetEvent, AssetModel
except ImportError:
    from airflow.models.dataset import DatasetEvent as AssetEvent, DatasetModel as AssetModel
from airflow.utils.session import create_session
def activate():
    from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
    if AIRFLOW_V_3_0_PLUS:  # as the DAG processor does for the assets of a DAG that is scheduled by them
        from airflow.models.asset import AssetActive
        with create_session() as session:
            session.add(AssetModel(name="s3://my-bucket/ndvi", uri="s3://my-bucket/ndvi", group="asset", extra={}))
            session.flush()
            session.add(AssetActive(name="s3://my-bucket/ndvi", uri="s3://my-bucket/ndvi"))
    else:  # as the scheduler does for each DAG that it reads
        from airflow.models.dagbag import DagBag
        DagBag(sys.argv[1], include_examples=False).sync_to_db()
activate()
run = asset_runs.maker.test()
with create_session() as session:
    found = []
    for event in session.query(AssetEvent).all():
        column = getattr(event, "asset_id", None) or event.dataset_id
        uri = session.query(AssetModel).filter_by(id=column).one().uri
        found.append({"uri": uri, "extra": event.extra})
    print("RESULT " + json.dumps({"state": str(getattr(run.state, "value", run.state)), "events": found}))
"""


NO_LISTS = AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_1_PLUS
"""Airflow 3.0 fails a task after its end for a list in the event of an alias."""


@pytest.mark.dag_test
@pytest.mark.timeout(600)
def test_a_run_leaves_events_of_its_asset_and_of_its_alias(tmp_path: Any) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "asset_runs.py").write_text(DAGS)
    with Simulator(speed=300, bucket_dir=tmp_path / "buckets") as simulator:
        uri = f"{simulator.airflow_connection_uri}&bucket_mount={tmp_path / 'buckets'}"
        keys = {"AIRFLOW_CONN_SENTINELHUB_DEFAULT": uri, "AIRFLOW_CONN_AWS": "aws://key:secret@"}
        home, env = live_in(tmp_path)
        ran = run(RUN, str(home / "dags"), env=env | keys, timeout=500)
        said = [json.loads(line[7:]) for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
        assert said, ran.stdout[-6000:] + ran.stderr[-3000:]
        (request,) = simulator.requests()
    assert said[0]["state"] == "success"
    folder = f"s3://my-bucket/ndvi/{request['id']}"
    events = {event["uri"]: event["extra"] for event in said[0]["events"]}
    assert set(events) == {"s3://my-bucket/ndvi", folder}
    if NO_LISTS:
        assert "paths" not in events[folder], "the asset of an alias is the folder itself"
        events[folder]["paths"] = [folder]
    for extra in events.values():
        assert extra["request_id"] == request["id"]
        assert (extra["status"], extra["failed"]) == ("DONE", 0)
        assert extra["processed"] > 0
        assert extra["processing_units"] == pytest.approx(request["cost"])
        assert extra["paths"] == [folder]


class Events(dict[Any, Any]):
    """The accessors of a task's outlets; an alias refuses every asset, if it is told to."""

    def add(self, asset: Any, extra: Any) -> None:
        raise ValueError("no such URI")


def test_an_event_of_a_job_without_a_known_place_has_no_paths() -> None:
    assert event_extra({"request_id": "7"}, None)["paths"] == []


@pytest.mark.parametrize(("processed", "paths"), [(0, []), (1, ["s3://b/p/7"]), (None, ["s3://b/p/7"])])
def test_a_folder_without_results_is_no_place_of_results(processed: int | None, paths: list[str]) -> None:
    """A job that succeeds with nothing done (all failed and accepted, stopped at once) starts no DAG by an alias."""
    from tests.names import AssetAlias

    extra, events = event_extra({"request_id": "7", "processed": processed}, "s3://b/p/7"), Kept()
    tell_outlets({"outlet_events": events}, [AssetAlias("maps")], extra)
    assert extra["paths"] == paths
    assert [asset.uri for event in events.events.values() for asset, _ in event.added] == paths


def test_a_path_that_is_no_asset_does_not_fail_a_job_that_is_paid(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "is_alias", lambda outlet: True)
    extra = event_extra({"request_id": "7"}, "s3://b/p")
    tell_outlets({"outlet_events": {"alias": Events()}}, ["alias"], extra)
    assert "s3://b/p" in caplog.text


def test_outlets_of_other_kinds_are_left_alone() -> None:
    tell_outlets({}, [asset_of("s3://b/p")], {})
    tell_outlets({"outlet_events": {}}, ["text", 5, None], {"paths": []})
    tell_outlets({"outlet_events": {}}, None, {"paths": []})
    assert is_asset(asset_of("s3://b/p"))
    assert not is_alias(asset_of("s3://b/p"))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("sentinelhub://sentinel-2-l2a", "sentinelhub://sentinel-2-l2a"),
        ("sentinelhub://Sentinel-2-L2A/", "sentinelhub://sentinel-2-l2a"),
        ("sentinelhub://byoc-5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10?a=b", None),
    ],
)
def test_a_collection_has_one_uri(given: str, wanted: str | None) -> None:
    found = sanitize_uri(urlsplit(given)).geturl()
    assert found == (wanted or given.partition("?")[0])


@pytest.mark.parametrize("given", [f"sentinelhub://{rest}" for rest in ("", "/x", "me:hush@x", "a b")])
def test_what_names_no_collection_is_no_uri(given: str) -> None:
    with pytest.raises(ValueError, match="must contain the id of a data collection") as caught:
        sanitize_uri(urlsplit(given))
    assert "hush" not in str(caught.value)


class Kept:
    """Stands for the events of a task's outlets, by their names: on 3.0 an alias cannot be a key."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}

    def __getitem__(self, outlet: Any) -> Any:
        if outlet.name not in self.events:
            event = SimpleNamespace(extra=None, added=[])
            event.add = lambda asset, extra: event.added.append((asset, extra))
            self.events[outlet.name] = event
        return self.events[outlet.name]


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="datasets have no names apart from their URI")
def test_an_outlet_may_be_named() -> None:
    from airflow.sdk import Asset

    named, events = Asset.ref(name="maps"), Kept()
    tell_outlets({"outlet_events": events}, [named], {"paths": [], "failed": 0})
    assert events[named].extra == {"paths": [], "failed": 0}


def test_an_alias_gets_addresses_and_members_that_each_airflow_takes() -> None:
    from tests.names import AssetAlias

    alias, events = AssetAlias("new maps"), Kept()
    tell_outlets({"outlet_events": events}, [alias], {"paths": ["s3://maps/sommer ü"], "failed": 0})
    ((asset, extra),) = events[alias].added
    assert asset.uri == "s3://maps/sommer%20%C3%BC"
    assert extra == {"failed": 0, **({} if NO_LISTS else {"paths": ("s3://maps/sommer ü",)})}
    assert hash(tuple(extra.values())) is not None


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("s3://maps/a#1/b", "s3://maps/a%231/b"),
        ("s3://maps/a?b", "s3://maps/a%3Fb"),
        ("s3://maps/a%20b", "s3://maps/a%2520b"),
    ],
)
def test_an_alias_gets_the_whole_path(path: str, uri: str) -> None:
    """In a bucket these are letters of a path; Airflow drops what is behind `?` and `#`: another folder is left."""
    from tests.names import AssetAlias

    alias, events = AssetAlias("new maps"), Kept()
    tell_outlets({"outlet_events": events}, [alias], {"paths": [path], "failed": 0})
    ((asset, _),) = events[alias].added
    assert asset.uri == uri


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="datasets cannot be referred to")
def test_a_reference_that_airflow_does_not_find_does_not_fail_a_job_that_is_paid(
    logged: Callable[[], str],
) -> None:
    """Airflow looks up a reference only when its event is told, when the job is done."""
    from airflow.sdk import Asset

    class Unfound(Kept):
        def __getitem__(self, outlet: Any) -> Any:
            if outlet.name == "typo":
                raise RuntimeError("ASSET_NOT_FOUND")
            return super().__getitem__(outlet)

    events = Unfound()
    tell_outlets(
        {"outlet_events": events}, [Asset.ref(name="typo"), Asset.ref(name="maps")], {"paths": [], "failed": 0}
    )
    assert "ASSET_NOT_FOUND" in logged()
    assert events[Asset.ref(name="maps")].extra == {"paths": [], "failed": 0}
