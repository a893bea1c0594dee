"""Code written for the vendor's client does the same on ours: each pattern runs on both, on simulators of their own.

Where they differ on purpose stands in `DIFFERENCES`, with what ours does; an entry that makes no difference fails. The
table of `docs/from-the-vendors-client.md` is made of it, by this test run with `SENTINELHUB_WRITE_DOCS=1`.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.simulator import Simulator
from dev import env
from tests.statistical.fields import body, put_fields
from tests.witness.environments import run
from tests.witness.odd_differences import ODD_DIFFERENCES
from tests.witness.ours import our_world
from tests.witness.patterns import Pattern, patterns_of, play
from tests.witness.recordings import PROCESS

pytestmark = [pytest.mark.thorough, pytest.mark.filterwarnings("ignore:The 'default' argument to fields is deprecated")]
VERSIONS = {"v1": "3.11.1", "v2": "3.12.0", "statistical": "3.12.0"}
GENERATIONS = tuple(VERSIONS)
BOTH = ("vendor", "ours")
PAGE = env.ROOT / "docs" / "from-the-vendors-client.md"
BEGIN, END = "<!-- table made by tests/witness/test_patterns.py -->", "<!-- end of the table -->"
SHAPE = {"type": "Polygon", "coordinates": [[[5e5, 4.6e6], [500200, 4.6e6], [500200, 4600200], [5e5, 4.6e6]]]}
_ABSENT = (
    "Not there: the Airflow connection takes their place. Write `hook.settings.base_url` for the address, and call the "
    "methods of the client instead of URLs."
)
_AGAIN = (
    "Safe to repeat: for a request that was started before, or has ended, nothing is sent, and the log says so. The "
    "vendor's sends the start, and the service refuses it or not."
)
_STOPPED = (
    "Not started again, and the log says so: a retry of a task must not undo somebody's stop. Use an operator with "
    '`resume_stopped="if_accepted"`, or create a new request.'
)
_STOPPED_AT_WORK = "Raises `JobCancelledError` (a RuntimeError); the vendor's returns as if the job were done."

DIFFERENCES: dict[tuple[str, str], str] = {
    **ODD_DIFFERENCES,
    ("v1", "SentinelHubBatch.iter_tiles before the analysis"): (
        "No tiles; the vendor's raises MissingDataInRequestException."
    ),
    ("v1", "monitor_batch_job of a request cancelled at work"): _STOPPED_AT_WORK,
    ("v1", "SentinelHubBatch.start_job again"): _AGAIN,
    ("v1", "What an action returns"): "None; the vendor's returns an empty text.",
    ("v1", "SentinelHubBatch.create_collection without a bucket"): (
        "Raises `InvalidInputError` (a ValueError) and sends nothing; with the vendor's the service refuses."
    ),
    ("v1", "SentinelHubBatch.client, config, service_url"): _ABSENT,
    ("v1", "BatchCollection.batch_data"): "Read, as the vendor's page types it; the vendor's class leaves it None.",
    ("v1", "BatchRequestStatus of a word that nobody knows"): (
        "A member of its own (`known` is False): a waiting task must survive it; the vendor's raises ValueError."
    ),
    ("v1", "BatchRequestStatus as a text"): (
        "`DONE`, and it is equal to this text; the vendor's is `BatchRequestStatus.DONE`, and is not. `.value` and "
        "`.name` are the same."
    ),
    ("v1", "BatchRequest without tileCount"): "Read, `tile_count` is None; the vendor's raises KeyError.",
    ("v1", "BatchRequest.bbox without a CRS"): "Taken as WGS84, as the service does; the vendor's raises KeyError.",
    ("v2", "monitor_batch_process_job of a task stopped at work"): _STOPPED_AT_WORK,
    ("v2", "BatchProcessClient.start_job again"): _AGAIN,
    ("v2", "BatchProcessClient.start_job of a STOPPED task"): _STOPPED,
    ("v2", "BatchProcessClient.client, config, service_url"): _ABSENT,
    ("v2", "BatchProcessRequest without domainAccountId"): (
        "Read, `domain_account_id` is None; the vendor's raises KeyError."
    ),
    ("statistical", "SentinelHubBatchStatistical.start_job again"): _AGAIN,
    ("statistical", "SentinelHubBatchStatistical.start_job of a STOPPED request"): _STOPPED,
    ("statistical", "SentinelHubBatchStatistical.client, config, service_url"): _ABSENT,
    ("statistical", "BatchStatisticalRequest without completionPercentage"): (
        "Read, `completion_percentage` is 0; the vendor's raises KeyError."
    ),
}
ROWS = [(generation, name) for generation in GENERATIONS for name in patterns_of(generation)]
ids = [f"{generation}: {name}" for generation, name in ROWS]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(whose class, generation) -> what came of each pattern."""

    @cache
    def of(whose: str, generation: str) -> dict[str, Any]:
        home, bucket = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bucket")
        put_fields(bucket)
        with Simulator(speed=0, page_size=10, bucket_dir=bucket) as simulator:
            given = {"simulator": simulator.as_dict(), "generation": generation}
            given |= {"process": PROCESS, "statistics": body(), "shape": SHAPE}
            if whose == "vendor":
                found: dict[str, Any] = run(VERSIONS[generation], "patterns.py", given, home)
            else:
                found = json.loads(json.dumps(play(our_world(simulator, given), patterns_of(generation))))
        return found

    return of


@pytest.mark.parametrize(("generation", "name"), ROWS, ids=ids)
def test_a_pattern_does_the_same_on_both(results: Any, generation: str, name: str) -> None:
    theirs, ours = (results(whose, generation)[name] for whose in BOTH)
    if (generation, name) in DIFFERENCES:
        assert ours != theirs
    else:
        assert ours == theirs


@pytest.mark.parametrize("whose", BOTH)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_pattern_itself_does_not_fail(results: Any, generation: str, whose: str) -> None:
    """Two that fail alike prove nothing: only what a row is about may be refused, within it."""
    failed = {name for name, found in results(whose, generation).items() if "raises" in found}
    assert failed == set()


def test_every_difference_is_of_a_pattern() -> None:
    assert set(DIFFERENCES) <= set(ROWS)


@pytest.mark.parametrize(
    ("generation", "kind"),
    [
        ("v1", "SentinelHubBatch"),
        ("v1", "BatchRequest"),
        ("v1", "BatchCollection"),
        ("v2", "BatchProcessClient"),
        ("v2", "BatchProcessRequest"),
        ("statistical", "SentinelHubBatchStatistical"),
        ("statistical", "BatchStatisticalRequest"),
    ],
)
def test_every_method_has_a_row(generation: str, kind: str, tmp_path: Path) -> None:
    methods = run(VERSIONS[generation], "names.py", {"names": [kind]}, tmp_path)[kind]
    rows = " ".join(name for name in patterns_of(generation) if kind in name)
    lacking = {name for name in methods if name not in rows}
    assert lacking == set()


def table() -> str:
    lines = ["| | Row | Ours |", "| --- | --- | --- |"]
    for generation, name in ROWS:
        lines.append(f"| {generation} | `{name}` | {DIFFERENCES.get((generation, name), 'same')} |")
    return "\n".join(lines)


def test_the_table_in_the_docs_is_this_one() -> None:
    page = PAGE.read_text()
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    assert begun
    assert ended
    wanted = f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"
    if os.environ.get("SENTINELHUB_WRITE_DOCS"):
        PAGE.write_text(wanted)
    assert PAGE.read_text() == wanted


def test_a_difference_shows(results: Any) -> None:
    """A pattern that asks more than ours do is seen: this test can fail."""
    odd: dict[str, Pattern] = {"odd": lambda world: type(world.client).__module__}
    with Simulator(speed=0) as simulator:
        given = {"simulator": simulator.as_dict(), "generation": "v1", "process": PROCESS}
        found = play(our_world(simulator, given), odd)
    assert found == {"odd": {"returns": "airflow_sentinelhub.hooks.v1"}}
