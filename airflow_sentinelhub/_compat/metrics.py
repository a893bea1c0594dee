"""Airflow's own metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection

from airflow_sentinelhub._compat import Stats


def metrics(gauges: Collection[str], prefix: str) -> Callable[[str, float], None]:
    """Airflow's own metrics: a function that takes a name and a value.

    :param gauges: names whose value is set; the others are added up.
    :param prefix: what the names begin with there.
    """

    def tell(name: str, value: float) -> None:
        if name in gauges:
            Stats.gauge(prefix + name, value)
        else:
            Stats.incr(prefix + name, int(value))

    return tell
