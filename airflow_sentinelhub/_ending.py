"""Nobody cancels before knowing why it ends.

An operator or a trigger is told to end for many reasons: a user has marked the task failed or cleared it, a triggerer
restarts, another triggerer has taken over, a scheduler has reset a healthy task. The state of the task instance tells
a user's hand from all the rest: failed, succeeded, skipped, removed or gone means that nobody waits for the job any
more. In any other state, and without an answer, the job is left to the try that comes next, which attaches to it.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowTaskTimeout, TaskState, state_in_triggerer, state_in_worker
from airflow_sentinelhub.exceptions import SentinelHubError

if TYPE_CHECKING:
    from airflow_sentinelhub.api.generations import Generation
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

NOBODY_WAITS = frozenset({"failed", "success", "skipped", "removed"})
ANSWER_WITHIN = 2.0
"""Seconds that Airflow has to say the task's state; a killed task has about five in all."""
LAST_CALL = 1.5
"""Seconds for the one call that cancels while a task is being killed."""

_background: set[asyncio.Future[Any]] = set()


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
    identity: str | None = None,
) -> None:
    """What an operator's `on_kill` does: decide whether the job is wanted no more, and ask once for its end.

    :param identity: of the task, while it still looks for its request: what an earlier try has started is ended too,
        by a process that has the time to find it.
    """
    if isinstance(sys.exc_info()[1], AirflowTaskTimeout):
        wanted, because = on_timeout, "the task has run into its execution_timeout"
    elif not on_kill:
        wanted, because = False, "cancel_on_kill is off"
    else:
        told = state_in_worker(ti, ANSWER_WITHIN)
        wanted, because = nobody_waits(told), _why(told)
    if not wanted:
        name = request_id or f"with {identity} in its description"
        log.warning("Batch request %s was left alone (%s): if started, it runs on and bills", name, because)
        return
    from airflow_sentinelhub.transport.finish import leave_behind

    if request_id is None:
        pid = leave_behind(hook.settings, api.name, identity=identity)
        log.warning(
            "The request of this task was not found yet (%s). Process %s looks for what carries %s in its description "
            "and ends what was started; until then that bills.",
            because,
            pid,
            identity,
        )
        return
    log.warning("Asking Sentinel Hub to %s batch request %s: %s", api.end_word, request_id, because)
    from airflow_sentinelhub.api.call import ONCE, exchange
    from airflow_sentinelhub.transport.sync import SyncDriver

    settings = replace(hook.settings, timeout=LAST_CALL)
    try:
        SyncDriver(settings).run(exchange(api.end(request_id), ONCE))
        log.warning("Sentinel Hub accepted: batch request %s ends; tiles at work are still billed", request_id)
    except SentinelHubError as err:
        pid = leave_behind(hook.settings, api.name, request_id)
        log.warning(
            "The %s of %s did not come about yet (%s). Process %s goes on asking for ten minutes; look at the request "
            "after that: until it has ended, it bills.",
            api.end_word,
            request_id,
            err,
            pid,
        )


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
    _background.add(ending)
    ending.add_done_callback(_background.discard)
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
    return await state_in_triggerer(ti.dag_id, ti.run_id, ti.task_id, index, wait)


_warm = False


def warm_up(ti: Any) -> None:
    """Ask once, early, in each triggerer process: the first answer takes seconds, later ones some hundredths."""
    global _warm
    if _warm or ti is None:
        return
    _warm = True
    asking = asyncio.ensure_future(ask_in_triggerer(ti, 60))
    _background.add(asking)
    asking.add_done_callback(_background.discard)
