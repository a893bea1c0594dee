"""`python -m airflow_sentinelhub example`: the DAGs that the package brings along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.cli.main import main

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
NAMES = sorted(file.stem for file in EXAMPLES.glob("*.py"))


def test_the_first_one_is_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["example"]) == 0
    printed = capsys.readouterr()
    assert printed.out == (EXAMPLES / "sentinelhub_first_job.py").read_text()
    assert printed.err == ""


def test_all_are_listed_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["example", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(f"sentinelhub_{line.split()[0]}" for line in lines) == NAMES
    assert lines[0].startswith("first_job ")
    assert all(len(line.split()) > 5 for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_written_with_the_files_it_reads(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "dags"
    for _ in range(2):  # a second time there is nothing to change
        assert main(["example", name.removeprefix("sentinelhub_"), "--into", str(folder)]) == 0
    source = (EXAMPLES / f"{name}.py").read_text()
    expected = {file.name for file in EXAMPLES.iterdir() if file.suffix in (".js", ".geojson") and file.name in source}
    assert {file.name for file in folder.iterdir()} == {f"{name}.py", *expected}
    for file in folder.iterdir():
        assert file.read_bytes() == (EXAMPLES / file.name).read_bytes()
    capsys.readouterr()
    assert main(["example", f"{name}.py"]) == 0
    printed = capsys.readouterr()
    assert printed.out == source
    assert all(file in printed.err for file in expected)


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> Any:
        assert main(["example", *arguments, "--output", "json"]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return json.loads(printed.out)

    listed = told("--list")
    assert sorted(f"sentinelhub_{each['name']}" for each in listed) == NAMES
    assert all(each["description"] for each in listed)
    text = (EXAMPLES / "sentinelhub_geopackage.py").read_text()
    assert told("geopackage") == {"name": "geopackage", "text": text, "reads": ["max_ndvi.js"]}
    files = [str(tmp_path / name) for name in ("sentinelhub_geopackage.py", "max_ndvi.js")]
    assert told("geopackage", "--into", str(tmp_path)) == {"name": "geopackage", "files": files}


def test_a_file_of_the_user_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "max_ndvi.js").write_text("// mine")
    assert main(["example", "ndvi_corsica", "--into", str(tmp_path)]) == 1
    assert "max_ndvi.js is there with another content; nothing was written." in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["max_ndvi.js"]


def test_a_folder_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dags").write_text("a file")
    assert main(["example", "--into", str(tmp_path / "dags")]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"{tmp_path / 'dags'}")
    assert len(said.splitlines()) == 1


def test_an_unknown_name_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["example", "../secrets"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("There is no example ../secrets; the examples are first_job, ")
    assert len(said.strip().splitlines()) == 1
