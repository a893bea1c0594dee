"""The docs say what is: they name every error, command, operator and example, and their snippets run."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub import exceptions
from airflow_sentinelhub.api.call import Call, Reply, error_of
from airflow_sentinelhub.cli.commands import COMMANDS
from airflow_sentinelhub.provider import get_provider_info
from dev.cluster import VERSION
from tests.airflow.home import environment, have_tables

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MESSAGES = " ".join((DOCS / "troubleshooting.md").read_text().split())
ERRORS = sorted(
    name
    for name, found in vars(exceptions).items()
    if isinstance(found, type) and issubclass(found, exceptions.SentinelHubError) and name != "SentinelHubError"
)


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_has_its_heading(name: str) -> None:
    assert f"\n### {name}\n" in (DOCS / "troubleshooting.md").read_text()


def fixed_parts(call: ast.Call) -> list[str]:
    """The words of a message that are the same in all of its forms."""
    parts = [each.value for each in ast.walk(call) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return [part.strip(" .,:;()") for part in parts if len(part.strip(" .,:;()").split()) > 1]


def messages() -> dict[str, list[str]]:
    """What `decide/errors.py` raises and returns, by the first words of its message."""
    tree = ast.parse((ROOT / "airflow_sentinelhub/api/decide/errors.py").read_text())
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and (node.func.id.endswith("Error") or node.func.id == "kind")
    ]
    return {f"{call.func.id} {parts[0][:40]}": parts for call in calls if (parts := fixed_parts(call))}  # type: ignore[attr-defined]


def status_numbers() -> dict[int, str]:
    """The error under whose heading each HTTP status stands; `4xx` and `5xx` are those that stand nowhere else."""
    sections = re.findall(r"\n### (\w+Error)\n\n((?:\dxx|\d{3}\b)[^.:]*)", (DOCS / "troubleshooting.md").read_text())
    named = {number: name for name, text in sections for number in re.findall(r"\b\d(?:xx|\d\d)\b", text)}
    return {status: named.get(str(status)) or named[f"{status // 100}xx"] for status in range(300, 600)}


def test_each_status_gives_the_error_under_whose_heading_it_stands() -> None:
    call = Call("GET", "/api/v2/batch/process", lambda body: body)
    assert {status: type(error_of(call, Reply(status))).__name__ for status in range(300, 600)} == status_numbers()


@pytest.mark.parametrize("name", sorted(messages()))
def test_each_message_is_on_the_page(name: str) -> None:
    """Four words in a row of one of its fixed parts, or a shorter part in full."""
    for part in messages()[name]:
        words = part.split()
        if any(" ".join(words[at : at + 4]) in MESSAGES for at in range(max(1, len(words) - 3))):
            return
    pytest.fail(f"docs/troubleshooting.md does not show {messages()[name]}")


def test_each_command_is_described() -> None:
    rows = set(re.findall(r"^\| `([a-z]+)` \|", (DOCS / "command-line.md").read_text(), re.MULTILINE))
    assert rows == {command.name for command in COMMANDS}


def test_each_operator_and_sensor_has_its_section() -> None:
    shown = re.findall(
        r"\{docstring\} ([\w.]+)", "".join((DOCS / f"{n}.md").read_text() for n in ("operators", "sensors"))
    )
    there = {
        name
        for kind in ("operators", "sensors")
        for entry in get_provider_info()[kind]
        for module in entry["python-modules"]
        for name in vars(importlib.import_module(module))
        if re.fullmatch(r"SentinelHub\w+(Operator|Sensor)", name)
    }
    assert there == {name.rpartition(".")[2] for name in shown} - {"sentinelhub_batch"}


def test_each_example_is_shown() -> None:
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
    assert set(re.findall(r"example_dags/(\w+)\.py", pages)) >= {
        file.stem for file in (ROOT / "example_dags").glob("*.py")
    }


def test_no_page_holds_python_that_no_test_runs() -> None:
    """Whole DAGs and tests are files that are included; a page itself has only fragments without imports of Airflow."""
    for page in DOCS.glob("*.md"):
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            assert "with DAG(" not in block or "..." in block, page


@pytest.mark.slow
def test_the_test_in_the_docs_passes(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(DOCS / "snippets" / "test_my_dag.py")],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:]


@pytest.mark.slow
def test_the_test_of_a_whole_dag_in_the_docs_passes(tmp_path: Path) -> None:
    have_tables(tmp_path)
    file = DOCS / "snippets" / "test_whole_dag.py"
    examples = os.pathsep.join(map(str, (ROOT, ROOT / "example_dags")))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(file)],
        cwd=tmp_path, env={**environment(tmp_path, ROOT / "example_dags"), "PYTHONPATH": examples},
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:]


def snippet(name: str) -> Any:
    spec = importlib.util.spec_from_file_location("snippet", DOCS / "snippets" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sensors_in_the_docs_are_dags() -> None:
    assert snippet("imagery_sensor").dag.task_dict["job"].upstream_task_ids == {"seen"}
    assert snippet("statistical_sensor").dag.task_dict["fields"].upstream_task_ids == {"done"}


@pytest.mark.skipif(VERSION < (3, 0), reason="assets have other names on 2.11")
def test_the_assets_in_the_docs_are_two_dags() -> None:
    module = snippet("new_maps")
    assert module.monthly_maps.task_dict["job"].outlets == [module.maps, module.new_folder]
    assert set(module.read_maps.task_dict) == {"read"}


def test_each_snippet_is_on_a_page_and_has_a_test() -> None:
    pages, tests = "".join(page.read_text() for page in DOCS.glob("*.md")), Path(__file__).read_text()
    for file in (DOCS / "snippets").glob("*.py"):
        assert f"snippets/{file.name}" in pages
        assert f'"{file.stem}"' in tests or f'"{file.name}"' in tests


PICTURES = [
    (page.name, text, path)
    for page in sorted(DOCS.glob("*.md"))
    for text, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text())
]


@pytest.mark.parametrize(("page", "text", "path"), PICTURES)
def test_pictures_are_there_and_have_a_text(page: str, text: str, path: str) -> None:
    assert text, page
    assert 0 < (DOCS / path).stat().st_size < 300_000
