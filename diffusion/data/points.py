"""Points of the plane to learn from: a handful of distributions, each known in closed form, and what people draw.

A pattern is a mixture of Gaussians, many along a line where it looks like one. So there are fresh points without end,
and what a network should have learnt of them is known as well (``MixtureDenoiser``).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from diffusion.data.sets import DataError
from diffusion.mixture import Mixture

Array = NDArray[np.float64]
MOST_POINTS = 5000
MOST_BYTES = 4_000_000  # of a file of points
LARGEST = 1e12  # coordinate, either way
MOST_CLASSES = 100  # of the points of a file
CLASS = "class"  # what the column of a file is called that has them
DARK = 128  # a pixel is a point with a chance that falls with its grey level, from all at 0 to none at DARK
PICTURE_SIDE = 256


@dataclass(frozen=True)
class Pattern:
    """A distribution in the plane, within about -1 ... 1.

    Args:
        centres: (M, 2) of its Gaussians.
        std: of each.
        weights: (M,), with a sum of 1; None if all are alike.
        classes: the class of each Gaussian, (M,); None if there are none.
        names: of the classes.
    """

    title: str
    centres: Array
    std: float
    weights: Array | None = None
    classes: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()

    def mixture(self) -> Mixture:
        weights = None if self.weights is None else torch.tensor(self.weights, dtype=torch.float32)
        return Mixture(as_points(self.centres), self.std, weights)

    def labels(self) -> Tensor | None:
        """The class of each Gaussian, (M,) int64; None if there are none."""
        return None if self.classes is None else torch.from_numpy(self.classes)

    def draw(self, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
        """(count, 2, 1, 1) points, and the class of each, (count,) int64, where there are any."""
        points, which = self.mixture().draw(count, torch.Generator().manual_seed(seed))
        labels = self.labels()
        return points, None if labels is None else labels[which]


def as_points(rows: Array) -> Tensor:
    """(N, 2) as images of one pixel, (N, 2, 1, 1) float32."""
    return torch.tensor(rows, dtype=torch.float32)[:, :, None, None]


def _along(place: Callable[[Array], tuple[Array, Array]], count: int) -> Array:
    """``count`` places on a line, x and y of a share 0 ... 1 of it, (count, 2)."""
    return np.stack(place((np.arange(count) + 0.5) / count), axis=1)


def _arc(x: float, y: float, radius: float, start: float, turn: float, count: int) -> Array:
    """On a circle from the angle ``start``, in turns, through ``turn`` of it."""

    def place(u: Array) -> tuple[Array, Array]:
        angle = 2 * np.pi * (start + turn * u)
        return x + radius * np.cos(angle), y + radius * np.sin(angle)

    return _along(place, count)


def _moons() -> Pattern:
    return Pattern("Two moons", np.concatenate([
        _arc(-0.3, -0.15, 0.6, 0, 0.5, 100), _arc(0.3, 0.15, 0.6, 0.5, 0.5, 100)
    ]), 0.06, classes=np.repeat([0, 1], 100), names=("upper", "lower"))  # fmt: skip


def _eight() -> Pattern:
    return Pattern("Eight Gaussians", _arc(0, 0, 0.75, -1 / 16, 1, 8), 0.07)


def _ring() -> Pattern:
    return Pattern("Ring", _arc(0, 0, 0.75, 0, 1, 200), 0.05)


def _spiral() -> Pattern:
    def place(u: Array) -> tuple[Array, Array]:
        radius, angle = 0.1 + 0.8 * np.sqrt(u), 2 * np.pi * 2 * np.sqrt(u)
        return radius * np.cos(angle), radius * np.sin(angle)

    return Pattern("Spiral", _along(place, 300), 0.03)


def _checkerboard() -> Pattern:
    """Eight squares of a board of four by four, each of 10 x 10 Gaussians."""
    inside = (np.arange(10) + 0.5) / 20
    squares = [(x, y) for x in range(4) for y in range(4) if (x + y) % 2 == 0]
    x, y = np.meshgrid(inside, inside)
    cells = np.stack([x.ravel(), y.ravel()], axis=1)
    return Pattern("Checkerboard", np.concatenate([0.5 * np.array(s) - 1 + cells for s in squares]) * 0.9, 0.022)


def _smiley() -> Pattern:
    parts = [(_arc(0, 0, 0.8, 0, 1, 160), 0.45), (_arc(0, -0.05, 0.45, 0.55, 0.4, 60), 0.25),
             (np.array([[-0.3, 0.28]]), 0.15), (np.array([[0.3, 0.28]]), 0.15)]  # fmt: skip
    weights = np.concatenate([np.full(len(part), share / len(part)) for part, share in parts])
    return Pattern("Smiley", np.concatenate([part for part, _ in parts]), 0.04, weights)


def _clusters() -> Pattern:
    """Three of unequal weight, of a class each."""
    centres, weights = np.array([[-0.55, 0.35], [0.6, 0.45], [0.1, -0.6]]), np.array([0.6, 0.3, 0.1])
    return Pattern("Three clusters", centres, 0.16, weights, np.arange(3), ("60 %", "30 %", "10 %"))


def patterns() -> dict[str, Pattern]:
    """All of them, by name."""
    return {
        "moons": _moons(), "eight": _eight(), "ring": _ring(), "spiral": _spiral(), "checkerboard": _checkerboard(),
        "smiley": _smiley(), "clusters": _clusters(),
    }  # fmt: skip


def fitted(rows: Array) -> Array:
    """Points moved and scaled, both axes alike, into -1 ... 1 around their middle; (N, 2)."""
    low, high = rows.min(0), rows.max(0)
    half = float((high - low).max()) / 2
    return (rows - (low + high) / 2) / half


def points_from_csv(content: bytes) -> tuple[Array, NDArray[np.int64] | None]:
    """Points (N, 2) out of a CSV, its first two columns of numbers, and the class of each, (N,) from 0, if the first
    line, which may have names, names a column "class". Points are fitted, unless they lie on the plane as those of a
    pattern do: then they are some that were taken away from it.

    Raises:
        DataError: said in one sentence: too large, no text, no two columns of numbers, fewer than two different points,
            or too many of them or of their classes.
    """
    if len(content) > MOST_BYTES:
        raise DataError(f"A file of points may have {MOST_BYTES // 10**6} MB, not {len(content) / 1e6:.1f}.")
    try:
        text = content.decode("utf-8-sig")
        separator = ";" if ";" in text else "\t" if "\t" in text and "," not in text else ","
        lines = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"This is no CSV that can be read: {error}.") from error
    if separator == ";":  # where that is common, numbers have a comma
        lines = [[cell.replace(",", ".") for cell in line] for line in lines]
    named = bool(lines) and not any(_is_number(cell) for cell in lines[0][:2])
    names = [cell.strip().lower() for cell in lines[0]] if named else []
    lines = lines[named:]
    if not lines:
        raise DataError("There are no points in this file.")
    rows = []
    for number, line in enumerate(lines, 1):
        found = _numbers(line)
        if not found:
            raise DataError(f"Row {number} of this file does not begin with two numbers, of at most {LARGEST:g}: "
                            f"{', '.join(line)[:40]!r}.")  # fmt: skip
        rows.append(found)
    points = np.array(rows)
    _check_points(points)
    labels = _classes(lines, names.index(CLASS)) if CLASS in names[2:] else None
    return points if _on_the_plane(points) else fitted(points), labels


def _classes(lines: list[list[str]], column: int) -> NDArray[np.int64]:
    """The class of each row by what its column says: those that are there, in order, counted from 0."""
    said = [line[column].strip() if column < len(line) else "" for line in lines]
    known = sorted(set(said), key=lambda each: (float(each) if _is_number(each) else np.inf, each))
    if len(known) > MOST_CLASSES:
        raise DataError(f"{len(known):,} classes are too many; points can be of {MOST_CLASSES}.")
    number = {each: k for k, each in enumerate(known)}
    return np.array([number[each] for each in said])


def _on_the_plane(rows: Array) -> bool:
    """Whether points lie around the middle of the plane, and as far from it as those of patterns."""
    low, high = rows.min(0), rows.max(0)
    return bool(np.abs(low + high).max() < 0.6 and 1.2 < (high - low).max() < 3.2)


def _numbers(cells: list[str]) -> tuple[float, float] | None:
    """The first two of a row, if they are numbers that can be used."""
    try:
        x, y = (float(cell) for cell in cells[:2])
    except ValueError:
        return None
    return (x, y) if abs(x) <= LARGEST and abs(y) <= LARGEST else None  # so nan is refused too


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_points(rows: Array) -> None:
    """Raises DataError for fewer than two different ones, or too many."""
    if len(rows) > MOST_POINTS:
        raise DataError(f"{len(rows):,} points are too many; there can be {MOST_POINTS:,}.")
    if len(rows) < 2 or not np.ptp(rows, axis=0).any():
        raise DataError("At least two different points are needed.")


def points_from_picture(picture: Image.Image, count: int, seed: int = 0) -> Array:
    """(count, 2) points where a picture, as ``open_image`` reads it, is dark, the darker the more; fitted.

    Raises:
        DataError: a picture that is dark nowhere.
    """
    grey = picture.convert("L")
    grey.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    values = np.asarray(grey, dtype=np.float64)
    dark = np.maximum(DARK - values, 0)
    if not dark.sum():
        raise DataError("This picture is dark nowhere, and points are put where it is.")
    rng = np.random.default_rng(seed)
    pixels = rng.choice(values.size, count, p=(dark / dark.sum()).ravel())
    y, x = np.divmod(pixels, values.shape[1])
    rows = np.stack([x + rng.random(count), -(y + rng.random(count))], axis=1)
    _check_points(rows)
    return fitted(rows)
