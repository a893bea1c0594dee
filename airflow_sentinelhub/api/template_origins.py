"""The templates of a DAG that a message about arguments has to name, since its values came from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_sentinelhub.api.kinds import nothing, written
from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.api.times import is_late


def templates_told(message: str, values: Mapping[str, Any], templates: Mapping[str, Any]) -> str:
    """What to add to a message about arguments: the text of the templates that its values came from.

    :param message: of the error.
    :param values: arguments as they were rendered.
    :param templates: as they stand in the DAG.
    :returns: sentences that name argument and template, of those whose value the message shows and of those that came
        out as nothing; empty for none.
    """
    empty, shows = [], []
    for path, value, template in _templated(values, templates):
        text = f"{path} is {written(template)} in the DAG"
        if written(template) in message:
            continue
        if nothing(value):
            empty.append(text)
        elif _mentions(message, value) or ("." not in path and _is_about(message, path)):
            shows.append(text)
    sentence = f" Out of templates: {', '.join(shows)}." if shows else ""
    return sentence + (f" Nothing came out of templates: {', '.join(empty)}." if empty else "")


def _templated(values: Any, templates: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each part that is a template in the DAG: its path, what it has rendered to, and the template."""
    if is_late(templates):
        yield path, values, templates
    elif isinstance(templates, Mapping) and isinstance(values, Mapping):
        for key, template in templates.items():
            if key in values:
                yield from _templated(values[key], template, f"{path}.{key}".removeprefix("."))
    elif isinstance(templates, (list, tuple)) and isinstance(values, (list, tuple)):
        for index, (value, template) in enumerate(zip(values, templates, strict=False)):
            yield from _templated(value, template, f"{path}[{index}]")


_LONGEST_SHOWN = 200
_OTHER_NAMES = {"area": ("The area", "the area", "bounding box"), "evalscript": ("evalscript",)}


def _mentions(message: str, value: Any) -> bool:
    """Whether a message shows a value: by itself, not as a part of another number or word."""
    if isinstance(value, (Mapping, list, tuple, bool)):
        return False
    texts = {shown(value), str(value)[:_LONGEST_SHOWN].strip()}
    return any(re.search(rf"(?<![\w.]){re.escape(text)}(?!\w|\.\d)", message) for text in texts) or (
        isinstance(value, str) and len(value.strip()) > _SHORT and value.strip() in message
    )


_SHORT = 5
"""Characters. What is longer is hardly in a message by chance, even at the beginning of another word."""


def _is_about(message: str, name: str) -> bool:
    """Whether a message is about an argument, whose value it need not show."""
    if message.startswith((f"{name} ", f"{name}.", f"{name}[")):
        return True
    if "_" in name and re.search(rf"\b{re.escape(name)}\b", message):
        return True
    return any(text in message for text in _OTHER_NAMES.get(name, ()))
