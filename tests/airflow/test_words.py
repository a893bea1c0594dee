"""Words of the payload, and arguments of `process_request()` that would be passed over: refused before any call."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from airflow_sentinelhub import BatchSpecification, input_data, process_request
from airflow_sentinelhub._compat import AirflowFailException
from airflow_sentinelhub.exceptions import InvalidInputError
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator, SentinelHubCreateBatchOperator
from tests.airflow.test_rendered import DAYS, described, rendered

once = pytest.mark.parametrize("generation", ["v2"], indirect=True)
WRONG: list[tuple[str, str, Any]] = [
    *(("dataFilter", "mosaickingOrder", word) for word in ("leastcc", "least_cc", "LEAST_RECENT", "newest", "", 1)),
    ("dataFilter", "orbitDirection", "ascending"),
    *(("processing", name, word) for name in ("upsampling", "downsampling") for word in ("bicubic", "CUBIC", "", 3)),
    ("processing", "backCoeff", "GAMMA0"),
]


def source(part: str, name: str, word: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"type": "sentinel-1-grd", "dataFilter": {"timeRange": {"from": DAYS[0], "to": DAYS[1]}}}
    return {**chosen, part: {**chosen.get(part, {}), name: word}}


@pytest.mark.parametrize(("part", "name", "word"), WRONG)
@once
def test_a_word_that_is_none(bench: Any, part: str, name: str, word: Any) -> None:
    says = rf"process_request\.input\.data\[0\]\.{part}\.{name} is one of .*, not {word!r}"
    given = described(bench, process_request=process_request(source(part, name, word)))
    with pytest.raises(InvalidInputError, match=rf"^{says}\. Task: job"):
        SentinelHubBatchOperator(**given)
    before = bench.mark()
    templated = described(bench, process_request=process_request(source(part, name, "{{ params.word }}")))
    for native in (True, False) if word != "" else ():
        make = partial(rendered, SentinelHubCreateBatchOperator, templated, native=native, word=word)
        with pytest.raises(AirflowFailException, match=rf"{name} is one of .*, which came from '{{{{ params\.word"):
            bench.run(make)
    assert bench.mark() == before
    job = BatchSpecification(**{**described_job(bench), "process_request": process_request(source(part, name, word))})
    with pytest.raises(InvalidInputError, match=rf"^{says}"):
        bench.hook.run_job(job, name="x", aws_conn_id="my_bucket")
    assert bench.effects(before) == []


def described_job(bench: Any) -> dict[str, Any]:
    given = described(bench)
    return {name: given[name] for name in ("evalscript", "area", "tiling_grid")} | {"output": "s3://maps/ndvi"}


@pytest.mark.parametrize(("part", "name", "word"), WRONG)
def test_the_simulator_refuses_it_too(bench: Any, part: str, name: str, word: Any) -> None:
    from airflow_sentinelhub.api.call import exchange
    from airflow_sentinelhub.api.service.generations import generation

    payload = bench.payload()
    payload["processRequest"]["input"]["data"] = [source(part, name, word)]
    for end in ("from", "to"):
        span = payload["processRequest"]["input"]["data"][0]["dataFilter"]["timeRange"]
        span[end] = f"{span[end]}T00:00:00Z"
    with pytest.raises(Exception, match=rf"{part}->{name}: {name} must be one of"):
        bench.hook.run(exchange(generation(bench.api).create(payload)))


@pytest.mark.parametrize("value", ["", None, "None"])
@once
def test_a_word_that_came_out_as_nothing(bench: Any, value: Any) -> None:
    given = described(bench, process_request=process_request("sentinel-2-l2a", DAYS, mosaicking_order="{{ params.w }}"))
    with pytest.raises(AirflowFailException, match=r"mosaickingOrder is given in the DAG, but .*\{\{ params\.w \}\}"):
        bench.run(lambda: rendered(SentinelHubCreateBatchOperator, given, w=value))


BUILT: list[tuple[dict[str, Any], str]] = [
    ({"data": None}, "data is the name of a collection, .*not None"),
    ({"data": []}, r"data is the name of a collection, .*not \[\]"),
    ({"data": 5}, "data is the name of a collection, .*not 5"),
    ({"data": b"sentinel-2-l2a"}, "data is the name of a collection, .*not b'sentinel-2-l2a'"),
    ({"data": ["sentinel-2-l2a"]}, r"data\[0\] must be an object .*give data='sentinel-2-l2a'"),
    ({"data": ["sentinel-2-l2a", "dem"]}, r"data\[0\] must be an object .*several collections are objects"),
    ({"data": {"type": "dem"}}, r"time_range goes with a data source by name; .*dataFilter\.timeRange"),
    ({"data": {"type": "dem"}, "time_range": None, "max_cloud_coverage": 5}, "max_cloud_coverage goes with a data "),
    ({"data": [{"type": "dem"}], "time_range": None, "data_filter": {"a": 1}}, "data_filter goes with a data source"),
    ({"mosaicking_order": "leastcc"}, "mosaicking_order is one of mostRecent, leastRecent, leastCC, not 'leastcc'"),
    ({"mosaicking_order": 1}, "mosaicking_order is one of .*, not 1"),
    ({"check_collection": "perhaps"}, "check_collection is True or False, not 'perhaps'"),
    ({"check_collection": None}, "check_collection is True or False, not None"),
    ({"simplify": 100}, "simplify is 100, and there is no area beside it"),
]


@pytest.mark.parametrize(("given", "says"), BUILT)
def test_what_would_be_passed_over_or_said_of_another_argument(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{says}"):
        process_request(**{"data": "sentinel-2-l2a", "time_range": DAYS, **given})


def test_names_are_let_through_where_text_says_so() -> None:
    assert process_request("new-one", DAYS, check_collection="no")["input"]["data"][0]["type"] == "new-one"  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"^mosaicking_order is one of"):
        input_data("sentinel-2-l2a", mosaicking_order="best")
