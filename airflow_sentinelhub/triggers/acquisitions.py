"""The trigger of the sensor for new imagery: waits until the catalog has enough acquisitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow_sentinelhub._compat import BaseTrigger, TriggerEvent
from airflow_sentinelhub.api.flows.imagery import as_plain, wait_for_acquisitions
from airflow_sentinelhub.exceptions import SentinelHubError, one_line
from airflow_sentinelhub.exceptions import as_plain as error_as_plain

VERSION = 1


class SentinelHubNewImageryTrigger(BaseTrigger):
    """Waits until a search of the Catalog API finds enough acquisitions; ends with exactly one event.

    :param sentinelhub_conn_id: id of the Airflow connection, of type `sentinelhub`.
    :param search: what is searched, as `find_in` takes it: plain JSON.
    :param min_count: how many are enough.
    :param poll_interval: seconds.
    :param deadline: seconds since 1970, None for no end.
    :param max_unknown_time: seconds for which the catalog may be out of reach.
    """

    def __init__(
        self,
        *,
        sentinelhub_conn_id: str,
        search: dict[str, Any],
        min_count: int = 1,
        poll_interval: float = 900.0,
        deadline: float | None = None,
        max_unknown_time: float = 1800.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sentinelhub_conn_id = sentinelhub_conn_id
        self.search = search
        self.min_count = min_count
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.max_unknown_time = max_unknown_time

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments, from which a triggerer builds this trigger."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "sentinelhub_conn_id": self.sentinelhub_conn_id,
            "search": self.search,
            "min_count": self.min_count,
            "poll_interval": self.poll_interval,
            "deadline": self.deadline,
            "max_unknown_time": self.max_unknown_time,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Search until there is enough, then yield one event, even after an unexpected error."""
        event: dict[str, Any] = {"version": VERSION}
        try:
            event |= await self._wait()
        except SentinelHubError as err:
            event |= {"outcome": "error", "error": error_as_plain(err)}
        except Exception as err:
            self.log.exception("The wait for new imagery broke off")
            why = f"{type(err).__name__}: {one_line(str(err), 500)}"
            broken = SentinelHubError(f"The wait for new imagery broke off ({why}). A retry of this task waits again.")
            event |= {"outcome": "error", "error": error_as_plain(broken)}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _wait(self) -> dict[str, Any]:
        from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook  # loads HTTP libraries

        hook = SentinelHubHook(self.sentinelhub_conn_id)
        driver = await hook.async_driver()
        interval = hook.interval(self.poll_interval)
        enough = wait_for_acquisitions(self.search, self.min_count, interval, self.deadline, self.max_unknown_time)
        found = await driver.run(enough)
        if found is None:
            return {"outcome": "timed_out"}
        return {"outcome": "found", "acquisitions": [as_plain(item) for item in found]}
