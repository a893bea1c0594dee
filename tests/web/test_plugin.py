"""The plugin in Airflow: present from 3.1 on, light for every process, and its files are in the package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_sentinelhub._compat import HAS_PAGES
from airflow_sentinelhub.web import plugin

STATIC = Path(plugin.__file__).parent / "static"


def test_the_tab_is_there_from_airflow_3_1_on() -> None:
    views = {view["destination"] for view in plugin.SentinelHubPlugin.external_views}
    assert ("task_instance" in views) is HAS_PAGES
    assert bool(plugin.SentinelHubPlugin.fastapi_apps) is HAS_PAGES


@pytest.mark.slow
def test_every_process_loads_the_plugin_and_nothing_heavy_with_it() -> None:
    code = (
        "from airflow_sentinelhub._compat.pages import plugin_base; plugin_base(); import sys; had = set(sys.modules);"
        "import airflow_sentinelhub.web.plugin;"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - had}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "['airflow_sentinelhub']"


def test_the_files_load_nothing_from_elsewhere() -> None:
    page = (STATIC / "job.html").read_text()
    assert not re.search(r"(src|href)\s*=\s*.?https?:", page)
    assert not re.search(r"@import|url\(\s*.?https?:", (STATIC / "page.css").read_text())


def test_the_licences_of_what_is_shipped_are_named() -> None:
    text = (STATIC / "LICENSES.txt").read_text()
    for name in ("ol ", "flatbush ", "topojson-client ", "world-atlas ", "Natural Earth"):
        assert f"\n{name}" in text or name in text


@pytest.mark.parametrize("file", sorted(STATIC.iterdir()), ids=lambda file: file.name)
def test_the_files_stay_small(file: Path) -> None:
    import gzip

    limits = {"countries.json": 300_000, "job.js": 140_000}
    assert len(gzip.compress(file.read_bytes())) < limits.get(file.name, 10_000)
