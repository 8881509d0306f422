"""All that decides which images are drawn: to draw them again, to keep beside them in a file, or to say in Python.

    recipe = Recipe(schedule, timesteps(schedule, 20), range(16), model="digits", sampler="dpmpp")
    model = load_model_of(recipe, "cpu")
    denoiser, shape = denoiser_of(recipe, model)
    for step in run(recipe, denoiser, shape, "cpu"):
        ...
    save(Path("digits.npz"), recipe, to_bytes(step.x_s))
    print(snippet(recipe))

The file is an .npz with the images, the recipe and, where they were kept, the frames of the trajectory.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor

import diffusion
from diffusion.checks import is_number, is_whole, shown
from diffusion.data.sets import UNREADABLE, read_arrays
from diffusion.denoiser import Denoiser, ExactDenoiser, Guided
from diffusion.images import open_image, picture_for, to_bytes, to_unit
from diffusion.networks.checkpoint import Card, Model, load_model
from diffusion.sampling.generate import generate
from diffusion.sampling.updates import (
    CLIPS,
    SPACINGS,
    Clip,
    Known,
    SamplingError,
    Spacing,
    Step,
    check_choice,
    check_given,
    check_seeds,
    check_steps,
    make_update,
    sample,
    timesteps,
)
from diffusion.schedules.schedule import FAMILIES, Schedule, ScheduleError, make_schedule, schedule_of_betas

Precision = Literal["float32", "bfloat16"]
Shape = tuple[int, int, int]
PRECISIONS: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Of a recipe, beside its JSON.
ARRAYS = {"start": np.float32, "examples": np.uint8, "known": np.float32, "mask": np.float32}
# What frames may take in memory, and on disk: noise does not compress.
FRAME_BYTES = 200_000_000
# More than anybody draws; less than fills a machine, for a recipe may come from anywhere.
MOST_IMAGES, MOST_STEPS, MOST_AT_ONCE = 1_000_000, 1_000_000, 4096
MOST_GUIDANCE = 1000
MASK_SIDE = 4096  # of a picture and its mask, where their shapes are compared
MOST_VALUES = 2**28  # of the pixels drawn at a time, a gigabyte in float32
MOST_DRAWN = 2**33  # of the pixels of all images
MOST_BYTES, MOST_TEXT = 2**29, 2**27  # of an array in the file of a recipe, and of its JSON
MOST_LISTS = 5000  # and objects in it, which take far more memory than the letters they are written in


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


class Arrays(Protocol):
    """Frames of a trajectory, wherever they are kept."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """``t`` (F,) int64; ``x_t`` and ``x_0`` (F, B, H, W, C) uint8."""
        ...


class Frames:
    """Keeps x_t and the predicted x_0 of the steps as uint8, in memory that is bounded however long the run.

        frames = Frames(len(steps), len(seeds), shape)
        for step in sample(...):
            frames.add(step)
        save(path, recipe, images, frames)

    Args:
        count: steps of the run.
        batch, shape: of the images.
        limit: bytes; where all steps would take more, only every second one is kept, or every third, and so on.
    """

    def __init__(self, count: int, batch: int, shape: Shape, limit: int = FRAME_BYTES) -> None:
        channels, height, width = shape
        frame = 2 * batch * channels * height * width
        self.every = next(k for k in range(1, count + 1) if k == count or -(-count // k) * frame <= limit)
        self._taken = 0
        kept = -(-count // self.every)
        self._t = np.empty(kept, np.int64)
        self._x_t, self._x_0 = (np.empty((kept, batch, height, width, channels), np.uint8) for _ in range(2))

    def add(self, step: Step) -> None:
        """Keep the step if it is one of those to keep."""
        if step.index % self.every == 0:
            i = self._taken
            self._t[i], self._x_t[i], self._x_0[i] = step.t, to_bytes(step.x_t), to_bytes(step.x_0)
            self._taken += 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """``t`` (F,) int64; ``x_t`` and ``x_0`` (F, B, H, W, C) uint8. Fewer frames where the run was stopped."""
        return {name: array[: self._taken] for name, array in (("t", self._t), ("x_t", self._x_t), ("x_0", self._x_0))}


def save(path: Path, recipe: Recipe, images: NDArray[np.uint8], frames: Arrays | None = None) -> None:
    """Write an .npz: ``images`` (N, H, W, C), ``labels`` (N,), ``recipe`` (JSON), its arrays, and the frames."""
    arrays: dict[str, Any] = {"images": images, "labels": np.asarray(recipe.labels or [], np.int64)}
    arrays["recipe"] = np.array(json.dumps(_to_json(recipe)))
    tensors = {"start": recipe.start, "examples": recipe.examples}
    if recipe.known is not None:
        tensors |= {"known": recipe.known.image, "mask": recipe.known.mask}
    arrays |= {name: tensor.cpu().numpy() for name, tensor in tensors.items() if tensor is not None}
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:  # straight to disk: frames take a lot of memory already
            if frames is None:
                np.savez_compressed(file, allow_pickle=False, **arrays)
            else:  # noise does not compress, but takes long to find that out
                np.savez(file, allow_pickle=False, **arrays, **frames.arrays())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _to_json(recipe: Recipe) -> dict[str, Any]:
    names = ("model", "sha256", "precision", "guidance", "sampler", "spacing", "clip", "batch")
    return {
        "schedule": schedule_settings(recipe.schedule),
        **{name: getattr(recipe, name) for name in names},
        "options": dict(recipe.options),
        "steps": [*map(int, recipe.steps)], "seeds": [*map(int, recipe.seeds)],
        "labels": None if recipe.labels is None else [*map(int, recipe.labels)],
        "versions": {"ddpm-lab": diffusion.__version__, "python": platform.python_version(),
                     **{package: version(package) for package in ("torch", "numpy")}},
    }  # fmt: skip


def read(path: Path) -> Recipe:
    """The recipe in a file that ``save`` wrote; every field of it is checked, for it may come from anywhere.

    Raises:
        RecipeError: a file that cannot be read, or has no recipe, or one that nothing can be drawn from.
    """
    try:
        with path.open("rb") as opened:
            said = read_arrays(opened, ("recipe",), MOST_TEXT)["recipe"]
            arrays = read_arrays(opened, tuple(ARRAYS), MOST_BYTES)
        if said.shape or said.dtype.kind != "U":
            raise ValueError("its recipe is no text")
        text = str(said)
        if text.count("[") + text.count("{") > MOST_LISTS:
            raise ValueError("its recipe is made of too many parts")
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("its recipe is not an object of JSON")
        content.pop("versions", None)
        unknown = content.keys() - {field.name for field in fields(Recipe)} | content.keys() & {*ARRAYS}
        if unknown:
            raise ValueError(f"its recipe has an unknown field {shown(min(unknown))}")
        schedule = schedule_from(content.pop("schedule"))
        if "examples" in arrays and is_number(content.get("guidance")):
            content["guidance"] = 1.0  # from before it was refused, when it did nothing
        missing = {"steps", "seeds"} - content.keys()
        if missing:
            raise KeyError(min(missing))
        for name, array in arrays.items():
            if array.dtype != ARRAYS[name]:
                raise ValueError(f"its array {name} is {array.dtype}, not {np.dtype(ARRAYS[name])}")
        tensors: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        image, mask = tensors.pop("known", None), tensors.pop("mask", None)
        if (image is None) != (mask is None):
            raise KeyError("known" if image is None else "mask")
        known = None if image is None or mask is None else Known(image, mask)
        recipe = Recipe(schedule, known=known, **tensors, **content)
        if recipe.examples is None and not recipe.model:
            raise KeyError("model")
        return recipe
    except FileNotFoundError as error:
        raise RecipeError(f"There is no file {path}.") from error
    except KeyError as error:
        raise RecipeError(f"{path.name} does not say how its images were drawn ({error} is missing).") from error
    except (SamplingError, ScheduleError) as error:
        raise RecipeError(f"{path.name} is not a file of drawn images that can be used: {error}") from error
    except (*UNREADABLE, TypeError) as error:
        raise RecipeError(f"{path.name} is not a file of drawn images that can be read: {error}.") from error


def schedule_settings(schedule: Schedule) -> dict[str, Any]:
    """A schedule as JSON: what ``make_schedule`` needs, if that gives the same betas, else {"betas": all of them}."""
    settings: dict[str, Any] = {"family": schedule.family, "T": schedule.T, **dict(schedule.params)}
    if schedule.family in FAMILIES and np.array_equal(make_schedule(**settings).beta, schedule.beta):
        return settings
    return {"betas": schedule.beta[1:].tolist()}


def schedule_from(settings: dict[str, Any]) -> Schedule:
    """The schedule that ``schedule_settings`` described.

    Raises:
        ScheduleError: as ``make_schedule`` and ``schedule_of_betas``, or settings that are neither's.
        KeyError: family or T missing.
    """
    if not isinstance(settings, dict):
        raise ScheduleError("family", f"A schedule is described by its settings by name, not {shown(settings)}.")
    if "betas" in settings:
        if len(settings) > 1:
            raise ScheduleError("beta", "A schedule of betas has no other settings.")
        return schedule_of_betas(settings["betas"])
    for name in ("family", "T"):
        if name not in settings:
            raise KeyError(name)
    return make_schedule(**settings)


def snippet(recipe: Recipe, device: torch.device | str = "cpu", file: str = "trajectory.npz") -> str:
    """Python that draws the same ``images`` (N, H, W, C) uint8 with this package.

    Args:
        file: what ``save`` wrote; read for arrays and long lists, if there are any.
    """
    device, settings, steps = str(device), schedule_settings(recipe.schedule), _steps(recipe)
    imports = {("diffusion.sampling.updates", "make_update")}
    lines = []
    if recipe.examples is not None:
        imports |= {("diffusion.denoiser", "ExactDenoiser"), ("diffusion.images", "to_unit")}
        lines += [f"examples = to_unit(torch.from_numpy(file['examples'])).to({device!r})",
                  "denoiser, shape = ExactDenoiser(examples), tuple(examples.shape[1:])"]  # fmt: skip
    else:
        imports.add(("diffusion.networks.checkpoint", "load_model"))
        precision = "" if recipe.precision == "float32" else f", torch.{recipe.precision}"
        lines += [f"model = load_model({recipe.model!r}, {device!r}{precision})",
                  "denoiser, shape = model.denoiser, model.image_shape"]  # fmt: skip
        if recipe.guidance != 1:
            imports.add(("diffusion.denoiser", "Guided"))
            lines.append(f"denoiser = Guided(denoiser, {recipe.guidance!r}, empty=model.card.network.conditions)")
    if "betas" in settings:
        imports.add(("diffusion.schedules.schedule", "schedule_of_betas"))
        lines.append("schedule = schedule_of_betas(recipe['schedule']['betas'])")
    else:
        imports.add(("diffusion.schedules.schedule", "make_schedule"))
        lines.append(f"schedule = make_schedule({_call(settings.pop('family'), settings)})")
    if steps.startswith("timesteps"):
        imports.add(("diffusion.sampling.updates", "timesteps"))
    lines.append(f"steps = {steps}")

    seeds = list(recipe.seeds)
    in_turn = seeds == list(range(seeds[0], seeds[0] + len(seeds)))
    arguments = [
        f"denoiser, schedule, shape, steps=steps, seeds={f'range({seeds[0]}, {seeds[-1] + 1})' if in_turn else seeds}",
        f"update=make_update({_call(recipe.sampler, recipe.options)}), clip={recipe.clip!r}, device={device!r}",
    ]
    if recipe.labels is not None:
        arguments.append(f"labels=torch.tensor({list(recipe.labels)})")
    if recipe.start is not None:
        arguments.append("start=torch.from_numpy(file['start'])")
    if recipe.known is not None:
        imports.add(("diffusion.sampling.updates", "Known"))
        arguments.append("known=Known(torch.from_numpy(file['known']), torch.from_numpy(file['mask']))")
    call = "".join(f"    {argument},\n" for argument in arguments)
    if len(seeds) <= recipe.batch:
        imports |= {("diffusion.images", "to_bytes"), ("diffusion.sampling.updates", "sample")}
        lines += [f"for step in sample(\n{call}):", "    print(step.t)", "images = to_bytes(step.x_s)"]
    else:
        imports.add(("diffusion.sampling.generate", "generate"))
        lines.append(f"images = generate(\n{call}    batch={recipe.batch},\n)")

    text = "\n".join(lines)
    if "recipe[" in text:
        lines.insert(0, "recipe = json.loads(str(file['recipe']))")
    if "recipe[" in text or "file[" in text:
        lines.insert(0, f"file = np.load({file!r})")
    text = "\n".join(lines)
    packages = {"json.": "import json", "np.": "import numpy as np", "torch.": "import torch"}
    head = [line for name, line in packages.items() if name in text]
    modules = [
        f"from {module} import {', '.join(sorted(name for place, name in imports if place == module))}"
        for module in sorted({module for module, _ in imports})
    ]
    return "\n".join([*head, *([""] if head else []), *modules, "", text]) + "\n"


def _call(first: str, options: Mapping[str, Any]) -> str:
    return ", ".join([repr(first), *(f"{name}={value!r}" for name, value in options.items())])


def _steps(recipe: Recipe) -> str:
    """The steps in Python: how they were made, or a list, or where a list is that would be too long."""
    steps = list(recipe.steps)
    if recipe.spacing is not None:
        for start in (None, steps[0]):
            count, most = len(steps), start or recipe.schedule.T
            if count <= most and timesteps(recipe.schedule, count, recipe.spacing, start) == steps:
                return f"timesteps(schedule, {count}, {recipe.spacing!r}{'' if start is None else f', start={start}'})"
    return repr(steps) if len(steps) <= 50 else "recipe['steps']"
