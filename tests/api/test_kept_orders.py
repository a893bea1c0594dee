"""Orders in which a random machine of `test_never_twice.py` has once found a fault of the code, or was wrong itself."""

from __future__ import annotations

from tests.api.test_never_twice import WHO, Tries, TriesOnV2, TriesThatSearchNoFurther


def begun(machine: type[Tries]) -> Tries:
    task = machine()
    task.begin(repeated_start=400, patience=0.0)
    return task


def starts(task: Tries) -> int:
    return [kind for kind, _ in task.service.effects].count("billed_start")


def test_a_note_that_the_service_has_no_time_for_is_made_again() -> None:
    """Marked failed and cleared at once: the end of the job comes after the new try has found it at work.

    Without the note the next try took the stopped job for one of before the clear, and paid for another one.
    """
    task = begun(TriesOnV2)
    task.the_rest_of_a_try(which=0)
    task.the_world("a moment")
    task.a_users_hand(arrives=False, which=0)
    task.a_clear(survivors=True, changed=False, finished=True, counted=False)
    task.an_outage(which=0, calls=5, fault="drop_before")
    task.a_fault(which=1, calls=4, fault="503_before")
    task.teardown()
    assert starts(task) == 1


def test_what_a_deleted_run_has_started_is_told_although_the_first_readings_lag() -> None:
    """Two deleted runs have left one each; the second start was too young to show in the first reading."""
    task = begun(TriesThatSearchNoFurther)
    task.some_calls(which=0, calls=11)
    task.a_run_made_again(changed=False)
    task.some_calls(which=0, calls=8, lag=30.0)
    task.some_calls(which=0, calls=12)
    assert starts(task) == 2
    task.a_run_made_again(changed=True)
    task.some_calls(which=0, calls=11, lag=3.0)
    task.a_run_made_again(changed=False)
    task.some_calls(which=0, calls=10, lag=30.0)
    task.teardown()


def test_what_a_deleted_run_has_started_is_told_although_the_new_one_began_after_it() -> None:
    """The start is younger than the list shows, and the request of the new run says that nothing of it is as old."""
    task = begun(TriesThatSearchNoFurther)
    task.the_rest_of_a_try(which=0)
    task.a_crash_and_a_retry(changed=False, lives_on=False, queued=False, remembers=False, which=0)
    task.some_calls(which=0, calls=2, lag=3.0)
    task.a_run_made_again(changed=False)
    task.the_rest_of_a_try(which=0, lag=3.0)
    task.teardown()
    assert starts(task) == 2


def test_a_request_that_an_old_first_page_lacks_is_seen_although_a_later_page_shows_what_was_written() -> None:
    """The job is changed, and changed back at once: the last try takes what an earlier one has left over.

    That stands behind all newer requests of the account. The page that shows that it was taken says nothing of the
    pages before it, which may be older, and lack the changed job, which runs.
    """
    task = begun(TriesThatSearchNoFurther)
    task.some_calls(which=0, calls=2)
    task.a_clear(survivors=False, changed=False, finished=False, counted=False)
    task.a_clear(survivors=True, changed=False, finished=False, counted=False)
    task.some_calls(which=0, calls=8, lag=30.0)
    task.a_clear(survivors=False, changed=True, finished=False, counted=False)
    task.some_calls(which=0, calls=16)
    assert starts(task) == 1
    task.a_clear(survivors=False, changed=True, finished=False, counted=False)
    task.some_calls(which=0, calls=6, lag=3.0)
    task.some_calls(which=0, calls=9)
    task.teardown()
    assert starts(task) == 2
    assert len([job for job in task.service.marked(WHO) if job.at_work(task.service.now)]) == 1


def test_a_cancelled_job_that_a_lagging_copy_takes_for_a_waiting_one_is_made_anew_by_its_twin() -> None:
    """The job was cancelled before the clear, so that the start is what the user has asked for."""
    task = begun(Tries)
    task.some_calls(which=0, calls=8, lag=3.0)
    task.some_calls(which=0, calls=8, lag=30.0)
    task.a_clear(survivors=False, changed=True, finished=False, counted=False)
    task.a_fault(which=0, calls=6, fault="drop_after")
    task.a_clear(survivors=False, changed=True, finished=True, counted=False)
    task.a_twin(remembers=False)
    task.some_calls(which=1, calls=3)
    task.a_fault(which=0, calls=8, fault="503_before", lag=30.0)
    task.teardown()
    assert starts(task) == 2
    assert len([job for job in task.service.marked(WHO) if job.at_work(task.service.now)]) == 1


def test_an_old_copy_does_not_start_what_a_copy_of_the_round_between_has_made_beside_the_newest() -> None:
    """The job is edited at each of two clears, so that it is that of the old copy again."""
    task = begun(Tries)
    task.a_users_hand(arrives=False, which=0)
    task.a_clear(survivors=False, changed=False, finished=False, counted=False)
    task.a_clear(survivors=True, changed=True, finished=False, counted=False)
    task.a_clear(survivors=True, changed=True, finished=False, counted=False)
    task.they_take_turns(turns=[(2, 3, 0.0), (1, 2, 3.0)])
    task.teardown()
    assert starts(task) == 1


def test_what_an_old_copy_has_ended_and_a_newer_try_takes_by_old_readings_is_ended_with_what_the_copy_has_made() -> (
    None
):
    """The job is changed by a clear, and back by the next; the old copy of the round between lives on.

    It ends the job that runs, for its own. The newest try reads as of half a minute before, and goes on with that job.
    """
    task = begun(Tries)
    task.some_calls(which=0, calls=9)
    task.a_clear(survivors=False, changed=True, finished=False, counted=False)
    task.a_clear(survivors=True, changed=True, finished=False, counted=False)
    task.the_world("a minute")
    task.some_calls(which=0, calls=10)
    task.some_calls(which=1, calls=3, lag=30.0)
    task.some_calls(which=0, calls=3)
    task.teardown()
    assert starts(task) == 2
    assert not [job for job in task.service.marked(WHO) if job.at_work(task.service.now)]


def test_what_the_list_is_not_read_back_to_is_not_started_and_the_next_try_takes_its_own() -> None:
    """A deleted run has left it unstarted. Only the list after the create is read so far back, and it is for the job of
    this try. The list that must show that it was taken ends before it: reading that further back, too, would find what
    is older still, which the next try does not see, and both would be started."""
    task = begun(TriesThatSearchNoFurther)
    task.the_rest_of_a_try(which=0)
    task.a_clear(survivors=False, changed=False, finished=False, counted=False)
    task.the_rest_of_a_try(which=0, lag=30.0)
    task.a_run_made_again(changed=True)
    task.a_clear_that_one_outlives(which=0, calls=1, changed=False, finished=False, counted=False)
    task.a_clear(survivors=False, changed=True, finished=True, counted=False)
    task.the_rest_of_a_try(which=0, lag=30.0)
    task.teardown()
    assert task.copies[-1].error is None


def test_of_two_unstarted_requests_that_deleted_runs_have_left_one_is_started() -> None:
    task = begun(TriesThatSearchNoFurther)
    task.a_fault(which=0, calls=2, fault="drop_after", lag=0.0)
    task.a_run_made_again(changed=False)
    task.a_fault(which=0, calls=2, fault="drop_after", lag=3.0)
    task.a_run_made_again(changed=False)
    task.a_clear_that_one_outlives(which=0, calls=5, changed=False, finished=True, counted=False)
    task.teardown()
    assert starts(task) == 1


def test_a_request_that_is_too_new_to_be_deleted_is_not_taken_for_deleted() -> None:
    """An old copy has made it just before; its deletion is answered with 404, and the old copy starts it then: for a
    job that has changed, so it is ended before the new one is started."""
    task = begun(Tries)
    task.a_clear(survivors=True, changed=True, finished=False, counted=False)
    task.they_take_turns(turns=[(0, 3, 0.0), (1, 1, 3.0), (1, 4, 0.0), (1, 1, 3.0)])
    task.teardown()
    assert any(note.startswith("Asked Sentinel Hub to cancel") for note in task.copies[1].notes)


def test_an_old_copy_that_starts_the_request_of_the_newest_try_removes_what_a_copy_between_would_start() -> None:
    task = begun(Tries)
    task.some_calls(which=0, calls=6)
    task.some_calls(which=0, calls=5, lag=3.0)
    task.a_clear(changed=False, counted=False, finished=False, survivors=False)
    task.a_clear(changed=False, counted=False, finished=False, survivors=True)
    task.a_clear(changed=True, counted=False, finished=False, survivors=True)
    task.some_calls(which=2, calls=5)
    task.some_calls(which=0, calls=3)
    task.some_calls(which=2, calls=2, lag=3.0)
    task.some_calls(which=1, calls=3)
    task.teardown()
    assert len([job for job in task.service.marked(WHO) if job.at_work(task.service.now)]) == 1


def test_a_renewed_request_of_the_first_try_still_tells_that_nothing_older_is_of_this_run() -> None:
    """After the clear one copy takes the request over, whose marker is the second try's then. By it the other copy did
    not see that an unstarted request of a deleted run is none of this one, and started that."""
    task = begun(TriesThatSearchNoFurther)
    task.a_fault(which=0, calls=2, fault="drop_after", lag=0.0)
    task.a_run_made_again(changed=True)
    task.the_rest_of_a_try(which=0, lag=0.0)
    task.a_clear(changed=True, counted=False, finished=False, survivors=False)
    task.a_run_made_again(changed=False)
    task.some_calls(which=0, calls=5, lag=0.0)
    task.a_clear(changed=False, counted=False, finished=False, survivors=False)
    task.a_twin(remembers=False)
    task.one_is_held_up(which=0, calls=1, fault=None, lag=0.0)
    task.teardown()
    assert starts(task) == 2, "one in the deleted run, one in this one"
