"""What if the noise changed midway, or the sampler, the start, the picture? A run does not say; runs beside it do.

A question is answered by rows of samples, each drawn by a recipe that differs in one thing from that of the run:
another sampler over the same noise, other noise from some step on, a start between two noises or from a picture, a
part of a picture that is given.

    for row in comparison(recipe, {"ddim": {}, "dpmpp": {}}, [5, 10, 20]):
        images = draw(row.recipe, denoiser, shape, "cpu")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion.sampling.choices import SamplingError
from diffusion.sampling.loop import Step
from diffusion.sampling.noise import first_noise, noise_between, noised
from diffusion.sampling.plan import Known, Shape
from diffusion.sampling.recipe import Recipe
from diffusion.sampling.steps import resampled, timesteps
from diffusion.sampling.updates import SAMPLERS

ACROSS = 8  # samples in a row
MOMENTS = 5  # from which a sample branches, if none is chosen
JUMP = 5  # steps that inpainting goes back at a time


@dataclass(frozen=True)
class Row:
    """Samples that are to be compared with those of other rows.

    Args:
        label: what is different in it.
        network: by which it is drawn, by name; "" is that of the run.
        lead: pictures shown before the samples, (title, kind, (C, H, W) in [-1, 1]); ``kind`` names their colour.
    """

    label: str
    recipe: Recipe
    lead: tuple[tuple[str, str, Tensor], ...] = ()
    network: str = ""


def one_sample(recipe: Recipe, sample: int) -> Recipe:
    """The recipe of one sample of a run by its place from 0; of the last, if there are fewer."""
    k = min(sample, len(recipe.seeds) - 1)
    return replace(recipe, seeds=[recipe.seeds[k]], labels=recipe.labels and [recipe.labels[k]])


def branch_points(recipe: Recipe, t: int | None) -> list[int]:
    """The steps at which a run is taken up: the first at t or after it, or several moments if t is None.

    Raises:
        SamplingError: nothing follows after t.
    """
    steps = list(recipe.steps)
    if t is None:
        at = np.linspace(0, len(steps), MOMENTS, endpoint=False).astype(int)
        return sorted({steps[i] for i in at}, reverse=True)
    chosen = [step for step in steps if step <= t][:1]
    if not chosen:
        raise SamplingError("t", "At t = 0 nothing is left to be decided: move the player to an earlier frame.")
    return chosen


def branch(recipe: Recipe, step: Step) -> Row:
    """The one sample of a recipe, taken up at a step that it has taken, with other noise from there on.

    A sampler that adds no noise has decided everything at T; then DDIM with eta = 1 goes on.
    """
    on = recipe if recipe.adds_noise else replace(recipe, sampler="ddim", options={"eta": 1.0})
    seed = recipe.seeds[0] + 1
    later = replace(
        on,
        start=step.x_t,
        steps=[s for s in recipe.steps if s <= step.t],
        seeds=range(seed, seed + ACROSS),
        labels=on.labels and list(on.labels) * ACROSS,
    )
    return Row(f"t = {step.t}", later, (("x_t", "xt", step.x_t[0].cpu()), ("x̂_0", "pred", step.x_0[0].cpu())))


def comparison(recipe: Recipe, samplers: Mapping[str, Mapping[str, float]], counts: Sequence[int]) -> list[Row]:
    """The same x_T through several samplers and numbers of steps.

    Args:
        samplers: their options by name, as in ``make_update``.

    Raises:
        SamplingError: no sampler, or a number of steps that cannot be.
    """
    if not samplers:
        raise SamplingError("sampler", "Choose at least one sampler.")
    return [
        Row(
            f"{SAMPLERS[name].title}, {count}",
            replace(recipe, steps=_timesteps(recipe, count), sampler=name, options=options),
        )
        for count in counts
        for name, options in samplers.items()
    ]


def interpolation(recipe: Recipe, shape: Shape, seeds: tuple[int, int], labels: Mapping[str, Any]) -> list[Row]:
    """From the x_T of one seed to that of another, along the arc between them; noise on the way would hide it.

    Args:
        shape: (C, H, W) of the images.
        labels: a row for each: what it shall show, as in a ``SamplingPlan``, by its own label; None is nothing.
    """
    a, b = first_noise(seeds, shape)
    start = torch.stack([noise_between(a, b, float(u)) for u in np.linspace(0, 1, ACROSS)])
    plain = replace(recipe, sampler="ddim", options={"eta": 0.0}) if recipe.adds_noise else recipe
    return [
        Row(label, replace(plain, start=start, seeds=[0] * ACROSS, labels=None if k is None else [k] * ACROSS))
        for label, k in labels.items()
    ]


def denoised_back(recipe: Recipe, picture: Tensor, shares: Sequence[int]) -> list[Row]:
    """A picture noised to some per cent of T each, and taken back from there with several seeds (SDEdit).

    Args:
        picture: (C, H, W) in [-1, 1].

    Raises:
        SamplingError: a share outside 1 ... 100.
    """
    rows = []
    for share in shares:
        if not 1 <= share <= 100:
            raise SamplingError("t", f"How far it is noised must lie between 1 and 100 % of T, not {share}.")
        T = recipe.schedule.T
        t = max(1, round(T * share / 100))
        count = max(1, round(len(recipe.steps) * t / T))  # as close together as in a whole run
        start = noised(picture[None], recipe.schedule, t, recipe.seeds)
        made = replace(recipe, steps=_timesteps(recipe, count, t), start=start)
        rows.append(Row(f"t = {t}", made, (("x_0", "x0", picture), ("x_t", "xt", start[0]))))
    return rows


def filled_in(recipe: Recipe, picture: Tensor, mask: Tensor, rounds: int) -> list[Row]:
    """What a mask leaves of a picture, the rest made up: straight down, and going back up again and again (RePaint).

    Args:
        picture: (C, H, W) in [-1, 1].
        mask: (H, W), 1 where the picture is kept.

    Raises:
        SamplingError: nothing to be made up.
    """
    if mask.all():
        raise SamplingError("mask", "Paint over what is to be made up first.")
    lead = (("x_0", "x0", picture), ("kept", "x0", picture * mask))
    made = replace(recipe, known=Known(picture[None], mask[None, None]))
    jump = min(JUMP, len(recipe.steps))
    return [
        Row(label, replace(made, steps=resampled(recipe.steps, jump, repeats), spacing=None), lead)
        for label, repeats in (("straight down", 1), (f"{rounds} rounds", rounds))
    ]


def _timesteps(recipe: Recipe, count: int, start: int | None = None) -> list[int]:
    """Other steps, spaced as those of the recipe are."""
    return timesteps(recipe.schedule, count, recipe.spacing or "trailing", start)
