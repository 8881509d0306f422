"""`python -m benchmarks.plane`: how long the plane takes to follow a hand, in headless Chromium.

1,000 points, 400 samples of them with their paths, the density, a field of 24 x 24 arrows and a followed point, all on:

- t: moves of the player's slider, some steps as in a drag, over all noise levels;
- schedule: moves of beta_T's slider, which go through Python;
- layer: the arrows switched off and on.

First with nobody else at work ("alone"), then while a network learns the same points in another browser, which shows
it as it comes ("beside"); of that, updates a second. All share this machine's cores.

Moves begin at random moments between two frames of the display. "pixel" runs from the input event to the start of the
first frame for which the plane says that it was drawn anew and has other pixels, "painted" to the end of the page's
work on that frame. "drawing" is the page's own part, as it says itself. JSON on the last line, times in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

import numpy as np
from playwright.sync_api import Page

from benchmarks.browser import TOOLS, figures_of, time_moves
from tests.chromium import chromium, launch
from ui.demo import build_demo, launch_options

LINK = "#tab=plane&layers=data+noised+density+eps+samples+paths"
READ = """
const root = document.querySelector('.lab-planeview');
const canvas = root.querySelector('canvas');
const probe = new OffscreenCanvas(65, 65).getContext('2d', { willReadFrequently: true });
const pixels = () => {
  probe.drawImage(canvas, 0, 0, 65, 65);
  return probe.getImageData(0, 0, 65, 65).data.join();
};
const ask = (act) => {
  const [before, old] = [root.dataset.drawn, pixels()];
  return watched(act, () => root.dataset.drawn !== before && pixels() !== old);
};
"""
ACTS = {
    "t": "(i) => set(root.querySelector('.lab-player input'), i)",
    "schedule": "(i) => set(document.querySelector('[data-field=beta_end]'), i)",
    "layer": "() => root.querySelector('[data-layer=eps]').click()",
}


def measure(page: Page, name: str, moves: list[int]) -> dict[str, Any]:
    """Latencies of all moves of one kind."""
    page.evaluate(f"() => {{ {TOOLS} {READ} window.ask = (i) => ask(() => ({ACTS[name]})(i)); }}")
    drawing: list[float] = []
    row = time_moves(page, moves, "i => window.ask(i)")
    for i in moves if name == "t" else []:
        page.evaluate("i => window.ask(i)", i + 1)
        drawing.append(float(page.get_attribute(".lab-planeview", "data-ms") or "nan"))
    return row | (figures_of(np.array(drawing), "drawing") if drawing else {})


def begin_to_learn(page: Page, url: str) -> Page:
    """A page on which a network learns."""
    page.goto(url)
    page.wait_for_selector(".lab-planeview[data-run=opening][data-state=ready]", timeout=120_000)
    page.click("#lab-train")
    page.wait_for_selector(".lab-learning[data-state=live]", timeout=120_000)
    page.wait_for_timeout(2000)
    return page


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=80)
    args = parser.parse_args(arguments)
    demo = build_demo()
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    rng = np.random.default_rng(0)
    moves = {
        "t": (np.cumsum(rng.integers(7, 30, args.moves)) % 950 + 10).tolist(),
        "schedule": (600 + np.cumsum(rng.integers(3, 12, args.moves)) % 300).tolist(),
        "layer": list(range(args.moves)),
    }
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{url}{LINK}")
        page.wait_for_selector(".lab-planeview[data-run=opening][data-state=ready]", timeout=120_000)
        page.wait_for_timeout(1000)
        result: dict[str, Any] = {"alone": {name: measure(page, name, moves[name]) for name in ACTS}}
        other = launch(browser.browser_type)
        lesson = begin_to_learn(other.new_page(viewport={"width": 1280, "height": 900}), f"{url}{LINK}")
        result["beside"] = {name: measure(page, name, moves[name]) for name in ACTS}
        said = lesson.inner_text(".lab-learning .lab-status")
        result["learning"] = lesson.get_attribute(".lab-learning", "data-state") == "live"
        result["updates_a_second"] = int(re.findall(r"([\d,]+) a second", said)[0].replace(",", ""))
        other.close()
    demo.close()
    for when in ("alone", "beside"):
        for name, row in result[when].items():
            print(f"{when:6s} {name:9s} {row}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
