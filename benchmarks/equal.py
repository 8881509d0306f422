"""How long it takes until images are as good as those of 50 DDIM steps, beside diffusers with its best scheduler.

Samplers that add no noise all lead, in ever smaller steps, from a noise to the same image: the solution of an ordinary
differential equation. How far their images are from it, RMS over pixels, says how well a number of steps does without
a judge, and a few images are enough. Each takes as few steps as bring it as near as DDIM comes in 50; these are timed.

diffusers' fast schedulers do not clip the predicted x_0, the page does: each side is held against the solution of its
own equation. Steps that are even in log SNR are not among theirs: on the cosine schedule two of these round to the same
whole t, which their loop does not survive.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from diffusers import DEISMultistepScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from benchmarks.loops import ours, theirs
from diffusion.networks.model import Model
from diffusion.sampling.recipe import Recipe
from diffusion.sampling.steps import Spacing, timesteps

QUALITY_OF = 50  # steps of DDIM
TRIED = (6, 8, 10, 12, 15, 20, 25, 30, 40, 50)  # steps
REFERENCE = 100  # steps of UniPC that stand for infinitely many
LOOKED_AT = 8  # images, for the distance
SCHEDULERS: dict[str, Any] = {
    "UniPC": UniPCMultistepScheduler, "DPM-Solver++(2M)": DPMSolverMultistepScheduler, "DEIS": DEISMultistepScheduler
}  # fmt: skip
SAMPLERS: tuple[tuple[str, Spacing], ...] = (("unipc", "trailing"), ("unipc", "log_snr"), ("dpmpp", "log_snr"))


@dataclass(frozen=True)
class Way:
    """Something that draws what a recipe says in a number of steps, and to what it leads for few images."""

    name: str
    draw: Callable[[Recipe, int], Tensor]
    solution: Tensor

    def off(self, recipe: Recipe, steps: int) -> float:
        """RMS distance from the solution, in grey levels of 255."""
        return 127.5 * float((self.draw(recipe, steps) - self.solution).square().mean().sqrt())


def in_steps(recipe: Recipe, steps: int, spacing: Spacing = "trailing", **changed: Any) -> Recipe:
    return replace(recipe, steps=timesteps(recipe.schedule, steps, spacing), **changed)


def _ours(model: Model, sampler: str, spacing: Spacing, recipe: Recipe, steps: int) -> Tensor:
    return ours(model, in_steps(recipe, steps, spacing, sampler=sampler))


def _theirs(model: Model, kind: Any, recipe: Recipe, steps: int) -> Tensor:
    return theirs(model, in_steps(recipe, steps), kind)


def equal_quality(users: Model, prepared: Model, recipe: Recipe, repeats: int) -> dict[str, Any]:
    """Milliseconds to the images of a recipe as near to the solution as those of DDIM in ``QUALITY_OF`` steps.

    Args:
        users: the network as it is, which diffusers' loop calls.
        prepared: the same as the page runs it.
        recipe: of DDIM.

    Returns:
        off: how far those are from the solution, RMS in grey levels of 255.
        ours, theirs: the quickest way of each: its name, steps and ms.
        ratio: of theirs to ours.
    """
    labels = None if recipe.labels is None else recipe.labels[:LOOKED_AT]
    few = replace(recipe, seeds=recipe.seeds[:LOOKED_AT], labels=labels)
    exact, unclipped = (
        ours(users, in_steps(few, REFERENCE, sampler="unipc", clip=clip)) for clip in (recipe.clip, "none")
    )
    off = Way("ddim", partial(_ours, users, "ddim", "trailing"), exact).off(few, QUALITY_OF)
    own = [Way(f"{name}, {spacing}", partial(_ours, prepared, name, spacing), exact) for name, spacing in SAMPLERS]
    others = [Way(name, partial(_theirs, users, kind), unclipped) for name, kind in SCHEDULERS.items()]
    found = {
        side: quickest(ways, few, recipe, off, repeats) for side, ways in (("ours", own), ("theirs", others))
    }  # fmt: skip
    return {"off": round(off, 2), **found, "ratio": round(found["theirs"]["ms"] / found["ours"]["ms"], 3)}


def quickest(ways: list[Way], few: Recipe, recipe: Recipe, off: float, repeats: int) -> dict[str, Any]:
    """The quickest way to come as near as ``off`` in ``few`` images; its steps, and ms for all; "none" if none does."""
    found = []
    for way in ways:
        steps = next((n for n in TRIED if way.off(few, n) <= off), None)
        if steps is not None:
            ms = _milliseconds(partial(way.draw, recipe, steps), repeats)
            found.append({"name": way.name, "steps": steps, "ms": ms})
    return min(found, key=lambda each: each["ms"], default={"name": "none", "steps": None, "ms": math.inf})


def _milliseconds(run: Callable[[], Tensor], repeats: int) -> float:
    """The median."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        run().cpu()
        found.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(found), 1)
