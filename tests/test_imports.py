"""Parsing a DAG stays light: no HTTP library, no dataclasses-json, nothing of ours that needs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("requests", "requests_oauthlib", "oauthlib", "httpx", "dataclasses_json", "marshmallow", "boto3", "shapely")
# What a bare operator, sensor and trigger of this Airflow need: it is loaded already when a DAG is parsed.
BARE = """
import airflow.triggers.base
from airflow.providers.common.compat.sdk import (
    DAG, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, TaskGroup, XCom, conf, task)
"""


def loaded(code: str, before: str = "", home: Path | None = None) -> set[str]:
    """Top-level modules that `code` loads on top of `before`, in an interpreter of its own."""
    script = f"""
import json, sys
{before}
had = set(sys.modules)
{code}
print(json.dumps(sorted({{name.split('.')[0] for name in set(sys.modules) - had}})))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_package_itself_loads_nothing_heavy() -> None:
    assert not {*HEAVY, "airflow"} & loaded("import airflow_sentinelhub; airflow_sentinelhub.__version__")


def test_the_simulator_is_light_until_it_serves() -> None:
    assert not {*HEAVY, "starlette", "uvicorn", "pyproj", "airflow"} & loaded("import airflow_sentinelhub.simulator")


@pytest.mark.parametrize(
    "module",
    ["operators.batch", "operators.statistical", "sensors.batch", "sensors.statistical", "triggers.batch", "groups"],
)
def test_what_a_dag_imports_loads_nothing_heavy(module: str) -> None:
    assert not set(HEAVY) & loaded(f"import airflow_sentinelhub.{module}", before=BARE)


@pytest.mark.parametrize("dag", sorted((ROOT / "example_dags").glob("*.py")), ids=lambda dag: dag.stem)
def test_parsing_an_example_loads_nothing_heavy(dag: Path) -> None:
    assert not set(HEAVY) & loaded(f"import runpy; runpy.run_path({str(dag)!r})", before=BARE)


def test_this_would_notice() -> None:
    assert "dataclasses_json" in loaded("import airflow_sentinelhub.hooks.models", before=BARE)
