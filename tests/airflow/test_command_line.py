"""`python -m airflow_sentinelhub`: what each command prints, sends, and returns."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.api.call import exchange
from airflow_sentinelhub.api.decide.marker import Mark
from airflow_sentinelhub.cli import cancel
from airflow_sentinelhub.cli.command import OUTPUT, Command
from airflow_sentinelhub.cli.commands import COMMANDS
from airflow_sentinelhub.cli.main import INTERRUPTED, carry_out, main
from airflow_sentinelhub.grids.known import GRIDS
from tests.airflow.job import creating
from tests.statistical.conftest import StatisticalBench

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


def run(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    capsys.readouterr()
    code = main(list(arguments))
    found = capsys.readouterr()
    return code, found.out, found.err


def read(capsys: Any, *arguments: str) -> Any:
    """What a command prints as JSON."""
    code, out, err = run(capsys, *arguments, "--output", "json")
    assert code == 0, err
    return json.loads(out)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_prints_json_for_programs(command: Command) -> None:
    assert command.rest or OUTPUT in command.arguments


def test_requests_are_listed_and_chosen(bench: Any, capsys: Any) -> None:
    mine = bench.made(creating(bench, description="of a task"))
    other = bench.create(description="by hand")
    bench.act(other, "analyse")
    bench.clock.sleep(600)
    assert {row["id"] for row in read(capsys, "requests")} == {mine, other}
    dag_id = bench.context()["ti"].dag_id
    assert [row["id"] for row in read(capsys, "requests", "--dag-id", dag_id)] == [mine]
    assert read(capsys, "requests", "--dag-id", "another") == []
    assert [row["id"] for row in read(capsys, "requests", "--status", "analysis_done")] == [other]
    assert read(capsys, "requests", "--since", "2199-01-01") == []
    assert len(read(capsys, "requests", "--since", "2000-01-01", "--batch-api", bench.api)) == 2
    assert len(read(capsys, "requests", "--limit", "1")) == 1
    code, out, _ = run(capsys, "requests")
    assert code == 0
    assert mine in out
    assert "of a task" in out
    assert "afx" not in out  # the marker is for programs
    assert out.splitlines()[1].startswith("---")


@pytest.mark.parametrize("since", ["2000-01-01T12:00", "2000-01-01T12:00:00.5Z", "2000-01-01 12:00+0200"])
def test_each_python_reads_the_same_dates(bench: Any, capsys: Any, since: str) -> None:
    request_id = bench.create(description="by hand")
    assert [row["id"] for row in read(capsys, "requests", "--since", since)] == [request_id]


@pytest.mark.thorough
def test_more_than_a_page_of_requests(bench: Any, capsys: Any) -> None:
    made = {bench.create(description=f"number {number}") for number in range(103)}
    assert {row["id"] for row in read(capsys, "requests", "--limit", "500")} == made
    code, out, err = run(capsys, "requests", "--limit", "20")
    assert code == 0
    assert len(out.splitlines()) == 22
    assert "there may be more" in err


def test_the_newest_stand_first_over_all_lists(
    bench: Any, sim: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Those of batch and of batch statistical are one list, and its limit holds for them together."""
    first = bench.create()
    clock.sleep(60)
    second = StatisticalBench(sim, clock, monkeypatch).create()
    bench.connect(batch_api=bench.api)
    clock.sleep(60)
    third = bench.create()
    for limit, wanted in ((50, [third, second, first]), (2, [third, second]), (1, [third])):
        assert [row["id"] for row in read(capsys, "requests", "--limit", str(limit))] == wanted
    code, out, _ = run(capsys, "requests")
    assert (code, [line.split()[0] for line in out.splitlines()[2:]]) == (0, [third, second, first])


def test_a_list_that_is_not_read_to_its_end_says_so(bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("airflow_sentinelhub.cli.requests._MOST_PAGES", 1)
    bench.connect(batch_api=bench.api)
    for _ in range(101):
        bench.create(description="a draft")
    code, out, err = run(capsys, "requests", "--limit", "500", "--output", "json")
    assert (code, len(json.loads(out))) == (0, 100)
    assert f"The list of batch {bench.api} was read to page 1 only." in err


def test_a_note_is_no_request_of_its_own(bench: Any, capsys: Any) -> None:
    """It is never started: it only says with which request a task goes on."""
    made = bench.create(description="mine")
    bench.create(description=f"mine {Mark('afx' + '0' * 16, 3, '0' * 8, adopts=made)}")
    assert [row["id"] for row in read(capsys, "requests")] == [made]


def test_a_request_of_the_other_generation_is_found_unless_one_is_named(bench: Any, capsys: Any) -> None:
    request_id = bench.create()
    (other,) = {"v1", "v2"} - {bench.api}
    bench.connect(batch_api=other)
    assert read(capsys, "show", request_id)["batch_api"] == bench.api
    code, out, err = run(capsys, "show", request_id, "--batch-api", other)
    assert (code, out, request_id in err) == (1, "", True)
    code, out, err = run(capsys, "requests", "--output", "json")
    assert (code, json.loads(out)) == (0, [])
    assert err == f"Only batch {other} and statistical were asked; --batch-api names another generation.\n"
    assert [row["id"] for row in read(capsys, "requests", "--batch-api", bench.api)] == [request_id]


def test_a_list_that_is_refused_is_told_and_all_of_them_are_an_error(bench: Any, capsys: Any) -> None:
    request_id = bench.create()
    bench.sim.fault("status", "/statistics", method="GET", status=403, body={}, times=None)
    code, out, err = run(capsys, "requests", "--output", "json")
    assert (code, [row["id"] for row in json.loads(out)]) == (0, [request_id])
    assert "Batch statistical could not be listed" in err
    bench.sim.fault("status", "/process", method="GET", status=403, body={}, times=None)
    code, out, err = run(capsys, "requests", "--output", "json")
    assert (code, out) == (1, ""), "no list is not an empty one"
    assert f"Batch {bench.api} could not be listed" in err


def test_what_cannot_be_read_of_a_list_is_told(bench: Any, capsys: Any) -> None:
    request_id = bench.create()

    def answered(data: Any, times: int | None) -> tuple[int, str, str]:
        body = {"data": data, "links": {}}
        bench.sim.fault("status", "/process", method="GET", status=200, body=body, times=times)
        return run(capsys, "requests", "--output", "json")

    code, out, err = answered([{"id": 5}, bench.shown(request_id)], 1)
    assert (code, [row["id"] for row in json.loads(out)]) == (0, [request_id])
    assert f"1 requests of batch {bench.api} could not be read." in err
    code, out, err = answered("?", None)
    assert (code, out) == (1, "")
    *tries, error = err.splitlines()
    assert "its member data is not a list" in error
    assert all("trying again in" in line for line in tries), "which Airflow 3 logs there"


def test_a_page_that_is_not_sorted_does_not_end_the_list(bench: Any, capsys: Any) -> None:
    """Its last request is older than asked for, and the next page has one that is not."""
    old = bench.create()
    bench.clock.sleep(7200)
    since = bench.clock.utcnow().isoformat()
    bench.clock.sleep(60)
    new, newest = bench.create(), bench.create()
    shown = {request_id: bench.shown(request_id) for request_id in (old, new, newest)}
    links = {"nextToken": "3", "next": "?viewtoken=3"}
    first = {"data": [shown[old], shown[newest], shown[old]], "links": links}
    second = {"data": [shown[new]], "links": {}}
    for body in (first, second):
        bench.sim.fault("status", "/process", method="GET", status=200, body=body)
    found = [row["id"] for row in read(capsys, "requests", "--since", since)]
    assert sorted(found) == sorted((new, newest))


@pytest.mark.parametrize("command", ["requests", "grids", "tiles"])
def test_a_list_that_goes_in_circles_is_an_error_and_not_read_for_ever(bench: Any, capsys: Any, command: str) -> None:
    request_id = bench.create()
    path = {"requests": "/process$", "grids": "/tilinggrids$", "tiles": "/tiles$"}[command]
    if command == "tiles" and bench.api != "v1":
        pytest.skip("v2 lists no tiles")
    page = {
        "data": [{"id": 5, "name": "a", "status": "PENDING"}],
        "links": {"nextToken": "again", "next": "?viewtoken=again"},
    }
    bench.sim.fault("status", path, method="GET", status=200, body=page, times=9)
    code, out, err = run(capsys, command, *([request_id] if command == "tiles" else []))
    assert (code, out) == (1, "")
    assert "the list goes in circles, so its other entries are unknown" in err


def test_a_request_is_shown_without_secrets(bench: Any, capsys: Any) -> None:
    request_id = bench.create(description="look at me")
    shown = read(capsys, "show", request_id)
    assert shown["status"] == "CREATED"
    assert shown["batch_api"] == bench.api
    assert "bills nothing" in shown["state"]
    assert "processRequest" in json.dumps(shown["request"])
    code, out, _ = run(capsys, "show", request_id.upper())
    assert code == 0
    assert "look at me" in out
    assert "hush" not in out + json.dumps(shown)


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_secret_in_a_description_is_blanked(bench: Any, capsys: Any, output: str) -> None:
    request_id = bench.create(description="see https://me:hushed-word@maps.example.org")
    for command in (["requests"], ["show", request_id]):
        code, out, _ = run(capsys, *command, "--output", output)
        assert (code, "maps.example.org" in out, "hushed-word" in out) == (0, True, False)


def test_tiles_with_status_and_paths(bench: Any, capsys: Any) -> None:
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_3"])
    request_id = bench.ended()
    rows = read(capsys, "tiles", request_id)
    assert {row["name"]: row["status"] for row in rows} == bench.tile_statuses(request_id)
    failed = read(capsys, "tiles", request_id, "--status", "failed")
    assert {row["name"] for row in failed} == {"32TNM_1_3"}
    paths = read(capsys, "tiles", request_id, "--paths")
    assert any(path.endswith(".tif") for row in paths for path in (row.get("paths") or {}).values())
    code, out, _ = run(capsys, "tiles", request_id, "--paths")
    assert code == 0
    assert "s3://maps/ndvi" in out


def cells(table: str) -> list[dict[str, str]]:
    """The rows of a table, each cell by the name of its column."""
    head, ruler, *lines = table.splitlines()
    spans, at = [], 0
    for width in map(len, ruler.split("  ")):
        spans.append((at, at + width))
        at += width + 2
    names = [head[begin:end].strip() for begin, end in spans]
    return [{n: line[begin:end].strip() for n, (begin, end) in zip(names, spans, strict=True)} for line in lines]


FAILED = "Internal error: the feature could not be processed."


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_the_table_of_tiles_says_why_each_failed(bench: Any, capsys: Any) -> None:
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_3"])
    request_id = bench.ended()
    errors = {"32TNM_1_3": FAILED}
    rows = cells(run(capsys, "tiles", request_id)[1])
    assert {row["name"]: row["error"] for row in rows} == {
        name: errors.get(name, "-") for name in bench.tile_names(request_id)
    }
    assert cells(run(capsys, "tiles", request_id, "--status", "failed")[1]) == [
        {"name": "32TNM_1_3", "status": "FAILED", "error": FAILED}
    ]
    listed = read(capsys, "tiles", request_id)
    assert {row["name"]: row["error"] for row in listed if "error" in row} == errors


def test_the_table_of_features_says_why_each_failed(
    sim: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    sim.settings(failed_intervals_share=0.5)
    bench = StatisticalBench(sim, clock, monkeypatch)
    request_id = bench.ended()
    items = [found.as_item() for found in bench.results(request_id).features()]
    told = {item["identifier"]: item.get("error", "-") for item in items}
    assert {"-"} < set(told.values()), "some fail, and some do not"
    rows = cells(run(capsys, "tiles", request_id)[1])
    assert {row["name"]: row["error"] for row in rows} == told
    for status, failed in (("OK", False), ("failed", True)):
        chosen = cells(run(capsys, "tiles", request_id, "--status", status)[1])
        assert {row["name"] for row in chosen} == {name for name, why in told.items() if (why != "-") is failed}
        assert ("error" in chosen[0]) is failed


def test_a_feature_of_a_request_that_has_not_ended_has_not_failed(
    sim: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """It has no file, as one that has failed in the end."""
    bench = StatisticalBench(sim, clock, monkeypatch)
    request_id = bench.started()
    rows = read(capsys, "tiles", request_id)
    assert {row["status"] for row in rows} == {"PENDING"}
    assert not any("error" in row for row in rows)
    assert read(capsys, "tiles", request_id, "--status", "failed") == []
    assert len(read(capsys, "tiles", request_id, "--status", "pending")) == len(rows) == 6
    bench.clock.sleep(3600)
    assert {row["status"] for row in read(capsys, "tiles", request_id)} == {"OK"}


def test_a_feature_that_a_stopped_request_has_not_processed_has_not_failed(
    sim: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    bench = StatisticalBench(sim, clock, monkeypatch)
    request_id = bench.started()
    bench.hook.statistical.stop_job(request_id)
    bench.clock.sleep(600)
    rows = read(capsys, "tiles", request_id)
    assert {row["status"] for row in rows} == {"PENDING"}
    assert not any("error" in row for row in rows)


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_tiles_without_data_are_told(bench: Any, capsys: Any) -> None:
    bench.sim.settings(no_data_share=0.3)
    request_id = bench.ended()
    listed = read(capsys, "tiles", request_id, "--paths")
    empty = {row["name"] for row in listed if row.get("no_data")}
    assert set() < empty < {row["name"] for row in listed}
    assert empty == {row["name"] for row in listed if not row["paths"]}
    rows = cells(run(capsys, "tiles", request_id)[1])
    assert {row["name"] for row in rows if row["no_data"] == "yes"} == empty


def test_paths_are_whole_and_only_where_they_are_asked_for(bench: Any, capsys: Any) -> None:
    request_id = bench.ended(output="s3://maps/a/long/way/to/where/the/results/of/this/job/are/to/be/found")
    paths = {row["name"]: " ".join(row["paths"].values()) for row in read(capsys, "tiles", request_id, "--paths")}
    assert all(path.endswith(".tif") for path in paths.values())
    rows = cells(run(capsys, "tiles", request_id, "--paths")[1])
    assert {row["name"]: row["paths"] for row in rows} == paths
    assert not any("paths" in row for row in read(capsys, "tiles", request_id))
    assert "paths" not in cells(run(capsys, "tiles", request_id)[1])[0]


def test_a_request_without_tiles_says_that_it_has_none(bench: Any, capsys: Any) -> None:
    request_id = bench.create()
    code, out, err = run(capsys, "tiles", request_id)
    assert (code, out) == (0, "None found.\n")
    assert err == f"Batch request {request_id} is CREATED: no tiles yet.\n"
    code, out, err = run(capsys, "tiles", request_id, "--output", "json")
    assert (code, json.loads(out)) == (0, [])


def test_a_status_that_is_none_is_refused(bench: Any, capsys: Any) -> None:
    """It would find nothing, as if there were nothing."""
    request_id = bench.ended()
    for command in (["requests"], ["tiles", request_id]):
        code, out, err = run(capsys, *command, "--status", "procesed")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "--status is 'PROCESED'; it must be one of " in err
        assert "None" not in err, "which no command line can say"


@pytest.mark.parametrize(("generation", "status"), [("v1", "STOPPED"), ("v2", "PARTIAL")], indirect=["generation"])
def test_a_status_that_no_request_of_the_generation_ends_with_is_told(bench: Any, capsys: Any, status: str) -> None:
    code, out, err = run(capsys, "requests", "--batch-api", bench.api, "--status", status)
    assert (code, out.strip()) == (0, "None found.")
    assert err.startswith(f"Requests of {bench.api} end with ")
    assert err.endswith(f"and none with {status}.\n")
    for others in (["CREATED"], [status, "DONE"]):
        given = [word for other in others for word in ("--status", other)]
        assert run(capsys, "requests", "--batch-api", bench.api, *given)[2] == ""


def test_nothing_found_of_a_dag_says_by_what_it_is_known(
    bench: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another deployment's name, as on a laptop, finds nothing, which is no proof that there is nothing."""
    bench.made(creating(bench))
    dag_id = bench.context()["ti"].dag_id
    assert run(capsys, "requests", "--dag-id", dag_id)[2] == run(capsys, "costs", dag_id)[2] == ""
    assert len(read(capsys, "requests", "--dag-id", "")) == 0
    monkeypatch.setenv("AIRFLOW__SENTINELHUB__DEPLOYMENT", "another")
    for command, lines in ((["requests", "--dag-id", dag_id], 2), (["costs", dag_id], 1)):
        code, _, err = run(capsys, *command)
        assert (code, err.count("\n")) == (0, lines)
        assert f"the mark of a DAG {dag_id} of this Airflow, which is named 'another'" in err


def test_all_pages_are_read(bench: Any, capsys: Any) -> None:
    bench.sim.settings(page_size=2)
    request_id = bench.ended()
    rows = read(capsys, "tiles", request_id)
    assert {row["name"]: row["status"] for row in rows} == bench.tile_statuses(request_id)
    assert len(rows) > 2
    assert {grid["id"] for grid in read(capsys, "grids")} == set(GRIDS)
    assert len(GRIDS) > 2


@pytest.mark.thorough
def test_a_map_in_each_form(bench: Any, capsys: Any, tmp_path: Path) -> None:
    bench.sim.fault(kind="fail_tiles", names=["32TNM_1_3"])
    request_id = bench.ended()
    names = bench.tile_statuses(request_id)

    def made(name: str) -> bytes:
        code, out, err = run(capsys, "map", request_id, "-o", str(tmp_path / name))
        assert code == 0, err
        assert request_id in out
        assert f"{len(names)} tiles" in out
        assert str(tmp_path / name) in out
        return (tmp_path / name).read_bytes()

    page = made("map.html").decode()
    assert "hush" not in page
    assert all(name in page for name in names)
    image = ET.fromstring(made("map.SVG").decode())
    drawn = {title.text for title in image.iter("{http://www.w3.org/2000/svg}title")}
    assert {f"{name} {status}" for name, status in names.items()} <= drawn
    features = json.loads(made("map.geojson"))["features"]
    assert {each["properties"]["name"]: each["properties"]["status"] for each in features} == names
    told = read(capsys, "map", request_id, "-o", str(tmp_path / "again.svg"))
    assert (told["id"], told["file"]) == (request_id, str(tmp_path / "again.svg"))
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "map.SVG").read_bytes()
    pytest.importorskip("resvg_py")
    assert made("map.png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("file", "why"),
    [("map.doc", "not as .doc"), ("map", "no ending"), ("no/such/map.svg", "no folder"), ("map.png", "[png]")],
)
def test_a_map_that_cannot_be_written_is_refused_before_anything_is_read(
    bench: Any, capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, why: str
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    request_id = bench.create()
    before = len(bench.sim.journal())
    code, out, err = run(capsys, "map", request_id, "-o", str(tmp_path / file))
    assert (code, out) == (1, "")
    assert why in err
    assert err.count("\n") == 1
    assert len(bench.sim.journal()) == before
    assert list(tmp_path.iterdir()) == []


def test_grids_of_the_service_are_those_that_the_package_knows(bench: Any, capsys: Any) -> None:
    offered = read(capsys, "grids")
    assert {grid["id"] for grid in offered} == set(GRIDS)
    before = len(bench.sim.journal())
    assert read(capsys, "grids", "--offline") == offered
    assert len(bench.sim.journal()) == before
    assert "LAEA 20km grid" in run(capsys, "grids")[1]


def test_cancel_asks_and_says_what_was_reached(bench: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = bench.started()
    code, _, err = run(capsys, "cancel", request_id)
    assert code == 1
    assert f"{request_id}? It is " in err, "which request, and what it does"
    assert "nothing was sent; give --yes" in err
    monkeypatch.setattr(sys, "stdin", None)
    assert run(capsys, "cancel", request_id) == (code, "", err), "the shell has closed it"
    monkeypatch.setattr(cancel, "_agreed", lambda question: False)
    code, _, err = run(capsys, "cancel", request_id)
    assert (code, "Nothing was sent" in err) == (1, True)
    assert not {"cancelled", "stopped"} & set(bench.effects())
    code, _, err = run(capsys, "cancel", request_id, "--yes")
    assert code == 0
    assert bench.status(request_id) in err
    assert "does not run any more" in err
    assert len({"cancelled", "stopped"} & set(bench.effects())) == 1
    code, _, err = run(capsys, "cancel", request_id, "--yes")
    assert (code, "already" in err) == (0, True)


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_a_request_that_was_never_started_needs_no_cancel_to_be_well(bench: Any, capsys: Any) -> None:
    """v2 refuses to stop one that never ran, which is no failure of the command: it bills nothing."""
    request_id = bench.create()
    code, _, err = run(capsys, "cancel", request_id, "--yes")
    assert (code, "is CREATED. It has not been started and bills nothing." in err) == (0, True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "agreed"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("yet\n", False), ("", False)]
)
def test_only_a_yes_cancels(
    bench: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch, answer: str, agreed: bool
) -> None:
    request_id = bench.started()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    code, _, err = run(capsys, "cancel", request_id)
    assert (code, "Nothing was sent" in err) == ((0, False) if agreed else (1, True))
    assert bool({"cancelled", "stopped"} & set(bench.effects())) == agreed


def test_what_goes_on_after_a_cancel_is_no_success(bench: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = bench.started()
    bench.clock.sleep(90)
    monkeypatch.setattr(cancel, "end", lambda api, request_id: exchange(api.get(request_id)))
    code, _, err = run(capsys, "cancel", request_id, "--yes")
    assert (code, "runs on and bills" in err) == (1, True)


@pytest.mark.parametrize("kind", ["drop_before", "status"])
def test_a_cancel_that_does_not_reach_the_service_says_what_becomes_of_the_request(
    bench: Any, capsys: Any, kind: str
) -> None:
    request_id = bench.started()
    bench.sim.fault(kind=kind, path=rf"/{request_id}$", times=None)
    code, out, err = run(capsys, "cancel", request_id, "--yes")
    assert (code, out) == (1, "")
    left = f"Nothing was sent. Batch request {request_id} was left alone: if it was started, it runs on and bills."
    assert f"{left} Run the command again." in err


@pytest.mark.parametrize("given", ["no-id", "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"])
def test_a_cancel_of_what_is_not_there_speaks_of_nothing_that_runs(bench: Any, capsys: Any, given: str) -> None:
    code, out, err = run(capsys, "cancel", given, "--yes")
    assert (code, out) == (1, "")
    assert given in err
    assert "runs on" not in err


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_cancel_that_breaks_off_says_that_its_end_is_not_known(
    bench: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    request_id = bench.started()
    bench.clock.sleep(90)
    bench.sim.fault(kind="status", path=r"/(cancel|stop)$", times=None)

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    if interrupted:
        monkeypatch.setattr(cancel, "end", broken)
    code, _, err = run(capsys, "cancel", request_id, "--yes")
    assert code == (INTERRUPTED if interrupted else 1)
    assert f"Batch request {request_id} was PROCESSING before, and it is not known what it is now" in err
    assert f"`show {request_id}` says whether it runs on and bills" in err
    assert "Traceback" not in err


def test_a_program_reads_what_a_cancel_has_reached(bench: Any, capsys: Any) -> None:
    request_id = bench.started()
    code, out, _ = run(capsys, "cancel", request_id, "--yes", "--output", "json")
    shown = json.loads(out[out.index("{\n") :])
    assert (code, shown["id"], "does not run any more" in shown["state"]) == (0, request_id, True)


def test_no_description_steers_the_terminal_that_asks(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cancel, "_agreed", lambda question: asked.append(question) or False)
    assert main(["cancel", bench.started(description="mine\x1b[2J\nCancel \u202ebatch\u2028 request of yours?")]) == 1
    assert "mine" in asked[0]
    assert not {"\x1b", "\n", "\u202e", "\u2028"} & set(asked[0])


def test_the_question_names_the_request(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cancel, "_agreed", lambda question: asked.append(question) or False)
    request_id = bench.started(description="mine")
    assert main(["cancel", request_id]) == 1
    assert request_id in asked[0]
    assert "mine" in asked[0]
    assert "bills" in asked[0]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["show", NOWHERE], NOWHERE),
        (["tiles", NOWHERE], NOWHERE),
        (["cancel", NOWHERE, "--yes"], NOWHERE),
        (["map", NOWHERE, "-o", "/tmp/map.svg"], NOWHERE),
        (["show", "five"], "UUID"),
        (["requests", "--since", "yesterday"], "--since"),
        (["requests", "--since", "2026-W23-1"], "--since"),
        (["requests", "--limit", "0"], "--limit"),
        (["requests", "--conn-id", "no_such_one"], "no_such_one"),
    ],
)
def test_errors_are_one_line(bench: Any, capsys: Any, arguments: list[str], why: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 1
    assert out == ""
    assert why in err
    assert err.count("\n") == 1
    assert bench.sim.client_secret not in err


def test_a_request_that_no_generation_has_is_told_by_that_of_the_connection(bench: Any, capsys: Any) -> None:
    code, _, err = run(capsys, "show", NOWHERE)
    assert (code, err.partition(NOWHERE)[0]) == (1, f"GET /api/{bench.api}/batch/process/")


def test_what_is_logged_meanwhile_is_not_shown_and_later_it_is(caplog: Any) -> None:
    """A command says itself what went wrong, in one sentence."""
    log = logging.getLogger("somebody")

    def working(_: Any) -> int:
        log.error("loud")
        return 0

    assert carry_out(Command("work", "", (), working, asks_airflow=False), Namespace()) == 0
    assert caplog.records == []
    log.error("loud again")
    assert [record.getMessage() for record in caplog.records] == ["loud again"]


def test_a_wrong_secret_is_one_line_without_it(bench: Any, capsys: Any) -> None:
    bench.connection(
        "wrong",
        conn_type="sentinelhub",
        login=bench.sim.client_id,
        password="not-the-secret",
        host=bench.sim.url,
        extra={"token_url": bench.sim.auth_url},
    )
    code, _, err = run(capsys, "requests", "--conn-id", "wrong")
    assert code == 1
    assert "not-the-secret" not in err
    assert "Traceback" not in err


def test_ctrl_c_is_quiet(bench: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("airflow_sentinelhub.cli.reading.find", interrupted)
    monkeypatch.setattr("airflow_sentinelhub.cli.show.find", interrupted)
    assert run(capsys, "show", NOWHERE) == (INTERRUPTED, "", "")


def test_each_command_has_help(capsys: Any) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command.name, "--help"])
        assert ended.value.code == 0
        assert "usage:" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(command.name in out for command in COMMANDS)


def test_airflow_gets_the_same_commands() -> None:
    from airflow_sentinelhub.cli.airflow import get_cli_commands

    (group,) = get_cli_commands()
    assert group.name == "sentinelhub"
    assert [each.name for each in group.subcommands] == [command.name for command in COMMANDS]


def test_airflow_ends_with_the_exit_code_of_a_command(bench: Any, capsys: Any) -> None:
    from airflow_sentinelhub.cli.airflow import get_cli_commands

    (group,) = get_cli_commands()
    (show,) = [each for each in group.subcommands if each.name == "show"]
    given = {"conn_id": "sentinelhub_default", "batch_api": None, "output": "table"}
    with pytest.raises(SystemExit) as ended:
        show.func(Namespace(request_id=NOWHERE, **given))
    assert ended.value.code == 1
    request_id = bench.create()
    show.func(Namespace(request_id=request_id, **given))
    assert request_id in capsys.readouterr().out


@pytest.mark.slow
def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    """As a process of its own, whose reader is gone before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-W", "ignore", "-m", "airflow_sentinelhub", "grids", "--offline"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environment, timeout=100, text=True)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode in (0, 1, -signal.SIGPIPE)


@pytest.mark.parametrize("output", ["json", "table"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
@pytest.mark.slow
def test_a_full_disk_is_one_sentence(tmp_path: Path, output: str) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "airflow_sentinelhub", "grids", "--offline", "--output", output]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path)}
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, timeout=100, text=True)
    (sentence,) = done.stderr.splitlines()
    assert "The output could not be written (No space left on device), so it is not whole." in sentence
    assert done.returncode == 1


def test_a_terminal_that_knows_few_letters_shows_the_others_as_numbers() -> None:
    program = """if True:
        from airflow_sentinelhub.cli.output import own_stdout, print_table
        with own_stdout():
            print_table([{"description": "Gr\\xf6\\u65e5 | Corsica"}], ["description"])
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=100, text=True, capture_output=True)
    assert (done.stderr, done.stdout.splitlines()[2:]) == ("", [r"Gr\xf6\u65e5 | Corsica"])


def test_no_note_gets_into_the_output_where_the_standard_error_is_closed() -> None:
    """As by a shell's `2>&-`: `print` writes to the output then, which may be JSON for a program."""
    program = """if True:
        import os, sys
        from airflow_sentinelhub.cli.output import own_stdout, print_json
        with own_stdout():
            print("a note", file=sys.stderr)
            os.write(1, b"what another library prints")
            print_json([])
    """
    command = f"\"{sys.executable}\" -c '{program}' 2>&-"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.check_output(command, shell=True, env=environment, timeout=100, text=True) == "[]\n"


@pytest.mark.parametrize("early", ["", "import airflow.models"])
def test_what_a_hook_logs_is_not_in_the_output(early: str, tmp_path: Path) -> None:
    """Such as a call that is tried again: Airflow 3 logs to the standard output that it finds at the first line."""
    program = f"""if True:
        {early}
        from airflow_sentinelhub.cli.command import Command
        from airflow_sentinelhub.cli.main import carry_out
        from airflow_sentinelhub.cli.output import print_json
        def run(arguments):
            from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
            SentinelHubHook().log.warning("a call is tried again")
            print_json([])
            return 0
        raise SystemExit(carry_out(Command("requests", "", (), run), None))
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path)}
    assert subprocess.check_output([sys.executable, "-c", program], env=environment, timeout=100, text=True) == "[]\n"


@pytest.mark.slow
def test_a_command_does_its_work_where_its_output_is_closed(tmp_path: Path) -> None:
    """As by a shell's `>&-`: what a command does must not hang on what it prints."""
    written = tmp_path / "grids.txt"
    command = f'"{sys.executable}" -W ignore -m airflow_sentinelhub grids --offline >&- 2>"{written}"'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path)}
    assert subprocess.run(command, shell=True, env=environment, timeout=100).returncode == 0
    assert written.read_text() == ""


def test_a_connection_that_is_missing_is_said_with_what_to_do(bench: Any, capsys: Any) -> None:
    code, out, err = run(capsys, "requests", "--conn-id", "nosuch")
    assert (code, out) == (1, "")
    assert "nosuch" in err
    assert "Add that connection to this Airflow; or export it in this terminal, as AIRFLOW_CONN_" in err
