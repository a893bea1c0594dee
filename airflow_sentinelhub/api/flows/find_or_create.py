"""Find the one request of a task by its marker, or create it. Only `take_over_stopped` bills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import chain, repeat
from typing import Any

from airflow_sentinelhub.api.call import Flow, Note, Now, Sleep, exchange
from airflow_sentinelhub.api.decide.adoption import (
    BEFORE_LAST,
    NONE_STOPPED,
    Decision,
    Owned,
    Plan,
    Stopped,
    choose,
    left_running,
    notes_about,
    owned,
    searched_to,
)
from airflow_sentinelhub.api.decide.marker import Mark, Relation, mark_of, marked, relation
from airflow_sentinelhub.api.flows.actions import AMBIGUOUS, LAG, end, resume
from airflow_sentinelhub.api.flows.read import (
    AFTER_AMBIGUOUS,
    LAGGING_LIST,
    current,
    despite_404,
    find,
    read_patiently,
    with_newer_marker,
)
from airflow_sentinelhub.api.service.generations import Generation
from airflow_sentinelhub.api.snapshot import Snapshot
from airflow_sentinelhub.api.statuses import BatchRequestStatus as S
from airflow_sentinelhub.exceptions import (
    ApiError,
    BadRequestError,
    ConflictError,
    JobError,
    NotFoundError,
    SentinelHubError,
    UnknownStateError,
    UnreachableError,
)

FEW = 3
"""Requests that are read one by one rather than by reading the list back to them."""
LAG_PATIENCE = 1800.0
"""Seconds for which the list may not show a new entry yet, unless a task says otherwise."""
ROUNDS_OF_LOOKING, AGAIN = 8, 5.0
"""Maximal number of readings of the list in find_or_create; seconds before the next one if another task is acting."""


@dataclass(frozen=True)
class Settled:
    """The request that a try continues with.

    :param adopted: the request existed before.
    :param why: in which state it was adopted, for the log.
    :param continued: it was stopped for its budget, which is higher now: the missing part is to be processed.
    """

    job: Snapshot
    adopted: bool
    why: str = ""
    continued: bool = False


def find_or_create(
    api: Generation,
    payload: dict[str, Any],
    mark: Mark,
    *,
    since: datetime | None = None,
    remembered: str | None = None,
    not_found: Exception | None = None,
    stopped: Stopped = NONE_STOPPED,
    check: Callable[[], Flow[None]] | None = None,
    patience: float = LAG_PATIENCE,
) -> Flow[Settled]:
    """The one request of this task: a remembered one, one that carries the marker, or a new one. Never bills.

    Before it returns a new request, or an unstarted one of an earlier round, it reads the list again until the list
    shows what it has written. So copies of this task that create at the same time agree on one request, and a request
    that was started just before is not missed.

    :param payload: the job as the generation takes it; the marker is put into its description.
    :param since: no request of this task is older than this (bounds the walk through v2's list).
    :param remembered: id that an earlier try of the same round has stored. It takes precedence over the marker.
    :param not_found: raised if the remembered request does not exist. None: a missing request was deleted, so another
        one may be created.
    :param stopped: which STOPPED requests to continue with.
    :param check: run once before a request is created, or cancelled to be replaced; its error is raised with the
        request that would have been replaced as its `snapshot`.
    :param patience: seconds for which the list may not show what was written.
    :raises UnknownStateError: the list still does not show it, so another copy may have created a request.
    """
    kept: Snapshot | None = None
    if remembered:
        kept = yield from _recall(api, remembered, mark, not_found)
        decision = choose([kept], mark, stopped) if kept else None
        if decision is not None and decision.plan in (Plan.ADOPT, Plan.CONTINUE):
            return Settled(_of(decision), True, decision.why, decision.plan is Plan.CONTINUE)
    words = {**payload, "description": marked(payload.get("description"), mark)}
    created: Snapshot | None = None
    claimed, written, waited = "", None, False
    mentioned: set[str] = set()
    ended: dict[str, Snapshot] = {}
    requests: list[Snapshot] = []
    for _ in range(ROUNDS_OF_LOOKING):
        looked = datetime.fromtimestamp((yield Now()), timezone.utc)
        requests = yield from current(api, (yield from _listed(api, mark, since, written, patience, requests)), ended)
        if kept is not None and all(job.request_id != kept.request_id for job in requests):
            requests.append(ended.get(kept.request_id, kept))
        decision = choose(requests, mark, stopped)
        yield from _mention_left_running(requests, mark, decision, mentioned)
        if check is not None and decision.plan in (Plan.CREATE, Plan.REPLACE):
            yield from _checked(check, decision.request)
            check = None
        if decision.plan is Plan.CREATE:
            if (yield from _remove(api, decision.remove, mark, sure=waited)):
                waited = True
                yield Sleep(LAG)  # a request that another task has started meanwhile is adopted in the next round
                continue
            created = yield from _create(api, words, mark, {job.request_id for job in requests})
            written = _Written(created.request_id, before=min(created.created or looked, looked)) if created else None
            continue
        job = _of(decision)
        if decision.plan is Plan.CONTINUE:
            return Settled(job, True, decision.why, continued=True)
        started = yield from _remove(api, decision.remove, mark)
        if decision.plan is Plan.ADOPT:
            idle = not job.started and not job.status.is_final
            if started and idle:
                yield Sleep(AGAIN)  # another task has started a request that looked unused
                continue
            claim = None if job.request_id == claimed else (yield from claimed_by(api, job, payload, mark, requests))
            if claim and idle:
                claimed, written = job.request_id, claim
                continue
            own = created is not None and created.request_id == job.request_id
            return Settled(job, not own, "" if own else decision.why)
        yield Note(f"Batch request {job.request_id} of this task: {decision.why}; waiting for its end", warning=True)
        ended[job.request_id] = yield from _ended(api, job)
    raise JobError(
        f"The request of this task could not be determined in {ROUNDS_OF_LOOKING} readings of the list; nothing was "
        "started. A retry of this task looks again."
    )


def own_requests(
    api: Generation,
    mark: Mark,
    since: datetime | None,
    back_to: Callable[[Sequence[Snapshot]], datetime | None] = lambda jobs: None,
) -> Flow[list[Owned]]:
    """The requests of this task instance, read anew, oldest first; without notes and requests that others continue.

    :param since, back_to: how far back the list is read, see `find`.
    """
    requests = yield from current(api, (yield from find(api, mark.identity, since, back_to)), {})
    return owned(requests, mark)


def take_over_stopped(api: Generation, job: Snapshot, payload: dict[str, Any], mark: Mark) -> Flow[Snapshot]:
    """Restart a request that was stopped for its budget, for a try with a higher budget. **This bills** the rest.

    For outputs that no other request can continue (a Zarr, statistics). The new limit is written to the marker only
    after the start: until then the old limit shows the next try why the request was stopped.
    """
    request_mark = mark_of(job.description) or mark
    yield from claimed_by(api, job, payload, replace(mark, limit=request_mark.limit), [])
    job = yield from resume(api, job.request_id, patient=True)
    if request_mark.limit != mark.limit:
        words = marked(job.description, _renewed(request_mark, mark))
        if not (yield from describe(api, job.request_id, words)):
            yield from _noted(api, job, payload, replace(mark, job=mark.job or request_mark.job))
    return job


def end_all(api: Generation, mark: Mark) -> Flow[None]:
    """End every running request of a task whose results are not needed any more."""
    for owned_request in (yield from own_requests(api, mark, None)):
        if owned_request.job.started and not owned_request.job.status.is_final:
            yield from end(api, owned_request.job.request_id)


def _of(decision: Decision) -> Snapshot:
    assert decision.request is not None
    return decision.request


def _checked(check: Callable[[], Flow[None]], instead_of: Snapshot | None) -> Flow[None]:
    try:
        yield from check()
    except SentinelHubError as err:
        err.snapshot = instead_of
        raise


def _mention_left_running(
    requests: Sequence[Snapshot], mark: Mark, decision: Decision, mentioned: set[str]
) -> Flow[None]:
    """Warn of each running request that nobody waits for, once: later readings of the list may show more of them.

    :param mentioned: the ids of those that were mentioned; this adds to them.
    """
    for job in left_running(requests, mark, decision):
        if job.request_id in mentioned:
            continue
        mentioned.add(job.request_id)
        yield Note(
            f"Batch request {job.request_id} with this task's identity is running and bills, and no try of this "
            "run waits for it: it was created by a run that was deleted and created again, or by another Airflow "
            "with the same deployment name (or none). It is left alone; cancel it if it is not needed any more.",
            warning=True,
        )


def _ended(api: Generation, job: Snapshot) -> Flow[Snapshot]:
    """End the request. One that is still PARTIAL was not restarted, or its restart was cancelled: it has ended, too."""
    over = with_newer_marker((yield from end(api, job.request_id)), job.description)
    return replace(over, status=S.CANCELED) if over.status == S.PARTIAL else over


def _recall(api: Generation, request_id: str, mark: Mark, not_found: Exception | None) -> Flow[Snapshot | None]:
    """The remembered request. It belongs to this round, whatever its description says.

    If a user has removed the marker from the description, the marker is written again (if the service accepts that),
    so that other tries find the request too.
    """
    try:
        job = yield from read_patiently(api, request_id)
    except NotFoundError:
        if not_found is not None:
            raise not_found from None
        yield Note(f"The remembered batch request {request_id} does not exist any more; looking for others")
        return None
    request_mark = mark_of(job.description)
    ours = request_mark is not None and relation(request_mark, mark) is not Relation.FOREIGN
    if request_mark is not None and ours and relation(request_mark, mark) is not Relation.EARLIER:
        return job
    words = marked(job.description, _renewed(request_mark, mark) if request_mark is not None and ours else mark)
    if not ours:
        yield Note(f"The description of batch request {request_id} has lost this task's marker; writing it anew")
        yield from describe(api, request_id, words)
    return replace(job, description=words)


def _renewed(request_mark: Mark, mark: Mark) -> Mark:
    """A request's marker after the round of `mark` has adopted it; what it says of the job and the first try stays."""
    fields = {
        name: getattr(mark, name) for name in ("round", "tried", "clears", "born", "airflow", "limit", "dag", "task")
    }
    first = request_mark.of_first_try()
    began = None if first is None or first.born is None or mark.tried == 1 else (first.clears, first.born)
    return replace(request_mark, **fields, first=began)


@dataclass(frozen=True)
class _Written:
    """The last write of this try: a new request, or its round in the description of a request (`words`).

    :param before: of a new request: when the list was last looked at before, or when the request was created, by the
        service's clock, if that was earlier. The try may have been held up for hours in between. Else None.
    """

    request_id: str
    words: str = ""
    before: datetime | None = None

    def shows_in(self, requests: Sequence[Snapshot]) -> bool:
        return any(job.request_id == self.request_id and self.words in job.description for job in requests)


def _listed(
    api: Generation,
    mark: Mark,
    since: datetime | None,
    written: _Written | None,
    patience: float,
    known: list[Snapshot],
) -> Flow[list[Snapshot]]:
    """This task's requests in the list, which lags. Once the list shows our last write, it shows all earlier ones.

    That holds for all pages of one reading if none of them is older than the one before, see `_shown`. Without this
    wait, the list could hide a request that another copy of this task has created and started.

    After a create, only the newest part of the list is read again: back to the last look before the create, and further
    by as long as the list may lag. Older requests were seen at that look (`known`). Of these, a STOPPED, CANCELED or
    PARTIAL one is read again by a call of its own. A DONE or FAILED one does not change any more, and one that has not
    ended is read by whoever called this function. The start of the run, which the new request names, is no reason to
    read less: a request of a run that was deleted just before may show only now, and the log then mentions it.
    """
    back_to = partial(searched_to, mark=mark)
    if written is not None and written.before is not None and not api.search:
        near = written.before - timedelta(seconds=max(patience, LAG_PATIENCE)) - BEFORE_LAST
        older = [job for job in known if job.created is not None and job.created < near]
        if len(older) <= FEW and (since is None or since < near):
            newer = yield from _shown(api, mark, near, lambda jobs: None, written, patience)
            seen = {job.request_id for job in newer}
            missing = [job for job in older if job.request_id not in seen]
            as_known = [job for job in missing if job.status in (S.DONE, S.FAILED) or not job.status.is_final]
            return [*newer, *as_known, *(yield from _again(api, [job for job in missing if job not in as_known]))]
    return (yield from _shown(api, mark, since, back_to, written, patience))


def _again(api: Generation, jobs: list[Snapshot]) -> Flow[list[Snapshot]]:
    """These requests, read anew; without those that do not exist any more."""
    found: list[Snapshot] = []
    for job in jobs:
        try:
            found.append((yield from read_patiently(api, job.request_id)))
        except NotFoundError:
            if job.started or api.delete is None:  # it cannot have been deleted: the last reading counts
                found.append(job)
    return found


def _shown(
    api: Generation,
    mark: Mark,
    since: datetime | None,
    back_to: Callable[[Sequence[Snapshot]], datetime | None],
    written: _Written | None,
    patience: float,
) -> Flow[list[Snapshot]]:
    """This task's requests in the list, once it shows our last write.

    The write shows that its page and those after it are new enough. Where it is not on the first page, that one may be
    older, and may lack a request that another copy has created and started: the newest are read again then.

    :raises UnknownStateError: the list does not show it within `patience`.
    """
    pages: list[Sequence[Snapshot]] = []
    requests: list[Snapshot] = yield from find(api, mark.identity, since, back_to, pages.append)
    if written is None:
        return requests
    began = yield Now()
    for pause in chain(LAGGING_LIST, repeat(LAGGING_LIST[-1])):
        if written.shows_in(requests):
            if written.shows_in(pages[0]):
                return requests
            newest = next((job.created for job in pages[0]), None)
            newer = yield from find(api, mark.identity, newest)
            seen = {job.request_id for job in newer}
            return [*newer, *(job for job in requests if job.request_id not in seen)]
        seconds = (yield Now()) - began
        if seconds >= max(patience, sum(LAGGING_LIST)):
            break
        yield Sleep(pause)
        pages.clear()
        requests = yield from find(api, mark.identity, since, back_to, pages.append)
    raise UnknownStateError(
        f"Batch request {written.request_id}: after {seconds:.0f} s the service's list of requests still does not show "
        "what was written, so another try of this task may have started a request. This request was not "
        "started and bills nothing. A retry of this task looks again.",
        request_id=written.request_id,
    )


def claimed_by(
    api: Generation, job: Snapshot, payload: dict[str, Any], mark: Mark, requests: list[Snapshot]
) -> Flow[_Written | None]:
    """Record that this round has adopted a request of an earlier round, so that the next try knows it too.

    Otherwise a try that starts after the end of the request would start the job anew, as after a clear. A request of
    this round that was created before the run's start moved is recorded too: beside a later clear of another task its
    old start would look like a clear of this one. The record
    goes into the description; where the service refuses to change it (v1 while processing) or cannot (batch
    statistical), into a *note*: a separate request that is never started and costs nothing. Returns what was written.
    """
    request_mark = mark_of(job.description)
    if request_mark is None or not _to_record(request_mark, mark):
        return None
    notes = (mark_of(other.description) for other in notes_about(requests, job.request_id))
    current_notes = (note for note in notes if note and relation(note, mark) in (Relation.SAME, Relation.LATER))
    if any(not _to_record(note, mark) for note in current_notes):
        return None
    claimed = _renewed(request_mark, mark)
    if (yield from describe(api, job.request_id, marked(job.description, claimed))):
        return _Written(job.request_id, str(claimed))
    return (yield from _noted(api, job, payload, replace(mark, job=mark.job or request_mark.job)))


def _to_record(request_mark: Mark, mark: Mark) -> bool:
    """Whether a later try could take a request with this marker for one of another round than the try adopting it."""
    kind = relation(request_mark, mark)
    return kind is Relation.EARLIER or (kind is Relation.SAME and request_mark.born != mark.born)


def _noted(api: Generation, job: Snapshot, payload: dict[str, Any], mark: Mark) -> Flow[_Written | None]:
    """Create a note about a request: a separate request that is never started. Returns what was written.

    It is created again where the reply was lost or the service failed, for as long as a new request may be looked for:
    a second note costs nothing, and none at all has the next try pay for a job that has ended well.
    """
    words = marked(payload.get("description"), replace(mark, adopts=job.request_id))
    create = api.create({**payload, "description": words})
    try:
        for pause in AFTER_AMBIGUOUS:
            try:
                note_request = yield from exchange(create)
                break
            except AMBIGUOUS as err:
                yield Note(f"Whether the note on {job.request_id} was made is not known ({err}); making it again")
                yield Sleep(pause)
        else:
            note_request = yield from exchange(create)
    except (ApiError, UnreachableError) as err:
        yield Note(
            f"Could not record that this task has adopted batch request {job.request_id} ({err}); going on with it. If "
            "this try is killed after the end of the request, the next one starts the job anew, as after a clear.",
            warning=True,
        )
        return None
    yield Note(
        f"Batch request {note_request.request_id} records that this task has adopted {job.request_id}; it bills nothing"
    )
    return _Written(note_request.request_id)


def describe(api: Generation, request_id: str, words: str) -> Flow[bool]:
    """Change the description; False where the service refuses that, or knows no such call."""
    if api.update is None:
        return False
    try:
        update = partial(exchange, api.update(request_id, {"description": words}))
        yield from despite_404(update, request_id, api.despite_404)
    except (BadRequestError, ConflictError):
        return False
    return True


def _create(api: Generation, payload: dict[str, Any], mark: Mark, known: set[str]) -> Flow[Snapshot | None]:
    """Create a request. None if the reply was lost: the list was then read for as long as it may lag."""
    try:
        return (yield from exchange(api.create(payload)))
    except AMBIGUOUS as err:
        yield Note(f"Whether the batch request was created is not known ({err}); looking for it", warning=True)
    before = yield Now()
    for pause in AFTER_AMBIGUOUS:
        yield Sleep(pause)
        requests = yield from find(api, mark.identity, datetime.fromtimestamp(before - 600).astimezone())
        if any(job.request_id not in known for job in requests):
            return None
    yield Note("It was not created; creating it again (which is free)", warning=True)
    return None


def _remove(api: Generation, jobs: tuple[Snapshot, ...], mark: Mark, *, sure: bool = False) -> Flow[bool]:
    """Remove requests that look unstarted, so that no other task starts them. Returns whether one was in use already.

    A request whose job has changed is ended if it cannot be deleted: the service has no delete, or another task has
    acted on the request meanwhile and a user has cleared the task since. v2 cannot end a request before its analysis:
    it stays, and bills nothing.

    :param sure: the readings do not lag behind a start any more: each changed request that is not deleted is ended.
    """
    started = False
    for job in jobs:
        request_mark, name = mark_of(job.description), f"batch request {job.request_id}, not started"
        changed = request_mark is not None and request_mark.job != mark.job
        replaced = changed and request_mark is not None and (sure or relation(request_mark, mark) is Relation.EARLIER)
        try:
            if api.delete is not None:
                delete = partial(exchange, api.delete(job.request_id))
                yield from despite_404(delete, job.request_id, api.despite_404)
                yield Note(f"Deleted {name}")
                continue
            if not changed or job.status == S.CREATED:
                yield Note(f"Left over: {name}; it bills nothing")
                continue
        except NotFoundError:
            continue
        except (ApiError, UnreachableError) as err:
            yield Note(f"Could not delete {name}: {err}", warning=True)
            if not replaced or not isinstance(err, ConflictError):
                started = started or isinstance(err, ConflictError)
                continue
        try:
            yield from exchange(api.end(job.request_id))
            yield Note(f"Asked Sentinel Hub to {api.end_word} batch request {job.request_id}: its job has changed")
        except (ApiError, UnreachableError) as err:
            yield Note(f"Could not {api.end_word} batch request {job.request_id}: {err}", warning=True)
    return started
