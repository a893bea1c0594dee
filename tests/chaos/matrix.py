"""What came of the kills and cancels: kept in a file by whoever runs them with `--keep-matrix`, shown in the docs.

python -m tests.chaos.matrix      write the tables of docs/what-happens-when.md anew from what is kept
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

FILE = Path(__file__).with_name("matrix.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "what-happens-when.md"
VERSIONS = ("2.11", "3.0", "3.3")
MODES = ("plain", "deferrable")
GENERATIONS = ("v1", "v2")
TABLES = ("test_cancels", "test_clears", "test_kills", "test_big")
"""One for each file of tests, in this order."""

Row = dict[str, str]
"""`test`, the id of the test behind it, and an outcome for each cell such as `3.3 v2 plain`."""


def read() -> dict[str, Row]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def keep(version: str, rows: Mapping[str, Row]) -> None:
    """Put what a run on this Airflow has brought beside what is kept."""
    kept = read()
    for name, row in rows.items():
        others = {cell: outcome for cell, outcome in kept.get(name, {}).items() if not cell.startswith(f"{version} ")}
        mine = {cell if cell == "test" else f"{version} {cell}": outcome for cell, outcome in row.items()}
        kept[name] = dict(sorted({**others, **mine}.items(), key=lambda item: (item[0] != "test", item[0])))
    ordered = dict(sorted(kept.items(), key=lambda item: _place(item[1]["test"])))
    FILE.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def _place(test: str) -> int:
    return next(number for number, name in enumerate(TABLES) if f"{name}.py" in test)


def lines(rows: Mapping[str, Row], versions: Iterable[str] = VERSIONS) -> Iterator[str]:
    """A Markdown table: a row for what was done, a column for each Airflow and mode."""
    columns = [(version, mode) for version in versions for mode in MODES]
    yield f"| | {' | '.join(f'{version} {mode}' for version, mode in columns)} |"
    yield f"| --- |{' --- |' * len(columns)}"
    for name, row in rows.items():
        yield f"| {name} | {' | '.join(_cell(row, version, mode) for version, mode in columns)} |"


def _cell(row: Row, version: str, mode: str) -> str:
    """One outcome if both generations of the service have the same, else both."""
    found = [row[cell] for api in GENERATIONS if (cell := f"{version} {api} {mode}") in row]
    return " / ".join(dict.fromkeys(found))


def written(text: str, rows: Mapping[str, Row]) -> str:
    """The page with its tables written anew."""
    for table in TABLES:
        mine = {name: row for name, row in rows.items() if f"{table}.py" in row["test"]}
        cells = [cell for row in mine.values() for cell in row]
        versions = [version for version in VERSIONS if any(cell.startswith(version) for cell in cells)]
        body = "\n".join(lines(mine, versions))
        before, opening, rest = text.partition(f"<!-- {table} -->\n")
        _, closing, after = rest.partition("<!-- end -->")
        assert closing, f"the page has no place for {table}"
        text = f"{before}{opening}\n{body}\n\n{closing}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), read()))
