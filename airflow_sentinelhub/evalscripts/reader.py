"""Reads ``setup()`` of an evalscript."""

from __future__ import annotations

from . import text
from .setup import Setup


def read_setup(script: str) -> Setup:
    """What the ``setup()`` of an evalscript asks for.

    It never raises for the content of a script: what is wrong with it is ``problem``.
    """
    return text.guess(script)
