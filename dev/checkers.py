"""What type checkers tell the users of the package: mypy --strict and pyright, on the same files.

    python -m dev.checkers

The example DAGs have no error. In tests/types/mistakes.py each line that ends in `# wrong`
has one, and no other line has. Every argument of every operator and sensor that is a template takes text and the output
of a task: a file that gives them all is written for that, and has no error either.

pyright is run as basedpyright, which is the same checker (in pyright's own mode here) with all that it needs on the
package index; that of the package `pyright` loads itself from elsewhere.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from airflow_sentinelhub._compat import BaseOperator
from airflow_sentinelhub.provider import get_provider_info

ROOT = Path(__file__).resolve().parent.parent
MISTAKES = ROOT / "tests" / "types" / "mistakes.py"
EXAMPLES = ROOT / "example_dags"
MARK = "# wrong"
GIVES_ALL = '''"""Each templated argument of each operator and sensor, as text and as the output of a task."""

from airflow.providers.common.compat.sdk import XComArg

{imports}


def give(text: str, output: XComArg) -> None:
{calls}
'''


class Error(NamedTuple):
    """What a checker says about a line."""

    file: Path
    line: int
    says: str

    def __str__(self) -> str:
        return f"{os.path.relpath(self.file, ROOT)}:{self.line}: {self.says}"


def mypy(files: list[Path]) -> list[Error]:
    """The errors that mypy --strict finds in these files and folders."""
    command = [sys.executable, "-m", "mypy", "--strict", "--hide-error-context", "--no-error-summary", "--no-pretty"]
    ran = subprocess.run([*command, *map(str, files)], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1):
        raise RuntimeError(f"mypy could not run: {ran.stdout}{ran.stderr}")
    return list(_mypy_errors(ran.stdout))


def _mypy_errors(said: str) -> Iterator[Error]:
    for line in said.splitlines():
        if found := re.fullmatch(r"(.+?):(\d+): error: (.*)", line):
            yield Error(ROOT / found[1], int(found[2]), found[3])


def pyright(files: list[Path]) -> list[Error]:
    """The errors that pyright finds in these files and folders, by the settings of pyproject.toml."""
    program = Path(sys.executable).parent / "basedpyright"
    command = [str(program), "--outputjson", "--pythonpath", sys.executable, *map(str, files)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1):
        raise RuntimeError(f"basedpyright could not run: {ran.stdout[-2000:]}{ran.stderr}")
    return [
        Error(Path(one["file"]), one["range"]["start"]["line"] + 1, one["message"])
        for one in json.loads(ran.stdout)["generalDiagnostics"]
        if one["severity"] == "error"
    ]


def operators() -> list[type[BaseOperator]]:
    """The operators and sensors that the provider declares."""
    declared = get_provider_info()
    modules = [name for kind in ("operators", "sensors") for part in declared[kind] for name in part["python-modules"]]
    found = [getattr(import_module(module), name) for module in modules for name in import_module(module).__all__]
    return [it for it in dict.fromkeys(found) if isinstance(it, type) and issubclass(it, BaseOperator)]


def gives_all() -> str:
    """A file that gives every operator and sensor all of its templated arguments, twice."""
    imports, calls = [], []
    for cls in operators():
        names = sorted({*cls.template_fields} & set(inspect.signature(cls).parameters))
        imports.append(f"from {cls.__module__} import {cls.__name__}")
        for value in ("text", "output"):
            given = ", ".join(f"{name}={value}" for name in names)
            calls.append(f'    {cls.__name__}(task_id="{value}", {given})')
    return GIVES_ALL.format(imports="\n".join(imports), calls="\n".join(calls))


def marked(source: str) -> set[int]:
    """The lines of a file that a checker must find to be wrong."""
    return {number for number, line in enumerate(source.splitlines(), 1) if line.endswith(MARK)}


def judged(errors: list[Error], wrong: set[int], mistakes: Path = MISTAKES) -> list[str]:
    """What is not as it must be.

    :param wrong: lines of the file of mistakes that have an error each.
    """
    found = {error.line for error in errors if error.file == mistakes}
    told = [str(error) for error in errors if error.file != mistakes or error.line not in wrong]
    return told + [str(Error(mistakes, line, "no error, but this is wrong")) for line in sorted(wrong - found)]


def main() -> int:
    wrong = marked(MISTAKES.read_text())
    failed = False
    with tempfile.TemporaryDirectory(prefix="airflow-sentinelhub-types-") as folder:
        every = Path(folder, "gives_all.py")
        every.write_text(gives_all())
        files = [MISTAKES, every, EXAMPLES]
        for checker in (mypy, pyright):
            told = judged(checker(files), wrong)
            print(*told, f"{checker.__name__}: {len(told) or 'nothing'} that must not be", sep="\n")
            failed = failed or bool(told)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
