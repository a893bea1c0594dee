"""Reads ``setup()`` of an evalscript: by running it where an engine is installed, else from its text."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from . import engine, text
from .returned import UnreadableError, setup_of
from .setup import Setup

_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


def runs_scripts() -> bool:
    """Whether ``setup()`` is run here; where no engine is installed, its text is read, which is a guess."""
    return engine.is_there()


@lru_cache(maxsize=64)
def read_setup(script: str) -> Setup:
    """What the ``setup()`` of an evalscript asks for, and whether the service will refuse the script.

    It never raises for the content of a script: what is wrong with it is ``problem``. A script costs at most a second
    and a half of computing time and 64 MB; the last readings are kept.
    """
    script = script.replace("\r\n", "\n").replace("\r", "\n")  # which are the same in JavaScript
    if not re.match(r"//\s*VERSION=3", script.lstrip(_BOM).lstrip()):
        # The blank: let through until the service is seen to refuse it.
        return replace(text.guess(script), problem="The evalscript must start with //VERSION=3.")
    outcome = engine.run(script.lstrip(_BOM))
    if outcome is None:
        return replace(text.guess(script), problem=text.problem(script))
    problem = outcome.problem
    if problem is None:
        try:
            return setup_of(outcome.value)
        except UnreadableError as err:
            return replace(text.guess(script), exact=True, problem=str(err))
    if "SyntaxError: " in problem:
        # Where a bracket has no partner, the words that say which one: they are nearer to the service's.
        problem = text.unbalanced(script) or problem
    return replace(text.guess(script), exact=outcome.certain, problem=problem)
