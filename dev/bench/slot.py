"""One visit of a deferrable job to its worker slot, or the wait between two, in a process of its own as Airflow has it.

    python -m dev.bench.slot '{"method": null, "event": null}'            a visit
    python -m dev.bench.slot '{"trigger": ["path", {...}]}'               the wait, which takes no slot

The connections stand in the environment. The last line of the output is JSON: what the task defers to, or its result.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import TaskDeferred

from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator

AREA = {"type": "Polygon", "coordinates": [[[8.9, 41.9], [9.0, 41.9], [9.0, 42.0], [8.9, 42.0], [8.9, 41.9]]]}
NDVI = """//VERSION=3
function setup() {
  return {input: ["B04", "B08"], output: {id: "default", bands: 1, sampleType: "FLOAT32"}};
}
function evaluatePixel(sample) {
  return [(sample.B08 - sample.B04) / (sample.B08 + sample.B04)];
}
"""


def context() -> Any:
    """What the first try of a task sees of itself."""
    began = datetime.now(timezone.utc)
    ti = SimpleNamespace(dag_id="maps", task_id="job", run_id="manual", map_index=-1, try_number=1, max_tries=0)
    ti.start_date, ti.xcom_push, ti.xcom_pull = began, lambda **_: None, lambda **_: None
    run = SimpleNamespace(start_date=began, run_after=began, clear_number=0)
    return {"ti": ti, "task_instance": ti, "run_id": ti.run_id, "dag_run": run}


def visit(method: str | None, event: Any) -> dict[str, Any]:
    """Run the task until it defers or has ended."""
    task = SentinelHubBatchOperator(
        task_id="job",
        process_request=process_request("sentinel-2-l2a", ("2024-06-01", "2024-06-30")),
        evalscript=NDVI,
        area=AREA,
        tiling_grid=tiling_grid(1, 10),
        destination="s3://maps/ndvi",
        aws_conn_id="bench_bucket",
        deferrable=True,
        poll_interval=0.2,
        analysis_poll_interval=0.2,
    )
    try:
        if method is None:
            result: Any = task.execute(context())
        else:
            result = task.resume_execution(method, {"event": event}, context())
    except TaskDeferred as deferred:
        return {"method": deferred.method_name, "trigger": list(deferred.trigger.serialize())}
    return {"result": result["status"]}


async def event_of(path: str, kwargs: dict[str, Any]) -> Any:
    """The one event of a trigger."""
    from importlib import import_module

    module, _, name = path.rpartition(".")
    trigger = getattr(import_module(module), name)(**kwargs)
    async for event in trigger.run():
        return event.payload
    raise RuntimeError("the trigger has ended without an event")


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    found = {"event": asyncio.run(event_of(*given["trigger"]))} if "trigger" in given else visit(**given)
    print(json.dumps(found, default=str), flush=True)
