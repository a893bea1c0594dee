"""Decide whether to cancel the job when its task is stopped.

An operator or a trigger is stopped for many reasons: a user has marked the task failed or cleared it, a triggerer
restarts, another triggerer has taken over, a scheduler has reset a healthy task. The state of the task instance tells
the first from all others: failed, succeeded, skipped, removed or gone means that nobody waits for the job any more, and
it is cancelled (v2: stopped). In any other state, and without an answer, the job is left to the next try, which
attaches to it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowTaskTimeout, TaskState, state_in_triggerer, state_in_worker
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.transport.process import PROCESS

if TYPE_CHECKING:
    from airflow_sentinelhub.api.decide.marker import Mark
    from airflow_sentinelhub.api.service.generations import Generation
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

NOBODY_WAITS = frozenset({"failed", "success", "skipped", "removed"})
ANSWER_WITHIN = 2.0
"""Seconds that Airflow has to say the task's state; a killed task has about five in all."""
LAST_CALL = 1.5
"""Seconds for one call that cancels while a task is being killed."""
KILLED_AFTER, AGAIN_AFTER = 4.0, 1.0
"""Seconds after which a killed task is gone for sure, with some to spare, and between two calls that cancel."""


def nobody_waits(told: TaskState) -> bool:
    """Whether the task's state says that its job is wanted no more."""
    return told.answered and (not told.exists or told.state in NOBODY_WAITS)


def _why(told: TaskState) -> str:
    if not told.answered:
        return "Airflow did not say why"
    return f"the task is {told.state}" if told.exists else "the task is gone"


def end_in_worker(
    hook: SentinelHubHook,
    api: Generation,
    request_id: str | None,
    ti: Any,
    *,
    on_kill: bool,
    on_timeout: bool,
    log: Any,
    mark: Mark | None = None,
) -> None:
    """What an operator's `on_kill` does: decide whether the job is still wanted, and cancel it if it is not.

    It retries for the few seconds that Airflow leaves the task; v2 refuses a stop straight after a start. After that a
    process in the background retries, where one can live on: a pod of its own (KubernetesExecutor) ends with its task.

    :param mark: of the try, while it still looks for its request: what an earlier try has started is cancelled too, by
        a process that has the time to find it.
    """
    began = time.monotonic()
    if isinstance(sys.exc_info()[1], AirflowTaskTimeout):
        wanted, because = on_timeout, "the task has run into its execution_timeout"
    elif not on_kill:
        wanted, because = False, "cancel_on_kill is off"
    else:
        told = state_in_worker(ti, ANSWER_WITHIN)
        wanted, because = nobody_waits(told), _why(told)
    if not wanted:
        name = request_id or f"with {mark.identity if mark else '?'} in its description"
        _say_left_alone(log, api, name, because)
        return
    from airflow_sentinelhub.transport.finish import leave_behind

    if request_id is None:
        assert mark is not None
        pid = leave_behind(hook.settings, api.name, mark=str(mark))
        log.warning(
            "The batch request of this task is not known yet (%s). Process %s searches in the background for requests "
            "with %s in their description, to %s those that were started; until then they are billed. %s",
            because,
            pid,
            mark.identity,
            api.end_word,
            _how_long(api),
        )
        return
    log.warning("Asking Sentinel Hub to %s batch request %s: %s", api.end_word, request_id, because)
    err = _ask_to_end(hook, api, request_id, began)
    if err is None:
        log.warning(
            "Sentinel Hub accepted the %s of batch request %s; tiles already being processed are still billed",
            api.end_word,
            request_id,
        )
        return
    pid = leave_behind(hook.settings, api.name, request_id)
    log.warning(
        "Could not %s batch request %s (%s); process %s retries in the background. %s Check the request afterwards: it "
        "is billed until it has ended.",
        api.end_word,
        request_id,
        err,
        pid,
        _how_long(api),
    )


def _ask_to_end(hook: SentinelHubHook, api: Generation, request_id: str, began: float) -> SentinelHubError | None:
    """Ask until the service accepts (None) or the time is over (the last error)."""
    from airflow_sentinelhub.api.call import ONCE, exchange
    from airflow_sentinelhub.transport.sync import SyncDriver

    while True:
        left = KILLED_AFTER - (time.monotonic() - began)
        try:
            SyncDriver(replace(hook.settings, timeout=min(LAST_CALL, max(left, 0.1)))).run(
                exchange(api.end(request_id), ONCE)
            )
            return None
        except SentinelHubError as err:
            if KILLED_AFTER - (time.monotonic() - began) < AGAIN_AFTER + 0.5:
                return err
        time.sleep(AGAIN_AFTER)


def _say_left_alone(log: Any, api: Generation, name: str, because: str) -> None:
    log.warning(
        "Did not %s batch request %s (%s): if it was started, it keeps running and is billed",
        api.end_word,
        name,
        because,
    )


def _how_long(api: Generation) -> str:
    """For how long the process in the background works, as a sentence."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return (
            "It gives up after ten minutes, or when this pod ends: with the KubernetesExecutor the pod ends with the "
            f"task, and you have to {api.end_word} the request by hand."
        )
    return "It gives up after ten minutes."


async def end_in_triggerer(
    hook: SentinelHubHook, api: Generation, request_id: str, ti: Any, *, on_kill: bool, log: Any
) -> None:
    """What a trigger does that ends without an event: the same decision and the same cancel, without blocking."""
    if ti is None:
        return
    told = await ask_in_triggerer(ti, ANSWER_WITHIN)
    if not nobody_waits(told):
        log.info(
            "Did not %s batch request %s (%s): another trigger or the next try of its task waits for it",
            api.end_word,
            request_id,
            _why(told),
        )
        return
    if not on_kill:
        _say_left_alone(log, api, request_id, f"{_why(told)}, and cancel_on_kill is off")
        return
    log.warning("Asking Sentinel Hub to %s batch request %s: %s", api.end_word, request_id, _why(told))
    from airflow_sentinelhub.transport.finish import end_in_time

    driver = await hook.async_driver()
    ending = asyncio.ensure_future(driver.run(end_in_time(api, request_id)))
    PROCESS.keep(ending)
    await asyncio.wait({ending}, timeout=20)
    if not ending.done():
        log.warning(
            "The %s of batch request %s has not taken effect yet; this triggerer retries in the background for ten "
            "minutes. Until it has ended, the request is billed",
            api.end_word,
            request_id,
        )
    elif ending.exception() is not None:
        log.error(
            "Could not %s batch request %s: %s It may keep running and be billed; check it, and %s it by hand.",
            api.end_word,
            request_id,
            ending.exception(),
            api.end_word,
        )
    else:
        log.warning("Batch request %s is %s", request_id, ending.result().status)


async def ask_in_triggerer(ti: Any, wait: float) -> TaskState:
    """The state of the trigger's task."""
    index = int(getattr(ti, "map_index", -1))
    return await state_in_triggerer(ti.dag_id, ti.run_id, ti.task_id, index, wait, PROCESS.keep)


def warm_up(ti: Any) -> None:
    """Ask once, early, in each triggerer process: the first answer takes seconds, later ones some hundredths."""
    if PROCESS.warmed_up or ti is None:
        return
    PROCESS.warmed_up = True
    PROCESS.keep(asyncio.ensure_future(ask_in_triggerer(ti, 60)))
