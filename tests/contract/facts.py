"""What an OpenAPI document demands of each operation, apart from how it is written, so that two can be compared."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def facts(contract: Json) -> Json:
    """What an OpenAPI document says about each operation, without how it says it: texts, names of types, references."""
    found: Json = {}
    for path, item in contract["paths"].items():
        for method, operation in item.items():
            if method in ("get", "put", "post", "delete"):
                found[f"{method.upper()} {path}"] = _facts(contract, item, operation)
    return found


def _facts(contract: Json, item: Json, operation: Json) -> Json:
    given = [at(contract, one) for one in (*item.get("parameters", ()), *operation.get("parameters", ()))]
    body = operation.get("requestBody", {}).get("content", {})
    replies = {status: at(contract, reply).get("content", {}) for status, reply in operation["responses"].items()}
    return {
        "token": "security" in operation,
        "parameters": {
            (one["in"], one["name"]): (bool(one.get("required")), plain(contract, one["schema"])) for one in given
        },
        "body": {kind: plain(contract, media["schema"]) for kind, media in body.items()},
        "replies": {
            int(status): {kind: plain(contract, media["schema"]) for kind, media in content.items()}
            for status, content in replies.items()
        },
    }


def at(document: Json, part: Json) -> Json:
    """The part itself, or what its reference names."""
    if "$ref" not in part:
        return part
    found: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


def resolved(document: Json, schema: Json) -> Json:
    """A schema without references and `allOf` at its top."""
    if "$ref" in schema:
        return resolved(document, at(document, schema))
    schema = dict(schema)
    for part in schema.pop("allOf", ()):
        schema = merged(schema, resolved(document, part))
    return schema


def merged(one: Json, other: Json) -> Json:
    """Both at once. Where both name a member the later is the stricter one, everywhere in this contract."""
    properties = {**one.get("properties", {}), **other.get("properties", {})}
    required = [*one.get("required", ()), *other.get("required", ())]
    merged = {**one, **other}
    return merged | ({"properties": properties} if properties else {}) | ({"required": required} if required else {})


_KEPT = ("type", "enum", "minimum", "maximum", "uniqueItems", "minItems", "maxItems", "readOnly")
# Formats that no validator looks at, or that say no more than the type.
_EMPTY_FORMATS = ("integer",)


def plain(contract: Json, schema: Json) -> Json:
    """A schema without references and inheritance, reduced to what it demands."""
    marks = {key: schema[key] for key in ("readOnly",) if key in schema}
    schema = resolved(contract, schema) | marks
    found: Json = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("type") != "array":  # the length of what is no list
        found = {key: value for key, value in found.items() if key not in ("minItems", "maxItems")}
    if schema.get("format", "integer") not in _EMPTY_FORMATS and "enum" not in schema:
        found["format"] = schema["format"]
    if "properties" in schema:
        found["type"] = "object"
        found["properties"] = {name: plain(contract, member) for name, member in schema["properties"].items()}
    if schema.get("required"):
        found["required"] = sorted(set(schema["required"]))
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found[key] = plain(contract, schema[key])
    if "oneOf" in schema:
        found.pop("type", None)
        found["oneOf"] = sorted((plain(contract, option) for option in schema["oneOf"]), key=repr)
    return found
