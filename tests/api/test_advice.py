"""Errors of a job that a script runs speak of the script: there is no task that could be retried or cleared."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_sentinelhub
from airflow_sentinelhub.api.decide.advice import in_a_script, reword_for_script
from airflow_sentinelhub.exceptions import DeadlineError

PACKAGE = Path(airflow_sentinelhub.__file__).parent
FILES = [
    PACKAGE / "api" / "decide" / "errors.py",
    *sorted(PACKAGE.glob("api/flows/*.py")),
    PACKAGE / "hooks" / "job_results.py",
]
OF_TASKS = re.compile(r"\b(tasks?|clear(ed)?|retry|tr(y|ies) of)\b", re.IGNORECASE)


def texts_of_errors(tree: ast.Module) -> Iterator[str]:
    """The texts that an error may be made of: in calls of errors, in what functions return, in constants."""
    for node in ast.walk(tree):
        is_error = isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Error", "_error"))
        if is_error or isinstance(node, ast.Return) or (isinstance(node, ast.Assign) and node in tree.body):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


TEXTS = sorted(
    {text for file in FILES for text in texts_of_errors(ast.parse(file.read_text())) if OF_TASKS.search(text)}
)


@pytest.mark.parametrize("text", TEXTS)
def test_no_error_tells_a_script_to_retry_or_clear_a_task(text: str) -> None:
    assert OF_TASKS.search(in_a_script(text)) is None, in_a_script(text)


def test_there_are_such_texts() -> None:
    assert len(TEXTS) > 10


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "It runs on and bills. A retry of this task attaches to it again.",
            "It runs on and bills. The next run with this name attaches to it again.",
        ),
        (
            "It does not run any more. A retry does not start it again; clear the task to run the job anew.",
            "It does not run any more. Another run with this name does not start it again; give the job another name "
            "to run it anew.",
        ),
        ("Batch request 7 is FAILED.", "Batch request 7 is FAILED."),
    ],
)
def test_what_is_said_instead(message: str, said: str) -> None:
    error = DeadlineError(message, request_id="7", snapshot=None)
    reword_for_script(error)
    assert (str(error), error.request_id) == (said, "7")
