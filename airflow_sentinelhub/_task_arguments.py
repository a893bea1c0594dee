"""The arguments of our operators and sensors: checked while a DAG is parsed, and read when the task runs."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from airflow_sentinelhub._compat import AirflowFailException, conf
from airflow_sentinelhub._compat.tasks import mapped_over
from airflow_sentinelhub._types import Rendered
from airflow_sentinelhub.api.arguments import KINDS, check_literal, check_word, request_id, taken
from airflow_sentinelhub.api.kinds import nothing
from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.service.generations import generation
from airflow_sentinelhub.api.template_origins import templates_told
from airflow_sentinelhub.api.times import is_late
from airflow_sentinelhub.exceptions import InvalidInputError

_UNDEFINED = ("jinja2.runtime", "Undefined")
"""Module and name of the class of what Jinja has not found; each use of such an object fails."""


class TakesArguments:
    """Mixed into operators and sensors that have `sentinelhub_conn_id` and `batch_api`."""

    sentinelhub_conn_id: Rendered[str]
    batch_api: Rendered[str | None]
    max_unknown_time: Rendered[float]
    """Given in any form; in seconds once `take_arguments` has run, as all times."""
    words: Mapping[str, Sequence[str | None]] = {}
    """Arguments that are one of some words each, and these words; None among them means all."""
    limits: Sequence[str] = ()
    """Names of arguments that `take_arguments` leaves as they are: they are read together, by `decide.policy`."""

    _in_dag: Mapping[str, Any] = {}
    _id_in_dag: Any = None
    _rendered_id: Any = None

    @property
    def request_id(self) -> Any:
        """Id of the request that the task is about, where it is given one.

        The first value is that of the DAG, the later ones come from Airflow's rendering.
        """
        return self._rendered_id

    @request_id.setter
    def request_id(self, value: Any) -> None:
        if self._id_in_dag is None:
            self._id_in_dag = value
        self._rendered_id = value

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Like Airflow's `partial`, but checks literal arguments while the DAG is parsed, not only in the run."""
        with naming_task(kwargs.get("task_id")):
            for name, value in kwargs.items():
                check_literal(name, value)
            _check_generation(kwargs.get("batch_api"))
            cls._check_words(kwargs)
        return super().partial(**kwargs)  # type: ignore[misc]

    @contextmanager
    def literals(self) -> Iterator[None]:
        """Check the arguments that stand in the DAG while that is parsed, and name the task in the error.

        It is entered at the end of each `__init__`; the checks of the operator itself stand in it.

        :raises InvalidInputError: an argument that is no template cannot be right.
        """
        given = self._given()
        self._in_dag = {name: value for name, value in given.items() if value is not None}
        with naming_task(getattr(self, "task_id", None)):
            for name, value in given.items():
                check_literal(name, value)
            _check_generation(given.get("batch_api"))
            self._check_words(given)
            yield

    @classmethod
    def _check_words(cls, given: Mapping[str, Any]) -> None:
        """:raises InvalidInputError: an argument that is one of some words is another one."""
        for name, words in cls.words.items():
            if name in given:
                check_word(name, given[name], words)

    def _given(self) -> dict[str, Any]:
        """The arguments and their values. `request_id` is a property, which not every task has."""
        named = self._rendered_id is not None or "request_id" in self._in_dag
        values = vars(self) | ({"request_id": self._rendered_id} if named else {})
        return {name: value for name, value in values.items() if name in KINDS}

    def templates_told(self, message: str) -> str:
        """What to add to a message about arguments, see `api.arguments`; it holds templates, and no value."""
        return templates_told(message, self._given(), self._in_dag)

    def check_arguments(self) -> None:
        """`literals` for an operator that has no further checks."""
        with self.literals():
            pass

    def render_template(
        self, content: Any, context: Any, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Like Airflow's, but what is undefined is None: out of a native rendering it would fail at any use."""
        rendered = super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]
        undefined = any((kind.__module__, kind.__name__) == _UNDEFINED for kind in type(rendered).__mro__)
        return None if undefined else rendered

    def take_arguments(self) -> None:
        """Replace what templates have rendered to by what the arguments want, such as text by a number.

        It is the first thing that each `execute` does; see `api.arguments`.

        :raises InvalidInputError: a template has rendered to what the argument cannot be.
        """
        self._in_dag = {**self._in_dag, **{name: it for name, it in mapped_over(self).items() if name in KINDS}}
        for name, value in self._given().items():
            if name not in self.limits:
                read = taken(name, value, self._in_dag.get(name))
                if read is not value:
                    setattr(self, name, read)
        _check_generation(self.batch_api)
        self._check_words(self._given())
        if getattr(self, "deferrable", True) is None:
            self.deferrable = default_deferrable()


def _check_generation(name: Any) -> None:
    """:raises InvalidInputError: there is no such generation. None is that of the connection; templates pass."""
    if name is not None and not is_late(name):
        generation(name)


def checked_id(value: Any) -> str:
    """The id of a request as it came out of a template or an XCom.

    :raises InvalidInputError: it is not a UUID, which all ids of the service are.
    """
    try:
        return request_id(value)
    except ValueError:
        raise InvalidInputError(
            f"request_id is {shown(value)}, which is no id of a batch request (a UUID such as "
            "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10). Does the task it comes from push it?"
        ) from None


class ArgumentError(InvalidInputError, AirflowFailException):
    """An argument of a task in a DAG file is wrong.

    In a mapped task, which Airflow makes only in the run, it fails the task without a retry.
    """


@contextmanager
def naming_task(task_id: Any) -> Iterator[None]:
    """Name the task in the error for an argument: Airflow itself adds only the file of the DAG."""
    try:
        yield
    except ArgumentError:
        raise
    except InvalidInputError as err:
        raise ArgumentError(f"{err} Task: {task_id}{_line_of_dag()}." if task_id is not None else str(err)) from None


def _line_of_dag() -> str:
    """File and line of the DAG that makes a task. Airflow shows the last two lines of a traceback only, which are ours.

    In the run Airflow makes a mapped task: then the arguments for which nothing was given, which the error may ask for.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "unmap":
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _NO_DAG:
            return f" ({os.path.basename(frame.f_code.co_filename)}, line {frame.f_lineno})"
        frame = frame.f_back
    return _empty_of_mapped(frame.f_locals) if frame is not None else ""


def _empty_of_mapped(making: Mapping[str, Any]) -> str:
    """The arguments of a mapped task for which the DAG or another task has given nothing; empty for none.

    :param making: the variables of Airflow's `unmap`, which are private.
    """
    fixed = getattr(making.get("self"), "partial_kwargs", {})
    mapped = {name: value for name, value in making.get("kwargs", {}).items() if name in KINDS and name not in fixed}
    empty = ", ".join(f"{name}={value!r}" for name, value in mapped.items() if nothing(value))
    return f", mapped with {empty}" if empty else ""


_NO_DAG = ("airflow", "airflow_sentinelhub", "contextlib", "functools")


def default_deferrable() -> bool:
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
