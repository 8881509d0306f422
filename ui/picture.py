"""A visitor's own picture may be one that no browser can show, and Gradio would change it before it is read.

``PictureBox`` hands over the file as it came; ``png_for_box`` makes what the box shows instead, where that is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from diffusion import images
from ui.files import made_path

SIDE = 256  # of a picture on the page, at most
EPS_UNIT = 4096  # eps, and v, travel as int16 in steps of 1/4096: +-8 deviations, far below one grey level
SHOWN_BY_BROWSERS = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "BMP", "AVIF")


class PictureBox(gr.Image):
    """gr.Image that hands over the file as it came: diffusion.images decides what can be read, and says why not."""

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path

    def get_block_name(self) -> str:
        return "image"


def png_for_box(path: str, picture: images.Picture) -> tuple[str, str] | None:
    """What was done to a picture that browsers cannot show, and its file as PNG; None if they can.

    Args:
        picture: what was read from the path.
    """
    if picture.format in SHOWN_BY_BROWSERS and not picture.note:
        return None
    png = made_path(f"{Path(path).stem}.png")
    png.write_bytes(images.encode(picture.image, "PNG"))
    return picture.note, str(png)
