"""Evalscripts and other files that are given by name: which text is a name, where the file is, what is in it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow_sentinelhub.api.rings import shown
from airflow_sentinelhub.exceptions import InvalidInputError

BOM = "\ufeff"
_VERSION = re.compile(r"//\s*VERSION\b")
_LONGEST = 1000


def is_script(text: str) -> bool:
    """Whether it is the text of an evalscript, and not the name of a file."""
    return bool(_VERSION.search(text)) or "\n" in text.strip() or "\r" in text.strip()


def file_of(given: Any, folders: Sequence[str | os.PathLike[str]] = ()) -> Path | None:
    """The file that is named, in one of the folders (a relative name without folders: in the current one); else None.

    :param given: a path object, or text, which may be anything.
    """
    name = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(name, str) or not name.strip():
        return None
    name = name.strip()
    if "\n" in name or "\0" in name or "://" in name or len(name) > _LONGEST:
        return None
    paths = [Path(name)] if os.path.isabs(name) else [Path(folder, name) for folder in folders or (".",)]
    return next((path for path in paths if os.path.isfile(path)), None)


def text_of(path: Path, name: str) -> str:
    """The text of a file, without a byte order mark.

    :param name: of the argument, for errors.
    :raises InvalidInputError: it cannot be read, or is no text.
    """
    try:
        return path.read_text("utf-8-sig")
    except OSError as err:
        raise InvalidInputError(f"{name}: the file {path} cannot be read: {err.strerror or err}.") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{name}: the file {path} is no text in UTF-8.") from None


def script_text(
    given: Any, folders: Sequence[str | os.PathLike[str]] = (), name: str = "evalscript", *, word: bool = False
) -> str:
    """The text of an evalscript that is given as text, as a path or by the name of a file.

    :param folders: where a relative name is looked for; none: in the current folder.
    :param word: let through a single word that is no file: the service says what is wrong with it.
    :raises InvalidInputError: it names a file that is not there, or is neither.
    """
    if not isinstance(given, (str, os.PathLike)):
        raise InvalidInputError(f"{name} must be its text or the name of a file, not {shown(given)}.")
    if isinstance(given, str):
        script = given.removeprefix(BOM)
        if is_script(script) or not script.strip():
            return script
    path = file_of(given, folders)
    if path is not None:
        return text_of(path, name).removeprefix(BOM)
    if word and isinstance(given, str) and re.fullmatch(r"\w+", given.strip()):
        return given
    raise InvalidInputError(f"{name} {shown(os.fspath(given))} {not_found(given, folders)}; nothing was sent.")


def not_found(given: Any, folders: Sequence[str | os.PathLike[str]] = ()) -> str:
    """Where a file was looked for, as the end of a sentence about its name."""
    if os.path.isabs(given):
        return "is no script (it has no //VERSION and no line break), and there is no such file"
    places = ", ".join(str(folder) for folder in folders) or os.getcwd()
    return f"is no script (it has no //VERSION and no line break), and no file of this name was found in: {places}"
