"""Run by an environment of the vendor's client: the names and arguments of its classes, and its words for states."""

from __future__ import annotations

import inspect
from enum import Enum
from typing import Any

import sentinelhub
from sentinelhub.api.batch import base, process, utils

from tests.witness.vendor import begin, end


def found(name: str) -> Any:
    homes = (sentinelhub, process, base, utils)
    return next((getattr(home, name) for home in homes if hasattr(home, name)), None)


def signature(function: Any) -> list:
    """Names of the arguments in their order with the kind of each, without self."""
    parameters = inspect.signature(function).parameters.values()
    return [[one.name, one.kind.name] for one in parameters if one.name != "self"]


def main() -> None:
    given, _, _ = begin()
    said: dict = {}
    for name in given["names"]:
        it = found(name)
        if isinstance(it, type) and issubclass(it, Enum):
            said[name] = [word.value for word in it]
        elif isinstance(it, type):
            methods = inspect.getmembers(it, inspect.isfunction)
            said[name] = {method: signature(call) for method, call in methods if not method.startswith("_")}
        elif it is not None:
            said[name] = signature(it)
    end(said)


if __name__ == "__main__":
    main()
