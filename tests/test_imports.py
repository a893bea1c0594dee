"""Parsing a DAG stays light: no HTTP library, nothing of ours that needs them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_sentinelhub
from airflow_sentinelhub._compat import BaseEventTrigger

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    *("requests", "requests_oauthlib", "oauthlib", "httpx", "dataclasses_json", "marshmallow"),
    *("boto3", "shapely", "pyogrio", "pyarrow", "numpy", "quickjs"),
)
# What a bare operator, sensor and trigger of this Airflow need: it is loaded already when a DAG is parsed.
BARE = """
import airflow.triggers.base
try:
    from airflow.providers.common.compat.sdk import (
        DAG, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, TaskGroup, XCom, conf, task)
except ImportError:  # the common-compat of Airflow 3.0's constraints
    from airflow.configuration import conf
    from airflow.hooks.base import BaseHook
    from airflow.sdk import DAG, BaseOperator, BaseOperatorLink, BaseSensorOperator, TaskGroup, task
    from airflow.sdk.bases.xcom import BaseXCom
"""


# Forks for each case, so that what all of them stand on is imported once.
EACH = """
import json, os, sys
{before}
had = set(sys.modules)
for line in sys.stdin:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            exec(json.loads(line), {{"__name__": "case"}})
            said = sorted({{name.split('.')[0] for name in set(sys.modules) - had}})
        except BaseException as err:
            said = repr(err)
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print("SAID", pipe.read(), flush=True)
    os.waitpid(child, 0)
"""


class Interpreter:
    """Tells which top-level modules a piece of code loads on top of what was imported `before`."""

    def __init__(self, before: str = "") -> None:
        command = [sys.executable, "-c", EACH.format(before=before)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )

    def loaded(self, code: str) -> set[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("SAID "):  # Airflow may say something, too
                said = json.loads(line[5:])
                assert isinstance(said, list), said
                return set(said)
        raise AssertionError(f"it ended with {self._process.wait()}")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def bare() -> Iterator[Interpreter]:
    """An interpreter that has loaded what any DAG needs."""
    interpreter = Interpreter(BARE)
    yield interpreter
    interpreter.end()


@pytest.fixture(scope="module")
def empty() -> Iterator[Interpreter]:
    interpreter = Interpreter()
    yield interpreter
    interpreter.end()


def test_the_package_itself_loads_nothing_heavy(empty: Interpreter) -> None:
    assert not {*HEAVY, "airflow"} & empty.loaded("import airflow_sentinelhub; airflow_sentinelhub.__version__")


def test_the_simulator_is_light_until_it_serves(empty: Interpreter) -> None:
    assert not {*HEAVY, "starlette", "uvicorn", "pyproj", "airflow"} & empty.loaded(
        "import airflow_sentinelhub.simulator"
    )


@pytest.mark.parametrize(
    "module",
    [
        "operators.batch",
        "operators.statistical",
        "sensors.batch",
        "sensors.statistical",
        "sensors.imagery",
        "triggers.batch",
        "triggers.acquisitions",
        "groups",
    ],
)
def test_what_a_dag_imports_loads_nothing_heavy(bare: Interpreter, module: str) -> None:
    assert not set(HEAVY) & bare.loaded(f"import airflow_sentinelhub.{module}")


EXAMPLES = sorted(
    dag
    for dag in (ROOT / "example_dags").glob("*.py")
    if BaseEventTrigger is not None or "AssetWatcher" not in dag.read_text()  # Airflow 2.11 has no watchers
)


@pytest.mark.parametrize("dag", EXAMPLES, ids=lambda dag: dag.stem)
def test_parsing_an_example_loads_nothing_heavy(bare: Interpreter, dag: Path) -> None:
    assert not set(HEAVY) & bare.loaded(f"import runpy; runpy.run_path({str(dag)!r})")


NEIGHBOURS = {
    "type": "MultiPolygon",
    "coordinates": [[[[x, 0], [x + 1, 0], [x + 1, 1], [x, 1], [x, 0]]] for x in (0, 1)],
}


@pytest.mark.parametrize("area", [NEIGHBOURS, "fields.gpkg", "POLYGON ((0 0, 1 0, 1 1, 0 0))", [177, -20, 182, -15]])
@pytest.mark.parametrize("simplify", [None, 100])
def test_an_area_loads_nothing_while_a_dag_is_parsed(bare: Interpreter, area: object, simplify: int | None) -> None:
    code = f"""
from airflow_sentinelhub import process_request, tiling_grid
from airflow_sentinelhub.operators.batch import SentinelHubBatchOperator
where = {{"tiling_grid": tiling_grid(1, 10), "destination": "s3://maps/x", "evalscript": "ndvi.js"}}
request = process_request("sentinel-2-l2a", area={area!r}, simplify={simplify})
SentinelHubBatchOperator(task_id="one", process_request=request, simplify={simplify}, **where)
SentinelHubBatchOperator(task_id="two", process_request={{}}, area={area!r})
"""
    assert not set(HEAVY) & bare.loaded(code)


def test_what_reads_areas_is_light_itself(empty: Interpreter) -> None:
    code = "import airflow_sentinelhub.shapes.files, airflow_sentinelhub.shapes.polygons"
    assert not {*HEAVY, "airflow"} & empty.loaded(code)


def test_this_would_notice(bare: Interpreter) -> None:
    assert "oauthlib" in bare.loaded("import airflow_sentinelhub.transport.client")


def test_models_need_no_library_but_for_their_schema(bare: Interpreter) -> None:
    models = "from airflow_sentinelhub.hooks.models import BatchCollection as Model"
    uses = "Model.from_json(Model.from_dict({'name': 'n', 's3Bucket': 'b'}).to_json()).to_dict()"
    assert not {"dataclasses_json", "marshmallow"} & bare.loaded(f"{models}; {uses}")
    assert {"dataclasses_json", "marshmallow"} <= bare.loaded(f"{models}; Model.schema()")


def test_a_case_that_fails_is_shown_and_leaves_nothing_to_the_next(empty: Interpreter) -> None:
    with pytest.raises(AssertionError, match="no_such_module"):
        empty.loaded("import no_such_module")
    assert "wave" in empty.loaded("import wave")
    assert "wave" in empty.loaded("import wave")


@pytest.mark.slow
def test_a_type_checker_sees_what_is_loaded_when_it_is_used() -> None:
    """Names of the package's top are loaded by `__getattr__`; under TYPE_CHECKING they stand there once more."""
    tree = ast.parse((ROOT / "airflow_sentinelhub" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module for node in ast.walk(block) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == airflow_sentinelhub._HOMES
