"""The requests that the tasks of an Airflow have made on an account in a month, by the markers in its lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from airflow_sentinelhub._identity import deployment_name
from airflow_sentinelhub.api.decide.costs import RequestCost
from airflow_sentinelhub.api.decide.marker import dag_word, task_word
from airflow_sentinelhub.api.flows.costs import costs_of_account
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook


@dataclass(frozen=True)
class Account:
    """What the lists of an account show.

    :param since: requests created before are not in here.
    :param requests: each with the digest of its DAG.
    :param unread: sentences about what could not be read, so that it is not in here.
    """

    since: datetime
    requests: tuple[tuple[str, RequestCost], ...] = ()
    unread: tuple[str, ...] = ()


def account_of(hook: SentinelHubHook, since: datetime) -> Account:
    """The requests of all DAGs that were created since a time.

    :raises SentinelHubError: a list cannot be read to its end.
    """
    requests, unread = hook.run(costs_of_account(hook.generations(), since))
    return Account(since, tuple(requests), tuple(unread))


def dags_by_word(dag_ids: Iterable[str]) -> dict[str, str]:
    """The digests of these DAGs in the markers of this Airflow, with their ids."""
    return {dag_word(deployment_name(), dag_id): dag_id for dag_id in dag_ids}


def tasks_by_word(tasks: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The digests of these tasks (id of the DAG, id of the task) in markers, with the tasks' ids."""
    return {task_word(deployment_name(), dag_id, task_id): task_id for dag_id, task_id in tasks}
