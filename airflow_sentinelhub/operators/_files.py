"""Files beside the DAG: arguments that name one get its content, rendered like any other template.

Airflow itself takes each text with a certain ending for the name of such a file, looks it up before it is rendered, and
fails in its own words. So our operators leave `template_ext` empty and read files here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airflow_sentinelhub.api.arguments import PARTS, check_part
from airflow_sentinelhub.api.scripts import BOM, file_of, is_script, script_text, text_of
from airflow_sentinelhub.exceptions import InvalidInputError

_ONLY_JSON = {"area": (".geojson", ".json"), "data": (".json",), "destination": (".json",), "geopackage": (".json",)}
"""Arguments whose text is usually no name of a file, or of one that is no text: only these endings name one here."""

Render = Callable[[str], Any]


def folders_of(task: Any) -> list[str]:
    """The folders in which Airflow looks for the files of a DAG: its own, and its `template_searchpath`."""
    return list(getattr(task.get_template_env().loader, "searchpath", ()))


class ReadsFiles:
    """Mixed into operators whose arguments may name files beside the DAG."""

    def render_template(
        self, content: Any, context: Any, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Like Airflow's, but a path object stays one: Airflow 3.0 takes whatever has `resolve` for an output."""
        if isinstance(content, os.PathLike):
            return content
        return super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]

    def _do_render_template_fields(
        self, parent: Any, template_fields: Any, context: Any, jinja_env: Any, seen_oids: Any
    ) -> None:
        """Like Airflow's; then files are read. Airflow calls this for plain and for mapped tasks alike."""
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)  # type: ignore[misc]
        if parent is self:
            self.read_files(lambda text: self.render_template(text, context, jinja_env))

    def read_files(self, render: Render) -> None:
        """Put the content of files in the place of their names. A name that is no file's is left as it is.

        :param render: renders a template.
        """
        folders = folders_of(self)
        for name in sorted(PARTS & vars(self).keys()):
            value = getattr(self, name)
            if name == "evalscript":
                read = _script(value, folders, render)
            elif isinstance(value, Mapping):
                script = _script(value.get("evalscript"), folders, render)
                read = value if script is value.get("evalscript") else {**value, "evalscript": script}
            else:
                read = _part(name, value, folders, render)
            if read is not value:
                setattr(self, name, read)

    def part(self, name: str) -> Any:
        """A part of the payload as an object (or as text, where it may be that, such as the URL of a destination).

        :raises InvalidInputError: it is text that is not JSON, and no file has this name; or it is of a wrong type.
        """
        value, folders = getattr(self, name), folders_of(self)
        if name not in ("area", "evalscript"):
            value = _part(name, value, folders, str)
        check_part(name, value)
        read = json_or_text(value, name) if name in _ONLY_JSON else as_json(value, name, folders)
        check_part(name, read)
        if isinstance(read, Mapping) and read.get("evalscript") is not None:
            read = {**read, "evalscript": script_text(read["evalscript"], folders, f"{name}.evalscript")}
        return read

    def script(self) -> str | None:
        """The text of the evalscript, None if the operator is given none.

        :raises InvalidInputError: it names a file that is not there.
        """
        given = getattr(self, "evalscript", None)
        return None if given is None else script_text(given, folders_of(self))


def _script(given: Any, folders: list[str], render: Render) -> Any:
    """The rendered text of the script that is given by the name of its file; else what is given."""
    if not isinstance(given, (str, os.PathLike)) or (isinstance(given, str) and is_script(given)):
        return given
    name = render(os.fspath(given)) if isinstance(given, os.PathLike) else given
    path = file_of(name, folders)
    return given if path is None else render(text_of(path, "evalscript").removeprefix(BOM))


def _part(name: str, given: Any, folders: list[str], render: Render) -> Any:
    """The rendered text of the file that an argument names; else what is given."""
    endings = _ONLY_JSON.get(name)
    if isinstance(given, os.PathLike) and name != "area":
        given = render(os.fspath(given))
    if not isinstance(given, str) or given.lstrip()[:1] in ("{", "["):
        return given
    if endings and not given.strip().endswith(endings):
        return given
    path = file_of(given, folders) if not (name == "area" and os.path.isabs(given)) else None
    return given if path is None else render(text_of(path, name))


def beside(task: Any, area: Any) -> Any:
    """The path of an area that is named like a file and lies beside the DAG, or in its search path; else the area."""
    from airflow_sentinelhub.api.area_reading import file_and_layer, is_name_of_file

    if not isinstance(area, os.PathLike) and not (isinstance(area, str) and is_name_of_file(area)):
        return area
    name, layer = file_and_layer(os.fspath(area).strip())
    paths = [Path(folder, name) for folder in folders_of(task)]
    found = next((path for path in paths if os.path.isfile(path)), None)
    return area if found is None else Path(f"{found}|{layer}") if layer else found


def as_json(value: Any, name: str, folders: list[str] | None = None) -> Any:
    """A member of the payload; text, which a file or a template has rendered to, is parsed as JSON.

    :param name: name of the argument, for the error.
    :param folders: where a file of this name was looked for.
    :raises InvalidInputError: the text is not JSON.
    """
    if not isinstance(value, str):
        return value
    text = value.removeprefix(BOM).strip()
    try:
        return json.loads(text)
    except ValueError as err:
        shown = f"{text[:60]}\N{HORIZONTAL ELLIPSIS}" if len(text) > 60 else text
        where = ""
        if folders is not None and text[:1] not in ("{", "[") and "\n" not in text:
            where = f" No file of this name was found in: {', '.join(folders) or os.getcwd()}."
        raise InvalidInputError(f"{name} is text that is not JSON: {err} in {shown!r}.{where}") from None


def json_or_text(value: Any, name: str) -> Any:
    """A member of the payload that may also be plain text, such as a URL; only text that begins like JSON is parsed."""
    return as_json(value, name) if isinstance(value, str) and value.lstrip(f"{BOM} \t\r\n")[:1] in ("{", "[") else value
