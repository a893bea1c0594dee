"""How soon a map is there, and how fluid it is, measured in a browser on the machine of the tests."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.api.tile_table import Placer, TileTable
from airflow_sentinelhub.maps.html import html_page
from tests.browser.played import view

PAN = """() => new Promise(resolve => {
  const map = document.querySelector('.map canvas').closest('.ol-viewport');
  const box = map.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const send = (kind, dx, dy) => map.dispatchEvent(new PointerEvent(kind, {
    bubbles: true, clientX: x + dx, clientY: y + dy, pointerId: 1, pointerType: 'mouse', isPrimary: true,
    button: kind === 'pointermove' ? -1 : 0, buttons: kind === 'pointerup' ? 0 : 1 }));
  send('pointerdown', 0, 0);
  const began = performance.now(), from = sentinelhubFrames();
  const step = now => {
    const t = (now - began) / 1000;
    if (t > 3) {
      send('pointerup', 0, 0);
      return resolve((sentinelhubFrames() - from) / t);
    }
    document.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: x + 200 * Math.sin(2 * t),
      clientY: y + 100 * Math.cos(2 * t), pointerId: 1, pointerType: 'mouse', isPrimary: true, buttons: 1 }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


ATTEMPTS = 6
"""The best of them counts: other processes of the machine may be in the way of one."""


def tiles(number: int) -> TileTable:
    placer, table, chance = Placer(), TileTable(), random.Random(1)
    side = math.isqrt(number // 4)
    for zone in (31, 32, 33, 34):
        for column in range(side):
            for row in range(side):
                x, y = 250_000 + column * 500_000 / side, 4_500_000 + row * 800_000 / side
                wide, high = 500_000 / side, 800_000 / side
                corners = [(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)]
                status = chance.choices(["PROCESSED", "PROCESSING", "PENDING", "FAILED"], [70, 5, 24, 1])[0]
                table.add(f"{zone}T_{column}_{row}", status, [placer.ring(corners, 32600 + zone)])
    return table


@pytest.mark.parametrize(("number", "seconds"), [(1_000, 1.0), (100_000, 3.0)])
def test_first_paint_and_frames_while_panning(browser: Any, tmp_path: Path, number: int, seconds: float) -> None:
    file = tmp_path / "map.html"
    file.write_text(html_page(view(live=False), {"area": [], "table": tiles(number).as_json()}))
    drawn, frames = math.inf, 0.0
    for _ in range(ATTEMPTS):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        try:
            page.goto(file.as_uri())
            page.wait_for_function("() => document.body.dataset.drawn && document.body.dataset.land")
            drawn = min(drawn, page.evaluate("Number(document.body.dataset.drawn)") / 1000)
            frames = max(frames, page.evaluate(PAN))
        finally:
            page.close()
        if drawn < seconds and frames >= 30:
            break
    print(f"{number:,} tiles: drawn after {drawn:.2f} s, {frames:.0f} frames a second while panning")
    assert drawn < seconds
    assert frames >= 30
