"""Mistakes that a type checker must find: each line that ends in `# wrong`, and no other one.

`make types` holds it for mypy --strict and for pyright. Nobody runs this file.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator, task

import airflow_sentinelhub
from airflow_sentinelhub import (
    BatchSpecification,
    SentinelHubError,
    SentinelHubHook,
    StatisticalSpecification,
    aggregation,
    input_data,
    last,
    output,
    process_request,
    sentinelhub_batch,
    tiling_grid,
)
from airflow_sentinelhub import proces_request as missing_name  # wrong
from airflow_sentinelhub.hooks.tiles import open_tile  # wrong
from airflow_sentinelhub.operators.batch import (
    AnalysisResult,
    BudgetResult,
    DeletedResult,
    JobResult,
    SentinelHubAnalyseBatchOperator,
    SentinelHubBatchBudgetOperator,
    SentinelHubBatchOperator,
    SentinelHubCancelBatchOperator,
    SentinelHubCreateBatchCollectionOperator,
    SentinelHubCreateBatchOperator,
    SentinelHubDeleteBatchCollectionOperator,
    SentinelHubDeleteBatchOperator,
    SentinelHubListBatchTilesOperator,
    SentinelHubRestartBatchOperator,
    SentinelHubStartBatchOperator,
    SentinelHubUpdateBatchCollectionOperator,
    SentinelHubUpdateBatchOperator,
    StepResult,
)
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperater as MissingOperator  # wrong
from airflow_sentinelhub.operators.statistical import (
    SentinelHubBatchStatisticalOperator,
    SentinelHubListStatisticsOperator,
    StatisticalResult,
)
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor, SentinelHubBatchTileSensor
from airflow_sentinelhub.sensors.imagery import SentinelHubNewImagerySensor
from airflow_sentinelhub.sensors.statistical import SentinelHubBatchStatisticalSensor
from airflow_sentinelhub.triggers.batch import (
    SentinelHubBatchStatisticalTrigger,
    SentinelHubBatchTileTrigger,
    SentinelHubBatchTrigger,
)

airflow_sentinelhub.tiling_gird(1, 10)  # wrong
airflow_sentinelhub.tiling_grid(1, 10)
print(missing_name, MissingOperator, open_tile)

# What describes a job
process_request("sentinel-2-l2a", time_rnge=("2024-06-01", "2024-06-30"))  # wrong
process_request("sentinel-2-l2a", last(days=30), max_cloud_coverage=[30])  # wrong
process_request("sentinel-2-l2a", last(days="{{ params.days }}"), max_cloud_coverage="{{ params.clouds }}")
process_request(5)  # wrong
process_request("sentinel-2-l2a", 30)  # wrong
process_request("sentinel-2-l2a", timedelta(days=30))  # wrong
process_request("sentinel-2-l2a", (date(2024, 6, 1), "{{ ds }}"))
process_request("sentinel-2-l2a", [datetime.fromtimestamp(0, timezone.utc), "{{ ds }}"])
process_request("sentinel-2-l2a", {"from": "2024-06-01", "to": date(2024, 7, 1)})
process_request()  # wrong
tiling_grid(1)  # wrong
tiling_grid(1, 10, buffer="wide")  # wrong
last(dais=30)  # wrong
output(cog_outputs=True).items()
output(cog_output=3)  # wrong
JOB = process_request("sentinel-2-l2a", "data_interval", max_cloud_coverage=30)
GRID = tiling_grid(1, 10)
ID = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


@task
def number() -> int:
    return 3


@task
def text() -> str:
    return ID


@task
def chunk(tiles: list[dict[str, Any]]) -> None:
    print(tiles)


@task
def read(
    job: JobResult, fields: StatisticalResult, step: StepResult, analysis: AnalysisResult, budget: BudgetResult
) -> int:
    print(job["procesed"])  # wrong
    print(job["processed"], job["failed_tiles"], job["expected_pu"])
    print(job["feature_count"])  # wrong
    print(job["processing_units"] + 1)  # wrong
    print(job.processed)  # wrong
    print(fields["failed_feature"])  # wrong
    print(fields["failed_features"], fields["estimated_by"])
    print(step["status"], step["batch_api"])
    print(step["state"])  # wrong
    print(analysis["tile_counts"])  # wrong
    print(analysis["tile_count"], analysis["expected_pu_low"], analysis["request_id"])
    print(budget["max_processing_unit"])  # wrong
    print(budget["max_processing_units"])
    return job["processed"]  # wrong


def deleted(result: DeletedResult) -> str:
    print(result["status"])  # wrong
    return result["request_id"]


with DAG("mistakes", schedule=None) as dag:
    # Builders with what is known only in the run
    process_request(text(), last(days=number()), max_cloud_coverage=number(), evalscript=text())
    tiling_grid(number(), "{{ params.resolution }}", buffer=(number(), 20))
    input_data(text(), mosaicking_order="{{ params.order }}")
    input_data("sentinel-2-l2a", max_cloud_coverage=(30, 40))  # wrong
    aggregation(("2024-06-01", "2024-07-01"), text(), resolution=number())
    aggregation("data_interval", 10)  # wrong
    aggregation(date(2024, 6, 1), "P1D")  # wrong
    process_request("sentinel-2-l2a", text())
    # The whole job
    job = SentinelHubBatchOperator(
        task_id="job",
        process_request=JOB,
        tiling_grid=GRID,
        area=[8.6, 41.8, 8.9, 42.0],
        evalscript=Path("max_ndvi.js"),
        destination="s3://bucket/{{ ds }}",
        max_processing_units=500,
        max_restarts=1,
        max_failed_tiles=number(),
        min_success_ratio="{{ params.share }}",
        on_over_budget="stop",
        on_partial="{{ params.policy }}",
        poll_interval=timedelta(minutes=2),
        timeout="PT5H",
        deferrable=True,
        retries=3,
        retry_delay=timedelta(minutes=5),
        pool="batch",
        on_failure_callback=[print],
    )
    SentinelHubBatchOperator(process_request=JOB)  # wrong
    SentinelHubBatchOperator("job", process_request=JOB)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, tiling_gird=GRID)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, retrys=2)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, retries="two")  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, pool=3)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, mode="poke")  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=7)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, max_restarts=[1])  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, max_restarts=1.5)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, max_restarts=None)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, max_processing_units={"pu": 5})  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, on_partial=True)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, on_over_budget=None)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, on_over_budget=("fail", "skip"))  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, deferrable=timedelta(0))  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, timeout=dag)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, destination=Path("/bucket"))  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, aws_conn_id=5)  # wrong
    SentinelHubBatchOperator(task_id="a", process_request=JOB, batch_api=2)  # wrong
    print(job.outptu)  # wrong

    # Its steps
    create = SentinelHubCreateBatchOperator(task_id="create", process_request=JOB, tiling_grid=text())
    SentinelHubCreateBatchOperator(task_id="b", tiling_grid=GRID)  # wrong
    SentinelHubCreateBatchOperator(task_id="b", process_request=JOB, max_restarts=1)  # wrong
    analyse = SentinelHubAnalyseBatchOperator(task_id="analyse", request_id=create.output)
    SentinelHubAnalyseBatchOperator(task_id="c", request_id=text())
    SentinelHubAnalyseBatchOperator(task_id="c", request_id=create.output["request_id"])
    SentinelHubAnalyseBatchOperator(task_id="c")  # wrong
    SentinelHubAnalyseBatchOperator(task_id="c", request_id=create)  # wrong
    SentinelHubAnalyseBatchOperator(task_id="c", request_id=ID, poll_intervall=5)  # wrong
    budget = SentinelHubBatchBudgetOperator(task_id="budget", request_id=ID, max_processing_units=5)
    SentinelHubBatchBudgetOperator(task_id="d", request_id=ID)  # wrong
    SentinelHubBatchBudgetOperator(task_id="d", request_id=ID, max_processing_units=(5,))  # wrong
    start = SentinelHubStartBatchOperator(task_id="start", request_id=ID, wait_for_completion="{{ params.wait }}")
    SentinelHubStartBatchOperator(task_id="e", request_id=ID, wait_for_completion=1.5)  # wrong
    SentinelHubStartBatchOperator(task_id="e", request_id=ID, resume_stopped=False)  # wrong
    SentinelHubRestartBatchOperator(task_id="f", request_id=start.output, cancel_on_kill=False)
    SentinelHubRestartBatchOperator(task_id="f", request_id=ID, max_restarts=2)  # wrong
    SentinelHubCancelBatchOperator(task_id="g", request_id=ID, poll_interval=None)  # wrong
    SentinelHubUpdateBatchOperator(task_id="h", request_id=ID, description=text())
    SentinelHubUpdateBatchOperator(task_id="h", request_id=ID, name="new")  # wrong
    SentinelHubDeleteBatchOperator(task_id="i", request=ID)  # wrong
    tiles = SentinelHubListBatchTilesOperator(task_id="tiles", request_id=ID, status=None, chunk_size=number())
    SentinelHubListBatchTilesOperator(task_id="j", request_id=ID, chunk_size=[50])  # wrong
    SentinelHubListBatchTilesOperator(task_id="j", request_id=ID, with_path=True)  # wrong
    collection = SentinelHubCreateBatchCollectionOperator(task_id="k", collection={"name": "ndvi"})
    SentinelHubUpdateBatchCollectionOperator(task_id="l", collection_id=collection.output, name="new")
    SentinelHubUpdateBatchCollectionOperator(task_id="l", collection_id=collection.output)  # wrong
    SentinelHubDeleteBatchCollectionOperator(task_id="m", collection_id=collection)  # wrong
    chunk.expand(tiles=tiles.output)
    analyse >> budget >> start >> tiles
    tiles >> [job, collection]
    start >> "tiles"  # wrong

    # Statistics
    fields = SentinelHubBatchStatisticalOperator(
        task_id="fields",
        geopackage="s3://bucket/fields.gpkg",
        data=input_data("sentinel-2-l2a") + input_data("dem"),
        aggregation=aggregation("data_interval", "P1D", resolution=10),
        destination="s3://bucket/fields",
    )
    SentinelHubBatchStatisticalOperator(task_id="n", geopackage="a.gpkg", tiling_grid=GRID)  # wrong
    SentinelHubBatchStatisticalOperator(task_id="n", geopackage=5)  # wrong
    SentinelHubBatchStatisticalOperator(task_id="n", data=[input_data("sentinel-2-l2a")])  # wrong
    SentinelHubBatchStatisticalOperator(task_id="n", data=["sentinel-2-l2a"])  # wrong
    SentinelHubListStatisticsOperator(task_id="o", request_id=fields.output["request_id"], status="OK")
    SentinelHubListStatisticsOperator(task_id="o", request_id=ID, batch_api="v2")  # wrong

    # Sensors
    done = SentinelHubBatchSensor(task_id="done", request_id=ID, poke_interval="PT5M", mode="reschedule")
    SentinelHubBatchSensor(task_id="p", request_id=ID, mode="deferred")  # wrong
    SentinelHubBatchSensor(task_id="p", request_id=ID, soft_fail="yes")  # wrong
    SentinelHubBatchSensor(task_id="p", request_id=ID, poll_interval=5)  # wrong
    SentinelHubBatchSensor(task_id="p", request_id=ID, target_status=["DONE"])  # wrong
    SentinelHubBatchSensor(task_id="p", target_status="DONE")  # wrong
    SentinelHubBatchTileSensor(task_id="q", request_id=ID, share="{{ params.share }}", count=number())
    SentinelHubBatchTileSensor(task_id="q", request_id=ID, tile=["32TNM_1_2"])  # wrong
    SentinelHubBatchTileSensor(task_id="q", request_id=ID, shares=0.5)  # wrong
    SentinelHubBatchStatisticalSensor(task_id="r", request_id=ID, batch_api="v1")  # wrong
    SentinelHubNewImagerySensor(task_id="s", collection="sentinel-2-l2a", area=[8.6, 41.8, 8.9, 42.0], min_count="2")
    SentinelHubNewImagerySensor(task_id="s", collection="sentinel-2-l2a")  # wrong
    SentinelHubNewImagerySensor(task_id="s", collection="sentinel-2-l2a", area=[1, 2, 3, 4], time_range=30)  # wrong
    SentinelHubNewImagerySensor(task_id="s", collection=2, area=[8.6, 41.8, 8.9, 42.0])  # wrong

    # Triggers, for operators of your own
    SentinelHubBatchTrigger(sentinelhub_conn_id="sh", batch_api="v2", request_id=ID, cancel_on_kill=True)
    SentinelHubBatchTrigger(sentinelhub_conn_id="sh", batch_api="v2", request=ID)  # wrong
    SentinelHubBatchTrigger(batch_api="v2", request_id=ID)  # wrong
    SentinelHubBatchTrigger(sentinelhub_conn_id="sh", batch_api="v2", request_id=ID, poll_interval=5)  # wrong
    SentinelHubBatchTileTrigger(sentinelhub_conn_id="sh", batch_api="v2", request_id=ID, share=0.5)
    SentinelHubBatchTileTrigger(sentinelhub_conn_id="sh", batch_api="v2", request_id=5)  # wrong
    SentinelHubBatchStatisticalTrigger(sentinelhub_conn_id="sh", request_id=ID, target_status="ANALYSIS_DONE")
    SentinelHubBatchStatisticalTrigger(sentinelhub_conn_id="sh", request_id=ID, cancel=True)  # wrong

    # What a function gets
    read(job.output, fields.output, create.output, analyse.output, budget.output)

    # The group
    group = sentinelhub_batch("group", process_request=JOB, tiling_grid=GRID, max_restarts=number(), retries=2)
    start >> group
    sentinelhub_batch("group")  # wrong
    sentinelhub_batch("group", process_request=JOB, tiling_gird=GRID)  # wrong
    sentinelhub_batch("group", process_request=JOB, request_id=ID)  # wrong
    sentinelhub_batch("group", process_request=JOB, task_id="job")  # wrong
    sentinelhub_batch("group", process_request=JOB, trigger_rule="all_done")  # wrong
    sentinelhub_batch("group", process_request=JOB, approve="yes")  # wrong
    sentinelhub_batch("group", process_request=JOB, on_partial=3)  # wrong


# The hook
def in_python(batch: BatchSpecification, statistical: StatisticalSpecification, operator: BaseOperator) -> float | None:
    hook = SentinelHubHook("sentinelhub_default")
    result = hook.run_job(batch, name="ndvi", on_over_budget="skip", max_restarts=1, timeout="PT5H")
    hook.run_job(batch, name="ndvi", on_over_budget="skipp")  # wrong
    hook.run_job(batch, name="ndvi", on_partial="acept")  # wrong
    hook.run_job(batch, name="ndvi", resume_stopped="always")  # wrong
    hook.run_job(batch, name="ndvi", batch_api="v3")  # wrong
    hook.run_job(batch, name="ndvi", max_restart=1)  # wrong
    hook.run_job({"processRequest": {}}, name="ndvi")  # wrong
    hook.run_job()  # wrong
    print(result["processed"], result["tile_count"])
    print(result["procesed"])  # wrong
    print(hook.run_job(statistical, name="fields")["feature_count"])
    print(hook.run_job(statistical, name="fields")["tile_count"])  # wrong
    request = hook.batch.get_request(ID)
    print(request.tile_counts)  # wrong
    hook.batch.start_jop(request)  # wrong
    print(hook.batch_v3)  # wrong
    print(operator.task_id, SentinelHubError("message"))
    return result["processing_unit"]  # wrong
