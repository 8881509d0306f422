"""How long a page in a browser takes to follow a hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from playwright.sync_api import Page

# Functions for a page. set() moves a slider. watched(act, seen) acts, and resolves with [pixel, painted], milliseconds
# until seen() says that what follows is there, and until the page has painted it, which is when the task that follows
# a frame's callbacks runs; two NaN where nothing follows.
TOOLS = """
const set = (slider, value) => {
  slider.value = value;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
};
const painted = () => new Promise((resolve) => {
  const channel = new MessageChannel();
  channel.port1.onmessage = resolve;
  channel.port2.postMessage(0);
});
const watched = (act, seen) => new Promise((resolve) => {
  const started = performance.now();
  act();
  const look = async () => {
    if (seen()) {
      const drawn = performance.now();
      await painted();
      resolve([drawn - started, performance.now() - started]);
    } else if (performance.now() - started > 5000) resolve([NaN, NaN]);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});
"""


def figures_of(values: np.ndarray, name: str) -> dict[str, float]:
    """Median and 95th percentile."""
    median, p95 = np.percentile(values, [50, 95])
    return {f"{name}_median": round(float(median), 1), f"{name}_p95": round(float(p95), 1)}


def time_moves(page: Page, moves: list[int], script: str) -> dict[str, Any]:
    """Milliseconds of all moves, each begun at a random moment between two frames.

    ``script`` is called with the move and answers [pixel, painted], two NaN where nothing followed.
    """
    rng = np.random.default_rng(1)
    times = []
    for move in moves:
        page.wait_for_timeout(40 + 30 * rng.random())
        times.append(page.evaluate(script, move))
    seen_at = np.array(times)
    kept = seen_at[~np.isnan(seen_at[:, 0])]
    row: dict[str, Any] = {"moves": len(moves), "lost": len(moves) - len(kept)}
    return row | figures_of(kept[:, 0], "pixel") | figures_of(kept[:, 1], "painted")
