"""Words for errors in a script (`hook.run_job` with a name): there is no task to retry or clear."""

from __future__ import annotations

from airflow_sentinelhub.exceptions import SentinelHubError

_RUN = "the next run with this name"
_SCRIPT_WORDS = (
    ("A retry of this task tries again, and longer.", "Run it again with the same name to try again."),
    (
        "The next try of this task reads again; it starts and bills nothing. A clear would run and bill a new job: to "
        "read the results of this one, give its request_id.",
        "Run it again with the same name to read them again; that starts and bills nothing.",
    ),
    (
        "or clear the task next month; cleared as it is, it is",
        "or run it again with the same name next month; run as it is, it is",
    ),
    ("clear the task to run the job anew", "give the job another name to run it anew"),
    ("and clear the task. Cleared as it is, it", "and run it again with the same name. Run as it is, it"),
    ("and clear the task: it then does", "and run it again with the same name: it then does"),
    ("Cleared with the same limit", "Run with the same limit"),
    (
        "with another job (area, grid, evalscript, ...) it starts anew and pays for all of it",
        "another job (area, grid, evalscript, ...) needs another name and is paid in full",
    ),
    ("; the task waits.", "; the run waits."),
    (" A retry does not", " Another run with this name does not"),
    ("A retry of this task", _RUN.replace("the", "The")),
    ("a retry of this task", _RUN),
    ("another try of this task", "another run with this name"),
    ("No call of this task was", "No call was"),
    ("of this task", "of this job"),
    ("for this task", "for this job"),
    ("the task wait", "the run wait"),
)
"""What errors say of a task, and what is said instead; in this order."""


def in_a_script(message: str) -> str:
    """The message of an error, with what the author of a script does instead of retrying or clearing a task."""
    for of_task, of_script in _SCRIPT_WORDS:
        message = message.replace(of_task, of_script)
    return message


def reword_for_script(error: SentinelHubError) -> None:
    """Replace the message of an error by `in_a_script` of it."""
    error.args = (in_a_script(str(error)), *error.args[1:])
