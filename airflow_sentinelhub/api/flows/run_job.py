"""Run a whole job as one flow: collect what is known, decide the next step, do it, repeat.

`decide.next_step.next_step`, a pure function, decides. Every step is safe to repeat, so a task that comes back after a
wait or a crash begins at the top with the latest reading; no other state is needed. The flow yields the steps of
`call.py` and one more, `Await`: a worker waits itself, a deferrable operator defers to a trigger.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, TypeVar

from airflow_sentinelhub.api.call import Flow, Step, Work
from airflow_sentinelhub.api.decide.next_step import next_step
from airflow_sentinelhub.api.decide.verdict import Waited
from airflow_sentinelhub.api.flows.find_or_create import Settled
from airflow_sentinelhub.api.flows.job_life import JobPlan, Life, Woken
from airflow_sentinelhub.api.flows.job_steps import ENDS, STEPS
from airflow_sentinelhub.api.flows.read import if_answered, left_alone, outlast, read_patiently
from airflow_sentinelhub.api.flows.task_request import Own, Wanted, find_own
from airflow_sentinelhub.api.flows.wait import Await
from airflow_sentinelhub.api.service.generations import OLD_REQUEST_404, Generation
from airflow_sentinelhub.api.snapshot import Snapshot

R = TypeVar("R")


def run_job(
    api: Generation, wanted: Wanted, plan: JobPlan, woken: Woken | None = None
) -> Generator[Step | Await, Any, dict[str, Any]]:
    """Find or create the request, analyse it, check the budget, start it, wait, restart what failed, judge, report.

    :param api: the generation that the job is asked for in.
    :param wanted: the request.
    :param plan: how to run it.
    :param woken: the end of the wait for which an earlier run of this flow was deferred; None for a first run.
    :returns: the result, see `Results.as_result`.
    :raises JobError: the job failed, or ended worse than the policy accepts; `skip` is set where the policy says so.
    """
    job: Snapshot | None
    if woken is None:
        own = yield from _first(api, wanted, plan)
        life = Life(own.api, wanted, plan)
        first = job = own.settled.job
        if own.settled.continued:
            job = yield from life.take_over(first)
    else:
        life = Life(api, wanted, plan)
        job = life.wake(woken)
    while True:
        known = yield from life.known(job)
        step = next_step(known)
        if step in ENDS:
            return (yield from ENDS[step](life, known))
        job = yield from STEPS[step](life, known)


def answered(flow: Generator[Step | Await, Any, R], answer: Callable[[Await], Flow[Waited | None]]) -> Flow[R | Await]:
    """Make a flow for a driver: `answer` handles each `Await`. If it returns None, the result is the `Await` itself."""
    send: Callable[[Any], Step | Await] = flow.send
    value: Any = None
    while True:
        try:
            step = send(value)
        except StopIteration as result:
            return result.value  # type: ignore[no-any-return]
        try:
            if isinstance(step, Await):
                value = yield from answer(step)
                if value is None:
                    flow.close()
                    return step
            else:
                value = yield step
            send = flow.send
        except GeneratorExit:
            flow.close()
            raise
        except BaseException as err:
            send, value = flow.throw, err


def _first(api: Generation, wanted: Wanted, plan: JobPlan) -> Flow[Own]:
    """The request that processes the job: the given one, or the task's own."""
    if plan.request_id is not None:
        request_id = plan.request_id
        looked_up = replace(api, despite_404=OLD_REQUEST_404) if plan.old_request else api
        reading = outlast(lambda: read_patiently(looked_up, request_id), wanted.patience, request_id)
        patient = wanted.again or not plan.may_start  # a step before this one has just reached the service
        job = yield from (reading if patient else if_answered(reading, left_alone(request_id)))
        own = Own(api, Settled(job, True), wanted.mark)
    else:
        if not wanted.again:
            plan.limits(api)  # in a later try, invalid limits must not hide a running request

        def checks(api: Generation, payload: dict[str, Any]) -> Flow[None]:
            plan.limits(api)
            yield from wanted.checks(api, payload)

        own = yield from find_own(api, replace(wanted, checks=checks))
    yield Work(lambda: plan.listener.settled(own))
    return own
