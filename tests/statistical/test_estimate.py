"""The estimate of a statistical job against what the simulator then counts."""

from __future__ import annotations

import pytest

from airflow_sentinelhub import aggregation
from airflow_sentinelhub._compat import AirflowFailException
from tests.statistical.conftest import StatisticalBench
from tests.statistical.fields import NDVI, parcels, put_fields

ORBIT = NDVI.replace("return {\n", 'return {\n    mosaicking: "ORBIT",\n', 1)


def divided(interval: str, **more: object) -> object:
    return aggregation(("2024-06-01", "2024-06-30"), interval, **({"resolution": 1} | more))


@pytest.mark.parametrize(
    "how",
    [
        divided("P10D"),
        divided("P1D"),
        divided("P7D", last_interval="SHORTEN"),
        divided("P7D", last_interval="EXTEND"),
        divided("P1M"),
        divided("P10D", resolution=(1, 7)),
        divided("P10D", resolution=0.3),
        divided("P10D", resolution=20),  # the smallest area
        divided("P10D", resolution=None, size=(300, 20)),
    ],
)
def test_a_job_with_simple_mosaicking_costs_what_was_estimated(bench: StatisticalBench, how: object) -> None:
    put_fields(bench.sim.bucket_dir, parcels(30))
    result = bench.run(bench.whole(aggregation=how))
    assert result["expected_pu_low"] == result["expected_pu_high"]
    assert result["estimated_by"] == "us"
    assert result["processing_units"] == pytest.approx(result["expected_pu"], rel=0.01)


@pytest.mark.parametrize("interval", ["P1D", "P10D", "P30D"])
def test_a_job_of_all_observations_costs_something_within_the_range(bench: StatisticalBench, interval: str) -> None:
    result = bench.run(bench.whole(aggregation=divided(interval), evalscript=ORBIT))
    assert result["expected_pu_low"] * 0.99 <= result["processing_units"] <= result["expected_pu_high"] * 1.01


def test_a_budget_below_the_estimate_starts_nothing(bench: StatisticalBench) -> None:
    with pytest.raises(AirflowFailException, match=r"would cost about .* has not been started and bills nothing"):
        bench.run(bench.whole(aggregation=divided("P1D"), max_processing_units=0.1))
    assert "billed_start" not in bench.effects()


def test_a_geopackage_that_is_gone_makes_the_cost_unknown(bench: StatisticalBench) -> None:
    from airflow_sentinelhub.api.flows.price import price_request
    from airflow_sentinelhub.api.flows.read import read
    from airflow_sentinelhub.api.service.generations import STATISTICAL
    from airflow_sentinelhub.hooks.prices import CostReader
    from airflow_sentinelhub.hooks.sentinelhub import reader_now

    job = bench.hook.run(read(STATISTICAL, bench.run(bench.whole())["request_id"]))
    (bench.sim.bucket_dir / "farm" / "fields.gpkg").unlink()
    reader = CostReader(lambda: reader_now("sentinelhub_default", "my_bucket"))
    price = bench.hook.run(price_request(STATISTICAL, job, reader.prepared))
    assert (price.known, price.expected) == (False, None)
    assert "There is no GeoPackage at s3://farm/fields.gpkg any more." in price.why
