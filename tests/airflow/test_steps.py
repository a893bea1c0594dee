"""The single steps: create once, start once, restart, update, delete, list."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import ApiError, InvalidInputError
from airflow_sentinelhub.operators.batch import (
    SentinelHubAnalyseBatchOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubDeleteBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubRestartBatchOperator,
    SentinelHubStartBatchOperator,
    SentinelHubUpdateBatchOperator,
)
from tests.airflow.job import described, v1, v2


def creating(bench: Any, **members: Any) -> Any:
    given = {**described(bench), "retries": 2, **members}
    return lambda: SentinelHubCreateBatchOperator(task_id="create", **given)


def test_a_retry_adopts_what_the_first_try_has_created(bench: Any) -> None:
    first = bench.run(creating(bench, description="maps"), bench.context(max_tries=2))
    again = bench.run(creating(bench, description="maps"), bench.context(max_tries=2, try_number=2))
    assert first == again
    assert bench.effects() == ["created"]
    assert bench.state(first)["description"].startswith("maps afx")


def test_every_task_instance_has_its_own_request(bench: Any) -> None:
    where = [{}, {"map_index": 1}, {"run_id": "manual__2"}, {"task_id": "other"}, {"dag_id": "other"}]
    made = {bench.run(creating(bench), bench.context(max_tries=2, **one)) for one in where}
    assert len(made) == len(where) == bench.effects().count("created")


def test_a_changed_job_is_created_anew(bench: Any) -> None:
    first = bench.run(creating(bench), bench.context(max_tries=2))
    second = bench.run(creating(bench, output="s3://maps/other"), bench.context(max_tries=2, try_number=2))
    assert first != second
    assert bench.state(first)["deleted"] is (bench.api == "v1"), "v2 cannot delete"


WRONG: list[dict[str, Any]] = [
    {"tiling_grid": {"id": 99, "resolution": 10}},
    {"tiling_grid": {"id": 1, "resolution": 11}},
    {"tiling_grid": {"resolution": 10}},
    {"area": [9.3, 41.9, 8.9, 42.3]},
    {"area": {"type": "Point", "coordinates": [1, 2]}},
    {"area": "not geojson"},
    {"evalscript": None},
    {"evalscript": "  "},
    {"output": "maps/ndvi"},
    {"output": None},
    {"bucket_name": "maps"},
    {"process_request": "{"},
]


def test_what_is_wrong_is_said_in_a_sentence_and_nothing_is_created(bench: Any) -> None:
    for members in WRONG:
        with pytest.raises(AirflowFailException) as caught:
            bench.run(creating(bench, **members))
        assert str(caught.value).endswith("."), members
        assert "\n" not in str(caught.value)
    assert bench.effects() == []


@v2
def test_v2_needs_rights_to_the_bucket(bench: Any) -> None:
    with pytest.raises(AirflowFailException, match="aws_conn_id"):
        bench.run(creating(bench, aws_conn_id=None))
    assert bench.effects() == []


def test_keys_of_the_bucket_show_nowhere(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    from urllib.parse import quote

    caplog.set_level("DEBUG")
    context = bench.context()
    operator = creating(bench)()
    bench.run(lambda: operator, context)
    fields = {name: getattr(operator, name) for name in operator.template_fields}
    shown = f"{caplog.text} {context['ti'].xcoms} {fields} {operator!r} {bench.hook.settings!r}"
    for secret in ("wJalr/XUtn+FEMI %26 bPxRfiCY&KEY", bench.sim.client_secret):
        assert secret not in shown
        assert quote(secret, safe="") not in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"timeout": -60}, "timeout must be above 0"),
        ({"timeout": timedelta(0)}, "timeout must be above 0"),
        ({"poll_interval": 0}, "poll_interval must be above 0 seconds"),
        ({"max_unknown_time": -1}, "max_unknown_time must be 0 seconds or more"),
        (
            {"resume_stopped": "perhaps"},
            "resume_stopped must be one of never, if_accepted, when_accepted, not 'perhaps'",
        ),
    ],
)
def test_times_and_words_that_make_no_sense_are_said_while_the_dag_is_parsed(given: Any, said: str) -> None:
    steps = [SentinelHubStartBatchOperator]
    if "resume_stopped" not in given:
        steps += [SentinelHubAnalyseBatchOperator, SentinelHubRestartBatchOperator]
    for step in steps:
        with pytest.raises(InvalidInputError, match=said):
            step(task_id="t", request_id="{{ 1 }}", **given)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status"])
def test_one_start_over_faults_and_retries(bench: Any, kind: str) -> None:
    request_id = bench.create()
    bench.sim.fault(kind, "/start$", times=1)
    for number in (1, 2, 3):
        make = lambda: SentinelHubStartBatchOperator(task_id="start", request_id=request_id)  # noqa: E731
        assert bench.run(make, bench.context(try_number=number)) == request_id
    assert bench.effects().count("billed_start") == 1


@v1
@pytest.mark.parametrize("deferrable", [True, False])
def test_restart_of_the_failed_part(bench: Any, deferrable: bool) -> None:
    bench.sim.fault("fail_tiles", share=0.2)
    request_id = bench.ended()
    assert bench.status(request_id) == "PARTIAL"
    for number in (1, 2):
        bench.run(
            lambda: SentinelHubRestartBatchOperator(
                task_id="t", request_id=request_id, wait_for_completion=True, deferrable=deferrable
            ),
            bench.context(try_number=number),
        )
        assert bench.status(request_id) == "DONE", "a retry finds it done and is content"
    assert bench.effects().count("restarted") == 1


def test_nothing_to_restart(bench: Any) -> None:
    request_id = bench.create()
    with pytest.raises(Exception, match="only a PARTIAL request" if bench.api == "v1" else "skip_existing"):
        bench.run(lambda: SentinelHubRestartBatchOperator(task_id="t", request_id=request_id))


def test_update_keeps_the_marker(bench: Any) -> None:
    request_id = bench.run(creating(bench, description="old"))
    marker = bench.state(request_id)["description"].removeprefix("old ")
    bench.run(lambda: SentinelHubUpdateBatchOperator(task_id="t", request_id=request_id, description="new"))
    assert bench.state(request_id)["description"] == f"new {marker}"
    with pytest.raises(AirflowFailException, match="Nothing to update"):
        bench.run(lambda: SentinelHubUpdateBatchOperator(task_id="t", request_id=request_id))
    bench.act(request_id, "start")
    with pytest.raises(ApiError, match="409"):
        bench.run(lambda: SentinelHubUpdateBatchOperator(task_id="t", request_id=request_id, description="late"))


@v1
def test_delete(bench: Any) -> None:
    request_id, running = bench.create(), bench.started()
    for number in (1, 2):
        make = lambda: SentinelHubDeleteBatchOperator(task_id="t", request_id=request_id)  # noqa: E731
        assert bench.run(make, bench.context(try_number=number)) == request_id
    with pytest.raises(ApiError, match="409"):
        bench.run(lambda: SentinelHubDeleteBatchOperator(task_id="t", request_id=running))


def test_tiles_in_chunks(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = bench.ended()

    def listed(**how: Any) -> Any:
        return bench.run(lambda: SentinelHubListBatchTilesOperator(task_id="t", request_id=request_id, **how))

    every = [item for chunk in listed() for item in chunk]
    assert [item["name"] for item in every] == bench.tile_names(request_id)
    assert {len(chunk) for chunk in listed()} == {1}
    assert {len(chunk) for chunk in listed(chunk_size="5")[:-1]} == {5}
    assert listed(status="FAILED") == []
    assert all(url.startswith("s3://maps/ndvi/") for url in listed(with_paths=True)[0][0]["paths"].values())
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "4")
    assert len(listed()) <= 4
    with pytest.raises(AirflowFailException, match="chunk_size"):
        listed(chunk_size=0)
