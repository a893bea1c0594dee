"""Tasks that defer, alone and mapped, and one behind them: what every other end-to-end test relies on."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator

try:
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
except ImportError:  # 2.11
    from airflow.triggers.temporal import TimeDeltaTrigger


class Wait(BaseOperator):
    """Defers for some seconds, then returns its word."""

    template_fields = ("word",)

    def __init__(self, *, word: str, seconds: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.word = word
        self.seconds = seconds

    def execute(self, context: Any) -> None:
        self.log.info("deferring with %s", self.word)
        self.defer(
            trigger=TimeDeltaTrigger(timedelta(seconds=self.seconds)),
            method_name="resume",
            kwargs={"word": self.word},
        )

    def resume(self, context: Any, event: Any = None, word: str = "") -> str:
        return word


class Join(BaseOperator):
    """Returns what the mapped tasks returned."""

    template_fields = ("words",)

    def __init__(self, *, words: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words

    def execute(self, context: Any) -> str:
        return " ".join(self.words)


with DAG("deferring", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False):
    first = Wait(task_id="first", word="{{ dag_run.conf['word'] }}")
    many = Wait.partial(task_id="many").expand(word=["a", "b", "c"])
    first >> many >> Join(task_id="join", words=many.output)
