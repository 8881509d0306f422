"""The forward tab: a picture dissolves into noise under the hand.

The browser gets x_0 and one fixed eps, and draws x_t at any step itself; nothing is asked of the server while it does.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import gradio as gr
import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from diffusion.animation import Format, animate
from diffusion.chain import closed_form
from diffusion.images import ImageError, open_image, read_picture, to_bytes, to_pil, to_tensor, to_unit
from diffusion.process import q_sample
from diffusion.schedules.schedule import Schedule
from ui.asked import AskedError
from ui.files import find_made, made_file, sample_name, sample_pictures
from ui.link import read_link
from ui.page import Page
from ui.picture import EPS_UNIT, SIDE, PictureBox, png_for_box
from ui.sidebar import Settings, read_schedule
from ui.view import FROM_LINK, View

FRAMES, SECONDS = 60, 5  # of an animation
SUFFIX = ".noising"
# Gradio's gallery of examples says nothing to those who do not see it.
NAME_SAMPLES = (
    "() => document.querySelectorAll('#lab-samples .gallery-item').forEach((item, i) => (item.ariaLabel = NAMES[i]))"
)


class AskedNoising(TypedDict):
    """An animation of a picture that the page shows, whose file is ``file``, under a schedule."""

    file: str
    settings: Settings
    format: Format


Count = Annotated[int, Field(ge=0, le=2**40)]


class AskedBins(TypedDict):
    """How many values of x_0 have each of the 256 grey levels, the level of noise, and the edges of the bins."""

    counts: Annotated[list[Count], Field(max_length=256)]
    alpha_bar_t: Annotated[float, Field(ge=0, le=1)]
    edges: Annotated[list[float], Field(min_length=2, max_length=1000)]


def read_noising(asked: AskedNoising) -> tuple[Tensor, Tensor]:
    """x_0 in [-1, 1] and eps, (C, H, W) float32, from the file that ``forward_value`` has made for this visitor.

    Raises:
        AskedError: not one of those files, or one that is no longer kept.
    """
    path = find_made(asked["file"], SUFFIX)
    if path is None:
        raise AskedError("This picture is no longer kept; choose it again.")
    shape = tuple(map(int, path.stem.split("x")))
    data, n = path.read_bytes(), math.prod(shape)
    pixels = np.frombuffer(data, np.uint8, n).reshape(shape)
    eps = np.frombuffer(data, "<i2", n, offset=n + n % 2).reshape(shape) / EPS_UNIT
    return to_tensor(to_pil(pixels)), torch.from_numpy(eps.transpose(2, 0, 1).astype(np.float32))


def noising_frames(x_0: Tensor, eps: Tensor, schedule: Schedule) -> list[Image.Image]:
    """q(x_t | x_0) with one eps, from t = 0 to T: every step of a short schedule, else about 60 of them."""
    steps = np.unique(np.round(np.linspace(0, schedule.T, FRAMES)).astype(int))
    levels = schedule.alpha_bar[steps]
    return [to_pil(to_bytes(q_sample(x_0, float(alpha_bar_t), eps))) for alpha_bar_t in levels]


def export_noising(asked: AskedNoising) -> dict[str, str]:
    """The noising as an animation about five seconds long: {"path", "name"} of a file that the browser may fetch.

    Raises:
        AskedError: as ``read_noising``.
    """
    schedule, format = read_schedule(asked["settings"]), asked["format"]
    x_0, eps = read_noising(asked)
    frames = noising_frames(x_0, eps, schedule)
    scale = max(1, 256 // max(frames[0].size))
    data = animate(frames, format, milliseconds=SECONDS * 1000 // len(frames), scale=scale)
    name = f"noising-{schedule.family}-T{schedule.T}.{format}"
    return {"path": made_file(data, name)["path"], "name": name}


def expected_distribution(asked: AskedBins) -> dict[str, Any]:
    """How the pixel values of x_t are distributed by q(x_t | x_0): ``chain.Distribution`` with lists for arrays.

    Raises:
        AskedError: no pixels, or edges that do not rise.
    """
    count, edges = np.array(asked["counts"], dtype=np.float64), np.array(asked["edges"], dtype=np.float64)
    if not count.any() or not (np.diff(edges) > 0).all():
        raise AskedError("There must be pixels to count, and bins whose edges rise.")
    level = to_unit(torch.arange(len(count))).double().numpy()
    there = count > 0
    expected = closed_form(level[there], count[there], asked["alpha_bar_t"], edges)
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(expected).items()}


def forward_value(path: str | Path, seed: int) -> dict[str, Any]:
    """What the browser needs to draw q(x_t | x_0) for every t: x_0 as uint8 and eps as int16, in one file.

    Raises:
        ImageError: a picture that cannot be used.
    """
    return _value_of(open_image(path, SIDE), path, seed)


def _value_of(image: Image.Image, path: str | Path, seed: int) -> dict[str, Any]:
    """The same of a picture that was opened already."""
    pixels = np.asarray(image)
    eps = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(seed)).numpy()
    scaled = np.clip(np.rint(eps * EPS_UNIT), -32768, 32767).astype("<i2")
    padding = b"\0" * (pixels.size % 2)  # int16 must begin at an even byte
    height, width, channels = pixels.shape
    return {
        # Its name says its shape, so that nothing else has to be believed when it is read again.
        "file": made_file(pixels.tobytes() + padding + scaled.tobytes(), f"{height}x{width}x{channels}{SUFFIX}"),
        "width": width,
        "height": height,
        "channels": channels,
        "picture": sample_name(path),
        "seed": seed,
        "key": f"{Path(path).name}-{seed}",
    }


def show_picture(path: str | None, shown: str, seed: int) -> tuple[Any, str, Any, Any]:
    """A new picture: (what to draw, the picture now shown, message, the upload box).

    A bad one is taken out of the box and changes nothing but the message. One that browsers cannot show is changed for
    the same as PNG, with which this is called again.
    """
    if path is None:
        return gr.skip(), shown, gr.skip(), gr.skip()
    try:
        picture = read_picture(path, SIDE)
        instead = png_for_box(path, picture)
        if instead is not None:
            return gr.skip(), shown, *instead
        message = gr.skip() if find_made(path, ".png") else ""  # which was said of what it was made from
        return _value_of(picture.image.convert("RGB"), path, seed), path, message, gr.skip()
    except ImageError as error:
        return gr.skip(), shown, str(error), None


def redraw_noise(shown: str, seed: int) -> tuple[dict[str, Any], int]:
    """Another eps for the same picture."""
    return forward_value(shown, seed + 1), seed + 1


def open_forward_tab(link: dict[str, str]) -> tuple[dict[str, Any], str, int]:
    """What a visitor finds: (what to draw, the picture shown, its seed). The first bundled picture, or the link's."""
    said = read_link(link)
    path, seed = next(sample for sample in sample_pictures() if sample.stem == said["picture"]), said["noise"]
    return forward_value(path, seed), str(path), seed


def forward_tab(page: Page) -> None:
    """Build the tab."""
    shown, seed = page.picture, gr.State(0)
    view = View("forward", elem_id="lab-forward")
    with gr.Row():
        with gr.Column(scale=2, min_width=260):
            picture = PictureBox(
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
    View("panels", elem_id="lab-panels", server_functions=[export_noising, expected_distribution])
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
    page.blocks.load(None, None, None, js=NAME_SAMPLES.replace("NAMES", json.dumps(names)))
    page.blocks.load(
        open_forward_tab, view, [view, shown, seed], js=FROM_LINK, show_progress="hidden", api_visibility="private"
    )  # fmt: skip
