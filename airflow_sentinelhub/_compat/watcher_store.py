"""Where a watcher keeps what it remembers."""

from __future__ import annotations

import json
from typing import Any

from airflow_sentinelhub._compat import AirflowException
from airflow_sentinelhub._compat.supervisor import supervisor, whole_answer


class WatcherStore:
    """Where a watcher keeps what it remembers, so that it outlives the triggerer.

    On Airflow 3.3 this is the state of the asset that it watches for; where there is none (3.0 to 3.2), a Variable,
    since these versions give a watcher no other place that lasts. Outside of a triggerer nothing is kept.

    A Variable belongs to one trigger, since each of two that write to the same one would overwrite what the other has
    told. A trigger without one begins with the last that another trigger of the same entry has written: its former
    self, whose pace was another one.

    :param trigger: the watcher.
    :param key: name of its entry.
    :param pace: what distinguishes it from other triggers of the same entry: a word that the name of its Variable ends
        with.
    """

    def __init__(self, trigger: Any, key: str, pace: str = "") -> None:
        # Private, Airflow 3.3: by its public methods an accessor of several assets can be asked only by those who
        # know the assets, which a watcher does not; all assets that share a watcher get the same events.
        accessors = getattr(trigger, "asset_state_store", None)
        named = getattr(accessors, "_by_name", None) or {}
        self._states = [named[name] for name in sorted(named)]
        self._key = key
        self._names = [f"{key}_{pace}", key] if pace else [key]

    async def read(self) -> Any:
        """What was written, None if nothing ever was; an exception of Airflow's if that cannot be told."""
        if self._states:
            for state in self._states:
                if (value := await whole_answer(state.aget(self._key))) is not None:
                    return value
            return None
        for name in self._names:
            if (value := await self._variable(name)) is not None:
                return value
        return None

    async def _variable(self, name: str) -> Any:
        comms, channel = supervisor()
        if channel is None:
            return None
        try:
            reply = await whole_answer(channel.asend(comms.GetVariable(key=name)))
        except Exception as err:
            if "VARIABLE_NOT_FOUND" in f"{getattr(err, 'error', '')}{err}":
                return None
            raise
        text = getattr(reply, "value", None)
        if text is not None:
            return json.loads(text)
        if "VARIABLE_NOT_FOUND" in str(getattr(reply, "error", "")):
            return None
        raise AirflowException(f"The Variable {name} cannot be read.")

    async def write(self, value: Any) -> None:
        """Write it, in place of what was there; an exception of Airflow's if that fails."""
        for state in self._states:
            await whole_answer(state.aset(self._key, value))
        comms, channel = supervisor()
        if self._states or channel is None:
            return
        about = "What a Sentinel Hub watcher has told already. Deleted, it begins anew with what comes from then on."
        for name in self._names:
            asked = comms.PutVariable(key=name, value=json.dumps(value), description=about)
            if getattr(await whole_answer(channel.asend(asked)), "error", None):
                raise AirflowException(f"The Variable {name} cannot be written.")
