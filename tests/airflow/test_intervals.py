"""Consecutive runs of every DAG that takes its data interval, by `dag.test()`: their windows meet on every Airflow."""

from __future__ import annotations

import itertools
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from tests.airflow import test_examples as examples
from tests.statistical.fields import parcels, put_fields

pytestmark = [pytest.mark.dag_test, pytest.mark.timeout(600)]

RUN = """
import importlib, json, sys
from datetime import datetime
from pathlib import Path
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from airflow_sentinelhub.api.call import Call, exchange
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.simulator import ControlPlane
from tests.airflow.home import only
plan = json.loads(sys.argv[1])
sys.path.insert(0, plan["folder"])
service, hook = ControlPlane(plan["simulator"]), SentinelHubHook()
for name, dates in plan["dags"].items():
    only(Path(plan["folder"]), name)
    dag, runs = importlib.import_module(name).dag, []
    for date in dates:
        service.reset()
        moment = date and datetime.fromisoformat(date)
        run = dag.test(**{"logical_date" if AIRFLOW_V_3_0_PLUS else "execution_date": moment})
        bodies = []
        for request in service.requests():
            path = generation(request["generation"]).get(request["id"]).path
            bodies.append(hook.run(exchange(Call("GET", path, lambda body: body))))
        runs.append({"state": str(getattr(run.state, "value", run.state)), "bodies": bodies,
                     "journal": [call["path"] for call in service.journal() if "tiling" in call["path"]]})
    print("RESULT " + json.dumps({"dag": name, "runs": runs}))
"""
OTHERS = """
import pendulum
from tests.names import DAG
from airflow_sentinelhub import last, process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubCreateBatchOperator

with DAG("{name}", schedule={schedule!r}, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), catchup=False) as dag:
    SentinelHubCreateBatchOperator(
        task_id="create", process_request=process_request("sentinel-2-l2a", {time_range}), evalscript="max_ndvi.js",
        area=[8.9, 41.9, 9.3, 42.2], tiling_grid=tiling_grid(1, 10), destination="s3://my-bucket/ndvi",
        aws_conn_id="my_bucket", retries=1,  # after five minutes, which these tests would not wait for
    )
"""
BY_DAYS = '("{{ data_interval_start | ds }}", "{{ data_interval_end | ds }}")'
WITHOUT = {
    "cron_text": ("@monthly", '"data_interval"'),
    "cron_text_by_days": ("@monthly", BY_DAYS),
    "by_hand": (None, '"data_interval"'),
    "by_hand_last": (None, "last(days=30)"),
}
FIRSTS = ["2024-07-01T00:00:00+00:00", "2024-08-01T00:00:00+00:00", "2024-09-01T00:00:00+00:00"]
MONDAYS = ["2024-07-01T00:00:00+00:00", "2024-07-08T00:00:00+00:00", "2024-07-15T00:00:00+00:00"]
DATES = {examples.README: FIRSTS, "sentinelhub_geopackage": FIRSTS, "sentinelhub_statistics_fields": MONDAYS}
"""Logical dates of three runs, by the DAG."""


@pytest.fixture(scope="module")
def consecutive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What three runs of the README's DAG and of each example have left."""
    folder = tmp_path_factory.mktemp("intervals")
    put_fields(folder / "buckets", parcels(3), url="s3://my-bucket/fields.gpkg")
    return examples.run_all(DATES, "v2", False, folder, RUN)


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What runs without an interval have left: with a logical date, and on Airflow 3 without one."""
    dates = {name: [FIRSTS[0], *([None] if AIRFLOW_V_3_0_PLUS else [])] for name in WITHOUT}
    dates["cron_text_by_days"] = FIRSTS[:1]  # without a logical date Airflow itself cannot render it, and tries again
    files = {
        name: OTHERS.format(name=name, schedule=schedule, time_range=time_range)
        for name, (schedule, time_range) in WITHOUT.items()
    }
    return examples.run_all(dates, "v2", False, tmp_path_factory.mktemp("without"), RUN, files)


def window(body: dict[str, Any]) -> tuple[datetime, datetime, bool]:
    """What a request covers, and whether its end belongs to it."""
    asked = body["request"]
    if "aggregation" in asked:
        times = asked["aggregation"]["timeRange"]
    else:
        times = asked["processRequest"]["input"]["data"][0]["dataFilter"]["timeRange"]
    begin, end = (datetime.fromisoformat(times[name].replace("Z", "+00:00")) for name in ("from", "to"))
    return begin, end, "aggregation" not in asked


def test_every_dag_that_takes_its_interval_is_here() -> None:
    files = (examples.ROOT / "example_dags").glob("*.py")
    assert {file.stem for file in files if '"data_interval"' in file.read_text()} == set(DATES)
    for file in [examples.ROOT / "README.md", *(examples.ROOT / "example_dags").glob("*.py")]:
        assert not re.search(r"data_interval_(start|end)|[\"']@\w+ly[\"']", file.read_text()), file


@pytest.mark.parametrize("name", sorted(DATES))
def test_three_runs_meet_without_gap_and_overlap(consecutive: dict[str, Any], name: str) -> None:
    runs = consecutive[name]["runs"]
    assert [run["state"] for run in runs] == ["success"] * 3
    windows = [window(body) for run in runs for body in run["bodies"]]
    assert len(windows) == 3
    step = timedelta(milliseconds=1)
    ends = [end + step if inclusive else end for _, end, inclusive in windows]
    assert ends == [datetime.fromisoformat(date) for date in DATES[name]]
    assert ends[:2] == [begin for begin, _, _ in windows[1:]]
    for begin, end in itertools.pairwise([windows[0][0], *ends]):
        assert end - begin in ((timedelta(days=7),) if DATES[name] is MONDAYS else (timedelta(30), timedelta(31)))


def ranges(run: dict[str, Any]) -> list[dict[str, str]]:
    return [body["request"]["processRequest"]["input"]["data"][0]["dataFilter"]["timeRange"] for body in run["bodies"]]


JUNE = {"from": "2024-06-01T00:00:00Z", "to": "2024-06-30T23:59:59.999Z"}


def test_a_cron_text_has_intervals_on_2_and_is_refused_on_3(without: dict[str, Any]) -> None:
    first, *others = without["cron_text"]["runs"]
    if AIRFLOW_V_3_0_PLUS:
        assert (first["state"], first["bodies"], first["journal"]) == ("failed", [], [])
    else:
        assert (first["state"], ranges(first)) == ("success", [JUNE])
    assert [(run["state"], run["bodies"]) for run in others] == [("failed", [])] * len(others)


def test_days_of_an_interval_that_is_none_are_refused(without: dict[str, Any]) -> None:
    first, *_ = without["cron_text_by_days"]["runs"]
    if AIRFLOW_V_3_0_PLUS:
        assert (first["state"], first["bodies"], first["journal"]) == ("failed", [], [])
    else:
        assert ranges(first) == [{"from": "2024-06-01T00:00:00Z", "to": "2024-07-01T23:59:59Z"}]


def test_a_run_by_hand_has_no_interval_but_a_last_month(without: dict[str, Any]) -> None:
    assert {run["state"] for run in without["by_hand"]["runs"]} == {"failed"}
    first, *others = without["by_hand_last"]["runs"]
    assert (first["state"], ranges(first)) == ("success", [JUNE])
    for run in others:  # without a logical date: up to the moment at which the run was allowed to begin
        begin, end, _ = window(run["bodies"][0])
        assert end + timedelta(milliseconds=1) - begin == timedelta(days=30)
        assert timedelta() < datetime.now(end.tzinfo) - end < timedelta(hours=1)
