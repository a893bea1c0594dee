"""The table and the picture of `docs/at-scale.md`, made from the numbers of one run."""

from __future__ import annotations

import os
import platform
import statistics
from pathlib import Path
from typing import Any

HOUR = 3600.0
BEGIN, END = "<!-- written by `make bench` -->", "<!-- end of what `make bench` writes -->"
PAGE = f"""# Many jobs that wait

{BEGIN}
{END}
"""


def per_minute(found: dict[str, Any]) -> float:
    """Calls in a minute."""
    calls = found["calls"]
    return float((calls["list"] + calls["single"]) / found["seconds"] * 60)


def per_thousand(found: dict[str, Any]) -> float:
    """CPU seconds for 1,000 readings."""
    return float(found["cpu"] / max(found["readings"], 1) * 1000)


def refused(found: dict[str, Any]) -> float:
    """The share of the calls that was answered with 429."""
    calls = found["calls"]
    return float(calls["limited"] / max(calls["list"] + calls["single"], 1))


def _part(ours: float, theirs: float) -> str:
    return f"1/{theirs / ours:.0f}" if ours > 0 else "-"


def rows(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Lines of the table: what, ours, the others, the goal."""
    ours, many, limited = found["ours"], found["many"], found["limited ours"]
    httpx, aiohttp, alone = found.get("httpx"), found.get("aiohttp"), found.get("limited httpx")
    jobs, count = found["jobs"], found["many"]["readings"]
    lines = []

    def add(what: str, mine: str, others: str, goal: str) -> None:
        lines.append((what, mine, others, goal))

    rate = per_minute(ours)
    against = f"{per_minute(httpx):,.0f}; ratio {_part(rate, per_minute(httpx))}" if httpx else ""
    add(f"calls a minute, {jobs:,} waiting at {found['interval']:.0f} s", f"{rate:,.0f}", against, "1/80")
    mine = per_thousand(ours)
    for name, side, goal in (("httpx", httpx, "1/15"), ("aiohttp", aiohttp, "1/5")):
        if side:
            theirs = per_thousand(side)
            others = f"{name}: {theirs:.3f}; ratio 1/{theirs / mine:.1f}"
            add(f"CPU seconds per 1,000 readings, against {name} per trigger", f"{mine:.3f}", others, goal)
    size = ours["calls"]["bytes"] / max(ours["readings"], 1) / 1024
    other_size = f"{httpx['calls']['bytes'] / max(httpx['readings'], 1) / 1024:.1f}" if httpx else ""
    add("KiB received per reading", f"{size:.1f}", other_size, "")
    number = found["many_jobs"]
    add(
        f"{number:,} waiting: calls a minute; readings a minute; longest without a reading",
        f"{per_minute(many):,.0f}; {count / many['seconds'] * 60:,.0f}; {many['oldest']:.1f} s",
        "",
        "350; all; 15 s",
    )
    for waiting, side, goal in ((jobs, ours, "2 s; 50 ms"), (number, many, "6 s; 100 ms")):
        burst = f"{side['all_read']:.1f} s; {side['burst_lag']['max']:.0f} ms, {side['burst_collection']:.0f} ms"
        what = "all are read; largest lag of the loop, longest garbage collection in it"
        add(f"restart with {waiting:,} waiting: {what}", burst, "", goal)
    if "lag" in ours:
        above = {name: ours["lag"][name] - ours["idle"][name] for name in ("p99", "max")}
        theirs_lag = f"httpx: {httpx['lag']['p99']:.0f} / {httpx['lag']['max']:.0f} ms" if httpx else ""
        idle = f"idle: {ours['idle']['p99']:.0f} / {ours['idle']['max']:.0f} ms"
        text = f"{ours['lag']['p99']:.0f} / {ours['lag']['max']:.0f} ms"
        text += f" (above idle {above['p99']:.0f} / {above['max']:.0f})"
        add(
            "lag of the loop, p99 / largest", text, "; ".join(filter(None, (idle, theirs_lag))), "above idle 10 / 50 ms"
        )
    theirs_memory = f"{httpx['memory'] / 1024:.1f}" if httpx else ""
    add("KiB of memory for a wait", f"{many['memory'] / 1024:.1f}", theirs_memory, "15")
    add(
        f"{jobs:,} waiting under 600 calls a minute: 429s; longest without a reading",
        f"{refused(limited):.1%}; {limited['oldest']:.1f} s",
        f"{refused(alone):.0%}; {alone['oldest']:.1f} s" if alone else "",
        f"2 %; {3 * found['interval']:.0f} s",
    )
    delays, text = found["delays"], "the machine was too slow"
    if delays:
        text = f"{statistics.median(delays):.1f} s; {delays[-1]:.1f} s"
    add("detection of the end: median; latest", text, "", f"{found['interval'] / 2:.0f} s; {found['interval']:.0f} s")
    for name, what, goal in CREATES:
        if name in found:
            calls = str(found[name]["calls"])
            add(f"calls of a create with its search among {10 * jobs:,} requests, {what}", calls, "", goal)
    for row in [*_tile_rows(found), *_vendor_rows(found)]:
        add(*row)
    if "parse ours" in found:
        extra = found["parse ours"] - found["parse alone"]
        theirs_extra = found["parse vendor"] - found["parse vendor alone"]
        add(
            "CPU seconds that our operators add to the parsing of a DAG file, and the import of the vendor's client",
            f"{extra:.2f}",
            f"vendor 3.12.0: {theirs_extra:.2f}; ratio {_part(extra, theirs_extra)}",
            "",
        )
    return lines


CREATES = (
    ("create today", "a first try", "8"),
    ("create after a clear", "a catch-up run of last year, cleared after 350 newer requests", "8"),
    ("create after a clear, nothing started", "the same, whose first try had created a request and started none", "8"),
    (
        "create after a clear, nothing created",
        "the same, whose first try had created nothing, on Airflow 3.0 to 3.2",
        "",
    ),
)


def _tile_rows(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """What a poll of the tile sensor takes, by the number of tiles, beside the vendor's monitor."""
    lines = []
    for size in found.get("sizes", ()):
        tiles, vendor = found[f"tiles {size}"], found.get(f"vendor 3.11.1 {size}")
        theirs = (
            f"vendor 3.11.1: {_poll(vendor)}; ratio of calls {_part(tiles['all']['calls'], vendor['calls'])}"
            if vendor
            else ""
        )
        what = "a poll for tiles: calls, KiB, CPU ms"
        lines.append((f"{size:,} tiles, v1, {what}, for all", _poll(tiles["all"]), theirs, "6 calls"))
        lines.append((f"{size:,} tiles, v1, {what}, for half of them", _poll(tiles["share"]), "", "6 calls"))
        unchanged, first = tiles["unchanged"], tiles["first"]
        fetched = f"first poll: {_poll(first)}, {first['files'] / 1e6:.1f} MB of files"
        text = f"{_poll(unchanged)}; {unchanged['files'] / 1024:.0f} KiB of files"
        lines.append((f"{size:,} tiles, v2, the same, files unchanged", text, fetched, "1 call, no file"))
    return lines


def _poll(one: dict[str, Any]) -> str:
    return f"{one['calls']:,.0f}, {one['bytes'] / 1024:,.0f}, {1000 * one['cpu']:.0f}"


def _vendor_rows(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Waiting in the vendor's monitor, in a PythonOperator: what a job takes in an hour, at our interval."""
    lines = list[tuple[str, str, str, str]]()
    if "slot" not in found:
        return lines
    slot, waits = sum(found["slot"]), len(found["slot"])
    others = f"any wait in a worker, such as the vendor's: 3,600; ratio {_part(slot, HOUR)}"
    lines.append(
        (f"worker-slot seconds per job hour ({waits} visits, each with its process)", f"{slot:.1f}", others, "1/500")
    )
    hourly = found_hourly(found)
    theirs = [
        f"{name}: {calls:,.0f}; ratio {_part(hourly['ours'], calls)}"
        for name, calls in hourly.items()
        if name != "ours"
    ]
    if theirs:
        lines.append(("calls per job and hour", f"{hourly['ours']:.1f}", "; ".join(theirs), ""))
    memory = [f"vendor {version}: {one['memory'] / 2**20:,.0f}" for version, one in _vendors(found)]
    if memory:
        lines.append(
            ("MiB of memory while a job is waited for", f"{found['ours']['memory'] / 2**20:.3f}", "; ".join(memory), "")
        )
    return lines


def _vendors(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The versions of the vendor's client, each with what its monitor takes for the smallest job."""
    names = (
        (version, f"vendor {version} {size}") for version in ("3.11.1", "3.12.0") for size in found.get("sizes", ())[:1]
    )
    return [(version, found[name]) for version, name in names if name in found]


def found_hourly(found: dict[str, Any]) -> dict[str, float]:
    """Calls per job and hour at the same interval, by side."""
    hourly = {"ours": per_minute(found["ours"]) * 60 / found["jobs"]}
    if "httpx" in found:
        hourly["httpx"] = per_minute(found["httpx"]) * 60 / found["jobs"]
    return hourly | {f"vendor {version}": one["calls"] * HOUR / found["interval"] for version, one in _vendors(found)}


def table(found: dict[str, Any]) -> str:
    """The table in Markdown."""
    lines = ["| | ours | others | goal |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows(found))])


def picture(found: dict[str, Any]) -> str:
    """Bars of calls and CPU time for ours and the others, as SVG."""
    sides = [name for name in ("ours", "aiohttp", "httpx") if name in found]
    parts: list[tuple[str, dict[str, float], str]] = [
        ("calls a minute", {name: per_minute(found[name]) for name in sides}, ",.0f"),
        ("CPU seconds per 1,000 readings", {name: per_thousand(found[name]) for name in sides}, ".2f"),
    ]
    hourly = {name: calls for name, calls in found_hourly(found).items() if name != "httpx"}
    parts.append(("calls per job and hour", hourly, ",.1f"))
    if "slot" in found:
        waits = {"ours": sum(found["slot"]), "vendor": HOUR}
        parts.append(("worker-slot seconds per job hour", waits, ",.1f"))
    width, left, bar, room = 760, 130, 22, 460
    shapes, at = [], 30
    for title, values, form in parts:
        shapes.append(f'<text x="10" y="{at}" font-weight="bold">{title}</text>')
        at += 12
        most = max(values.values()) or 1.0
        for name, value in values.items():
            colour = "#2a7de1" if name == "ours" else "#9aa5b1"
            long = max(value / most * room, 1.0)
            shapes.append(f'<text x="10" y="{at + 16}">{name}</text>')
            shapes.append(f'<rect x="{left}" y="{at}" width="{long:.1f}" height="{bar - 4}" fill="{colour}"/>')
            shapes.append(f'<text x="{left + long + 6:.1f}" y="{at + 14}">{value:{form}}</text>')
            at += bar
        at += 30
    title = f"{found['jobs']:,} waiting jobs at {found['interval']:.0f} s"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{at}" viewBox="0 0 {width} {at}" '
        f'font-family="sans-serif" font-size="13"><title>{title}</title>'
        f'<rect width="{width}" height="{at}" fill="white"/>{"".join(shapes)}</svg>\n'
    )


def write(found: dict[str, Any], folder: Path) -> None:
    """Write table and picture into the folder; what a person has written on the page stays."""
    page = folder / "at-scale.md"
    text = page.read_text() if page.exists() else PAGE
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    reply = f"{found['latency'] * 1000:.0f} ms a reply"
    machine = f"Measured with Python {platform.python_version()} on {os.cpu_count()} cores, {reply}."
    body = f"{BEGIN}\n![Calls and CPU time](at-scale.svg)\n\n{table(found)}\n\n{machine}\n{END}"
    page.write_text(before + body + after)
    (folder / "at-scale.svg").write_text(picture(found))
