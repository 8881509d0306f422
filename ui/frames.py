"""The frames of a trajectory: written into a file as they come, drawn by the browser, read back to be taken away.

The file is a line of JSON, {"shape": [B, H, W, C], "planes": 3 or 4, "every": steps from frame to frame}, and then the
frames one after another, each of ``planes`` times B H W C bytes: x_t, the predicted x_0, the predicted eps and, where
there is any, the noise z put in. Noise does not get smaller by compressing it: bytes as they are cost the loop next to
nothing, and the browser too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from diffusion.animation import Format, animate
from diffusion.images import encode, enlarge, grid, to_bytes, to_pil

KEPT = 250  # frames kept unless all are asked for
KEPT_BYTES = 64 << 20  # of a run, which the browser fetches and holds
MOST_BYTES = 240 << 20  # even if all frames are asked for
NOISE_SPAN = 3.0  # eps and z are drawn from -3, black, to 3, white
GAP = 2  # pixels between the samples of a grid
ANIMATED = 100  # frames of an animation: five seconds
SECONDS = 5


@dataclass(frozen=True)
class Frame:
    """What a frame shows: x_t at this t, after this many steps; and the step that follows.

    Args:
        s: where that step goes; None at the end, where the numbers are those of the step before.
        terms: what is multiplied in that step, {"xt": a, "x0": b, "eps": c, "z": sigma}, see ``sampling/terms.py``.
        numbers: of x_t over all pixels, {"mean", "std", "expected_mean", "expected_std"}, and how far the step "moved".
    """

    t: int
    step: int
    s: int | None
    terms: dict[str, float]
    numbers: dict[str, float | None]


def planes(x_t: Tensor, x_0: Tensor, eps: Tensor, z: Tensor | None, count: int) -> np.ndarray:
    """The first ``count`` of x_t, x_0, eps and z as a browser draws them, (count, B, H, W, C) uint8.

    Args:
        x_t, x_0, eps, z: (B, C, H, W); no z is mid-grey.
    """
    noise = torch.zeros_like(x_t) if z is None else z
    return to_bytes(torch.stack([x_t, x_0, eps / NOISE_SPAN, noise / NOISE_SPAN][:count]))


@dataclass
class Recorder:
    """Writes the frames of one run into a file.

    Args:
        file: opened for writing; closed by whoever opened it.
        shape: (B, H, W, C) of the images.
        count: planes of a frame: 4 with z, 3 without.
        every: each ``every``-th step is kept, and the end in any case.
    """

    file: BinaryIO
    shape: tuple[int, int, int, int]
    count: int
    every: int = 1
    frames: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.file.write(json.dumps({"shape": self.shape, "planes": self.count, "every": self.every}).encode() + b"\n")

    def wants(self, step: int) -> bool:
        return step % self.every == 0

    def add(self, frame: Frame, x_t: Tensor, x_0: Tensor, eps: Tensor, z: Tensor | None) -> None:
        self.frames.append(frame)
        self.file.write(planes(x_t, x_0, eps, z, self.count).tobytes())


def stride(count: int, frame_bytes: int, keep_all: bool) -> int:
    """Every how many of ``count`` steps a frame is kept, so that there are not too many and they are not too large."""
    most = MOST_BYTES // frame_bytes if keep_all else min(KEPT, KEPT_BYTES // frame_bytes)
    return -(-count // max(1, most))


def read_frames(path: Path) -> np.ndarray:
    """All frames of a file, (frames, planes, B, H, W, C) uint8, read from the disk as they are used."""
    head, start = _head(path)
    stored = np.memmap(path, np.uint8, "r", offset=start)
    return stored.reshape(-1, head["planes"], *head["shape"])


def _head(path: Path) -> tuple[dict[str, Any], int]:
    """What the first line says, and where the frames begin."""
    with path.open("rb") as file:
        return json.loads(file.readline()), file.tell()


@dataclass(frozen=True)
class StoredFrames:
    """The frames of a file for ``diffusion.sampling.recipe.save``, all but the end, which are the images themselves."""

    path: Path
    steps: Sequence[int]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """``t`` (F,) int64; ``x_t`` and ``x_0`` (F, B, H, W, C) uint8."""
        frames = read_frames(self.path)[:-1]
        t = np.array(self.steps[:: _head(self.path)[0]["every"]][: len(frames)])
        return {"t": t, "x_t": frames[:, 0], "x_0": frames[:, 1]}


def export_animation(path: Path, format: Format) -> bytes:
    """The trajectory as GIF, WebP or MP4, x_t beside the predicted x_0, about five seconds long."""
    frames = read_frames(path)
    chosen = np.unique(np.linspace(0, len(frames) - 1, ANIMATED).round().astype(int))
    images = [to_pil(np.concatenate([grid(plane, gap=GAP) for plane in frames[i, :2]], axis=1)) for i in chosen]
    milliseconds = max(20, min(200, 1000 * SECONDS // len(images)))
    return animate(images, format, milliseconds=milliseconds, scale=max(1, 384 // images[0].height))


def export_png(path: Path) -> bytes:
    """The samples at the end of the trajectory as PNG."""
    samples: Image.Image = to_pil(grid(read_frames(path)[-1, 0], gap=GAP))
    return encode(enlarge(samples, max(1, 512 // samples.height)), "PNG")
