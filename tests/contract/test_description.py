"""The project's own description of the service, and the vendor's file where that is at hand: both say the same."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import yaml

from tests.contract.checker import VENDORS_FILE
from tests.contract.description import document, expression
from tests.contract.facts import facts

COMPARED = "3656b6da1b1349c14c8c93f2d0910067797740baea95898750e30a88a068f356"
"""SHA-256 of the facts of the description that was last found to say what the vendor's file says."""


def test_it_describes_every_operation() -> None:
    found = facts(document())
    assert len(found) == 34
    assert all(any(200 <= status < 300 for status in told["replies"]) for told in found.values())


def test_every_type_is_used() -> None:
    used, waiting = set(), [repr(document()["paths"])]
    types = document()["components"]["schemas"]
    while waiting:
        text = waiting.pop()
        for name in set(types) - used:
            if f"schemas/{name}'" in text:
                used.add(name)
                waiting.append(repr(types[name]))
    assert used == set(types)


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("text", {"type": "string"}),
        ("double 0..100", {"type": "number", "format": "double", "minimum": 0, "maximum": 100}),
        ("list of text 1.. items", {"type": "array", "items": {"type": "string"}, "minItems": 1}),
        (
            "list of (list of whole 2..2 items) each once",
            {
                "type": "array",
                "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
                "uniqueItems": True,
            },
        ),
        ("one of a b:c by service", {"type": "string", "enum": ["a", "b:c"], "readOnly": True}),
        ("one number of 8 16", {"type": "integer", "enum": [8, 16]}),
        ("uuid or nothing", {"type": ["string", "null"], "format": "uuid"}),
        ("map of tile", {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/tile"}}),
    ],
)
def test_the_notation(text: str, schema: dict[str, Any]) -> None:
    assert expression(text) == schema


def test_it_is_as_it_was_compared() -> None:
    """The vendor's file is not in the project: who changes the description compares it again, and notes the sum."""
    told = repr(sorted((name, repr(fact)) for name, fact in facts(document()).items()))
    assert hashlib.sha256(told.encode()).hexdigest() == COMPARED


if VENDORS_FILE.exists():  # it is not ours to ship, so a fresh clone has no such test

    def test_it_says_what_the_vendors_file_says() -> None:
        ours, theirs = facts(document()), facts(yaml.safe_load(VENDORS_FILE.read_text()))
        assert set(ours) == set(theirs)
        assert [name for name in ours if ours[name] != theirs[name]] == []
