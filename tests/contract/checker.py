"""An exchange against the contract of the service: what in it is not as the contract says.

The contract requires little and forbids nothing, so that a validator alone would let nearly everything pass. Therefore
it is read strictly here: a member, a query parameter, a status or a body that it does not name is a finding, and so is
a member that only the service may write (`readOnly`) in a request. What the service is known to do otherwise stands in
`faults.py`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from jsonschema import ValidationError
from openapi_core import OpenAPI
from openapi_core.templating.responses.exceptions import ResponseNotFound
from openapi_core.testing import MockRequest, MockResponse
from openapi_core.validation.request.validators import V31RequestValidator
from openapi_core.validation.response.validators import V31ResponseValidator

from tests.contract.description import document
from tests.contract.facts import Json, at, merged, resolved

VENDORS_FILE = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "sentinelhub-batch.openapi.yaml"
# Both forms of a path answer since 2026; the contract knows the older one.
NEW_FORMS = {"/batch/v2": "/api/v2/batch", "/statistics/batch/v1": "/api/v1/statistics/batch"}


@dataclass(frozen=True)
class Exchange:
    """A request and its reply, as they went over the wire. Names of headers are in lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    body: bytes
    status: int
    reply_headers: dict[str, str]
    reply: bytes

    @property
    def contract_path(self) -> str:
        """The path in the form that the contract has."""
        for new, old in NEW_FORMS.items():
            if self.path.startswith(new):
                return old + self.path[len(new) :]
        return self.path


@dataclass(frozen=True)
class Finding:
    """Something that is not as the contract says.

    :param operation: as the contract names it: `GET /api/v1/batch/process/{requestId}`.
    :param side: `request` or `reply`; :param where: `query userid`, `status 429`, `body data/*/name` and the like.
    """

    operation: str
    side: str
    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.operation} | {self.side} | {self.where} | {self.problem}"


class Contract:
    """The contract, read strictly."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._base = document["servers"][0]["url"]
        self._requests = V31RequestValidator(OpenAPI.from_dict(_closed_document(document, "readOnly")).spec)
        self._replies = V31ResponseValidator(OpenAPI.from_dict(_closed_document(document, "writeOnly")).spec)

    @classmethod
    def read(cls, path: Path) -> Contract:
        return cls(yaml.safe_load(path.read_text()))

    @cached_property
    def operations(self) -> dict[str, Json]:
        """`METHOD path` -> the operation, with the parameters of its path."""
        return {
            f"{method.upper()} {path}": {**operation, "parameters": _parameters(self._document, item, operation)}
            for path, item in self._document["paths"].items()
            for method, operation in item.items()
            if method in ("get", "put", "post", "delete")
        }

    def successes(self, operation: str) -> set[int]:
        return {int(status) for status in self.operations[operation]["responses"] if status.startswith("2")}

    def operation_of(self, exchange: Exchange) -> str | None:
        """The operation of an exchange; None where the contract has none."""
        parts = exchange.contract_path.rstrip("/").split("/")
        for name in self.operations:
            method, _, path = name.partition(" ")
            names = path.split("/")
            if method == exchange.method and len(names) == len(parts):
                pairs = zip(names, parts, strict=True)
                if all(theirs == ours or theirs.startswith("{") for theirs, ours in pairs):
                    return name
        return None

    def findings(self, exchange: Exchange) -> list[Finding]:
        """All that is not as the contract says."""
        name = self.operation_of(exchange)
        if name is None:
            return [
                Finding(f"{exchange.method} {exchange.path}", "request", "path", "the contract has no such operation")
            ]
        found = [Finding(name, "request", *said) for said in self._request(name, exchange)]
        return found + [Finding(name, "reply", *said) for said in self._reply(name, exchange)]

    def _request(self, name: str, exchange: Exchange) -> Iterator[tuple[str, str]]:
        operation = self.operations[name]
        known = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
        for parameter, _ in exchange.query:
            if parameter not in known:
                yield f"query {parameter}", "not in the contract"
        # openapi-core does not know the contract's kind of security.
        signed = exchange.headers.get("authorization", "").startswith("Bearer ")
        if signed != ("security" in operation):
            yield "header authorization", "not in the contract" if signed else "missing"
        if exchange.body and "requestBody" not in operation:
            yield "body", "the contract has none"
        if not exchange.body and "requestBody" in operation:
            yield "body", "missing"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            errors = list(self._requests.iter_errors(self._mock(exchange)))
        for error in errors:
            where = f"{error.location} {error.name}" if hasattr(error, "location") else "body"
            yield from _told(error, where)

    def _reply(self, name: str, exchange: Exchange) -> Iterator[tuple[str, str]]:
        described = self.operations[name]["responses"].get(str(exchange.status))
        if described is None:
            yield f"status {exchange.status}", "not in the contract"
            return
        described = at(self._document, described)
        if "content" not in described:
            if exchange.reply:
                yield f"status {exchange.status} body", "the contract has none"
            return
        kind = exchange.reply_headers.get("content-type", "")
        reply = MockResponse(exchange.reply, status_code=exchange.status, content_type=kind)
        where = "body" if exchange.status < 300 else f"status {exchange.status} body"
        for error in self._replies.iter_errors(self._mock(exchange), reply):
            assert not isinstance(error, ResponseNotFound)
            yield from _told(error, where)

    def _mock(self, exchange: Exchange) -> MockRequest:
        return MockRequest(
            self._base,
            exchange.method.lower(),
            exchange.contract_path.rstrip("/"),
            args=dict(exchange.query),
            headers=exchange.headers,
            data=exchange.body or None,
            content_type=exchange.headers.get("content-type", ""),
        )


SOURCES = ("own", "vendor")


@cache
def the_contract(source: str = "own") -> Contract:
    """The contract by one of its sources: the project's own description, which is always there, or the vendor's file.

    That file is not ours to ship, and lies beside the project where it is known; both say the same, which a test holds.
    """
    return Contract(document()) if source == "own" else Contract.read(VENDORS_FILE)


def _told(error: Any, where: str) -> Iterator[tuple[str, str]]:
    """The parts of a validator's error; those of a schema one by one."""
    violations = getattr(error.__cause__, "schema_errors", None)
    if violations is None:
        yield where, str(error.__cause__ or error)
        return
    for violation in violations:
        for leaf in _leaves(violation):
            place = "/".join("*" if isinstance(part, int) else str(part) for part in leaf.absolute_path)
            if leaf.validator == "additionalProperties":
                for member in sorted(set(leaf.instance) - set(leaf.schema.get("properties", ()))):
                    yield f"{where} {place}/{member}".replace(" /", " "), "not in the contract"
            else:
                yield f"{where} {place}".rstrip(), leaf.message


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The errors below an error. Of alternatives the one that was meant speaks: the one whose `type` fits."""
    if not error.context:
        yield error
        return
    branches: dict[Any, list[ValidationError]] = {}
    for below in error.context:
        branches.setdefault(below.schema_path[0], []).extend(_leaves(below))
    meant = [found for found in branches.values() if not any(list(leaf.path)[-1:] == ["type"] for leaf in found)]
    if not meant:
        yield error
    else:
        yield from min(meant, key=len)


def _closed_document(document: Json, without: str) -> Json:
    """The document with every object closed, and without the members that this side may not send."""
    document = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    for name in list(schemas):
        schemas[name] = _closed(document, schemas[name], without)
    bodies = [operation for item in document["paths"].values() for operation in item.values()]
    bodies += [{"responses": document["components"]["responses"]}]
    for operation in bodies:
        if isinstance(operation, dict):
            for part in (operation.get("requestBody", {}), *operation.get("responses", {}).values()):
                for media in part.get("content", {}).values():
                    media["schema"] = _closed(document, media["schema"], without)
    return document


def _closed(document: Json, schema: Any, without: str) -> Any:
    if not isinstance(schema, dict) or "$ref" in schema:
        return schema
    schema = dict(schema)
    for part in schema.pop("allOf", ()):
        schema = merged(schema, resolved(document, part))
    for key in ("oneOf", "anyOf"):
        if key in schema:
            schema[key] = [_closed(document, option, without) for option in schema[key]]
    for key in ("items", "additionalProperties"):
        if key in schema:
            schema[key] = _closed(document, schema[key], without)
    if "properties" in schema:
        schema["properties"] = {
            name: _closed(document, member, without)
            for name, member in schema["properties"].items()
            if not member.get(without)
        }
        schema.setdefault("additionalProperties", False)
    return schema


def _parameters(document: Json, item: Json, operation: Json) -> list[Json]:
    given = [*item.get("parameters", ()), *operation.get("parameters", ())]
    return [at(document, one) for one in given]


def url_of(exchange: Exchange) -> str:
    return exchange.path + (f"?{urlencode(exchange.query)}" if exchange.query else "")
