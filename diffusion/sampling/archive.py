"""Images on disk that say how they were drawn.

The file is an .npz with the images, their recipe and, where they were kept, the frames of the trajectory. It may come
from anywhere, so that all of it is held against what can be before anything is drawn from it.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

import diffusion
from diffusion.checks import is_number, shown
from diffusion.files import UNREADABLE, read_arrays
from diffusion.images import to_bytes
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.loop import Step
from diffusion.sampling.plan import Known, Shape
from diffusion.sampling.recipe import Recipe, RecipeError
from diffusion.schedules.schedule import ScheduleError
from diffusion.schedules.spec import ScheduleSpec

# Of a recipe, beside its JSON.
ARRAYS = {"start": np.float32, "examples": np.uint8, "known": np.float32, "mask": np.float32}
# What frames may take in memory, and on disk: noise does not compress.
FRAME_BYTES = 200_000_000
MOST_BYTES, MOST_TEXT = 2**29, 2**27  # of an array in the file of a recipe, and of its JSON
MOST_LISTS = 5000  # and objects in it, which take far more memory than the letters they are written in


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
        "schedule": ScheduleSpec.of(recipe.schedule).to_json(),
        **{name: getattr(recipe, name) for name in names},
        "options": dict(recipe.options),
        "steps": [*map(int, recipe.steps)], "seeds": [*map(int, recipe.seeds)],
        "labels": None if recipe.labels is None else np.asarray(recipe.labels, np.int64).tolist(),
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
        schedule = ScheduleSpec.from_json(content.pop("schedule")).make()
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
        recipe = Recipe(schedule=schedule, known=known, **tensors, **content)
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
