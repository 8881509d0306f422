"""The frames of a trajectory: encoded as they come, handed over as one file, read back for export."""

from __future__ import annotations

import base64
import io
import itertools
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from diffusion.animation import animate
from diffusion.images import encode, enlarge, grid, to_bytes, to_pil

KEPT = 250  # frames kept unless all are asked for
GAP = 2  # pixels between the samples of a grid


@dataclass(frozen=True)
class Frame:
    """What a frame shows: x_t at this t, after this many steps; and the step that follows.

    Args:
        s: where that step goes; None at the end, where the numbers are those of the step before.
        coefficients: (a, b, c, sigma) of x_s = a x_t + b x_0 + c eps + sigma z.
    """

    t: int
    step: int
    s: int | None
    coefficients: tuple[float, float, float, float]


@dataclass
class Recorder:
    """Gathers the frames of one run; a frame has x_t on the left and the predicted x_0 on the right.

    Args:
        every: each ``every``-th step is kept, and the last in any case.
    """

    every: int = 1
    frames: list[Frame] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)

    def add(self, frame: Frame, x_t: Tensor, x_0: Tensor) -> None:
        self.frames.append(frame)
        self.images.append(lossless(x_t, x_0))

    def wants(self, step: int) -> bool:
        return step % self.every == 0

    def pack(self) -> bytes:
        """count, count + 1 offsets (uint32, little-endian), then the images: what reverse.js reads."""
        offsets = [4 * (len(self.images) + 2)]
        for image in self.images:
            offsets.append(offsets[-1] + len(image))
        return struct.pack(f"<{len(offsets) + 1}I", len(self.images), *offsets) + b"".join(self.images)


def stride(count: int, keep_all: bool) -> int:
    """Every how many steps a frame is kept, so that at most 250 are."""
    return 1 if keep_all else -(-count // KEPT)


def lossless(x_t: Tensor, x_0: Tensor) -> bytes:
    """Both grids side by side as lossless WebP, the quickest that keeps noise as it is."""
    both = np.concatenate([grid(to_bytes(x_t), gap=GAP), grid(to_bytes(x_0), gap=GAP)], axis=1)
    return encode(to_pil(both), "WEBP", lossless=True, quality=0, method=0)


def data_uri(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def unpack(data: bytes) -> list[Image.Image]:
    """The images of a packed file."""
    (count,) = struct.unpack_from("<I", data)
    offsets = struct.unpack_from(f"<{count + 1}I", data, 4)
    spans = itertools.pairwise(offsets)
    return [Image.open(io.BytesIO(data[start:end])).convert("RGB") for start, end in spans]


def export_gif(packed: Path) -> bytes:
    """The whole trajectory as GIF, x_t beside the predicted x_0, about five seconds long."""
    images = unpack(packed.read_bytes())
    milliseconds = max(20, min(200, 5000 // len(images)))
    return animate(images, "gif", milliseconds=milliseconds, scale=max(1, 384 // images[0].height))


def export_png(packed: Path) -> bytes:
    """The samples at the end of the trajectory as PNG."""
    last = unpack(packed.read_bytes())[-1]
    samples = last.crop((0, 0, last.width // 2, last.height))
    return encode(enlarge(samples, max(1, 512 // samples.height)), "PNG")
