"""Airflow's masker of secrets, which each version has elsewhere."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from urllib.parse import quote

_MASKERS = (
    "airflow.providers.common.compat.sdk",  # from 1.22 on, which Python 3.10 does not get
    "airflow.sdk.log",
    "airflow.sdk.execution_time.secrets_masker",  # 3.0 and 3.1
    "airflow.utils.log.secrets_masker",
)


def mask_secret(secret: str) -> None:
    """Have Airflow blank this value in all logs from now on, in its percent-encoded form too."""
    mask = _of_masker("mask_secret")
    for form in {secret, quote(secret, safe="")}:
        mask(form)


def masked(text: str) -> str:
    """The text as Airflow writes it into a log: `***` for passwords of connections and secret variables in use."""
    return str(_of_masker("redact")(text))


def _of_masker(name: str) -> Any:
    """A function of Airflow's masker, which each version has elsewhere."""
    for home in _MASKERS:
        try:
            return getattr(import_module(home), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"This Airflow has no {name} in any of {', '.join(_MASKERS)}.")
