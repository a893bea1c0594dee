"""What tasks and their triggers say in their logs."""

from __future__ import annotations

from dev.airflow_door import log_lines
from tests.chaos.stage import Run, Stage


def says_it_runs_on(stage: Stage, run: Run) -> bool:
    return "runs on and bills" in said(stage, run)


def said(stage: Stage, run: Run) -> str:
    """What the task and its trigger have logged; the triggerer's own log holds what comes after the trigger's end."""
    folder = stage.cluster.home / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}"
    files = [file for file in folder.rglob("*.log*") if file.is_file()]
    text = "\n".join(line.text for file in files for line in log_lines(file.read_text(errors="replace")))
    return text.replace("It runs on", "it runs on")
