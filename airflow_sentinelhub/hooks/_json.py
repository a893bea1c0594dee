"""Dataclasses that are read from JSON and written as JSON, by methods with the names and arguments of dataclasses-json.

That library is not needed, since it cannot be installed beside the official constraints of today's Airflow: it refuses
marshmallow 4, which they pin. `schema` alone asks for it.
"""

import copy
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, ClassVar, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from airflow_sentinelhub.api.decoding import MissingError, an_object
from airflow_sentinelhub.exceptions import SettingsError

__all__ = ["JsonModel", "camel_case", "config"]

M = TypeVar("M", bound="JsonModel")
_SETTINGS = "dataclasses_json"
"""Where the metadata of a field has its settings: dataclasses-json looks for them there, too."""
_OTHER = "other_data"
"""Name of the field that stores the members that no other field reads."""


def camel_case(name: str) -> str:
    """`tile_width_px` -> `tileWidthPx`."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def config(**settings: Any) -> dict[str, Any]:
    """Metadata of a field.

    :param settings: `field_name` of the member in JSON (default: the field's name in camel case); `encoder` and
        `decoder` of its value; `exclude`, which tells of a value that it is not written.
    """
    name = settings.pop("field_name", None)
    if name is not None:
        settings["letter_case"] = lambda _: name
    return {_SETTINGS: settings}


class _Member(NamedTuple):
    """How a field is read and written."""

    field: "Field[Any]"
    name: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    leave_out: Callable[[Any], bool]


@cache
def _members(kind: Any) -> tuple[_Member, ...]:
    types = get_type_hints(kind)
    found = []
    for field in fields(kind):
        settings = field.metadata.get(_SETTINGS, {})
        name = settings.get("letter_case", camel_case)(field.name)
        read = settings.get("decoder") or _reader(types[field.name])
        found.append(_Member(field, name, read, settings.get("encoder") or _plain, settings.get("exclude") or _never))
    return tuple(found)


def _never(_: Any) -> bool:
    return False


def _reader(hint: Any) -> Callable[[Any], Any]:
    """Reads a value that is not None as the type of its field."""
    inner = [one for one in get_args(hint) if one is not type(None)] if get_origin(hint) is Union else [hint]
    kind = get_origin(inner[0]) or inner[0]
    if len(inner) > 1 or not isinstance(kind, type):
        return lambda value: value
    if issubclass(kind, JsonModel):
        return kind.from_dict
    if issubclass(kind, (int, float, str, dict)):
        return lambda value: value if isinstance(value, kind) else kind(value)
    return lambda value: value


def _plain(value: Any) -> Any:
    """A copy that consists of dicts, lists and single values."""
    if isinstance(value, JsonModel):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, Collection) and not isinstance(value, (str, bytes, Enum)):
        return [_plain(one) for one in value]
    return copy.deepcopy(value)


def _json_value(value: Any) -> Any:
    """What stands in JSON for a value that JSON does not have.

    :raises TypeError: nothing does.
    """
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


class JsonModel:
    """Base of a dataclass whose members have the fields' names in camel case."""

    dataclass_json_config: ClassVar[dict[str, Any] | None] = None
    """Settings for dataclasses-json; see `schema`. The annotations of a class are read at run time."""

    @classmethod
    def from_dict(cls: type[M], kvs: Any, *, infer_missing: bool = False) -> M:
        """The object in decoded JSON. The names of the fields are taken as well.

        :param infer_missing: a missing member without a default is None.
        :raises ValueError: it is no object; a KeyError too, if a member is missing that has no default.
        """
        if isinstance(kvs, cls):
            return kvs
        kind: Any = cls
        members = _members(kind)
        names = {each.name: each.field.name for each in members}
        given = {
            names.get(key, key): value for key, value in an_object({} if infer_missing and kvs is None else kvs).items()
        }
        values: dict[str, Any] = {}
        for each in members:
            field = each.field
            if field.name in given and (field.name != _OTHER or isinstance(given[_OTHER], dict)):
                value = given.pop(field.name)
                values[field.name] = None if value is None else each.read(value)
            elif infer_missing and field.default is MISSING and field.default_factory is MISSING:
                values[field.name] = None
            elif field.default is MISSING and field.default_factory is MISSING:
                raise MissingError(f"it has no {each.name}")
        if given:
            values[_OTHER] = {**(values.get(_OTHER) or {}), **given}
        return cls(**values)

    @classmethod
    def from_json(cls: type[M], s: str | bytes | bytearray, *, infer_missing: bool = False, **how: Any) -> M:
        """The object in a JSON text.

        :param how: arguments of `json.loads`.
        :raises ValueError: it is no JSON; see `from_dict`, too.
        """
        return cls.from_dict(json.loads(s, **how), infer_missing=infer_missing)

    def to_dict(self, encode_json: bool = False) -> dict[str, Any]:
        """The object as the service writes it.

        :param encode_json: values that JSON does not have become those that it has.
        """
        if encode_json:
            return dict(json.loads(self.to_json()))
        written: dict[str, Any] = {}
        kind: Any = type(self)
        for each in _members(kind):
            value = getattr(self, each.field.name)
            if each.field.name != _OTHER and not each.leave_out(value):
                written[each.name] = each.write(value)
        other = getattr(self, _OTHER, None)
        for name, value in _plain(other).items() if isinstance(other, Mapping) else ():
            written.setdefault(name, value)
        return written

    def to_json(self, *, default: Callable[[Any], Any] | None = None, **how: Any) -> str:
        """The object as a JSON text.

        :param default: makes JSON of a value that JSON does not have.
        :param how: other arguments of `json.dumps`.
        """
        return json.dumps(self.to_dict(), default=default or _json_value, **how)

    @classmethod
    def schema(cls, **how: Any) -> Any:
        """The schema of marshmallow for this class, as dataclasses-json makes it.

        :param how: arguments of its `schema`: `many`, `only`, `exclude` and others.
        :raises SettingsError: dataclasses-json is not installed.
        """
        try:
            from dataclasses_json import CatchAll, DataClassJsonMixin, Undefined
        except ImportError:
            raise SettingsError(
                "schema needs dataclasses-json, which is not installed here: pip install dataclasses-json."
            ) from None
        DataClassJsonMixin.register(JsonModel)
        for kind in (cls, *(each for each in get_type_hints(cls).values())):
            for one in (kind, *get_args(kind)):
                if isinstance(one, type) and issubclass(one, JsonModel) and is_dataclass(one):
                    one.dataclass_json_config = {"letter_case": camel_case, "undefined": Undefined.INCLUDE}
                    one.__annotations__[_OTHER] = one.__dataclass_fields__[_OTHER].type = CatchAll
        return DataClassJsonMixin.schema.__func__(cls, **how)  # type: ignore[attr-defined]
