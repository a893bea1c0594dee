"""Regular expressions that somebody else wrote, bounded so that no match takes long.

Python's engine tries one way after another and cannot be interrupted, so ``(a+)+$`` would hold up the whole server. A
pattern is therefore taken only if the ways it could be tried on the longest path are few enough:

- no group is repeated (one that may be missing, ``(x)?``, is fine), and nothing refers back to a group;
- each ``*``, ``+`` and ``{...}`` can end anywhere in the path, each ``?`` and ``|`` doubles the ways, and the product
  has a bound. Three of the first kind are possible, or two of them with two of the second kind, or one with a dozen.

A path longer than any of the service has is matched by the empty pattern alone.
"""

from __future__ import annotations

import math
import re
import warnings

# Characters. The longest path of the service (one tile of a v1 request) has fewer than 100.
LONGEST_PATTERN, LONGEST_PATH = 200, 128
_MOST_WAYS = 20_000_000
# What stands for one character: an escape, or a class in brackets.
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REFERENCE = re.compile(r"\\[1-9]|\\g|\(\?P=|\(\?\(")
_GROUP = re.compile(r"\(\?(?!:|=|!|<=|<!|P<\w+>)")
_HEAD = re.compile(r"\(\?(?::|=|!|<=|<!|P<\w+>)")


def check(pattern: str) -> None:
    """Raises ValueError, in words that go on from "The fault's path", for a pattern that is none or may take long."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"has {len(pattern)} characters, more than the {LONGEST_PATTERN} allowed.")
    try:
        # What Python warns of (a class that may mean something else one day) is no concern of the caller.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as problem:
        raise ValueError(f"is no regular expression: {problem}.") from None
    if _REFERENCE.search(re.sub(r"\\\\", "", pattern)):
        raise ValueError("refers back to a group, which may take too long to match.")
    plain = _ATOM.sub("x", pattern)
    if _GROUP.search(plain):
        raise ValueError(
            "has a group of a kind that is not allowed: only (), (?:), (?P<name>), (?=), (?!), (?<=), (?<!)."
        )
    plain = _HEAD.sub("(", plain)
    if re.search(r"\)[*+{]", plain):
        raise ValueError("repeats a group, which may take too long to match.")
    repeated = sum(map(plain.count, "*+{"))
    doubled = sum(map(plain.count, "?|"))
    if math.comb(LONGEST_PATH + repeated + 1, repeated + 1) * 2**doubled > _MOST_WAYS:
        raise ValueError("has too many of * + ? | {}: it may take too long to match.")


def matches(pattern: str, path: str) -> bool:
    """Whether the pattern is found anywhere in the path."""
    if not pattern:
        return True
    return len(path) <= LONGEST_PATH and re.search(pattern, path) is not None
