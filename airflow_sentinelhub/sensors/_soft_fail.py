"""`soft_fail` and `never_fail` of all sensors: which errors become a skip."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow_sentinelhub._compat import AirflowSensorTimeout, AirflowSkipException
from airflow_sentinelhub.exceptions import DeadlineError, JobError, SentinelHubError, UnknownStateError


class SoftFail:
    """Context manager for `soft_fail` and `never_fail`, which behave the same in all modes and Airflow versions.

    `soft_fail` turns an error into a skip if it is a failed job, a timeout, or an error that a retry cannot fix; if the
    status of the request is unknown, the sensor still fails. `never_fail` turns every error into a skip. A timeout is
    raised as `AirflowSensorTimeout`, as in Airflow's own sensors.
    """

    def __init__(self, soft_fail: bool, never_fail: bool) -> None:
        self._soft, self._never = soft_fail, never_fail

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, (SentinelHubError, AirflowSensorTimeout)):
            return
        if self._never or (self._soft and _is_verdict(error)):
            raise AirflowSkipException(str(error)) from error
        if isinstance(error, DeadlineError):
            _timed_out(error)


def _is_verdict(error: BaseException) -> bool:
    if isinstance(error, UnknownStateError):
        return False
    return isinstance(error, (JobError, AirflowSensorTimeout)) or not getattr(error, "retry_helps", True)


def _timed_out(error: DeadlineError) -> NoReturn:
    raise AirflowSensorTimeout(str(error)) from error
