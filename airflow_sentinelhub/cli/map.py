"""`map`: a batch request and its tiles as one file that a browser opens without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow_sentinelhub.cli.command import AWS_CONN_ID, BATCH_API, CONN_ID, OUTPUT, REQUEST_ID, Command, argument
from airflow_sentinelhub.cli.output import one_line, out, print_json
from airflow_sentinelhub.cli.reading import find, hook_of
from airflow_sentinelhub.exceptions import InvalidInputError


def run(args: Any) -> int:
    """Read the request and its tiles, and write the map."""
    from airflow_sentinelhub.hooks.map_file import check_ending

    # What is wrong with the file is reported before a large job is read.
    target = Path(args.file)
    check_ending(target.suffix)
    if not target.absolute().parent.is_dir():
        raise InvalidInputError(
            f"The map cannot be written to {target}: there is no folder {target.absolute().parent}."
        )
    hook = hook_of(args)
    found = find(hook, args)
    made = hook.map(found.job.request_id, batch_api=found.api.name, aws_conn_id=args.aws_conn_id)
    made.save(target)
    if args.output == "json":
        print_json({"id": found.job.request_id, "title": one_line(made.title()), "file": str(target)})
        return 0
    print(one_line(made.title()), file=out())
    print(one_line(f"Map written to {target}"), file=out())
    return 0


COMMAND = Command(
    "map",
    "write a batch request and its tiles to a file: a page with a map, an image, or GeoJSON",
    (
        REQUEST_ID,
        argument(
            "-o",
            "--file",
            default="map.html",
            metavar="FILE",
            help="file to write; its ending says the form: .html (default: map.html), .svg, .png or .geojson",
        ),
        CONN_ID,
        BATCH_API,
        AWS_CONN_ID,
        OUTPUT,
    ),
    run,
)
