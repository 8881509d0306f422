"""All that decides which images are drawn: to draw them again, to keep beside them in a file, or to say in Python.

    recipe = Recipe(schedule, timesteps(schedule, 20), range(16), model="digits", sampler="dpmpp")
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor

from diffusion.checks import is_number, is_whole, shown
from diffusion.denoiser import Denoiser, ExactDenoiser, Guided
from diffusion.images import open_image, picture_for, to_unit
from diffusion.networks.card import Card
from diffusion.networks.model import Model, load_model
from diffusion.sampling.choices import SamplingError, check_choice
from diffusion.sampling.clips import CLIPS, Clip
from diffusion.sampling.generate import generate
from diffusion.sampling.loop import Known, Step, check_given, sample
from diffusion.sampling.noise import check_seeds
from diffusion.sampling.steps import SPACINGS, Spacing, check_steps
from diffusion.sampling.updates import make_update
from diffusion.schedules.schedule import Schedule

Precision = Literal["float32", "bfloat16"]
Shape = tuple[int, int, int]
PRECISIONS: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# More than anybody draws; less than fills a machine, for a recipe may come from anywhere.
MOST_IMAGES, MOST_STEPS, MOST_AT_ONCE = 1_000_000, 1_000_000, 4096
MOST_GUIDANCE = 1000
MASK_SIDE = 4096  # of a picture and its mask, where their shapes are compared
MOST_VALUES = 2**28  # of the pixels drawn at a time, a gigabyte in float32
MOST_DRAWN = 2**33  # of the pixels of all images


class RecipeError(ValueError):
    """A file from which nothing can be drawn again, said in one sentence."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that decides which images are drawn, checked as far as it can be without the network.

    Args:
        schedule, steps, seeds, clip, start, known: as in ``sampler.sample``.
        model, sha256: name or path of the network, and the hash of its weights.
        precision: what the network computes in.
        examples: (N, C, H, W) uint8: images that the exact denoiser knows, in place of a network.
        labels: a class for each seed; None for the empty class.
        guidance: scale of classifier-free guidance; 1 is none.
        sampler, options: as in ``make_update``.
        spacing: what made the steps, where something did.
        batch: how many are drawn at a time: another number may round differently.
    """

    schedule: Schedule
    steps: Sequence[int]
    seeds: Sequence[int]
    model: str = ""
    sha256: str = ""
    precision: Precision = "float32"
    examples: Tensor | None = None
    labels: Sequence[int] | None = None
    guidance: float = 1.0
    sampler: str = "ddpm"
    options: Mapping[str, float] = field(default_factory=dict)
    spacing: Spacing | None = None
    clip: Clip = "static"
    start: Tensor | None = None
    known: Known | None = None
    batch: int = 64

    def __post_init__(self) -> None:
        """Raises SamplingError: a field that is not as above, too many images or steps, or a mask without an effect."""
        _check_count("steps", "steps", self.steps, MOST_STEPS)
        check_steps(self.steps, self.schedule, rising=self.known is not None)
        _check_count("seed", "seeds", self.seeds, MOST_IMAGES)
        check_seeds(self.seeds)
        for name, text, most in (("model", self.model, 4096), ("sha256", self.sha256, 64)):
            if not isinstance(text, str) or len(text) > most:
                raise SamplingError(name, f"The {name} must be a text of at most {most} letters, not {shown(text)}.")
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("clip", self.clip, CLIPS)
        if self.spacing is not None:
            check_choice("spacing", self.spacing, SPACINGS)
        if not isinstance(self.options, Mapping):
            raise SamplingError("options", f"The options of a sampler are numbers by name, not {shown(self.options)}.")
        make_update(self.sampler, **self.options)
        if not is_number(self.guidance) or abs(self.guidance) > MOST_GUIDANCE:
            raise SamplingError("guidance", f"Guidance must be a number from -{MOST_GUIDANCE} to {MOST_GUIDANCE}, not "
                                            f"{shown(self.guidance)}.")  # fmt: skip
        if not is_whole(self.batch) or not 1 <= self.batch <= MOST_AT_ONCE:
            raise SamplingError("batch", f"A batch must be a whole number of images from 1 to {MOST_AT_ONCE}, not "
                                         f"{shown(self.batch)}.")  # fmt: skip
        labels = self.labels
        if labels is not None:
            _check_count("label", "classes", labels, MOST_IMAGES)
            if not all(is_whole(label) and 0 <= label < 2**31 for label in labels):
                raise SamplingError("label", "Classes must be whole numbers from 0.")
        if self.examples is not None:
            _check_array("examples", self.examples, torch.uint8)
            if labels is not None:
                raise SamplingError("label", "The exact denoiser of images knows no classes; leave the class out.")
            if self.guidance != 1:
                raise SamplingError("guidance", "The exact denoiser of images has no classes to guide it to; leave "
                                                "guidance at 1.")  # fmt: skip
        if self.start is not None:
            _check_array("start", self.start, torch.float32, 1e6)
        if self.known is not None:
            _check_array("known", self.known.image, torch.float32, 1)
            _check_array("mask", self.known.mask, torch.float32, 1)
            if self.known.mask.min() < 0:
                raise SamplingError("mask", "The mask must lie between 0 (made up) and 1 (kept).")
            if self.known.mask.min() == 1:
                raise SamplingError("mask", "The mask keeps all of the picture, and nothing is left to be made up.")
            if self.known.mask.max() == 0:
                raise SamplingError("mask", "The mask keeps nothing of the picture, and so would change nothing.")
        given = (self.examples, self.start, None if self.known is None else self.known.image)
        shape = next((x.shape[1:] for x in given if x is not None), None)
        if shape is not None:
            self._check_fit((shape[0], shape[1], shape[2]))
        elif labels is not None:
            self._check_fit((1, 1, 1))

    def _check_fit(self, shape: Shape) -> None:
        """Raises SamplingError: images of ``shape`` (C, H, W) are not what is given, or too many at that size."""
        labels = None if self.labels is None else len(self.labels)
        check_given(len(self.seeds), shape, labels, self.start, self.known)
        pixels = math.prod(shape)
        if min(len(self.seeds), self.batch) * pixels > MOST_VALUES or len(self.seeds) * pixels > MOST_DRAWN:
            raise SamplingError("seed", f"{len(self.seeds)} images of {shape[1]} x {shape[2]} are too many at a time.")


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
    recipe._check_fit(model.image_shape)
    _check_classes(recipe, model.card)
    return Guided(model.denoiser, recipe.guidance, empty=model.card.network.conditions), model.image_shape


def _check_classes(recipe: Recipe, card: Card) -> None:
    """Raises SamplingError: classes that a network does not have, or guidance of one that has none."""
    count = len(card.classes)
    if not count and (recipe.labels is not None or recipe.guidance != 1):
        name = "label" if recipe.labels is not None else "guidance"
        raise SamplingError(name, f"{card.title} has no classes; leave class and guidance out.")
    if recipe.labels is not None and max(recipe.labels) > count:  # count itself is the empty class
        raise SamplingError("label", f"{card.title} has {count} classes, 0 to {count - 1}, and none of number "
                                     f"{max(recipe.labels)}.")  # fmt: skip


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
    return sample(denoiser, recipe.schedule, shape, device=device, **_arguments(recipe))


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
        denoiser, recipe.schedule, shape, device=device, batch=recipe.batch, processes=processes, progress=progress,
        **_arguments(recipe),
    )  # fmt: skip


def _arguments(recipe: Recipe) -> dict[str, Any]:
    """What ``sample`` and ``generate`` are told alike."""
    return {
        "steps": recipe.steps,
        "seeds": recipe.seeds,
        "labels": None if recipe.labels is None else torch.tensor(recipe.labels),
        "update": make_update(recipe.sampler, **recipe.options),
        "clip": recipe.clip,
        "start": recipe.start,
        "known": recipe.known,
    }
