"""`python -m benchmarks.scrub`: input-to-pixel latency of scrubbing, in headless Chromium.

Three pages in one run, the same moves on each:

- trajectory: our player over 1000 frames of a 4 x 4 grid of 32 x 32 RGB images (x_t and predicted x_0 side by side);
- forward: our forward view, 256 x 256 RGB, three canvases and a histogram a frame;
- plain: gr.Slider -> Python -> gr.Image with the same 1000 frames, the way Gradio is used by default.

Moves come at random moments between two frames of the display. "pixel" runs from dispatching the input event to the
start of the first frame for which the canvas (or picture) holds what was asked for; "painted" to the end of the
page's work on that frame. Waiting for a frame alone takes up to 16.7 ms at 60 Hz. Which frame is shown is read from
its pixels, which carry the frame's number as a bar code. JSON on the last line, times in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from ui.demo import launch_options
from ui.forward_tab import forward_value
from ui.player import Frame, Recorder
from ui.sidebar import sidebar_view
from ui.view import ASSETS, PLOTLY, View, browser_file

FRAMES, BITS, CELL = 1000, 10, 4


def stamp(image: np.ndarray, index: int) -> np.ndarray:
    """Write the frame's number into the top row, a cell of 4 x 4 pixels a bit: white for 1."""
    for bit in range(BITS):
        image[:CELL, bit * CELL : (bit + 1) * CELL] = 255 if index >> bit & 1 else 0
    return image


def trajectory() -> np.ndarray:
    """Grids going from noise to smooth images, (FRAMES, 128, 128, 3) uint8, each stamped with its number."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:128, 0:128] / 32
    clean = np.stack([np.sin(6 * x), np.cos(6 * y), np.sin(3 * (x + y))], axis=-1) * 0.8
    noise = rng.standard_normal(clean.shape)
    frames = np.empty((FRAMES, 128, 128, 3), np.uint8)
    for i in range(FRAMES):
        noise = 0.99 * noise + 0.14 * rng.standard_normal(clean.shape)
        signal = (i + 1) / FRAMES
        mixed = signal * clean + (1 - signal**2) ** 0.5 * noise
        frames[i] = stamp(np.clip((mixed + 1) * 127.5, 0, 255).astype(np.uint8), i)
    return frames


def trajectory_value(frames: np.ndarray) -> dict[str, Any]:
    """The frames as the reverse tab sends them."""
    recorder = Recorder()
    for i, image in enumerate(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1):
        recorder.add(Frame(FRAMES - i, i, None, (0.0, 0.0, 0.0, 0.0)), image[None], image[None])
    return {
        "state": "done", "stopped": False, "file": browser_file(recorder.pack(), ".frames"),
        "frames": [vars(frame) for frame in recorder.frames], "count": FRAMES, "T": None, "key": "benchmark",
        "status": "", "note": "",
    }  # fmt: skip


def serve(frames: np.ndarray, photo: Path) -> gr.Blocks:
    """One page with all three."""
    gr.set_static_paths([ASSETS, PLOTLY.parent])
    pictures = [Image.fromarray(frame) for frame in frames]
    with gr.Blocks(analytics_enabled=False) as demo:
        with gr.Sidebar():
            sidebar_view()
        View("forward", elem_id="forward", value=forward_value(photo, 0))
        View("reverse", elem_id="trajectory", value=trajectory_value(frames))
        slider = gr.Slider(0, FRAMES - 1, 0, step=1, label="frame", elem_id="plain-slider")
        picture = gr.Image(pictures[0], elem_id="plain-image", format="png")
        slider.input(lambda i: pictures[int(i)], slider, picture, trigger_mode="always_last", show_progress="hidden")
    return demo


# Each prepares window.ask(i): move, and resolve with [work, latency] once frame i is seen.
READ_CODE = f"""
(source, scale) => {{
  const canvas = new OffscreenCanvas({BITS * CELL}, {CELL});
  const probe = window.probe ??= canvas.getContext('2d', {{ willReadFrequently: true }});
  probe.drawImage(source, 0, 0, {BITS * CELL} * scale, {CELL} * scale, 0, 0, {BITS * CELL}, {CELL});
  const data = probe.getImageData(0, 0, {BITS * CELL}, {CELL}).data;
  let code = 0;
  for (let bit = 0; bit < {BITS}; bit++) if (data[(1 * {BITS * CELL} + bit * {CELL} + 1) * 4] > 127) code |= 1 << bit;
  return code;
}}
"""
# The task that follows a frame's callbacks runs after the browser has painted it.
WATCH = """
(slider, input, seen, i) => new Promise((resolve) => {
  const started = performance.now();
  let drawn = 0;
  slider.value = i;
  slider.dispatchEvent(new Event(input, { bubbles: true }));
  const look = () => {
    if (!drawn && seen(i)) drawn = performance.now();
    if (drawn) {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => resolve([drawn - started, performance.now() - started]);
      channel.port2.postMessage(0);
    } else if (performance.now() - started > 5000) resolve([NaN, NaN]);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})
"""
PAGES = {
    "trajectory": ("#trajectory .lab-player input[type=range]", "readCode($('#trajectory .lab-traj-xt'), 1) === i"),
    "forward": ("#forward .lab-player input[type=range]", "+$('#forward .lab-forward').dataset.t === i"),
    "plain": (
        "#plain-slider input[type=range]",
        "(() => { const p = $('#plain-image img'); return p && p.complete && readCode(p, 1) === i; })()",
    ),
}


def measure(page: Page, name: str, moves: list[int]) -> dict[str, Any]:
    """Latencies of all moves on one of the pages, each begun at a random moment between two frames."""
    selector, seen = PAGES[name]
    page.evaluate(
        f"""() => {{
          const $ = (s) => document.querySelector(s), readCode = {READ_CODE}, watch = {WATCH};
          window.ask = (i) => watch($({selector!r}), 'input', (i) => {seen}, i);
        }}"""
    )
    rng = np.random.default_rng(1)
    times = []
    for i in moves:
        page.wait_for_timeout(40 + 30 * rng.random())
        times.append(page.evaluate("i => window.ask(i)", i))
    seen_at = np.array(times)
    kept = seen_at[~np.isnan(seen_at[:, 0])]
    row: dict[str, Any] = {"moves": len(moves), "lost": len(moves) - len(kept)}
    for column, label in enumerate(("pixel", "painted")):
        median, p95 = np.percentile(kept[:, column], [50, 95])
        row |= {f"{label}_median": round(float(median), 1), f"{label}_p95": round(float(p95), 1)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=120)
    args = parser.parse_args()
    frames = trajectory()
    demo = serve(frames, ASSETS / "samples" / "astronaut.jpg")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    rng = np.random.default_rng(0)
    # Neighbours, as in a drag, and far jumps, in turn.
    walk = np.cumsum(rng.integers(1, 9, args.moves)) % (FRAMES - 10) + 5
    moves = [int(v) for v in walk]
    executable = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.goto(url)
        page.wait_for_selector("#trajectory .lab-reverse[data-state=ready]", timeout=120_000)
        page.wait_for_selector("#forward .lab-forward[data-state=ready]")
        result = {name: measure(page, name, moves) for name in PAGES}
        browser.close()
    demo.close()
    for name, row in result.items():
        print(f"{name:11s} {row}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
