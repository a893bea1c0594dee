"""Run by an environment of the vendor's client: our `create` takes the vendor's request objects.

Our clients need neither Airflow nor HTTP to say what they would send, so they run where the vendor's library is.
"""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub.api.call import Send
from airflow_sentinelhub.hooks.v1 import SentinelHubBatch
from airflow_sentinelhub.hooks.v2 import BatchProcessClient
from tests.witness.vendor import a_request, begin, end


class Sent(Exception):
    """Carries what would be sent."""


def only_say(flow: Any) -> Any:
    step = next(flow)
    assert isinstance(step, Send)
    raise Sent(step.call.json)


def payload(call: Any) -> Any:
    try:
        call()
    except Sent as sent:
        return sent.args[0]
    return None


def main() -> None:
    _, simulator, _ = begin()
    request, v1, v2 = a_request(simulator), SentinelHubBatch(only_say), BatchProcessClient(only_say)
    grid, delivery = v2.tiling_grid_input(1, 10), v2.s3_specification("s3://maps", iam_role_arn="arn:aws:iam::1:role/m")
    end(
        {
            "theirs": request.download_list[0].post_values,
            "v1": payload(lambda: v1.create(request, v1.tiling_grid(1, 10), bucket_name="maps")),
            "v2": payload(lambda: v2.create(request, grid, v2.raster_output(delivery))),
        }
    )


if __name__ == "__main__":
    main()
