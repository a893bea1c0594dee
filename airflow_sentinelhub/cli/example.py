"""`example`: the example DAGs that the package brings along."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from airflow_sentinelhub.cli.command import OUTPUT, Command, argument
from airflow_sentinelhub.cli.output import print_json
from airflow_sentinelhub.exceptions import InvalidInputError

_PREFIX = "sentinelhub_"
_FIRST = "first_job"
_PACKAGE = Path(__file__).resolve().parent.parent


def run(args: Any) -> int:
    """Print an example DAG, list all, or write one into a folder with the files that it reads.

    :raises InvalidInputError: there is no such example, or a file of another content would be overwritten.
    """
    files = _files()
    as_json = args.output == "json"
    if args.list:
        lines = {name: _first_line(file) for name, file in files.items()}
        if as_json:
            print_json([{"name": name, "description": line} for name, line in lines.items()])
            return 0
        width = max(map(len, files))
        for name, line in lines.items():
            print(f"{name.ljust(width)}  {line}")
        return 0
    name = args.name.removesuffix(".py").removeprefix(_PREFIX)
    if name not in files:
        raise InvalidInputError(f"There is no example {args.name}; the examples are {', '.join(files)}.")
    beside = _beside(files[name])
    if args.into is not None:
        written = _write([files[name], *beside], Path(args.into))
        if as_json:
            print_json({"name": name, "files": [str(file) for file in written]})
        else:
            print(*written, sep="\n")
        return 0
    if as_json:
        reads = [file.name for file in beside]
        print_json({"name": name, "text": files[name].read_text(encoding="utf-8"), "reads": reads})
        return 0
    print(files[name].read_text(encoding="utf-8"), end="")
    if beside:
        names = " and ".join(file.name for file in beside)
        print(f"This DAG reads {names} beside it; `example {name} --into dags` writes them, too.", file=sys.stderr)
    return 0


def _files() -> dict[str, Path]:
    """The examples by name, the first one first. A wheel holds them in the package, a checkout beside it."""
    folder = next(
        (place for parent in (_PACKAGE, _PACKAGE.parent) if (place := parent / "example_dags").is_dir()), None
    )
    found = sorted(folder.glob(f"{_PREFIX}*.py")) if folder else []
    if not found:
        raise InvalidInputError("This installation of airflow-sentinelhub holds no examples; install it anew.")
    names = {file.stem.removeprefix(_PREFIX): file for file in found}
    return dict(sorted(names.items(), key=lambda item: (item[0] != _FIRST, item[0])))


def _first_line(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    return text.partition('"""')[2].partition("\n")[0].partition('"""')[0]


def _beside(file: Path) -> list[Path]:
    """The files in its folder that an example names."""
    named = re.findall(r'"([\w.-]+\.(?:js|geojson|json|wkt))"', file.read_text(encoding="utf-8"))
    return [path for name in dict.fromkeys(named) if (path := file.with_name(name)).is_file()]


def _write(sources: list[Path], folder: Path) -> list[Path]:
    """Copy files into a folder; one that is there with another content is a user's, and is kept.

    :returns: the files of the folder.
    """
    targets = {source: folder / source.name for source in sources}
    for source, target in targets.items():
        if target.exists() and (not target.is_file() or target.read_bytes() != source.read_bytes()):
            raise InvalidInputError(f"{target} is there with another content; nothing was written.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in targets.items():
            target.write_bytes(source.read_bytes())
    except OSError as err:
        raise InvalidInputError(f"{err.filename or folder} cannot be written: {err.strerror}.") from None
    return list(targets.values())


COMMAND = Command(
    "example",
    "print an example DAG, or write it with its files into a folder",
    (
        argument("name", nargs="?", default=_FIRST, metavar="NAME", help=f"of the example (default: {_FIRST})"),
        argument("--list", action="store_true", help="list the examples"),
        argument("--into", metavar="DIR", help="write the DAG, and the files that it reads, into this folder"),
        OUTPUT,
    ),
    run,
    asks_airflow=False,
)
