"""The wheel alone, in an empty environment: what a newcomer does in the first five minutes goes through."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import urllib.request
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub import __version__
from dev import env

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW = version("apache-airflow")
FLAVOUR = next(
    (name for name, flavour in env.FLAVOURS.items() if flavour.airflow == AIRFLOW and not name.isalpha()), ""
)
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def run(*command: str | Path, **options: Any) -> str:
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
    return str(ran.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By way of the source archive, as it goes to the index."""
    folder = tmp_path_factory.mktemp("dist")
    run(env.uv(), "build", "--quiet", "--out-dir", folder, ROOT, timeout=300)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def test_the_version_is_that_of_the_package(wheel: Path, metadata: Message) -> None:
    assert metadata["Version"] == __version__
    assert wheel.name.split("-")[1] == __version__


def test_the_page_of_the_index_leads_somewhere(metadata: Message) -> None:
    urls = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL", []))
    assert {"Documentation", "Changelog", "Source", "Issues"} <= set(urls)
    text = str(metadata.get_payload())
    assert text.startswith("# Sentinel Hub for Apache Airflow")
    assert re.findall(r"\]\((?!https://|#)[^)]+\)", text) == []


def test_it_holds_the_package_and_the_examples_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {
        "airflow_sentinelhub",
        f"airflow_sentinelhub-{__version__}.dist-info",
    }
    examples = {name.rpartition("/")[2] for name in names if name.startswith("airflow_sentinelhub/example_dags/")}
    assert examples == {file.name for file in (ROOT / "example_dags").iterdir() if file.is_file()}


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with an environment that holds Airflow and the wheel."""
    if not FLAVOUR:
        pytest.skip(f"there is no constraint file for Airflow {AIRFLOW}")
    folder = tmp_path_factory.mktemp("newcomer")
    run(env.uv(), "venv", "--quiet", "--python", env.base_python(), folder / ".venv", timeout=120)
    run(
        env.uv(), "pip", "install", "--quiet", "--no-config", "--python", folder / ".venv" / "bin" / "python",
        "--constraint", ROOT / "constraints" / f"airflow-{FLAVOUR}.txt",
        f"apache-airflow=={AIRFLOW}", f"airflow-sentinelhub[s3,simulator] @ {wheel.as_uri()}",
        cwd=folder, timeout=600,
    )  # fmt: skip
    return folder


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """Of a user's shell: nothing of this checkout, nor of the Airflow that runs these tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    return kept | {
        "PATH": f"{home / '.venv' / 'bin'}{os.pathsep}{kept['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "XDG_CACHE_HOME": str(home / "cache"),
        "HOME": str(home),
    }


@pytest.fixture
def exported(home: Path, environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """What the simulator tells the user to export; it runs meanwhile."""
    # A port of its own, since these tests run beside others; the rest is as users have it.
    command = [home / ".venv" / "bin" / "python", "-m", "airflow_sentinelhub", "simulator", "--port", "0"]
    with subprocess.Popen(command, cwd=home, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = list(iter(process.stdout.readline, "A first DAG for them:\n"))
            words = [shlex.split(line) for line in lines if line.startswith("export ")]
            yield dict(entry.split("=", 1) for _, entry in words)
        finally:
            process.terminate()


def test_the_first_five_minutes(home: Path, environ: dict[str, str], exported: dict[str, str]) -> None:
    assert set(exported) == {"AIRFLOW_CONN_SENTINELHUB_DEFAULT", "AIRFLOW_CONN_MY_BUCKET"}
    environ |= exported
    python = home / ".venv" / "bin" / "python"
    where = run(python, "-c", "import airflow_sentinelhub as us; print(us.__file__)", cwd=home, env=environ)
    assert str(home) in where
    (home / "dags").mkdir()
    (home / "dags" / "first.py").write_text(run(python, "-m", "airflow_sentinelhub", "example", cwd=home, env=environ))
    run("airflow", "db", "migrate", cwd=home, env=environ, timeout=300)
    told = run("airflow", "dags", "test", "sentinelhub_first_job", cwd=home, env=environ, timeout=300)
    assert [line for line in told.splitlines() if re.search(r"\[error |\bERROR\b", line)] == []

    (address,) = re.findall(r"@([\d.]+:\d+)/", exported["AIRFLOW_CONN_SENTINELHUB_DEFAULT"])
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"http://{address}/_simulator/journal", timeout=30
    ) as reply:
        calls = json.load(reply)["calls"]
    assert [call["effect"] for call in calls].count("billed_start") == 1


def test_examples_come_with_their_files(home: Path, environ: dict[str, str]) -> None:
    python = home / ".venv" / "bin" / "python"
    run(python, "-m", "airflow_sentinelhub", "example", "ndvi_corsica", "--into", "more", cwd=home, env=environ)
    names = {file.name for file in (home / "more").iterdir()}
    assert names == {"sentinelhub_ndvi_corsica.py", "max_ndvi.js", "corsica.geojson"}
