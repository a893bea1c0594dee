"""Have Airflow mask secrets in its logs, in each form in which they may come up."""

from __future__ import annotations

import re
from urllib.parse import unquote

from airflow_sentinelhub._compat.masking import mask_secret
from airflow_sentinelhub.redaction import forms_of

_PASSWORD = re.compile(r"(?:(?<=://)|^)[^/@:\s]*:([^/\s]+)@")
"""A password may have an @ itself; a proxy may be given without `http://`."""
_UNESCAPED = re.compile(r"(?s)(?:(?<=://)|^)[^/@:\s]*:(?!//|:)(.+)@")
"""A password with a slash or a blank, which needs % escapes: the proxy is refused, and its password is one."""


def mask_forms(secret: str) -> None:
    """Mask a secret as it is, and as it is written in JSON, in forms and in URLs."""
    for form in forms_of(secret):
        mask_secret(form)


def mask_passwords(url: str | None) -> None:
    """Mask the passwords that stand before a host in a URL, or in URLs that are chained."""
    for password in {*_PASSWORD.findall(url or ""), *_UNESCAPED.findall(url or "")}:
        mask_forms(password)
        mask_forms(unquote(password))
