"""The page of a job as one HTML file that needs nothing else: no network, no Airflow."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

STATIC = Path(__file__).resolve().parent.parent / "web" / "static"
"""The built frontend, which Airflow's page uses too."""


def html_page(view: dict[str, Any], tiles: dict[str, Any]) -> str:
    """The file.

    :param view: what the page shows beside the map: `now`, `found` and `request`, see `hooks.job_map.request_view`.
    :param tiles: `area` and `table`, see `api.tile_table.TileTable.as_json`; `paths` if they are shown.
    """
    world = (STATIC / "countries.json").read_text()
    script = (STATIC / "job.js").read_text().replace("</script", "<\\/script")
    style = (STATIC / "page.css").read_text().replace("</style", "<\\/style")
    data, world = _in_script({"view": view, "tiles": tiles}), world.replace("<", "\\u003c").replace("&", "\\u0026")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Sentinel Hub job</title>\n<style>{style}</style>\n</head>\n<body>\n"
        '<main id="page"><p class="notice">This page needs JavaScript.</p></main>\n'
        f'<script type="application/json" id="embedded">{data}</script>\n'
        f'<template id="world">{world}</template>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def _in_script(value: Any) -> str:
    """JSON that ends no script element, whatever texts are in it."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
