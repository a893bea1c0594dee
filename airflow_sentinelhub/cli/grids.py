"""`grids`: the tiling grids."""

from __future__ import annotations

from typing import Any

from airflow_sentinelhub.api.decoding import member
from airflow_sentinelhub.cli.command import CONN_ID, OUTPUT, Command, argument
from airflow_sentinelhub.cli.output import show
from airflow_sentinelhub.cli.reading import hook_of, pages
from airflow_sentinelhub.grids.known import GRIDS


def run(args: Any) -> int:
    """Print the grids that the deployment offers, or those that the package knows."""
    found: list[Any] = [grid.descriptor() for grid in GRIDS.values()] if args.offline else _offered(args)
    rows = [
        {
            "id": member(grid, "id"),
            "name": member(grid, "name"),
            "tile": member(grid, "properties", "tileWidth"),
            "unit": member(grid, "properties", "unit"),
            "resolutions": ", ".join(f"{value:g}" for value in sorted(member(grid, "properties", "resolutions") or ())),
        }
        for grid in found
    ]
    show(found if args.output == "json" else rows, args.output, ("id", "name", "tile", "unit", "resolutions"))
    return 0


def _offered(args: Any) -> list[Any]:
    hook = hook_of(args)
    grids = hook.generation(args.batch_api).grids
    assert grids is not None  # v1 and v2 have grids
    return [grid for page in pages(hook, grids) for grid in page.items]


COMMAND = Command(
    "grids",
    "list the tiling grids and their resolutions",
    (
        CONN_ID,
        argument("--batch-api", choices=("v1", "v2"), help="generation; by default that of the connection"),
        argument("--offline", action="store_true", help="those that this package knows, without a call"),
        OUTPUT,
    ),
    run,
)
