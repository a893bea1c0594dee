"""Sensor, trigger, single steps, list and hook: what else people use of batch statistical."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from airflow_sentinelhub import aggregation
from airflow_sentinelhub.exceptions import InvalidInputError, JobNotStartedError, NotFoundError
from airflow_sentinelhub.operators.batch import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubCancelBatchOperator,
    SentinelHubStartBatchOperator,
    SentinelHubUpdateBatchOperator,
)
from airflow_sentinelhub.operators.statistical import SentinelHubListStatisticsOperator
from airflow_sentinelhub.sensors.statistical import SentinelHubBatchStatisticalSensor
from airflow_sentinelhub.triggers.batch import SentinelHubBatchStatisticalTrigger
from tests.names import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from tests.statistical.conftest import StatisticalBench
from tests.statistical.fields import DATA, GEOPACKAGE, NDVI, OUTPUT, body, parcels, put_fields

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke", "deferrable": False},
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "deferred": {"deferrable": True},
}
modes = pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())


def sensor(request_id: str, mode: dict[str, Any], **arguments: Any) -> Any:
    given = {"task_id": "t", "request_id": request_id, "poke_interval": 30, "timeout": 3600, **mode, **arguments}
    return lambda: SentinelHubBatchStatisticalSensor(**given)


@modes
@pytest.mark.parametrize("target", ["ANALYSIS_DONE", "PROCESSING", "DONE"])
def test_the_sensor_waits_for_a_status(bench: StatisticalBench, mode: dict[str, Any], target: str) -> None:
    request_id = bench.started()
    bench.run(sensor(request_id, mode, target_status=target))
    assert (
        bench.status(request_id)
        in {
            "ANALYSIS_DONE": ("ANALYSIS_DONE", "PROCESSING"),
            "PROCESSING": ("PROCESSING",),
            "DONE": ("DONE",),
        }[target]
    )
    assert {path for path, _ in bench.triggers} <= {
        "airflow_sentinelhub.triggers.batch.SentinelHubBatchStatisticalTrigger"
    }
    assert bool(bench.triggers) == mode["deferrable"]
    assert bench.effects() == ["created", "billed_start"]


@modes
def test_created_for_minutes_after_a_start_is_no_reason_to_give_up(
    bench: StatisticalBench, mode: dict[str, Any]
) -> None:
    bench.sim.settings(statistical_lag=600)
    try:
        request_id = bench.started()
        bench.run(sensor(request_id, mode, target_status="ANALYSING"))
    finally:
        bench.sim.settings(statistical_lag=90)


@modes
def test_the_sensor_fails_at_once_when_it_was_stopped(bench: StatisticalBench, mode: dict[str, Any]) -> None:
    request_id = bench.started()
    bench.clock.at(240, lambda: bench.act(request_id, "end"))
    with pytest.raises(AirflowFailException, match="somebody stopped it"):
        bench.run(sensor(request_id, mode))
    with pytest.raises(AirflowSkipException):
        bench.run(sensor(request_id, mode, soft_fail=True))


@modes
def test_the_sensor_says_that_nobody_has_started_it(bench: StatisticalBench, mode: dict[str, Any]) -> None:
    request_id = bench.create()
    with pytest.raises((JobNotStartedError, AirflowFailException), match="nobody has started it"):
        bench.run(sensor(request_id, mode))


@modes
def test_the_sensors_time_is_the_same_in_all_modes(bench: StatisticalBench, mode: dict[str, Any]) -> None:
    request_id = bench.started()
    with pytest.raises(AirflowSensorTimeout):
        bench.run(sensor(request_id, mode, timeout=90))
    assert "stopped" not in bench.effects()


def test_the_trigger_knows_its_generation() -> None:
    path, kwargs = SentinelHubBatchStatisticalTrigger(
        sentinelhub_conn_id="c", request_id="4700adcb-b0fc-44b4-80df-d97ae1f33ec3"
    ).serialize()
    assert path.endswith("batch.SentinelHubBatchStatisticalTrigger")
    assert kwargs["batch_api"] == "statistical"


def test_the_operators_for_single_steps_work_by_their_generation(bench: StatisticalBench) -> None:
    request_id = bench.create()
    given: dict[str, Any] = {"task_id": "t", "request_id": request_id, "batch_api": "statistical", "deferrable": False}
    analysed = bench.run(lambda: SentinelHubAnalyseBatchOperator(**given))
    assert analysed["status"] == "ANALYSIS_DONE"
    assert bench.made(lambda: SentinelHubStartBatchOperator(**given, wait_for_completion=True)) == request_id
    assert bench.status(request_id) == "DONE"
    assert bench.effects() == ["created", "analysis_started", "billed_start"]


def test_cancel_is_called_stop(bench: StatisticalBench) -> None:
    request_id = bench.started()
    bench.clock.sleep(220)
    given = {"task_id": "t", "request_id": request_id, "batch_api": "statistical"}
    assert bench.run(lambda: SentinelHubCancelBatchOperator(**given))["status"] == "STOPPED"
    with pytest.raises(AirflowFailException, match="is STOPPED"):
        bench.run(lambda: SentinelHubStartBatchOperator(**given, deferrable=False))
    start = lambda: SentinelHubStartBatchOperator(**given, resume_stopped="when_accepted", deferrable=False)  # noqa: E731
    assert bench.made(start) == request_id
    bench.clock.sleep(600)
    assert bench.status(request_id) == "DONE"
    assert bench.clock.now - bench.sim.clock()["seconds"] < 1


def test_nothing_about_a_request_can_be_changed(bench: StatisticalBench) -> None:
    given = {"task_id": "t", "request_id": bench.create(), "batch_api": "statistical", "description": "x"}
    with pytest.raises((InvalidInputError, AirflowFailException), match="cannot change"):
        bench.run(lambda: SentinelHubUpdateBatchOperator(**given))


# The list


def test_results_come_in_chunks_that_can_be_mapped(bench: StatisticalBench) -> None:
    bench.sim.fault("fail_tiles", names=["field-02"])
    request_id = bench.ended()

    def listed(**arguments: Any) -> Any:
        given = {"task_id": "t", "request_id": request_id, "aws_conn_id": "my_bucket", **arguments}
        return bench.run(lambda: SentinelHubListStatisticsOperator(**given))

    chunks = listed(chunk_size=2)
    assert [[item["identifier"] for item in chunk] for chunk in chunks] == [
        ["field-00", "field-01"],
        ["field-03", "field-04"],
        ["field-05"],
    ]
    assert chunks[0][0] == {
        "request_id": request_id,
        "identifier": "field-00",
        "id": 10,
        "path": f"s3://farm/statistics/{request_id}/10.json",
        "status": "OK",
    }
    ((failed,),) = listed(status="FAILED")
    assert (failed["identifier"], failed["error"]) == ("field-02", "FAILED")
    assert len([item for chunk in listed(status=None) for item in chunk]) == 6
    with pytest.raises(AirflowFailException, match="chunk_size"):
        listed(chunk_size=0)


# The hook


def test_the_hook_has_the_vendors_names(bench: StatisticalBench) -> None:
    client = bench.hook.statistical
    place = client.s3_specification(OUTPUT, "AKIA", "hush")
    fields = client.s3_specification(GEOPACKAGE, "AKIA", "hush")
    divided = {
        **aggregation(("2024-06-01T00:00:00Z", "2024-06-30T00:00:00Z"), "P10D", size=(20, 20)),
        "evalscript": NDVI,
    }
    made = client.create(input_features=fields, input_data=DATA, aggregation=divided, calculations=None, output=place)
    assert (made.status, made.user_action, made.cost_pu) == ("CREATED", "NONE", 0)
    like = {"input": {"bounds": {"bbox": [0, 0, 1, 1]}, "data": DATA}, "aggregation": divided, "calculations": {}}
    second = client.create_from_request(like, fields, place)
    assert second.request["input"].keys() == {"features", "data"}
    assert [one.request_id for one in client.iter_requests(sort="created:desc", count=1)] == [
        second.request_id,
        made.request_id,
    ]
    client.start_analysis(made)
    client.start_job(made.request_id)
    client.start_job({"id": made.request_id})
    bench.clock.sleep(220)
    assert client.get_status(made)["status"] == "PROCESSING"
    assert "userAction" not in client.get_status(made)
    client.stop_job(made)
    bench.clock.sleep(60)
    assert (client.get_request(made).status, client.get_status(made)["stoppedStatusReason"]) == (
        "STOPPED",
        "USER_ACTION",
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        client.cancel_job(second)
    assert [one.category for one in said] == [DeprecationWarning]
    assert bench.effects().count("billed_start") == 1
    with pytest.raises(NotFoundError):
        client.get_request("4700adcb-b0fc-44b4-80df-d97ae1f33ec3")
    with pytest.raises(InvalidInputError, match="SentinelHubStatistical"):
        client.create_from_request("nonsense", fields, place)


def test_secrets_are_masked_in_what_comes_back(bench: StatisticalBench) -> None:
    request_id = bench.create()
    assert "hush" not in str(bench.hook.statistical.get_request(request_id).to_dict())
    assert bench.body(request_id)["output"]["s3"]["secretAccessKey"] == "*****"


def test_the_new_form_of_the_paths(bench: StatisticalBench) -> None:
    bench.connect(path_form="service-first")
    result = bench.run(bench.whole())
    paths = {call["path"] for call in bench.sim.journal() if "statistics" in call["path"]}
    assert result["status"] == "DONE"
    assert all(path.startswith("/statistics/batch/v1") for path in paths)


def test_results_follow_the_placeholders(bench: StatisticalBench) -> None:
    put_fields(bench.sim.bucket_dir, parcels(3))
    result = bench.run(bench.whole(destination="s3://farm/by-name/<IDENTIFIER>/<REQUEST_ID>.json"))
    assert (result["feature_count"], result["failed"]) == (3, 0)
    place = bench.sim.bucket_dir / "farm" / "by-name" / "field-01" / f"{result['request_id']}.json"
    assert place.exists()
    assert body()["output"]["s3"]["url"] == OUTPUT
