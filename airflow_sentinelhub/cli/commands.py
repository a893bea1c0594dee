"""All commands."""

from __future__ import annotations

from airflow_sentinelhub.cli import cancel, costs, example, grids, map, preview, requests, show, simulator, tiles
from airflow_sentinelhub.cli.command import Command

COMMANDS: tuple[Command, ...] = (
    requests.COMMAND,
    show.COMMAND,
    tiles.COMMAND,
    map.COMMAND,
    grids.COMMAND,
    costs.COMMAND,
    cancel.COMMAND,
    preview.COMMAND,
    example.COMMAND,
    simulator.COMMAND,
)
