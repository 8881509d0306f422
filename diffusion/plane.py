"""Pictures of points of the plane, as the page has them, and tables: what a run is when it is taken away."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from diffusion.mixture import Mixture

Array = NDArray[np.float64]
REACH = 1.6  # the square -REACH ... REACH is seen, as assets/js/mixture.js has it
SIDE, FINE = 480, 2  # pixels, and how many times finer points are drawn, so that they are round
CELLS = 96  # across, of a density
COLOUR = (0x8E, 0x5B, 0xB5)  # of x_t
BESIDE = (0x8A, 0x5A, 0x2B)  # of x_t of a second run
DARKEST, FADING = 0.55, 0.7  # of the tint, and the power of the density that it is


def density_on_grid(mixture: Mixture, side: int = CELLS) -> Array:
    """The density in the middles of side x side cells of the square, rows from the top, seen no finer than they are:
    with a deviation of half a cell more, so that nothing falls between two of them.

    A Gaussian of the plane is one along x times one along y, so all of them are a product of two tables.
    """
    cell = 2 * REACH / side
    variance = mixture.std**2 + cell**2 / 4
    middle = -REACH + (torch.arange(side).double() + 0.5) * cell
    x, y = mixture.centres.flatten(1).double().T
    across = (-(x[:, None] - middle).square() / (2 * variance)).exp() * mixture.prior.double()[:, None]
    down = (-(y[:, None] + middle).square() / (2 * variance)).exp()
    density: Array = (down.T @ across / (2 * torch.pi * variance)).numpy()
    return density


def plane_picture(
    points: Tensor, mixture: Mixture | None = None, words: str = "", beside: Tensor | None = None
) -> Image.Image:
    """Points (N, 2, 1, 1) as dots on white, on the density of a mixture, and of a second run ``beside`` them, with a
    line of words in the corner.
    """
    ground = np.full((SIDE, SIDE, 3), 255.0)
    if mixture is not None:
        density = density_on_grid(mixture)
        tint = Image.fromarray((DARKEST * (density / density.max()) ** FADING).astype(np.float32))
        share = np.asarray(tint.resize((SIDE, SIDE), Image.Resampling.BICUBIC))[:, :, None].clip(0, 1)
        ground = ground * (1 - share) + share * np.array(COLOUR)
    picture = Image.fromarray(ground.round().astype(np.uint8)).resize((FINE * SIDE, FINE * SIDE))
    draw, radius = ImageDraw.Draw(picture), 2.2 * FINE
    for dots, colour in ((points, COLOUR), (beside, BESIDE)):
        if dots is None:
            continue
        places = (dots.flatten(1).double().numpy() * [1, -1] + REACH) * FINE * SIDE / (2 * REACH)
        for x, y in places[np.abs(places).max(1) < 2 * FINE * SIDE].tolist():
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=(255, 255, 255))
    if words:
        draw.text((12 * FINE, 10 * FINE), words, (70, 80, 92), ImageFont.load_default(14 * FINE))
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def points_csv(points: Tensor, labels: Iterable[int] | None = None) -> bytes:
    """x and y of points (N, 2, 1, 1), a row each, all of float32; and the class, where there are any."""
    rows = [[f"{v:.9g}" for v in row] for row in points.flatten(1).tolist()]
    if labels is not None:
        rows = [[*row, str(int(label))] for row, label in zip(rows, labels, strict=True)]
    return table_csv(["x", "y", *([] if labels is None else ["class"])], rows)


def table_csv(names: list[str], rows: Iterable[list[str]]) -> bytes:
    """A CSV with a line of names."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return text.getvalue().encode()
