"""`preview`: a task of a DAG file as a run would render it, with its tiles and its price. Nothing is sent."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_sentinelhub.api.times import moment
from airflow_sentinelhub.cli.command import OUTPUT, Command, argument
from airflow_sentinelhub.cli.output import out, print_json, shown
from airflow_sentinelhub.exceptions import InvalidInputError


def run(args: Any) -> int:
    """Print the preview; exit code 1 if the job would be refused."""
    from airflow_sentinelhub.preview.image import renderer

    image = None if args.map is None else renderer(args.map)
    with _uncollected():
        from airflow_sentinelhub.cli.dag_file import previews_of

    found = previews_of(
        Path(args.dag_file),
        args.task_id,
        dag_id=args.dag_id,
        date=None if args.date is None else moment(args.date, "--date"),
        run_conf=_conf(args.run_conf),
        map_index=args.map_index,
        geopackage=args.geopackage,
    )
    if image is not None:
        if len(found) != 1:
            raise InvalidInputError(f"--map draws one job, and there are {len(found)}; choose one with --map-index.")
        try:
            Path(args.map).write_bytes(image(found[0].svg()))
        except OSError as err:
            raise InvalidInputError(f"The map cannot be written to {args.map}: {err.strerror or err}.") from None
    if args.output == "json":
        print_json([preview.as_dict() for preview in found])
    else:
        for preview in found:
            print("\n".join(shown(line) for line in preview.lines(map_block=_block())), file=out())
            print(file=out())
        if args.map:
            print(f"Map written to {args.map}", file=out())
    return 1 if any(preview.refused for preview in found) else 0


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector: most of a preview's time is the import of Airflow, whose objects all stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()  # or the next collection looks at all of them
            gc.enable()


def _block() -> str | None:
    """The character of a tile on the map in a terminal; None where the output goes to a file or a pipe."""
    where = out()
    if where is None or not where.isatty():
        return None
    return "\N{FULL BLOCK}" if "utf" in (where.encoding or "").lower() else "#"


def _conf(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError as err:
        raise InvalidInputError(f"--run-conf is not JSON: {err}.") from None
    if not isinstance(found, dict):
        raise InvalidInputError('--run-conf is a JSON object such as {"year": 2026}.')
    return found


COMMAND = Command(
    "preview",
    "show a task's payload, tiles, area and price, and what would be refused; nothing is sent",
    (
        argument("dag_file", metavar="DAG_FILE", help="path of the DAG's file"),
        argument("task_id", metavar="TASK_ID", help="id of the task, or of a group made by sentinelhub_batch()"),
        argument("--dag-id", metavar="DAG", help="which DAG, where the file has several with this task"),
        argument("--date", metavar="DATE", help="a date in the run's data interval (default: the newest that is over)"),
        argument("--run-conf", metavar="JSON", help="the conf of the run, whose members are also its params"),
        argument("--map-index", type=int, metavar="N", help="of a mapped task; default: all"),
        argument("--geopackage", metavar="FILE", help="local copy of the GeoPackage that the job names"),
        argument("--map", metavar="FILE", help="write a map of the tiles to this file, .svg or .png"),
        OUTPUT,
    ),
    run,
)
