"""Pure: where the marker stands, how a job is rendered, and the flows on a service without description and update."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub import aggregation, input_data
from airflow_sentinelhub.api.decide.marker import Mark, job_digest, mark_of, marked
from airflow_sentinelhub.api.decide.verdict import Outcome, judge
from airflow_sentinelhub.api.service import statistical
from airflow_sentinelhub.api.service.generations import STATISTICAL, generation
from airflow_sentinelhub.api.service.specification import Access
from airflow_sentinelhub.api.service.statistical_specification import StatisticalSpecification, render_statistical
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.hooks.models import BatchStatisticalRequest
from airflow_sentinelhub.transport.settings import Settings
from tests.api.feeding import snapshot
from tests.statistical.fields import DATA, GEOPACKAGE, NDVI, OUTPUT, body

ID = "4700adcb-b0fc-44b4-80df-d97ae1f33ec3"
MARK = Mark("afx0123456789abcdef", 2, "01234567")
KEYS = Access(access_key="AKIA", secret_access_key="hush")


def shown(**members: Any) -> dict[str, Any]:
    """A request as the service shows it."""
    return {"id": ID, "status": "CREATED", "completionPercentage": 0, "costPU": 0.0, "request": body(), **members}


def job(**members: Any) -> StatisticalSpecification:
    given = {
        "geopackage": GEOPACKAGE,
        "data": DATA,
        "aggregation": aggregation(("2024-06-01", "2024-06-30"), "P10D", resolution=10),
        "output": OUTPUT,
        "evalscript": NDVI,
        **members,
    }
    return StatisticalSpecification(**given)


# The marker


def test_a_description_travels_in_the_last_line_of_the_evalscript() -> None:
    payload = {**body(), "description": marked("fields of\nspring", MARK)}
    sent = STATISTICAL.create(payload).json
    assert "description" not in sent
    assert sent["aggregation"]["evalscript"] == f"{NDVI.rstrip()}\n// task: fields of spring {MARK}\n"
    assert {**sent, "aggregation": body()["aggregation"]} == body()
    read = snapshot(BatchStatisticalRequest.from_dict(shown(request=sent)))
    assert read.description == f"fields of spring {MARK}"
    assert mark_of(read.description) == MARK


def test_a_second_description_takes_the_place_of_the_first() -> None:
    once = statistical.described({**body(), "description": "one"})
    twice = statistical.described({**once, "description": "two"})
    assert twice["aggregation"]["evalscript"] == f"{NDVI.rstrip()}\n// task: two\n"


def test_a_payload_without_description_stays_as_it_is() -> None:
    assert statistical.described(body()) == body()
    assert snapshot(BatchStatisticalRequest.from_dict(shown())).description == ""


@pytest.mark.parametrize("script", [NDVI, NDVI.rstrip() + " // the end", NDVI + "\n\n", "//VERSION=3"])
def test_the_script_itself_is_kept(script: str) -> None:
    payload = body(aggregation={**body()["aggregation"], "evalscript": script})
    noted = statistical.described({**payload, "description": "x"})["aggregation"]["evalscript"]
    assert noted.startswith(script.rstrip() + "\n")
    assert statistical.without_note(noted).rstrip() == script.rstrip()


def test_the_digest_of_the_job_does_not_change_with_the_marker() -> None:
    assert job_digest({**body(), "description": str(MARK)}) == job_digest(body())
    assert job_digest(body(calculations={"default": {}})) != job_digest(body())


def test_a_script_that_lies_in_a_bucket_can_carry_no_marker() -> None:
    divided = {**body()["aggregation"], "evalscriptReference": {"s3": {"url": "s3://farm/a.js"}}}
    del divided["evalscript"]
    with pytest.raises(InvalidInputError, match="has to be given as text"):
        statistical.described({**body(aggregation=divided), "description": str(MARK)})


def test_a_script_may_not_get_too_long() -> None:
    long = NDVI + "//" + "x" * (32 * 1024 - len(NDVI) - 40)
    payload = body(aggregation={**body()["aggregation"], "evalscript": long})
    with pytest.raises(InvalidInputError, match="takes less than 32,768"):
        statistical.described({**payload, "description": marked("fields", MARK)})


# Readings


def test_created_and_started_is_told_from_created_by_the_user_action() -> None:
    """Why the whole request is polled and not its status part."""
    resting = snapshot(BatchStatisticalRequest.from_dict(shown(userAction="NONE")))
    moving = snapshot(BatchStatisticalRequest.from_dict(shown(userAction="START")))
    assert (judge(resting), judge(moving)) == (Outcome.NOT_STARTED, Outcome.WAITING)


def test_a_reading_has_all_that_verdicts_look_at() -> None:
    read = snapshot(
        BatchStatisticalRequest.from_dict(
            shown(status="STOPPED", userAction="START", stoppedStatusReason="OUT_OF_PU", costPU=6.03, error="e")
        )
    )
    assert (read.generation, read.status, read.stopped_reason) == ("statistical", "STOPPED", "OUT_OF_PU")
    assert (read.cost, read.error, read.output_url) == (6.03, "e", OUTPUT)
    assert judge(read) is Outcome.CANCELLED


def test_the_generation_is_known_by_name_and_has_no_update() -> None:
    api = generation("statistical")
    assert api is STATISTICAL
    assert (api.update, api.delete, api.restart, api.search) == (None, None, None, False)


@pytest.mark.parametrize(
    ("form", "root"),
    [("version-first", "/api/v1/statistics/batch"), ("service-first", "/statistics/batch/v1")],
)
def test_both_forms_of_the_path(form: str, root: str) -> None:
    settings = Settings("https://sh", "https://sh/token", "id", "secret", path_form=form)
    urls = [settings.url(call.path) for call in (statistical.get_request(ID), statistical.get_status(ID))]
    assert urls == [f"https://sh{root}/{ID}", f"https://sh{root}/{ID}/status"]
    assert settings.url(statistical.list_requests().path) == f"https://sh{root}"


def test_only_what_does_no_more_when_sent_twice_is_repeatable() -> None:
    calls = {
        "create": statistical.create({}),
        "start": statistical.start(ID),
        "analyse": statistical.analyse(ID),
        "stop": statistical.stop(ID),
        "get": statistical.get_request(ID),
        "status": statistical.get_status(ID),
        "list": statistical.list_requests(),
    }
    assert {name for name, call in calls.items() if call.repeatable} == {"stop", "get", "status", "list"}


# Jobs


def test_a_job_in_plain_words_becomes_the_payload() -> None:
    access = {"accessKey": "AKIA", "secretAccessKey": "hush"}
    assert render_statistical(job(), KEYS) == {
        "input": {"features": {"s3": {"url": GEOPACKAGE, **access}}, "data": DATA},
        "aggregation": {
            "timeRange": {"from": "2024-06-01T00:00:00Z", "to": "2024-07-01T00:00:00Z"},
            "aggregationInterval": {"of": "P10D"},
            "resx": 10,
            "resy": 10,
            "evalscript": NDVI,
        },
        "output": {"s3": {"url": OUTPUT, **access}},
    }


def test_storage_in_full_keeps_its_own_access() -> None:
    own = {"s3": {"url": OUTPUT, "iamRoleARN": "arn:aws:iam::1:role/r"}}
    rendered = render_statistical(job(output=own, geopackage={"s3": {"url": GEOPACKAGE}}), KEYS)
    assert rendered["output"] == own
    assert rendered["input"]["features"]["s3"]["accessKey"] == "AKIA"
    assert "hush" not in repr(KEYS)


def test_input_data_speaks_as_process_request_does() -> None:
    assert input_data("sentinel-2-l2a", max_cloud_coverage=30) == DATA
    assert input_data(DATA) == DATA
    assert input_data(DATA[0]) == DATA


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": (10, 10), "resolution": 10}, "not both"),
        ({"size": (2501, 10)}, "at most 2500"),
        ({"resolution": 0}, "above 0"),
        ({"interval": "ten days"}, "ISO 8601"),
        ({"interval": "P"}, "ISO 8601"),
        ({"interval": ""}, "names no interval"),
        ({"time_range": "2024"}, "is a pair"),
        ({"last_interval": "DROP"}, "SKIP, SHORTEN, EXTEND"),
        ({"resx": 10}, "needs its other half"),
    ],
)
def test_what_is_wrong_with_an_aggregation_is_said_when_the_dag_is_parsed(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        aggregation(**{"time_range": ("2024-06-01", "2024-06-30"), "interval": "P10D", **given})


def test_templates_pass_through() -> None:
    divided = aggregation(("{{ ds }}", "{{ ds }}"), "{{ params.interval }}", size=("{{ w }}", "{{ h }}"))  # type: ignore[arg-type]
    assert divided["timeRange"] == {"from": "{{ ds }}", "to": "{{ ds }}"}
    assert divided["width"] == "{{ w }}"
