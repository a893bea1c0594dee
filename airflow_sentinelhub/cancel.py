"""Nobody cancels before knowing why it ends.

An operator or a trigger is told to end for many reasons: a user has marked the task failed or cleared it, a triggerer
restarts, another triggerer has taken over, a scheduler has reset a healthy task. The state of the task instance tells
a user's hand from all the rest: failed, succeeded, skipped, removed or gone means that nobody waits for the job any
more. In any other state, and without an answer, the job is left to the try that comes next, which attaches to it.
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
    """What an operator's `on_kill` does: decide whether the job is wanted no more, and ask for its end.

    It asks for as long as Airflow lets the task live, some seconds; v2 refuses a stop straight after a start. After
    that a process that is left behind goes on asking, where one can live on: a pod of its own (KubernetesExecutor) ends
    with its task.

    :param mark: of the try, while it still looks for its request: what an earlier try has started is ended too, by a
        process that has the time to find it.
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
        log.warning("Batch request %s was left alone (%s): if started, it runs on and bills", name, because)
        return
    from airflow_sentinelhub.transport.finish import leave_behind

    if request_id is None:
        assert mark is not None
        pid = leave_behind(hook.settings, api.name, mark=str(mark))
        log.warning(
            "The request of this task was not found yet (%s). Process %s looks for what carries %s in its description "
            "and ends what was started; until then that bills. %s",
            because,
            pid,
            mark.identity,
            _how_long(),
        )
        return
    log.warning("Asking Sentinel Hub to %s batch request %s: %s", api.end_word, request_id, because)
    err = _ask_to_end(hook, api, request_id, began)
    if err is None:
        log.warning("Sentinel Hub accepted: batch request %s ends; tiles at work are still billed", request_id)
        return
    pid = leave_behind(hook.settings, api.name, request_id)
    log.warning(
        "Batch request %s was not ended yet (%s). Process %s goes on asking. %s Look at the request after that: until "
        "it has ended, it bills.",
        request_id,
        err,
        pid,
        _how_long(),
    )


def _ask_to_end(hook: SentinelHubHook, api: Generation, request_id: str, began: float) -> SentinelHubError | None:
    """Ask until the service accepts, or the time is over; the last refusal then."""
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


def _how_long() -> str:
    """For how long a process that was left behind lives, as a sentence."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return (
            "It does so for ten minutes, if this pod lives on; with the KubernetesExecutor the pod ends with the task, "
            "and the request has to be ended by hand."
        )
    return "It does so for ten minutes."


async def end_in_triggerer(
    hook: SentinelHubHook, api: Generation, request_id: str, ti: Any, *, on_kill: bool, log: Any
) -> None:
    """What a trigger does that ends without an event: the same decision, asked and carried out without blocking."""
    if ti is None:
        return
    told = await ask_in_triggerer(ti, ANSWER_WITHIN)
    if not nobody_waits(told):
        log.info("Batch request %s is left to whoever goes on waiting for it (%s)", request_id, _why(told))
        return
    if not on_kill:
        why = f"{_why(told)}, and cancel_on_kill is off"
        log.warning("Batch request %s was left alone (%s): if started, it runs on and bills", request_id, why)
        return
    log.warning("Asking Sentinel Hub to %s batch request %s: %s", api.end_word, request_id, _why(told))
    from airflow_sentinelhub.transport.finish import end_in_time

    driver = await hook.async_driver()
    ending = asyncio.ensure_future(driver.run(end_in_time(api, request_id)))
    PROCESS.keep(ending)
    await asyncio.wait({ending}, timeout=20)
    if not ending.done():
        log.warning("The %s of %s has not taken effect yet; this triggerer goes on asking", api.end_word, request_id)
    elif ending.exception() is not None:
        log.error("Batch request %s could not be ended: %s It may run on and bill.", request_id, ending.exception())
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
