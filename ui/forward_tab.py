"""The forward tab: a picture dissolves into noise, drawn in the browser from x_0 and one fixed eps."""

from __future__ import annotations

import filecmp
import json
import math
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
from gradio.utils import get_upload_folder
from PIL import Image
from torch import Tensor

from diffusion.animation import animate
from diffusion.chain import closed_form
from diffusion.images import ImageError, open_image, to_bytes, to_pil, to_tensor, to_unit
from diffusion.process import q_sample
from diffusion.schedule import Schedule
from ui.sidebar import read_schedule
from ui.view import ASSETS, FROM_LINK, View, browser_file

SAMPLES = ASSETS / "samples"
MAX_SEED = 2**53 - 1  # what a browser can say exactly
FRAMES, SECONDS = 60, 5  # of an animation
SUFFIX = ".noising"
# Gradio's gallery of examples says nothing to those who do not see it.
NAME_SAMPLES = (
    "() => document.querySelectorAll('#lab-samples .gallery-item').forEach((item, i) => (item.ariaLabel = NAMES[i]))"
)
EPS_UNIT = 4096  # eps travels as int16 in steps of 1/4096: +-8 standard deviations, far below one grey level


class Picture(gr.Image):
    """gr.Image that hands over the file as it came: diffusion.images decides what can be read, and says why not."""

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path

    def get_block_name(self) -> str:
        return "image"


def sample_pictures() -> list[Path]:
    """The bundled pictures, the one shown first in front."""
    found = sorted(path for path in SAMPLES.glob("*") if path.suffix in {".jpg", ".png"})
    return sorted(found, key=lambda path: path.stem != "cat")


def read_noising(asked: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """x_0 in [-1, 1] and eps, (C, H, W) float32, from a file that ``forward_value`` has made.

    ``asked``: {"file": its path, as the browser knows it, "width", "height", "channels"}.

    Raises:
        ValueError: not one of those files.
    """
    # Only the name counts, so that nothing but these files can be asked for.
    path = Path(get_upload_folder()) / Path(asked["file"]).name
    if path.suffix != SUFFIX:
        raise ValueError(f"{path.name} is not a picture of this page")
    shape = asked["height"], asked["width"], asked["channels"]
    data, n = path.read_bytes(), math.prod(shape)
    pixels = np.frombuffer(data, np.uint8, n).reshape(shape)
    eps = np.frombuffer(data, "<i2", n, offset=n + n % 2).reshape(shape) / EPS_UNIT
    return to_tensor(to_pil(pixels)), torch.from_numpy(eps.transpose(2, 0, 1).astype(np.float32))


def noising_frames(x_0: Tensor, eps: Tensor, schedule: Schedule) -> list[Image.Image]:
    """q(x_t | x_0) with one eps, from t = 0 to T: every step of a short schedule, else about 60 of them."""
    steps = np.unique(np.round(np.linspace(0, schedule.T, FRAMES)).astype(int))
    levels = schedule.alpha_bar[steps]
    return [to_pil(to_bytes(q_sample(x_0, float(alpha_bar_t), eps))) for alpha_bar_t in levels]


def export_noising(asked: dict[str, Any]) -> dict[str, str]:
    """The noising as an animation about five seconds long: {"path", "name"} of a file that the browser may fetch.

    ``asked``: as for ``read_noising``, and {"settings", "format": one of ``animation.FORMATS``}.
    """
    schedule, format = read_schedule(asked["settings"]), asked["format"]
    x_0, eps = read_noising(asked)
    frames = noising_frames(x_0, eps, schedule)
    scale = max(1, 256 // max(frames[0].size))
    data = animate(frames, format, milliseconds=SECONDS * 1000 // len(frames), scale=scale)
    file = browser_file(data, f".{format}")
    return {"path": file["path"], "name": f"noising-{schedule.family}-T{schedule.T}.{format}"}


def expect(asked: dict[str, Any]) -> dict[str, Any]:
    """How the pixel values of x_t are distributed by q(x_t | x_0): ``chain.Distribution`` with lists for arrays.

    ``asked``: {"counts": how many values of x_0 have each of the 256 grey levels, "alpha_bar_t", "edges" of the bins}.
    """
    count = np.array(asked["counts"], dtype=np.float64)
    level = to_unit(torch.arange(len(count))).double().numpy()
    there = count > 0
    expected = closed_form(level[there], count[there], asked["alpha_bar_t"], np.array(asked["edges"]))
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(expected).items()}


def sample_name(path: str | Path) -> str | None:
    """What a bundled picture is called, whichever copy of it this is; None for any other."""
    path = Path(path)
    same = (
        sample for sample in sample_pictures() if sample.name == path.name and filecmp.cmp(sample, path, shallow=False)
    )
    return next((sample.stem for sample in same), None)


def forward_value(path: str | Path, seed: int) -> dict[str, Any]:
    """What the browser needs to draw q(x_t | x_0) for every t: x_0 as uint8 and eps as int16, in one file.

    Raises:
        ImageError: a picture that cannot be used.
    """
    pixels = np.asarray(open_image(path))
    eps = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(seed)).numpy()
    scaled = np.clip(np.rint(eps * EPS_UNIT), -32768, 32767).astype("<i2")
    padding = b"\0" * (pixels.size % 2)  # int16 must begin at an even byte
    height, width, channels = pixels.shape
    return {
        "file": browser_file(pixels.tobytes() + padding + scaled.tobytes(), SUFFIX),
        "width": width,
        "height": height,
        "channels": channels,
        "picture": sample_name(path),
        "seed": seed,
        "key": f"{Path(path).name}-{seed}",
    }


def show_picture(path: str | None, shown: str, seed: int) -> tuple[Any, str, Any, Any]:
    """A new picture: (what to draw, the picture now shown, message, the upload box).

    A bad one is taken out of the box and changes nothing but the message.
    """
    if path is None:
        return gr.skip(), shown, gr.skip(), gr.skip()
    try:
        return forward_value(path, seed), path, "", gr.skip()
    except ImageError as error:
        return gr.skip(), shown, str(error), None


def redraw_noise(shown: str, seed: int) -> tuple[dict[str, Any], int]:
    """Another eps for the same picture."""
    return forward_value(shown, seed + 1), seed + 1


def open_tab(link: dict[str, str]) -> tuple[dict[str, Any], str, int]:
    """What a visitor finds: (what to draw, the picture shown, its seed). The first bundled picture, or the link's."""
    first, *others = sample_pictures()
    path = next((sample for sample in others if sample.stem == link.get("picture")), first)
    noise = link.get("noise", "")
    seed = int(noise) if noise.isdecimal() and int(noise) <= MAX_SEED else 0
    return forward_value(path, seed), str(path), seed


def forward_tab(demo: gr.Blocks) -> gr.State:
    """Build the tab on the page ``demo``; returns the state that holds the path of the picture shown."""
    shown, seed = gr.State(str(sample_pictures()[0])), gr.State(0)
    view = View("forward", elem_id="lab-forward")
    with gr.Row():
        with gr.Column(scale=2, min_width=260):
            picture = Picture(
                label="Your picture: upload, webcam or clipboard",
                sources=["upload", "webcam", "clipboard"],
                type="filepath",
                format="png",
                height=170,
                elem_id="lab-picture",
            )
            message = gr.Markdown(elem_classes="lab-message", elem_id="lab-picture-message")
        with gr.Column(scale=3, min_width=260):
            gr.Examples(
                [str(path) for path in sample_pictures()], picture, label="or one of these", elem_id="lab-samples"
            )
            redraw = gr.Button("Draw another ε", elem_id="lab-redraw")
    View("panels", elem_id="lab-panels", server_functions=[export_noising, expect])
    picture.change(
        show_picture,
        [picture, shown, seed],
        [view, shown, message, picture],
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )
    redraw.click(
        redraw_noise,
        [shown, seed],
        [view, seed],
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )
    names = [path.stem for path in sample_pictures()]
    demo.load(None, None, None, js=NAME_SAMPLES.replace("NAMES", json.dumps(names)))
    demo.load(open_tab, view, [view, shown, seed], js=FROM_LINK, show_progress="hidden", api_visibility="private")
    return shown
