"""What a process shares per connection: the store of tokens, and the limit on requests in flight.

A thousand waiting triggers are one polite client. The limit is a gate of ours in front of the HTTP library's pool:
with 1,000 triggers polling at once, a shared httpx client alone answers none of them within a minute, and behind a
gate of 8 all within seconds.
"""

from __future__ import annotations

from typing import Any, Protocol

from airflow_sentinelhub import __version__
from airflow_sentinelhub.transport.settings import Settings
from airflow_sentinelhub.transport.tokens import Tokens


class Log(Protocol):
    """Where notes go: a logger of the standard library, or one of Airflow's that looks like it."""

    def log(self, level: int, msg: str, /, *args: Any) -> Any: ...


IN_FLIGHT = 8
"""Requests of one process and connection in flight at a time."""

_tokens: dict[tuple[str, str, str, str], Tokens] = {}


def tokens_of(settings: Settings) -> Tokens:
    """The process's token store for this connection's credential."""
    return _tokens.setdefault(settings.key, Tokens(settings))


def user_agent() -> str:
    return f"airflow-sentinelhub/{__version__}"
