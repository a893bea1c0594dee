"""Where a watcher remembers: a Variable before Airflow 3.3, the state of its assets from then on; nowhere on 2.11."""

from __future__ import annotations

import asyncio
import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sentinelhub._compat import NO_WATCHERS, BaseEventTrigger
from airflow_sentinelhub._compat.watcher_store import WatcherStore

with_watchers = pytest.mark.skipif(BaseEventTrigger is None, reason="this Airflow has no watchers")


@pytest.mark.skipif(BaseEventTrigger is not None, reason="this Airflow has watchers")
@pytest.mark.parametrize("module", ["watchers", "imagery", "_watcher"])
def test_without_watchers_one_sentence_says_so(module: str) -> None:
    with pytest.raises(ImportError) as said:
        importlib.import_module(f"airflow_sentinelhub.triggers.{module}")
    assert str(said.value) == NO_WATCHERS


class Channel:
    """Stands for the supervisor of a triggerer, which keeps Variables."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.broken = False

    async def asend(self, asked: Any) -> Any:
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, VariableResult

        if self.broken:
            return ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"status_code": 500})
        if asked.type == "PutVariable":
            self.kept[asked.key] = asked.value
            return None
        if asked.key not in self.kept:
            return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": asked.key})
        return VariableResult(key=asked.key, value=self.kept[asked.key])


@with_watchers
def test_a_variable_keeps_it_where_there_is_no_state_of_assets(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner

    channel = Channel()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", channel, raising=False)
    store = WatcherStore(SimpleNamespace(), "sentinelhub_watcher_x")
    assert asyncio.run(store.read()) is None
    asyncio.run(store.write({"told": {"a": [1, 2.5]}}))
    assert list(channel.kept) == ["sentinelhub_watcher_x"]
    assert asyncio.run(store.read()) == {"told": {"a": [1, 2.5]}}
    channel.broken = True
    with pytest.raises(Exception, match="cannot be read"):  # unknown, not empty
        asyncio.run(store.read())
    with pytest.raises(Exception, match="cannot be written"):
        asyncio.run(store.write({}))


@with_watchers
def test_watchers_that_differ_by_their_pace_alone_overwrite_nothing_of_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And one whose pace was changed goes on where it was."""
    from airflow.sdk.execution_time import task_runner

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Channel(), raising=False)
    slow, fast, changed = (WatcherStore(SimpleNamespace(), "k", pace) for pace in ("a", "b", "c"))
    asyncio.run(slow.write({"told": 1}))
    asyncio.run(fast.write({"told": 2}))
    assert [asyncio.run(store.read()) for store in (slow, fast, changed)] == [{"told": 1}, {"told": 2}, {"told": 2}]


@with_watchers
def test_the_state_of_the_assets_keeps_it_where_there_is_one() -> None:
    class State:
        def __init__(self) -> None:
            self.kept: dict[str, Any] = {}

        async def aget(self, key: str) -> Any:
            return self.kept.get(key)

        async def aset(self, key: str, value: Any) -> None:
            self.kept[key] = value

    states = {"b": State(), "a": State()}
    store = WatcherStore(SimpleNamespace(asset_state_store=SimpleNamespace(_by_name=states)), "k")
    assert asyncio.run(store.read()) is None
    asyncio.run(store.write([1]))
    assert states["a"].kept == states["b"].kept == {"k": [1]}
    del states["a"].kept["k"]  # an asset that has joined later
    assert asyncio.run(store.read()) == [1]
