"""What a whole job may cost and leave undone."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sentinelhub.api.decide.policy import (
    Policy,
    check_literals,
    policy_from,
)
from airflow_sentinelhub.exceptions import InvalidInputError


@pytest.mark.parametrize(
    ("how", "failed", "total", "accepted"),
    [
        ({}, 0, 9, True),
        ({}, 1, 9, False),
        ({"max_failed_tiles": 3}, 3, 9, True),
        ({"max_failed_tiles": 3}, 4, 9, False),
        ({"max_failed_tiles": 0}, 1, 9, False),
        ({"min_success_ratio": 0.9}, 1, 10, True),
        ({"min_success_ratio": 0.9}, 2, 10, False),
        ({"min_success_ratio": 0}, 9, 9, True),
        ({"min_success_ratio": 0.5}, 1, 0, False),
        ({"max_failed_tiles": 3, "min_success_ratio": 0.9}, 3, 10, False),
        ({"max_failed_tiles": 3, "min_success_ratio": 0.5}, 4, 10, False),
        ({"max_failed_tiles": 3, "min_success_ratio": 0.5}, 3, 10, True),
    ],
)
def test_how_many_failed_tiles_are_accepted(how: dict[str, Any], failed: int, total: int, accepted: bool) -> None:
    assert policy_from(**how).accepts(failed, total) is accepted


@pytest.mark.parametrize(
    ("allowed", "expected", "may_start"),
    [(None, 1e9, True), (100, 100, True), (100, 100.1, False), (100, None, True), (100, 0, True)],
)
def test_a_budget(allowed: float | None, expected: float | None, may_start: bool) -> None:
    assert Policy(max_processing_units=allowed).allows(expected) is may_start


def test_rendered_templates_are_read() -> None:
    policy = policy_from(max_processing_units="5000", max_restarts="1", max_failed_tiles="3", min_success_ratio="0.9")
    assert policy == Policy(5000, max_restarts=1, max_failed=3, min_success_ratio=0.9)
    assert policy_from(max_processing_units=None, max_restarts=None) == Policy()


LIMITS = (
    "max_processing_units",
    "max_restarts",
    "max_failed_tiles",
    "min_success_ratio",
    "on_over_budget",
    "on_partial",
)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("nothing", ["", " ", "None"])
def test_a_limit_that_renders_to_nothing_is_not_taken_for_no_limit(name: str, nothing: str) -> None:
    with pytest.raises(InvalidInputError, match=name):
        policy_from(**{name: nothing})


WRONG = [
    ({"max_processing_units": 0}, "above 0"),
    ({"max_processing_units": -1}, "number from 0, not -1"),
    ({"max_processing_units": "many"}, "must be a number, not 'many'"),
    ({"max_processing_units": float("nan")}, "number from 0"),
    ({"max_processing_units": True}, "number from 0, not True"),
    ({"max_processing_units": [1]}, "must be a number"),
    ({"max_restarts": 1.5}, "whole number, not 1.5"),
    ({"max_restarts": -1}, "number from 0, not -1"),
    ({"max_restarts": float("inf")}, "whole number"),
    ({"max_failed_tiles": "a few"}, "must be a number, not 'a few'"),
    ({"min_success_ratio": 1.1}, "from 0 to 1, not 1.1"),
    ({"on_partial": "shrug"}, "one of fail, skip, accept, not 'shrug'"),
    ({"on_over_budget": "shrug", "max_processing_units": 1}, "one of fail, skip, stop, not 'shrug'"),
    ({"on_over_budget": "stop"}, "needs max_processing_units"),
    ({"on_partial": "accept", "max_failed_tiles": 1}, "have no effect"),
    ({"on_partial": "accept", "min_success_ratio": 0.5}, "have no effect"),
]


@pytest.mark.parametrize(("how", "says"), WRONG)
def test_limits_that_make_no_sense_are_said_in_a_sentence(how: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        policy_from(**how)


@pytest.mark.parametrize(("how", "says"), [case for case in WRONG if "on_over_budget" not in case[0]][:5])
def test_literal_ones_are_said_while_the_dag_is_parsed(how: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        check_literals(**how)


def test_what_is_still_a_template_is_checked_later() -> None:
    check_literals(max_processing_units="{{ params.budget }}", on_over_budget="stop", max_restarts="{{ 1 }}")
    check_literals(max_processing_units=object(), on_partial="skip")
    with pytest.raises(InvalidInputError, match="number from 0, not -1"):
        check_literals(max_processing_units="{{ params.budget }}", max_restarts=-1)
