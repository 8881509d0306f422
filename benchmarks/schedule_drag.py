"""`python -m benchmarks.schedule_drag`: input-to-pixel latency of dragging a schedule's slider, in headless Chromium.

Two pages, the same moves of beta_T on each; each move changes four panels of curves and a noised picture of 256 x 256:

- ours: the page as it is, on its Schedule tab;
- plain: gr.Slider -> Python -> gr.Plot and gr.Image with the same curves and picture (at its best: PNG, no lost drags).

"step": moves one by one, at random moments between two frames of the display. From dispatching the input event to the
start of the first frame in which both curves and picture show it ("pixel"), and to the end of the page's work on that
frame ("painted"). Waiting for a frame alone takes up to 16.7 ms at 60 Hz.

"drag": a move every 16 ms, as a mouse makes them. How many different frames a second are shown meanwhile, and how long
after the last move the picture that stays is there ("last"); a drag that ends on other curves or another picture than
its last value has is "stale". JSON on the last line, times in milliseconds.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import gradio as gr
import numpy as np
import plotly.graph_objects as go
import torch
from PIL import Image
from playwright.sync_api import Browser, Page

from benchmarks.browser import TOOLS, figures_of, time_moves
from diffusion.images import open_image, to_bytes, to_pil, to_tensor
from diffusion.process import q_sample
from tests.chromium import chromium
from ui.demo import build_demo, launch_options
from ui.figures import schedule_figure
from ui.files import ASSETS
from ui.sidebar import bend_schedule, default_settings, read_schedule

PICTURE = ASSETS / "samples" / "astronaut.jpg"
POSITIONS = 1000  # of the slider, from the smallest beta_T to the largest on a log scale
LOW, HIGH = 1e-4, 0.5
T_SHOWN = 300


def beta_at(position: float) -> float:
    """The beta_T of a position of the slider, with the three digits that the page gives it."""
    return float(f"{LOW * (HIGH / LOW) ** (position / POSITIONS):.3g}")


def plain_page() -> gr.Blocks:
    """The same with Gradio's own components."""
    x_0 = to_tensor(open_image(PICTURE))
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
    template = schedule_figure()

    def update(position: float) -> tuple[go.Figure, Image.Image]:
        settings = default_settings() | {"params": {"beta_start": LOW, "beta_end": beta_at(position)}}
        chart = bend_schedule({"settings": settings, "network": "digits"})["chart"]
        data = [trace | {"x": chart[trace["meta"]["x"]], "y": chart[trace["meta"]["y"]]} for trace in template["data"]]
        alpha_bar_t = float(read_schedule(settings).alpha_bar[T_SHOWN])
        return go.Figure(data, template["layout"]), to_pil(to_bytes(q_sample(x_0, alpha_bar_t, eps)))

    with gr.Blocks(analytics_enabled=False) as demo:
        slider = gr.Slider(0, POSITIONS, 600, step=1, label="position", elem_id="plain-slider")
        figure, picture = update(600)
        plot = gr.Plot(figure, elem_id="plain-plot")
        image = gr.Image(picture, format="png", height=256, elem_id="plain-image")
        slider.input(update, slider, [plot, image], trigger_mode="always_last", show_progress="hidden")
    return demo


# For each page: its slider, and what is shown of alpha-bar's curve and of the picture, as text; "" while there is none.
PAGES = {
    "ours": (
        "[data-field=beta_end]",
        "line('.lab-schedule')",
        "pixels($('.lab-compare canvas'))",
    ),
    "plain": (
        "#plain-slider input[type=range]",
        "line('#plain-plot')",
        "$('#plain-image img')?.complete ? pixels($('#plain-image img')) : ''",
    ),
}
READ = """
const $ = (selector) => document.querySelector(selector);
const probe = new OffscreenCanvas(24, 8).getContext('2d', { willReadFrequently: true });
const line = (plot) => document.querySelectorAll(`${plot} .trace path.js-line`)[1]?.getAttribute('d') ?? '';
const pixels = (source) => {
  if (!source) return '';
  probe.drawImage(source, 0, 0);
  return probe.getImageData(0, 0, 24, 8).data.join();
};
const frame = () => new Promise(requestAnimationFrame);
const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
"""
# One move: [pixel, painted], or two NaN if either curve or picture stays as it was.
STEP = """
async (value) => {
  const [curve, picture] = [curves(), image()], started = performance.now();
  set(slider(), value);
  while (performance.now() - started < 5000) {
    await frame();
    const now = [curves(), image()];
    if (now.includes('') || now[0] === curve || now[1] === picture) continue;
    const seen = performance.now() - started;
    await painted();
    return [seen, performance.now() - started];
  }
  return [NaN, NaN];
}
"""
# A drag: [different pictures, seconds of dragging, ms from the last move to the picture that stays, what stays].
DRAG = """
async (values) => {
  let shown = image(), frames = 0, last = 0, dragging = true;
  const started = performance.now();
  const look = async () => {
    while (dragging || performance.now() - ended < 1500) {
      await frame();
      const now = image();
      if (now === shown || !now) continue;
      shown = now;
      last = performance.now();
      if (dragging) frames++;
    }
  };
  let ended = 0;
  const watching = look();
  for (const value of values) {
    set(slider(), value);
    await rest(16);
  }
  ended = performance.now() - 16;
  dragging = false;
  await watching;
  return [frames, (ended - started) / 1000, Math.max(0, last - ended), curves() + image()];
}
"""
# What stays when the slider goes to a value at once.
STILL = """
async (value) => {
  set(slider(), value);
  await rest(1500);
  return curves() + image();
}
"""


def measure(page: Page, name: str, moves: list[int], drags: list[list[int]]) -> dict[str, Any]:
    """Single moves, then whole drags."""
    selector, curves, image = PAGES[name]
    page.evaluate(
        f"""() => {{
          {TOOLS} {READ}
          const slider = () => $({selector!r}), curves = () => {curves}, image = () => {image};
          Object.assign(window, {{ step: {STEP}, drag: {DRAG}, still: {STILL} }});
        }}"""
    )
    row = time_moves(page, moves, "value => window.step(value)")
    rates, lasts, stale = [], [], 0
    for values in drags:
        frames, seconds, last, shown = page.evaluate("values => window.drag(values)", values)
        rates.append(frames / seconds)
        lasts.append(last)
        page.evaluate("value => window.still(value)", values[0])
        stale += page.evaluate("value => window.still(value)", values[-1]) != shown
    row |= {"drags": len(drags), "stale": stale, "frames_a_second": round(float(np.mean(rates)), 1)}
    return row | figures_of(np.array(lasts), "last")


def opened(browser: Browser, url: str, name: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(url)
    page.wait_for_function(f"(() => {{ {READ} return ({PAGES[name][1]}) && ({PAGES[name][2]}) }})()", timeout=120_000)
    page.wait_for_timeout(2000)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=120)
    parser.add_argument("--drags", type=int, default=12)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    # To and fro about the usual value, by one to eight positions at a time.
    walk = np.cumsum(rng.integers(1, 9, args.moves)) % 240
    moves = [int(v) for v in 500 + np.abs(walk - 120)]
    starts = rng.integers(480, 520, args.drags)
    drags = [[int(start) + 2 * i for i in range(60)][:: (-1) ** k] for k, start in enumerate(starts)]  # up, down ...
    result = {}
    with chromium() as browser:
        address = f"#tab=Schedule&t={T_SHOWN}&picture={PICTURE.stem}"
        for name, demo, at in (("ours", build_demo(), address), ("plain", plain_page(), "")):
            _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
            page = opened(browser, url + at, name)
            result[name] = measure(page, name, moves, drags)
            page.close()
            demo.close()
            print(f"{name:6s} {result[name]}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
