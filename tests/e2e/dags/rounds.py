"""Tasks that write down what they see of themselves and of their run, and do what the run's conf tells them.

conf: {"folder": where the notes go, "mine": [what to do at each call, in order], "other": [...]}. Each start of
`execute` and each resume after a deferral is a call and writes a line to `<task_id>.jsonl`; what is not told is "ok".
"""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.exceptions import AirflowFailException
from airflow.providers.common.compat.sdk import DAG, BaseOperator

try:
    from airflow.providers.standard.triggers.file import FileTrigger
except ImportError:  # 2.11
    from airflow.triggers.file import FileTrigger

RETRIES = 3
EDITED = 3  # the retries of the DAG that a test edits


class Probe(BaseOperator):
    """Takes one note, then one act: ok, fail, die (no retry), hold (until its gate opens), defer (until then)."""

    def execute(self, context: Any) -> None:
        self.act(context, "execute")

    def resume(self, context: Any, event: Any = None, of: int = -1) -> None:
        self.act(context, "resume", of)

    def act(self, context: Any, call: str, of: int = -1) -> None:
        run, conf = context["dag_run"], context["dag_run"].conf
        self.folder = Path(conf["folder"])
        notes = self.folder / f"{self.task_id}.jsonl"
        number = len(notes.read_text().splitlines()) if notes.exists() else 0
        with notes.open("a") as file:
            file.write(json.dumps(self.note(context, call, of)) + "\n")
        gate = self.folder / f"{self.task_id}.{number}"
        told = conf.get(self.task_id, [])
        act = told[number] if number < len(told) else "ok"
        self.log.info("call %s of run %s: %s", number, run.run_id, act)
        if act == "fail":
            raise RuntimeError("told to fail")
        if act == "die":
            raise AirflowFailException("told to fail for good")
        if act == "defer":
            trigger = FileTrigger(filepath=str(gate), poke_interval=0.5)
            self.defer(trigger=trigger, method_name="resume", kwargs={"of": number})
        while act == "hold" and not gate.exists():
            time.sleep(0.2)

    def note(self, context: Any, call: str, of: int) -> dict[str, Any]:
        ti, run, store = context["ti"], context["dag_run"], context.get("task_state_store")
        kept = store.get("try") if store is not None else None
        if store is not None:
            store.set("try", ti.try_number)
        return {
            "call": call,
            "of": of,
            "run_id": run.run_id,
            "try_number": ti.try_number,
            "max_tries": ti.max_tries,
            "retries": context["task"].retries,
            "clear_number": run.clear_number,
            "start_date": run.start_date.isoformat(),
            "kept": kept,
        }

    def on_kill(self) -> None:
        (self.folder / f"{self.task_id}.told").touch()


def diary(dag_id: str, retries: int) -> DAG:
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False) as dag:
        for task_id in ("mine", "other"):
            Probe(task_id=task_id, retries=retries, retry_delay=timedelta(seconds=1))
    return dag


rounds = diary("rounds", RETRIES)
rounds_edited = diary("rounds_edited", EDITED)
rounds_tested = diary("rounds_tested", RETRIES)  # only ever run without the scheduler
