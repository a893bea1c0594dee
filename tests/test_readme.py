"""What the README shows is true: its code runs, its names exist, its targets are there."""

from __future__ import annotations

import importlib
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_dag_can_be_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("max_ndvi.js", "corsica.geojson"):
        (tmp_path / name).write_text((ROOT / "example_dags" / name).read_text())
    scope: dict[str, Any] = {}
    exec(compile(BLOCKS[0], "README.md", "exec"), scope)
    dag = scope["dag"]
    assert sorted(dag.task_dict) == ["ndvi", "publish", "tiles"]
    assert dag.task_dict["tiles"].upstream_task_ids == {"ndvi"}
    assert dag.task_dict["publish"].upstream_task_ids == {"tiles"}


def test_the_test_it_shows_passes(sentinelhub_simulator: object, monkeypatch: pytest.MonkeyPatch) -> None:
    source = textwrap.dedent(BLOCKS[1]).replace("    ...\n", "    one_billed_start(sentinelhub_simulator)\n")
    scope: dict[str, object] = {"one_billed_start": one_billed_start}
    exec(compile(source, "README.md", "exec"), scope)
    scope["test_my_dag"](sentinelhub_simulator, monkeypatch)  # type: ignore[operator]


def one_billed_start(simulator: object) -> None:
    from airflow_sentinelhub import process_request, tiling_grid
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

    batch = SentinelHubHook().batch
    script = "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}}; }\n"
    payload = process_request(
        "sentinel-2-l2a", area=[8.9, 41.9, 9.3, 42.2], evalscript=script + "function evaluatePixel(s) { return [1]; }"
    )
    batch.start_job(batch.create(payload, tiling_grid(1, 10), bucket_name="maps"))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(SentinelHub\w+(?:Operator|Sensor))`", README))))
def test_every_class_it_names_exists(name: str) -> None:
    modules = ("operators.batch", "operators.statistical", "sensors.batch", "sensors.statistical")
    assert any(hasattr(importlib.import_module(f"airflow_sentinelhub.{module}"), name) for module in modules)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z][a-z0-9.-]*)", README))))
def test_every_target_it_names_exists(target: str) -> None:
    assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


NAMED = sorted(set(re.findall(r"`((?:docs/|example_dags/?)[\w./-]*|[A-Z]+\.md)`", README)))


@pytest.mark.parametrize("name", NAMED)
def test_every_file_it_names_exists(name: str) -> None:
    assert len(NAMED) > 5
    assert (ROOT / name).exists()


def test_no_link_leads_to_a_file_beside_it() -> None:
    """The package index shows the README alone: there such a link leads nowhere, and a picture shows its text."""
    assert re.findall(r"(?<!!)\[[^\]]*\]\((?!https?://|#)[^)]+\)", README) == []


@pytest.mark.parametrize(("text", "path"), re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README))
def test_pictures_are_there_and_have_a_text(text: str, path: str) -> None:
    assert text
    assert 0 < (ROOT / path).stat().st_size < 300_000
