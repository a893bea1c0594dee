"""Wait for the statistics that somebody else has computed, and list them."""

from airflow import DAG

from airflow_sentinelhub.operators.statistical import SentinelHubListStatisticsOperator
from airflow_sentinelhub.sensors.statistical import SentinelHubBatchStatisticalSensor

with DAG("statistics_of_others", schedule=None, params={"request_id": ""}) as dag:
    done = SentinelHubBatchStatisticalSensor(
        task_id="done",
        request_id="{{ params.request_id }}",
        deferrable=True,
        timeout="PT6H",
    )
    fields = SentinelHubListStatisticsOperator(
        task_id="fields",
        request_id="{{ params.request_id }}",
        aws_conn_id="my_bucket",
    )
    done >> fields
