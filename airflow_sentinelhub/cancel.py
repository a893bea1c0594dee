"""Decide whether to cancel the job when its task is stopped.

An operator or a trigger is stopped for many reasons: a user has marked the task failed or cleared it, a triggerer
restarts, another triggerer has taken over, a scheduler has reset a healthy task. The task instance's state decides: if
it is failed, success, skipped or removed, or if the task instance does not exist any more, the job is not needed and
is cancelled (v2: stopped). In any other state, or if Airflow does not answer, the job is left running for the next try,
which attaches to it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sentinelhub._compat import AirflowTaskTimeout
from airflow_sentinelhub._compat.task_state import TaskState, state_in_triggerer, state_in_worker
from airflow_sentinelhub.api.call import ONCE, exchange
from airflow_sentinelhub.api.decide.marker import Mark
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.exceptions import SentinelHubError
from airflow_sentinelhub.transport.process import PROCESS

if TYPE_CHECKING:
    from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook

NOBODY_WAITS = frozenset({"failed", "success", "skipped", "removed"})
ANSWER_WITHIN = 2.0
"""Seconds to wait for Airflow's answer about the task's state; a killed task has about five in all."""
LAST_CALL = 1.5
"""Timeout (seconds) of one cancel call while a task is being killed."""
KILLED_AFTER, AGAIN_AFTER = 4.0, 1.0
"""Seconds that a killed task surely has, and seconds between two cancel calls, or two questions in a triggerer."""
ASKED_AGAIN, ASKED_FOR = 20.0, 600.0
"""Seconds after which a triggerer asks Airflow again that has not answered, and seconds in all."""
ANSWER_AFTER_KILL = 8.0
"""Seconds to wait for the answer after Airflow 3.3 has called `on_kill`, so not in a triggerer that shuts down. Airflow
allows 30 s for all of `on_kill` (`[triggerer] on_kill_timeout`), and the cancel after the answer may take 20."""


def nobody_waits(answer: TaskState) -> bool:
    """Whether the task's state shows that no task needs the job any more."""
    return answer.answered and (not answer.exists or answer.state in NOBODY_WAITS)


def _why(answer: TaskState) -> str:
    if not answer.answered:
        return "Airflow did not say why"
    return f"the task is {answer.state}" if answer.exists else "the task is gone"


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
    """The `on_kill` of an operator: decide whether the job is still needed, and cancel it if it is not.

    It retries for the few seconds that Airflow leaves the task; v2 refuses a stop straight after a start. After that a
    process in the background retries. It ends with the pod, so it does not help with the KubernetesExecutor, whose pods
    end with their tasks.

    :param request_id: the request; None while the try still searches for it.
    :param mark: of the try, if `request_id` is None: a background process then searches for the requests that an
        earlier try has started, and cancels them.
    :param on_kill, on_timeout: whether to cancel at a kill, and at Airflow's `execution_timeout`.
    """
    began = time.monotonic()
    if isinstance(sys.exc_info()[1], AirflowTaskTimeout):
        wanted, reason = on_timeout, "the task has run into its execution_timeout"
    elif not on_kill:
        wanted, reason = False, "cancel_on_kill is off"
    else:
        answer = state_in_worker(ti, ANSWER_WITHIN)
        wanted, reason = nobody_waits(answer), _why(answer)
    if not wanted:
        name = request_id or f"with {mark.identity if mark else '?'} in its description"
        _say_left_alone(log, api, name, reason)
        return
    from airflow_sentinelhub.transport.finish import leave_behind

    if request_id is None:
        assert mark is not None
        pid = leave_behind(hook.settings, api.name, mark=str(mark))
        log.warning(
            "The batch request of this task is not known yet (%s). Process %s searches in the background for requests "
            "with %s in their description, to %s those that were started; until then they are billed. %s",
            reason,
            pid,
            mark.identity,
            api.end_word,
            _how_long(api),
        )
        return
    log.warning("Asking Sentinel Hub to %s batch request %s: %s", api.end_word, request_id, reason)
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
    """Send the cancel until the service accepts it (returns None) or the time is over (returns the last error)."""
    from airflow_sentinelhub.transport.sync import SyncDriver

    while True:
        seconds = KILLED_AFTER - (time.monotonic() - began)
        try:
            SyncDriver(replace(hook.settings, timeout=min(LAST_CALL, max(seconds, 0.1)))).run(
                exchange(api.end(request_id), ONCE)
            )
            return None
        except SentinelHubError as err:
            if KILLED_AFTER - (time.monotonic() - began) < AGAIN_AFTER + 0.5:
                return err
        time.sleep(AGAIN_AFTER)


def _say_left_alone(log: Any, api: Generation, name: str, reason: str) -> None:
    log.warning(
        "Did not %s batch request %s (%s): if it was started, it runs on and bills",
        api.end_word,
        name,
        reason,
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
    hook: SentinelHubHook,
    api: Generation,
    request_id: str,
    ti: Any,
    *,
    on_kill: bool,
    log: Any,
    wait: float,
) -> None:
    """The same decision and cancel for a trigger that ends without an event, without blocking the event loop.

    A triggerer that goes on running asks until Airflow answers, so a user's action on a busy Airflow is not missed.

    :param wait: seconds to wait for Airflow's answer; after that the decision and the cancel come in the background.
    """
    if ti is None:
        return
    answering = asyncio.ensure_future(_answer(ti))
    ending = asyncio.ensure_future(_end_if_unneeded(hook, api, request_id, answering, on_kill=on_kill, log=log))
    PROCESS.keep(ending)
    await asyncio.wait({answering}, timeout=wait)
    if not answering.done():
        log.info(
            "Airflow has not answered yet whether a task still waits for batch request %s, as when a triggerer shuts "
            "down. It runs on and bills; this triggerer asks again for ten minutes, as long as it runs",
            request_id,
        )
        return
    await asyncio.wait({ending}, timeout=20)
    if not ending.done():
        log.warning(
            "The %s of batch request %s has not taken effect yet; this triggerer retries in the background for ten "
            "minutes. Until it has ended, the request is billed",
            api.end_word,
            request_id,
        )


async def _answer(ti: Any) -> TaskState:
    """The state of the trigger's task, asked for until Airflow says it, or for ten minutes."""
    clock = asyncio.get_running_loop().time
    until = clock() + ASKED_FOR
    while True:
        answer = await ask_in_triggerer(ti, ASKED_AGAIN)
        if answer.answered or clock() >= until:
            return answer
        await asyncio.sleep(AGAIN_AFTER)


async def _end_if_unneeded(
    hook: SentinelHubHook,
    api: Generation,
    request_id: str,
    answering: asyncio.Future[TaskState],
    *,
    on_kill: bool,
    log: Any,
) -> None:
    answer = await answering
    if not answer.answered:
        _say_left_alone(log, api, request_id, f"{_why(answer)}, for ten minutes")
        return
    if not nobody_waits(answer):
        log.info(
            "Did not %s batch request %s (%s): another trigger or the next try of its task waits for it",
            api.end_word,
            request_id,
            _why(answer),
        )
        return
    if not on_kill:
        _say_left_alone(log, api, request_id, f"{_why(answer)}, and cancel_on_kill is off")
        return
    log.warning("Asking Sentinel Hub to %s batch request %s: %s", api.end_word, request_id, _why(answer))
    from airflow_sentinelhub.transport.finish import end_in_time

    try:
        driver = await hook.async_driver()
        job = await driver.run(end_in_time(api, request_id))
    except Exception as err:
        log.error(
            "Could not %s batch request %s: %s It may run on and bill; check it, and %s it by hand.",
            api.end_word,
            request_id,
            err,
            api.end_word,
        )
    else:
        log.warning("Batch request %s is %s", request_id, job.status)


async def ask_in_triggerer(ti: Any, wait: float) -> TaskState:
    """The state of the trigger's task; `wait`: seconds to wait for the answer."""
    index = int(getattr(ti, "map_index", -1))
    return await state_in_triggerer(ti.dag_id, ti.run_id, ti.task_id, index, wait, PROCESS.keep)


def warm_up(ti: Any) -> None:
    """Ask for a state once, early, in each triggerer process: the first answer takes seconds, later ones some 10 ms."""
    if PROCESS.warmed_up or ti is None:
        return
    PROCESS.warmed_up = True
    PROCESS.keep(asyncio.ensure_future(ask_in_triggerer(ti, 60)))
