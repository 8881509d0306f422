"""All that decides which images are drawn: to draw them again, to keep beside them in a file, or to say in Python.

    recipe = Recipe(timesteps(schedule, 20), range(16), "dpmpp", schedule=schedule, model="digits")
    model = load_model_of(recipe, "cpu")
    denoiser, shape = denoiser_of(recipe, model)
    for step in run(recipe, denoiser, shape, "cpu"):
        ...
    save(Path("digits.npz"), recipe, to_bytes(step.x_s))
    print(snippet(recipe))

``save`` is in archive.py, ``snippet`` in snippet.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.checks import is_whole, shown
from diffusion.denoiser import Denoiser, ExactDenoiser
from diffusion.images import open_image, picture_for, to_unit
from diffusion.networks.card import Card
from diffusion.networks.model import Model, load_model
from diffusion.sampling.choices import SamplingError, check_choice
from diffusion.sampling.generate import generate
from diffusion.sampling.loop import Step, sample
from diffusion.sampling.plan import Known, SamplingPlan, Shape
from diffusion.sampling.steps import check_steps
from diffusion.schedules.schedule import Schedule

if TYPE_CHECKING:  # takes long to import: only what has several processes does
    from accelerate import PartialState

Precision = Literal["float32", "bfloat16"]
PRECISIONS: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# More than anybody draws; less than fills a machine, for a recipe may come from anywhere.
MOST_IMAGES, MOST_STEPS, MOST_AT_ONCE = 1_000_000, 1_000_000, 4096
MASK_SIDE = 4096  # of a picture and its mask, where their shapes are compared
MOST_VALUES = 2**28  # of the pixels drawn at a time, a gigabyte in float32
MOST_DRAWN = 2**33  # of the pixels of all images


class RecipeError(ValueError):
    """A file from which nothing can be drawn again, said in one sentence."""


@dataclass(frozen=True, eq=False)
class Recipe(SamplingPlan):
    """All that decides which images are drawn, checked as far as it can be without the network: a plan, the schedule it
    is for, and what is asked for eps.

    Args:
        schedule: whose steps the plan takes.
        model, sha256: name or path of the network, and the hash of its weights.
        precision: what the network computes in.
        examples: (N, C, H, W) uint8: images that the exact denoiser knows, in place of a network.
        batch: how many are drawn at a time: another number may round differently.
    """

    schedule: Schedule = field(kw_only=True)
    model: str = field(default="", kw_only=True)
    sha256: str = field(default="", kw_only=True)
    precision: Precision = field(default="float32", kw_only=True)
    examples: Tensor | None = field(default=None, kw_only=True)
    batch: int = field(default=64, kw_only=True)

    def __post_init__(self) -> None:
        """Raises SamplingError: a field that is not as above, too many images or steps, or a mask without an effect."""
        _check_count("steps", "steps", self.steps, MOST_STEPS)
        _check_count("seed", "seeds", self.seeds, MOST_IMAGES)
        super().__post_init__()
        check_steps(self.steps, self.schedule, rising=self.known is not None)
        for name, text, most in (("model", self.model, 4096), ("sha256", self.sha256, 64)):
            if not isinstance(text, str) or len(text) > most:
                raise SamplingError(name, f"The {name} must be a text of at most {most} letters, not {shown(text)}.")
        check_choice("precision", self.precision, PRECISIONS)
        if not is_whole(self.batch) or not 1 <= self.batch <= MOST_AT_ONCE:
            raise SamplingError("batch", f"A batch must be a whole number of images from 1 to {MOST_AT_ONCE}, not "
                                         f"{shown(self.batch)}.")  # fmt: skip
        if self.labels is not None:
            _check_labels(self.labels)
        if self.examples is not None:
            _check_array("examples", self.examples, torch.uint8)
            if self.labels is not None:
                raise SamplingError("label", "The exact denoiser of images knows no classes; leave the class out.")
            if self.guidance != 1:
                raise SamplingError("guidance", "The exact denoiser of images has no classes to guide it to; leave "
                                                "guidance at 1.")  # fmt: skip
        if self.start is not None:
            _check_array("start", self.start, torch.float32, 1e6)
        if self.known is not None:
            _check_known(self.known)
        given = (self.examples, self.start, None if self.known is None else self.known.image)
        shape = next((x.shape[1:] for x in given if x is not None), None)
        if shape is not None:
            self.check_fit((shape[0], shape[1], shape[2]))
        elif self.labels is not None:
            self.check_fit((1, 1, 1))

    @property
    def adds_noise(self) -> bool:
        """Whether any step but the last adds noise."""
        levels = self.schedule.alpha_bar[list(self.steps)].tolist()
        return any(self.update.noise_variance(t, s) > 0 for t, s in pairwise(levels))

    def check_fit(self, shape: Shape) -> None:
        """Raises SamplingError: images of ``shape`` (C, H, W) are not what is given, or too many at that size."""
        self.check_shape(shape)
        pixels = math.prod(shape)
        if min(len(self.seeds), self.batch) * pixels > MOST_VALUES or len(self.seeds) * pixels > MOST_DRAWN:
            raise SamplingError("seed", f"{len(self.seeds)} images of {shape[1]} x {shape[2]} are too many at a time.")


def _check_labels(labels: Any) -> None:
    """Raises SamplingError: neither a whole number for each image, nor as many of them for each."""
    _check_count("label", "classes", labels, MOST_IMAGES)
    rows = [label if isinstance(label, list | tuple) else [label] for label in labels]
    if not all(is_whole(value) and 0 <= value < 2**31 for row in rows for value in row):
        raise SamplingError("label", "Classes must be whole numbers from 0.")
    if len({len(row) if isinstance(label, list | tuple) else 0 for label, row in zip(labels, rows, strict=True)}) > 1:
        raise SamplingError("label", "Each image must have as many classes as the others.")


def _check_known(known: Known) -> None:
    """Raises SamplingError: not a picture and a mask, or one without an effect."""
    _check_array("known", known.image, torch.float32, 1)
    _check_array("mask", known.mask, torch.float32, 1)
    if known.mask.min() < 0:
        raise SamplingError("mask", "The mask must lie between 0 (made up) and 1 (kept).")
    if known.mask.min() == 1:
        raise SamplingError("mask", "The mask keeps all of the picture, and nothing is left to be made up.")
    if known.mask.max() == 0:
        raise SamplingError("mask", "The mask keeps nothing of the picture, and so would change nothing.")


def _check_count(field: str, what: str, values: Any, most: int) -> None:
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise SamplingError(field, f"The {what} must be a list, not {shown(values)}.")
    if len(values) > most:
        raise SamplingError(field, f"There can be at most {most:,} {what}, not {len(values):,}.")


def _check_array(name: str, x: Tensor, dtype: torch.dtype, most: float | None = None) -> None:
    """An array of images, (N, C, H, W); ``most``: how large its values may be, either way."""
    if x.ndim != 4 or x.dtype != dtype or x.numel() == 0:
        kind = str(dtype).removeprefix("torch.")
        raise SamplingError(name, f"The array {name} must be {kind} of shape (N, C, H, W), and not empty.")
    if most is not None and not (x.abs() <= most).all():  # so nan is refused too
        raise SamplingError(name, f"The array {name} has values beyond {most:g}.")


def load_model_of(recipe: Recipe, device: torch.device | str, *, compiled: bool = False) -> Model | None:
    """The network of a recipe; None if it has images instead. ``compiled`` as in ``load_model``.

    Raises:
        CheckpointError: as ``load_model``.
        RecipeError: another network of that name.
    """
    if recipe.examples is not None:
        return None
    model = load_model(recipe.model, device, PRECISIONS[recipe.precision], compiled=compiled)
    if recipe.sha256 not in ("", model.card.sha256):
        raise RecipeError(f"The network {recipe.model} is not the one that drew these images (SHA-256 differs).")
    return model


def denoiser_of(recipe: Recipe, model: Model | None, device: torch.device | str = "cpu") -> tuple[Denoiser, Shape]:
    """What a recipe asks for eps, and the shape (C, H, W) of the images.

    Args:
        model: of the recipe; None where it has images.
        device: where the images are put; a network is where it was loaded.

    Raises:
        SamplingError: images, classes or guidance that the network does not have.
    """
    if model is None:
        assert recipe.examples is not None, "a recipe has a network or images"
        channels, height, width = recipe.examples.shape[1:]
        return ExactDenoiser(to_unit(recipe.examples).to(device)), (channels, height, width)
    recipe.check_fit(model.image_shape)
    _check_told(recipe, model.card)
    return model.denoiser, model.image_shape


def _check_told(recipe: Recipe, card: Card) -> None:
    """Raises SamplingError: classes that a network does not have, guidance of one that has none or knows no empty one,
    or nothing said to one that has to be told.
    """
    counts = card.network.conditions
    must = bool(counts) and not card.network.empty
    if must and recipe.guidance != 1:
        raise SamplingError("guidance", f"{card.title} was taught no empty class, which guidance leads away from; "
                                        "leave it at 1.")  # fmt: skip
    if must and (recipe.labels is None or any(label >= counts[0] for label in recipe.labels)):
        raise SamplingError("label", f"{card.title} has to be told a class, 0 to {counts[0] - 1}: it was taught no "
                                     "empty one.")  # fmt: skip
    if not counts and (recipe.labels is not None or recipe.guidance != 1):
        name = "label" if recipe.labels is not None else "guidance"
        raise SamplingError(name, f"{card.title} has no classes; leave class and guidance out.")
    for label in recipe.labels or ():
        row = list(label) if isinstance(label, Sequence) else [label]
        if len(row) != len(counts):
            raise SamplingError("label", f"{card.title} is told {len(counts)} things of an image, not {len(row)}.")
        # The number of a condition's values itself leaves it out.
        wrong = next((k for k, (value, count) in enumerate(zip(row, counts, strict=True)) if value > count), None)
        if wrong is not None:
            raise SamplingError("label", f"{card.title} has {counts[wrong]} classes, 0 to {counts[wrong] - 1}, and "
                                         f"none of number {row[wrong]}.")  # fmt: skip


def known_part(picture: Path, mask: Path, shape: Shape) -> Known:
    """What a mask, light where it is kept, leaves of a picture; both as a network's images, of ``shape``, are.

    Raises:
        ImageError: as ``open_image``.
        SamplingError: a mask of another shape, from which other parts would be cut.
    """
    (width, height), (across, down) = (open_image(path, MASK_SIDE).size for path in (picture, mask))
    if abs(height * across / width - down) >= 1 or abs(width * down / height - across) >= 1:  # but for rounding
        raise SamplingError("mask", f"The mask is of another shape, {across} x {down}, than the picture, "
                                    f"{width} x {height}.")  # fmt: skip
    return Known(picture_for(picture, shape)[None], (picture_for(mask, (1, *shape[1:])) > 0).float()[None])


def run(recipe: Recipe, denoiser: Denoiser, shape: Shape, device: torch.device | str) -> Iterator[Step]:
    """Every step of ``sample``, all seeds in one batch."""
    return sample(denoiser, recipe.schedule, recipe, shape, device)


def draw(
    recipe: Recipe,
    denoiser: Denoiser,
    shape: Shape,
    device: torch.device | str,
    *,
    processes: PartialState | None = None,
    progress: bool = False,
) -> NDArray[np.uint8]:
    """The images, (N, H, W, C) uint8, in batches; ``processes`` and ``progress`` as in ``generate``."""
    return generate(
        denoiser, recipe.schedule, recipe, shape, device, batch=recipe.batch, processes=processes, progress=progress
    )
