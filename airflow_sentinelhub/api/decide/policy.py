"""The user's limits of a whole job: what it may cost and how much may fail. They are checked here, without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_sentinelhub.api.arguments import ON_OVER_BUDGET, ON_PARTIAL, RESUMES
from airflow_sentinelhub.api.kinds import number, truth
from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError


@dataclass(frozen=True)
class Policy:
    """The user's limits. Build it with `policy_from`, which checks them.

    :param max_processing_units: PU that the job may cost, None for no limit.
    :param max_per_month: PU that all jobs of the DAG may cost in a calendar month, None for no limit.
    :param on_over_budget: `fail` the task, `skip` it, or `stop` the job and succeed with what is there.
    :param require_estimate: a job whose cost is not known before the start is not started.
    :param max_restarts: how often the failed part is restarted.
    :param max_failed: failed tiles or features that are accepted.
    :param min_success_ratio: or the share (0 to 1) of them that must be done. Both must hold where both are given; none
        given: no failed tile is accepted.
    :param on_partial: what happens when more has failed: `fail` or `skip` the task, or `accept` any number.
    :param unread_by: name of the argument by which the results are not read; None: they are read.
    """

    max_processing_units: float | None = None
    max_per_month: float | None = None
    on_over_budget: str = "fail"
    require_estimate: bool = False
    max_restarts: int = 0
    max_failed: int | None = None
    min_success_ratio: float | None = None
    on_partial: str = "fail"
    unread_by: str | None = None

    def accepts(self, failed: int, total: int) -> bool:
        """Whether a job with `failed` of `total` tiles or features failed is accepted."""
        if failed == 0:
            return True
        if self.max_failed is None and self.min_success_ratio is None:
            return False
        few = self.max_failed is None or failed <= self.max_failed
        most = self.min_success_ratio is None or (total > 0 and (total - failed) / total >= self.min_success_ratio)
        return few and most

    def allows(self, expected: float | None, spent: float = 0.0) -> bool:
        """Whether a job with this expected cost (PU, None if not estimated) may start.

        :param spent: PU that the requests which it continues have cost.
        """
        limit = self.max_processing_units
        return limit is None or expected is None or spent + expected <= limit

    def allows_in_month(self, expected: float | None, month: float) -> bool:
        """Whether a job with this expected cost (PU, None if not estimated) may start in this calendar month.

        :param month: PU that the other jobs of the DAG have cost in it, or will cost.
        """
        limit = self.max_per_month
        if limit is None:
            return True
        return month < limit if expected is None else month + expected <= limit

    def check_restarts(self, by_status: bool) -> None:
        """Check that the task can find out whether a part has failed that `max_restarts` would restart.

        :param by_status: the status of a request shows that (v1); else its results show it.
        :raises InvalidInputError: only the results show it, and they are not read.
        """
        if self.unread_by and self.max_restarts and not by_status:
            raise _without_effect(self.unread_by, "max_restarts")


LIMITS = (
    "max_processing_units",
    "max_processing_units_per_month",
    "on_over_budget",
    "require_estimate",
    "max_restarts",
    "max_failed_tiles",
    "max_failed_features",
    "min_success_ratio",
    "on_partial",
)
"""Arguments of operators of which `policy_from` makes a policy."""
_FAILED = ("max_failed_tiles", "max_failed_features", "max_failed")
"""Names of the one limit on failed tiles or features; the hook, which takes both kinds of jobs, has the last one."""
_READS_BY = ("check_tiles", "check_features", "check_results")
"""Arguments by which the results are read, or not; `policy_from` is given one of them with the limits."""


def policy_from(**given: Any) -> Policy:
    """The policy, from arguments or rendered templates.

    :raises InvalidInputError: a limit is out of range or no number, or two limits contradict each other.
    """
    failed = next((name for name in _FAILED if name in given), _FAILED[0])
    reads_by = next((name for name in _READS_BY if name in given), None)
    policy = Policy(
        max_processing_units=_number("max_processing_units", given.get("max_processing_units")),
        max_per_month=_number("max_processing_units_per_month", given.get("max_processing_units_per_month")),
        on_over_budget=_word("on_over_budget", given.get("on_over_budget", "fail"), ON_OVER_BUDGET),
        require_estimate=_flag("require_estimate", given.get("require_estimate", False)),
        max_restarts=_whole("max_restarts", given.get("max_restarts", 0)) or 0,
        max_failed=_whole(failed, given.get(failed)),
        min_success_ratio=_number("min_success_ratio", given.get("min_success_ratio")),
        on_partial=_word("on_partial", given.get("on_partial", "fail"), ON_PARTIAL),
        unread_by=None if reads_by is None or _flag(reads_by, given[reads_by]) else reads_by,
    )
    if policy.max_processing_units is not None and policy.max_processing_units <= 0:
        raise InvalidInputError("max_processing_units must be above 0: a job that may cost nothing cannot run.")
    if policy.max_per_month is not None and policy.max_per_month <= 0:
        raise InvalidInputError("max_processing_units_per_month must be above 0: with a budget of 0 no job can run.")
    if policy.min_success_ratio is not None and not 0 <= policy.min_success_ratio <= 1:
        raise InvalidInputError(f"min_success_ratio is a share from 0 to 1, not {policy.min_success_ratio:g}.")
    if policy.on_partial == "accept" and (policy.max_failed is not None or policy.min_success_ratio is not None):
        raise InvalidInputError(
            f"on_partial='accept' accepts any number of {_FAILED_WORDS[failed]}, so {failed} and "
            "min_success_ratio have no effect; leave them out, or use on_partial='fail' or 'skip'."
        )
    if policy.on_over_budget != "fail" and policy.max_processing_units is None and policy.max_per_month is None:
        raise InvalidInputError(f"on_over_budget={policy.on_over_budget!r} needs max_processing_units.")
    for name, limit in ((failed, policy.max_failed), ("min_success_ratio", policy.min_success_ratio)):
        if policy.unread_by and limit is not None:
            raise _without_effect(policy.unread_by, name)
    return policy


_FAILED_WORDS = dict(zip(_FAILED, ("failed tiles", "failed features", "failed tiles or features"), strict=True))


def _without_effect(flag: str, name: str) -> InvalidInputError:
    return InvalidInputError(
        f"With {flag}=False the results of the job are not read, so {name} has no effect; leave one of them out."
    )


def check_resume(word: str) -> None:
    """:raises InvalidInputError: `word` is not a value of `resume_stopped`."""
    if not is_late(word) and word not in RESUMES:
        raise InvalidInputError(f"resume_stopped must be one of {', '.join(RESUMES)}, not {shown(word)}.")


def check_literals(*, restarts_by_status: bool = True, **given: Any) -> None:
    """Run the checks of `policy_from` while the DAG is parsed, on the values that are not templates.

    :param restarts_by_status: see `Policy.check_restarts`; True also while it is not known.
    """
    literal = {name: value for name, value in given.items() if not is_late(value) and _plain(value)}
    late = "max_processing_units" not in literal or "max_processing_units_per_month" in set(given) - set(literal)
    if literal.get("on_over_budget", "fail") != "fail" and late:
        literal.pop("on_over_budget", None)
    policy_from(**literal).check_restarts(restarts_by_status)


def _plain(value: Any) -> bool:
    """Whether the value is a literal, not an XComArg, whose value is known only in the run."""
    return value is None or isinstance(value, (int, float, str))


def _number(name: str, value: Any, kind: str = "a number from 0") -> float | None:
    if value is None:
        return None
    if str(value).strip() in ("", "None"):
        raise InvalidInputError(
            f"{name} is {shown(value)}: its template has rendered to nothing, which does not mean no limit. "
            "Give a number."
        )
    try:
        read = number(value)
    except (TypeError, ValueError, OverflowError):
        wanted = kind if isinstance(value, (int, float)) else "a number"
        raise InvalidInputError(f"{name} must be {wanted}, not {shown(value)}.") from None
    if read < 0:
        raise InvalidInputError(f"{name} must be a number from 0, not {shown(value)}.")
    return float(read)


def _whole(name: str, value: Any) -> int | None:
    read = _number(name, value, "a whole number from 0")
    if read is None:
        return None
    if read != int(read):
        raise InvalidInputError(f"{name} must be a whole number, not {shown(value)}.")
    return int(read)


def _flag(name: str, value: Any) -> bool:
    try:
        return truth(value)
    except ValueError:
        raise InvalidInputError(f"{name} must be True or False, not {value!r}.") from None


def _word(name: str, value: Any, words: tuple[str, ...]) -> str:
    if value not in words:
        raise InvalidInputError(f"{name} must be one of {', '.join(words)}, not {shown(value)}.")
    return str(value)
