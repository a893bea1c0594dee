"""The project's own description of the service's operations, `service.yaml`, as a document that the checker reads.

The file holds facts only (paths, parameters, members, types, words) in a short notation:

- A type is a table of members, `name: expression`, with `!` behind a name that is required; or `any of` some
  types.
- An expression is a word (`text`, `flag`, `whole`, `int32`, `number`, `double`, `uuid`, `time`, `uri`, `anything`), the
  name of a type, `list of` or `map of` an expression (in round brackets if more stands behind it), `one of` some
  words, or `one number of` some numbers; `unnamed` for what is required though the type has no such member.
- Behind it may stand, in this order: `min..max` of a number or, with `items`, of a list's length; `each once`;
  `or nothing` for what may be null; `by service` for what only the service writes.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
PLACE = Path(__file__).with_name("service.yaml")
_WORDS: dict[str, Json] = {
    "text": {"type": "string"},
    "flag": {"type": "boolean"},
    "whole": {"type": "integer"},
    "int16": {"type": "integer", "format": "int16"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "number": {"type": "number"},
    "double": {"type": "number", "format": "double"},
    "uuid": {"type": "string", "format": "uuid"},
    "time": {"type": "string", "format": "date-time"},
    "uri": {"type": "string", "format": "uri"},
    "object": {"type": "object"},
    "anything": {},
}
_SUFFIX = re.compile(
    r"(?P<core>.*?)(?: (?P<least>-?[\d.]*?)\.\.(?P<most>-?[\d.]*)(?P<items> items)?)?(?P<once> each once)?"
    r"(?P<nothing> or nothing)?(?P<service> by service)?"
)


@cache
def document() -> Json:
    """The description as an OpenAPI document."""
    told = yaml.safe_load(PLACE.read_text())
    paths: Json = {}
    for name, operation in told["operations"].items():
        method, _, path = name.partition(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(told, path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Operations of Sentinel Hub", "version": "1"},
        "servers": [{"url": told["server"]}],
        "paths": paths,
        "components": {
            "schemas": {name: _type(members) for name, members in told["types"].items()},
            "responses": {},
            "parameters": {},
            "securitySchemes": {
                "token": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/token", "scopes": {}}}}
            },
        },
    }


def _operation(told: Json, path: str, operation: Json) -> Json:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": expression(told["path"][name])}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    for name, kind in operation.get("query", {}).items():
        parameters.append({"name": name, "in": "query", "schema": expression(kind)})
    found: Json = {"parameters": parameters}
    if operation.get("token", True):
        found["security"] = [{"token": []}]
    kinds = {"application/json": operation.get("body"), "multipart/form-data": operation.get("form")}
    content = {kind: {"schema": expression(name)} for kind, name in kinds.items() if name}
    if content:
        found["requestBody"] = {"content": content}
    found["responses"] = {
        str(status): {"description": ""}
        | ({} if name == "nothing" else {"content": {"application/json": {"schema": expression(name)}}})
        for status, name in operation["replies"].items()
    }
    return found


def _type(members: Json) -> Json:
    if "any of" in members:
        return {"oneOf": [expression(name) for name in members["any of"]]}
    required = [name[:-1] for name in members if name.endswith("!")]
    found: Json = {"type": "object", "properties": {}}
    for name, kind in members.items():
        if kind == "unnamed":
            continue
        found["properties"][name.removesuffix("!")] = expression(kind)
    return found | ({"required": required} if required else {})


def expression(text: str) -> Json:
    """The schema that an expression stands for."""
    match = _SUFFIX.fullmatch(text)
    assert match is not None, text
    schema = _core(match["core"])
    for key, bound in (("min", match["least"]), ("max", match["most"])):
        if bound:
            number = float(bound) if "." in bound else int(bound)
            schema = schema | {key + ("Items" if match["items"] else "imum"): number}
    if match["once"]:
        schema = schema | {"uniqueItems": True}
    if match["nothing"]:
        schema = schema | {"type": [schema["type"], "null"]}
    return schema | {"readOnly": True} if match["service"] else schema


def _core(core: str) -> Json:
    if core.startswith("list of "):
        inner = core.removeprefix("list of ")
        bracketed = re.fullmatch(r"\((.*)\)", inner)
        return {"type": "array", "items": expression(bracketed[1] if bracketed else inner)}
    if core.startswith("map of "):
        return {"type": "object", "additionalProperties": expression(core.removeprefix("map of "))}
    if core.startswith("one of "):
        return {"type": "string", "enum": core.removeprefix("one of ").split()}
    if core.startswith("one number of "):
        return {"type": "integer", "enum": [int(number) for number in core.removeprefix("one number of ").split()]}
    return dict(_WORDS[core]) if core in _WORDS else {"$ref": f"#/components/schemas/{core}"}
