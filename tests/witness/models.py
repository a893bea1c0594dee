"""Run by an environment of the vendor's client: how its models read replies. Prints a view of each.

`view` takes an object apart into plain JSON. The test has one of its own for our objects, so that neither hides
anything from the other.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Any

import sentinelhub
from sentinelhub.api.batch import process

from tests.witness.vendor import begin, end

STATUSES = ("CREATED", "ANALYSING", "ANALYSIS_DONE", "PROCESSING", "DONE", "PARTIAL", "FAILED", "CANCELED", "STOPPED")


def plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def attempt(call: Any) -> Any:
    try:
        return call()
    except Exception as error:
        return {"raises": type(error).__name__}


def bbox(model: Any) -> Any:
    box = model.bbox
    return box and {"bounds": list(box), "crs": box.crs.value}


def geometry(model: Any) -> Any:
    shape = model.geometry
    return shape and {"bounds": list(shape.geometry.bounds), "type": shape.geometry.geom_type, "crs": shape.crs.value}


def raises_for(model: Any) -> list:
    """The statuses for which `raise_for_status` raises, asked one by one; words the vendor lacks are none."""
    raised = {status: attempt(lambda status=status: model.raise_for_status(status)) for status in STATUSES}
    return [status for status, outcome in raised.items() if outcome == {"raises": "RuntimeError"}]


def view(kind: str, reply: dict) -> Any:
    model_class = getattr(process, kind, None) or getattr(sentinelhub, kind)
    try:
        model = model_class.from_dict(reply)
    except Exception as error:
        return {"raises": type(error).__name__}
    seen = {"fields": plain(model), "to_dict": model.to_dict(), "to_json": model.to_json()}
    seen["schema"] = attempt(lambda: sorted(model_class.schema().fields))
    seen["dump"] = attempt(lambda: model_class.schema().dump(model))
    seen["from_json"] = plain(model_class.from_json(model.to_json()))
    for name, read in (("evalscript", lambda: model.evalscript), ("bbox", lambda: bbox(model))):
        seen[name] = attempt(read)
    seen["geometry"] = attempt(lambda: geometry(model))
    seen["raises_for"] = raises_for(model) if hasattr(model, "raise_for_status") else None
    return seen


def main() -> None:
    given, _, _ = begin()
    end([view(kind, reply) for kind, reply in given["replies"]])


if __name__ == "__main__":
    main()
