"""`python -m benchmarks.scrub`: input-to-pixel latency of scrubbing, in headless Chromium.

Three views in one run, the same moves on each, small steps as in a drag:

- trajectory: our player over 1000 frames of a 4 x 4 grid of 32 x 32 RGB images (x_t, predicted x_0 and eps);
- forward: our forward view, 256 x 256 RGB, three canvases and a histogram a frame;
- plain: gr.Slider -> Python -> gr.Image with the same 1000 frames (as PNG, and with no lost drags: at its best).

Moves come at random moments between two frames of the display. "pixel" runs from dispatching the input event to the
start of the first frame for which the canvas (or picture) holds what was asked for; "painted" to the end of the
page's work on that frame. Waiting for a frame alone takes up to 16.7 ms at 60 Hz. What is shown is read from pixels:
frames carry their number as a bar code, and the forward view, where t follows from no single pixel, must have changed
and say that it drew t. JSON on the last line, times in milliseconds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
from PIL import Image
from playwright.sync_api import Page

from benchmarks.browser import TOOLS, time_moves
from tests.chromium import chromium
from ui.demo import launch_options
from ui.figures import trajectory_figure
from ui.files import ASSETS, for_browser, made_path
from ui.forward_tab import forward_value
from ui.frames import Frame, Recorder
from ui.sidebar import sidebar_view
from ui.view import PLOTLY, View, served

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
    path = made_path("run.frames")
    with path.open("wb") as file:
        recorder = Recorder(file, (1, *frames.shape[1:]), 3)
        for i, image in enumerate(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1):
            frame = Frame(FRAMES - i, i, None, {"x0": 1.0}, {"mean": 0.0, "std": 1.0, "moved": 0.1})
            recorder.add(frame, image[None], image[None], image[None], None)
    return {
        "state": "done", "stopped": False, "file": for_browser(path),
        "frames": [vars(frame) for frame in recorder.frames], "count": FRAMES, "T": None, "key": "benchmark",
        "status": "", "note": "",
    }  # fmt: skip


def serve(frames: np.ndarray, photo: Path) -> gr.Blocks:
    """One page with all three."""
    gr.set_static_paths([ASSETS, PLOTLY.parent])
    pictures = [Image.fromarray(frame) for frame in frames]
    with gr.Blocks(analytics_enabled=False) as demo:
        with gr.Sidebar():
            sidebar_view("digits")
        View("forward", elem_id="forward", value=forward_value(photo, 0))
        View(
            "reverse", elem_id="trajectory", value=trajectory_value(frames), plotly=served(PLOTLY),
            wide=trajectory_figure(), narrow=trajectory_figure(across=1),
        )  # fmt: skip
        slider = gr.Slider(0, FRAMES - 1, 0, step=1, label="frame", elem_id="plain-slider")
        picture = gr.Image(pictures[0], elem_id="plain-image", format="png")
        slider.input(lambda i: pictures[int(i)], slider, picture, trigger_mode="always_last", show_progress="hidden")
    return demo


# The first pixels of a picture, and the number written in them.
READ = f"""
const $ = (selector) => document.querySelector(selector);
const probe = new OffscreenCanvas({BITS * CELL}, {CELL}).getContext('2d', {{ willReadFrequently: true }});
const pixels = (source) => {{
  probe.drawImage(source, 0, 0);
  return probe.getImageData(0, 0, {BITS * CELL}, {CELL}).data;
}};
const code = (source) => {{
  const data = pixels(source);
  let number = 0;
  for (let bit = 0; bit < {BITS}; bit++) if (data[({BITS * CELL} + bit * {CELL} + 1) * 4] > 127) number |= 1 << bit;
  return number;
}};
"""
# For each view: its slider, what to remember before a move, and whether frame i is there.
VIEWS = {
    "trajectory": ("#trajectory .lab-player input[type=range]", "null", "code($('#trajectory .lab-traj-xt')) === i"),
    "forward": (
        "#forward .lab-player input[type=range]",
        "pixels($('#forward .lab-xt'))",
        "+$('#forward .lab-forward').dataset.t === i && pixels($('#forward .lab-xt')).some((v, k) => v !== old[k])",
    ),
    "plain": (
        "#plain-slider input[type=range]",
        "null",
        "(() => { const p = $('#plain-image img'); return p && p.complete && code(p) === i; })()",
    ),
}


def measure(page: Page, name: str, moves: list[int]) -> dict[str, Any]:
    """Latencies of all moves in one of the views, each begun at a random moment between two frames."""
    selector, before, seen = VIEWS[name]
    page.evaluate(
        f"""() => {{
          {TOOLS} {READ}
          window.ask = (i) => {{
            const old = {before};
            return watched(() => set($({selector!r}), i), () => {seen});
          }};
        }}"""
    )
    return time_moves(page, moves, "i => window.ask(i)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=120)
    args = parser.parse_args()
    frames = trajectory()
    demo = serve(frames, ASSETS / "samples" / "astronaut.jpg")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    # One to eight frames on at a time, starting over at the end.
    walk = np.cumsum(np.random.default_rng(0).integers(1, 9, args.moves)) % (FRAMES - 10) + 5
    moves = [int(v) for v in walk]
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.goto(url)
        page.wait_for_selector("#trajectory .lab-reverse[data-state=ready]", timeout=120_000)
        page.wait_for_selector("#forward .lab-forward[data-state=ready]")
        result = {name: measure(page, name, moves) for name in VIEWS}
    demo.close()
    for name, row in result.items():
        print(f"{name:11s} {row}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
