"""What code does that is written for the vendor's client, as functions that run on the vendor's classes and on ours.

Run as a program by an environment of the vendor's client; the test runs the same functions on our clients. Each
returns plain JSON. Nothing of ours is imported here, and the vendor's library only within functions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen

Pattern = Callable[["World"], Any]
Json = dict
KINDS = (ValueError, KeyError, RuntimeError, TypeError, AttributeError, IndexError, StopIteration)


class Control:
    """The control plane of the simulator."""

    def __init__(self, url: str) -> None:
        self.url = url

    def tell(self, place: str, /, **body: Any) -> None:
        data = json.dumps(body).encode()
        with urlopen(Request(f"{self.url}/_simulator/{place}", data, {"Content-Type": "application/json"})) as reply:
            reply.read()

    def step(self, seconds: float) -> None:
        self.tell("clock", step=seconds)


@dataclass
class World:
    """Whose client it is and what goes with it.

    :param client: the client of the generation; :param names: the classes that users import beside it.
    :param analysed: the vendor's function, or our method, that waits for the end of an analysis; :param done: of a job.
    :param given: payloads that the patterns need.
    """

    client: Any
    names: Any
    control: Control
    analysed: Callable[[Any], Any]
    done: Callable[[Any], Any]
    given: Json
    kept: Json = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Something that several patterns look at, made by the first of them."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or of which kind its error is and what the service has said; all as plain JSON."""
    try:
        return {"returns": plain(call())}
    except Exception as error:
        said: Json = {"raises": [kind.__name__ for kind in KINDS if isinstance(error, kind)]}
        response = getattr(getattr(error, "request_exception", None), "response", None)
        if response is not None and response.headers:  # else it is about no reply
            said["status"] = response.status_code
            said["message"] = response.json()["error"]["message"] if response.text.startswith("{") else ""
            said["headers"] = response.headers["content-type"]
        return said


def plain(value: Any) -> Any:
    """Members of enumerations as their words, mappings and sequences as such, objects as the name of their class."""
    if hasattr(value, "value") and hasattr(value, "name"):
        return value.value
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else type(value).__name__


def play(world: World, patterns: dict[str, Pattern]) -> Json:
    """The results of all patterns, in their order."""
    return {name: outcome(lambda pattern=pattern: pattern(world)) for name, pattern in patterns.items()}


def patterns_of(generation: str) -> dict[str, Pattern]:
    from tests.witness import odd_statistical, odd_v1, odd_v2, patterns_statistical, patterns_v1, patterns_v2

    return {
        "v1": patterns_v1.PATTERNS | odd_v1.PATTERNS,
        "v2": patterns_v2.PATTERNS | odd_v2.PATTERNS,
        "statistical": patterns_statistical.PATTERNS | odd_statistical.PATTERNS,
    }[generation]


def vendors_world(given: Json) -> World:
    import sentinelhub
    from sentinelhub.api.batch import process, utils

    from tests.witness.vendor import Simulator

    control, config = Control(given["simulator"]["url"]), Simulator(given["simulator"]).config
    utils.time = SimpleNamespace(sleep=control.step)
    names = SimpleNamespace(**{**vars(sentinelhub), **vars(process)})
    if given["generation"] == "v1":
        return World(
            sentinelhub.SentinelHubBatch(config=config),
            names,
            control,
            lambda request: utils.monitor_batch_analysis(request, config=config, sleep_time=5),
            lambda request: utils.monitor_batch_job(request, config=config, sleep_time=60, analysis_sleep_time=5),
            given,
        )
    if given["generation"] == "v2":
        client = sentinelhub.BatchProcessClient(config=config)
        return World(
            client,
            names,
            control,
            lambda request: utils.monitor_batch_process_analysis(request, client, sleep_time=5),
            lambda request: utils.monitor_batch_process_job(request, client, sleep_time=60, analysis_sleep_time=5),
            given,
        )
    return World(
        sentinelhub.SentinelHubBatchStatistical(config=config),
        names,
        control,
        lambda request: utils.monitor_batch_statistical_analysis(request, config, sleep_time=5),
        lambda request: utils.monitor_batch_statistical_job(request, config, sleep_time=15, analysis_sleep_time=5),
        given,
    )


def main() -> None:
    given = json.loads(sys.stdin.read())
    print(json.dumps(play(vendors_world(given), patterns_of(given["generation"]))))


if __name__ == "__main__":
    main()
