"""A tiny batch service in memory that answers calls, with reads that may lag and replies that may get lost.

It keeps for each request the list of its states with their times, future ones included, so that a read of the past is a
look further up in the list. It is no simulator: it knows just what the flows that must not pay twice ask for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from airflow_sentinelhub.api.call import Call, Flow, Lost, Note, Now, Reply, Send, Sleep
from airflow_sentinelhub.api.decide.marker import Mark, mark_of
from airflow_sentinelhub.exceptions import SentinelHubError
from tests.api import feeding
from tests.api.feeding import EPOCH, Fed, done, error, html, ok, page

FINAL = ("DONE", "PARTIAL", "FAILED", "CANCELED", "STOPPED")
STEP = 5.0
"""Seconds from one status to the next."""
PROCESSING = 120.0
PAGE = 3

ODD = {"no list": {}, "null": None, "an array": [], "no data": {"links": {}}, "an error": {"error": {"status": 500}}}
"""What a list is answered with instead of a list."""
REFUSALS = (302, 400, 401, 403, 408, 425)
"""What a reading is answered with by accident."""
FAULTS = (
    *("drop_before", "drop_after", "503_before", "503_after", "html_after", "truncated", "429", "404"),
    *ODD,
    *map(str, REFUSALS),
)


@dataclass(frozen=True)
class State:
    """`restarted`: a restart was accepted which the status does not show yet."""

    at: float
    status: str = "CREATED"
    action: str = "NONE"
    deleted: bool = False
    restarted: bool = False

    @property
    def final(self) -> bool:
        return self.status in FINAL and not self.restarted


@dataclass
class Job:
    """A request: `states` by time, `words` the descriptions by time.

    :param billed: times of its start and restarts; :param acted: times of all actions.
    """

    id: str
    created: float
    states: list[State]
    words: list[tuple[float, str]]
    billed: list[float] = field(default_factory=list)
    acted: list[float] = field(default_factory=list)

    def at(self, time: float) -> State | None:
        """The state as of a time, None where it did not exist."""
        past = [state for state in self.states if state.at <= time]
        return past[-1] if past and not past[-1].deleted else None

    def description(self, time: float) -> str:
        return [text for at, text in self.words if at <= time][-1]

    def mark(self, time: float) -> Mark:
        found = mark_of(self.description(time))
        assert found is not None
        return found

    def running(self, time: float) -> bool:
        """It has been billed, and neither has it ended nor does anybody end it."""
        state = self.at(time)
        return self.at_work(time) and state is not None and state.action == "START"

    def at_work(self, time: float) -> bool:
        """It has been billed and has not ended."""
        state = self.at(time)
        return bool(self.billed) and state is not None and not state.final

    def become(self, now: float, *states: State) -> None:
        """An action has these consequences."""
        self.acted.append(now)
        self.states = [*(state for state in self.states if state.at <= now), *states]


class FakeService:
    """Batch v1 or v2.

    :param api: `v1` or `v2`; :param repeated_start: what a start or restart answers that somebody has made already,
        204 or 400 (unknown of the real service; it starts nothing either way).
    """

    restart_shows_after = STEP
    """Seconds for which a request says PARTIAL after its restart."""

    def __init__(self, api: str, repeated_start: int = 400) -> None:
        self.api = api
        self.repeated_start = repeated_start
        self.now = EPOCH
        self.jobs: dict[str, Job] = {}
        self.outcome = "DONE"
        self.effects: list[tuple[str, str]] = []

    def answer(self, call: Call[Any], fault: str | None = None, lag: float = 0.0) -> Reply | Lost:
        """The reply to a call. Reads are `lag` seconds old."""
        if fault == "drop_before":
            return Lost("the connection was cut", ambiguous=True)
        if fault == "503_before":
            return error(503)
        if fault == "429":
            return error(429, headers={"retry-after": "2000"})
        if fault == "404" and "/process/" in call.path:
            return error(404)
        if fault in ODD and call.method == "GET" and not call.path.rpartition("/process")[2]:
            return ok(ODD[fault])
        if fault in map(str, REFUSALS) and call.method == "GET":
            return error(int(fault or 0))
        reply = self._really(call, self.now - lag)
        self.now += 0.001
        if fault == "drop_after":
            return Lost("the connection was cut", ambiguous=True)
        if fault == "503_after":
            return error(503)
        if fault == "html_after":
            return html(502)
        if fault == "truncated" and len(reply.body) > 2:
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        return reply

    def marked(self, identity: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.mark(self.now).identity == identity]

    # What it does

    def _really(self, call: Call[Any], seen: float) -> Reply:
        parts = call.path.split("/process")[1].strip("/").split("/")
        number, action = parts[0], parts[1] if len(parts) > 1 else ""
        if not number:
            return self._create(call.json) if call.method == "POST" else self._list(call.params(), seen)
        job = self.jobs.get(number)
        if job is None or job.at(seen) is None or job.at(self.now) is None:
            return error(404, "Not Found", "COMMON_NOT_FOUND")
        if call.method == "GET":
            return ok(self._view(job, seen))
        if call.method == "PUT":
            return self._update(job, call.json)
        if call.method == "DELETE":
            return self._delete(job)
        return getattr(self, f"_{action}")(job)  # type: ignore[no-any-return]

    def _create(self, payload: dict[str, Any]) -> Reply:
        digest = hashlib.md5(f"{len(self.jobs)}".encode()).hexdigest()
        number = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"
        job = Job(number, self.now, [State(self.now)], [(self.now, payload["description"])])
        self.jobs[number] = job
        self.effects.append(("created", number))
        return ok(self._view(job, self.now), 201)

    def _list(self, query: dict[str, str], seen: float) -> Reply:
        """A page. The next one is of the same view of the list or of a newer one: a list does not go back in time."""
        assert query["sort"] == "created:desc"
        begin, _, view = query.get("viewtoken", "0").partition(" ")
        seen = max(seen, float(view or 0))
        found = [job for job in self.jobs.values() if job.at(seen) is not None]
        if self.api == "v1" and "search" in query:
            found = [job for job in found if query["search"] in job.description(seen)]
        found.sort(key=lambda job: job.created, reverse=True)
        end = int(begin) + PAGE
        token = f"{end} {seen!r}" if end < len(found) else None
        return page([self._view(job, seen) for job in found[int(begin) : end]], token)

    def _view(self, job: Job, seen: float) -> dict[str, Any]:
        state = job.at(seen)
        assert state is not None
        make = feeding.v1 if self.api == "v1" else feeding.v2
        acted = [time for time in job.acted if time <= seen]
        cost = {"costPU": 1.0 * any(time <= seen for time in job.billed)} if self.api == "v2" else {}
        return make(
            state.status,
            state.action,
            job.id,
            description=job.description(seen),
            created=_iso(job.created),
            userActionUpdated=_iso(acted[-1]) if acted else None,
            **cost,
        )

    def _update(self, job: Job, payload: dict[str, Any]) -> Reply:
        if job.running(self.now):
            return error(409, "The request is being processed or waits to be processed.")
        job.words.append((self.now, payload["description"]))
        return ok(self._view(job, self.now))

    def _delete(self, job: Job) -> Reply:
        state = self._state(job)
        busy = state.status not in FINAL and state.action != "NONE" and state.status != "ANALYSIS_DONE"
        if busy or job.billed:
            return error(409, "The request must be cancelled before it is deleted.")
        job.become(self.now, replace(state, at=self.now, deleted=True))
        self.effects.append(("deleted", job.id))
        return done()

    def _analyse(self, job: Job) -> Reply:
        state = self._state(job)
        if state.status != "CREATED" or state.action != "NONE":
            return self._illegal(state, "ANALYSE")
        job.become(self.now, *self._course(job, "ANALYSE"))
        return done()

    def _start(self, job: Job) -> Reply:
        state = self._state(job)
        if state.status in FINAL or state.action in ("CANCEL", "STOP"):
            return self._illegal(state, "START")
        if state.action == "START":
            return done() if self.repeated_start == 204 else self._illegal(state, "START")
        job.billed.append(self.now)
        job.become(self.now, *self._course(job, "START"))
        self.effects.append(("billed_start", job.id))
        return done()

    def _restartpartial(self, job: Job) -> Reply:
        state = self._state(job)
        if state.restarted and self.repeated_start == 204:
            return done()
        if state.status != "PARTIAL" or state.restarted:
            return error(400, "Only requests with status PARTIAL can be restarted.")
        processing = State(self.now + self.restart_shows_after, "PROCESSING", "START")
        ended = State(processing.at + PROCESSING, self.outcome, "START")
        job.billed.append(self.now)
        job.become(self.now, State(self.now, "PARTIAL", "START", restarted=True), processing, ended)
        self.effects.append(("restarted", job.id))
        return done()

    def _cancel(self, job: Job) -> Reply:
        return self._end(job, "CANCEL", "CANCELED")

    def _stop(self, job: Job) -> Reply:
        state = self._state(job)
        if state.status == "CREATED" or state.status in FINAL:
            return self._illegal(state, "STOP")
        return self._end(job, "STOP", "STOPPED")

    def _end(self, job: Job, action: str, final: str) -> Reply:
        state = self._state(job)
        if not state.final and state.action != action:
            begun = replace(state, at=self.now, action=action)
            job.become(self.now, begun, replace(begun, at=self.now + STEP, status=final, restarted=False))
            self.effects.append(("ended", job.id))
        return done()

    def _course(self, job: Job, action: str) -> list[State]:
        """What follows an analyse or a start: the action moves at once, the status later."""
        now, course = self.now, ["ANALYSING", "ANALYSIS_DONE", "PROCESSING"]
        status = self._state(job).status
        left = course[course.index(status) + 1 :] if status in course else course
        if action == "ANALYSE":
            left = [word for word in left if word != "PROCESSING"]
        states = [State(now, status, action)]
        states += [State(now + STEP * (i + 1), word, action) for i, word in enumerate(left)]
        if action == "START":
            states.append(State(states[-1].at + PROCESSING, self.outcome, action))
        return states

    def _state(self, job: Job) -> State:
        state = job.at(self.now)
        assert state is not None
        return state

    def _illegal(self, state: State, action: str) -> Reply:
        return error(
            400, f"Illegal to change userAction from {state.action} to {action} with task status {state.status}"
        )


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, timezone.utc).isoformat().replace("+00:00", "Z")


class Process:
    """A process that runs a flow against the service, in the service's time, and can be stopped between two steps.

    :param answer: answers in the service's place; :param lag: seconds by which reads are behind otherwise.
    """

    def __init__(
        self,
        service: FakeService,
        flow: Flow[Any],
        answer: Callable[[Call[Any]], Reply | Lost] | None = None,
        *,
        lag: float = 0.0,
    ) -> None:
        self.fed = Fed()
        self._service, self._flow = service, flow
        self._answer = answer or (lambda call: service.answer(call, lag=lag))
        self._step = next(flow)

    def run(self, *, before: str | None = None, after: str | None = None) -> Fed:
        """Go on to the end of the flow, or stop before or after its next call of this method."""
        try:
            while True:
                call = self._step.call if isinstance(self._step, Send) else None
                if call is not None and call.method == before:
                    return self.fed
                received = self._perform(self._step)
                if call is not None and call.method == after:
                    return self.fed
                self._step = self._flow.send(received)
        except StopIteration as end:
            self.fed._result = end.value
        except SentinelHubError as err:
            self.fed.error = err
        return self.fed

    def _perform(self, step: Any) -> Any:
        if isinstance(step, Send):
            self.fed.sent.append(step.call)
            return self._answer(step.call)
        if isinstance(step, Sleep):
            self.fed.slept.append(step.seconds)
            self._service.now += step.seconds
        elif isinstance(step, Now):
            return self._service.now
        elif isinstance(step, Note):
            (self.fed.warnings if step.warning else self.fed.notes).append(step.message)
        return None


def drive(
    service: FakeService,
    flow: Flow[Any],
    answer: Callable[[Call[Any]], Reply | Lost] | None = None,
    *,
    lag: float = 0.0,
) -> Fed:
    """Run a flow to its end; see `Process`."""
    return Process(service, flow, answer, lag=lag).run()
