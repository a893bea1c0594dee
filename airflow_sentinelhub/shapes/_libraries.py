"""The libraries of the extra `areas`, which an installation may lack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_sentinelhub.exceptions import SettingsError


@contextmanager
def needed_for(purpose: str, package: str = "airflow-sentinelhub[areas]") -> Iterator[None]:
    """Around the import of a library: where it is missing, one sentence says for what and what brings it.

    :param purpose: the beginning of that sentence.
    :raises SettingsError: it is not installed, or cannot be loaded.
    """
    try:
        yield
    except ImportError as err:
        name = (err.name or "a library").partition(".")[0]
        why = "is not installed" if isinstance(err, ModuleNotFoundError) else "cannot be loaded"
        raise SettingsError(
            f"{purpose} needs {name}, which {why} here: pip install '{package}'; nothing was sent."
        ) from None
