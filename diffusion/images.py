"""Pictures in and out: the only place that touches uploaded bytes."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

MAX_PIXELS = 50_000_000
MIN_SIDE = 2
# What Pillow's readers raise on bytes that are not what they say.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error)


class ImageError(ValueError):
    """A picture that cannot be used, said in one sentence for the person who chose it."""


def open_image(source: str | Path | bytes, side: int = 256) -> Image.Image:
    """Open a picture as RGB, its longer side at most ``side`` pixels, whatever kind of file it is.

    Turned as its EXIF says; transparency laid over white; palette, grey, CMYK and 16-bit converted; the first frame of
    an animation. Size is read from the header and refused before any pixel is decoded.

    Raises:
        ImageError: no picture, a damaged one, one smaller than 2 x 2 or larger than 50 megapixels.
    """
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on; our own, lower limit refuses those below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file)
    except Image.DecompressionBombError as error:
        raise ImageError("This picture has more than 50 megapixels; choose a smaller one.") from error
    except UNREADABLE as error:
        raise ImageError("This file is not a picture that can be read; try a PNG or JPEG.") from error
    with image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageError(f"This picture is {width} x {height}, more than 50 megapixels; choose a smaller one.")
        if min(width, height) < MIN_SIDE:
            raise ImageError(f"This picture is {width} x {height}; it needs at least {MIN_SIDE} x {MIN_SIDE} pixels.")
        try:
            image.draft("RGB", (2 * side, 2 * side))  # lets a JPEG decode at a fraction of its size
            image.load()
            rgb = as_grey_or_rgb(ImageOps.exif_transpose(image)).convert("RGB")
        except UNREADABLE as error:
            raise ImageError("This picture is damaged or cut off; choose another file.") from error
    scale = side / max(rgb.size)
    if scale < 1:
        rgb = rgb.resize(
            (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale))), Image.Resampling.LANCZOS
        )
    return rgb


def as_grey_or_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode in 8 bits, transparency laid over white: "L" if it is grey, else "RGB"."""
    if image.mode.startswith(("I", "F")):
        # 16-bit (or wider) grey: Pillow's own conversion would cut everything above 255 to white.
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I") else max(float(values.max()), 1.0)
        if image.mode == "I" and values.max() <= 255:
            top = 255.0
        image = Image.fromarray(np.clip(np.rint(values / top * 255), 0, 255).astype(np.uint8))
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if grey else "RGB")


def middle(image: Image.Image) -> Image.Image:
    """The square in the middle of a picture, in whole pixels.

    ImageOps.fit would cut at half pixels, and so blur, where the sides differ by an odd number.
    """
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    return image.crop((left, top, left + short, top + short))


def picture_for(source: str | Path | bytes, shape: tuple[int, int, int]) -> Tensor:
    """A picture as a network's images are: the square in its middle, (C, H, W) float32 in [-1, 1].

    Args:
        shape: (C, H, W) with C 1 or 3 and H = W.

    Raises:
        ImageError: as ``open_image``.
    """
    channels, height, width = shape
    image = middle(open_image(source, 1024)).convert("L" if channels == 1 else "RGB")
    return to_tensor(image.resize((width, height), Image.Resampling.LANCZOS))


def to_unit(images: Tensor) -> Tensor:
    """uint8 0 ... 255 to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1.0


def to_tensor(image: Image.Image) -> Tensor:
    """PIL to (C, H, W) float32 in [-1, 1]."""
    array = np.asarray(image, dtype=np.uint8)
    array = array[..., None] if array.ndim == 2 else array
    return to_unit(torch.from_numpy(array.transpose(2, 0, 1).copy()))


def to_bytes(x: Tensor) -> np.ndarray:
    """(..., C, H, W) in [-1, 1] to (..., H, W, C) uint8, rounded to the nearest and clipped."""
    scaled = ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return scaled.movedim(-3, -1).cpu().numpy()


@dataclass(frozen=True)
class Difference:
    """How far images are from others, in grey levels 0 ... 255: the largest difference, and the root mean square."""

    largest: int
    rms: float


def difference(images: np.ndarray, others: np.ndarray) -> Difference:
    """Of two uint8 arrays of one shape: what a lower precision changed, for one."""
    off = images.astype(np.int64) - others.astype(np.int64)
    return Difference(int(np.abs(off).max()), float(np.sqrt((off**2).mean())))


def grid(images: np.ndarray, columns: int | None = None, gap: int = 0) -> np.ndarray:
    """(N, H, W, C) uint8 laid out in rows, (rows H, columns W, C); as square as can be, empty places mid-grey."""
    n, h, w, c = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    out = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, c), 128, np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        out[y * (h + gap) : y * (h + gap) + h, x * (w + gap) : x * (w + gap) + w] = image
    return out


def to_pil(array: np.ndarray) -> Image.Image:
    """(H, W, 1 or 3) uint8 to PIL, grey or RGB."""
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def enlarge(image: Image.Image, factor: int) -> Image.Image:
    """Pixel art enlarged without smoothing."""
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()
