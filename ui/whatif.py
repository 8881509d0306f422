"""What if: the noise changes midway, the sampler, the start, the picture? Rows of samples to be compared."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion.images import to_bytes
from diffusion.sampling import recipe as recipes
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.noise import first_noise, noise_between, noised
from diffusion.sampling.plan import Known
from diffusion.sampling.recipe import Recipe, denoiser_of
from diffusion.sampling.steps import resampled, timesteps
from diffusion.sampling.updates import SAMPLERS
from ui.asked import read_whole
from ui.background import in_background
from ui.models import Source, StopFlag
from ui.sampling import ALL_CLASSES, Controls, labels_of, noisy, options_of, read_seed

PREVIEW_SECONDS = 0.2
ACROSS = 8  # samples in a row
SHOWN_CLASSES = 4
MOST_NUMBERS = 8
MOMENTS = 5  # from which a sample branches, if none is chosen
JUMP = 5  # steps that inpainting goes back at a time


@dataclass(frozen=True)
class Row:
    """Samples that are to be compared with those of other rows.

    Args:
        label: what is different in it.
        lead: pictures shown before the samples, (title, kind, (C, H, W) in [-1, 1]); ``kind`` names their colour.
    """

    label: str
    recipe: Recipe
    lead: tuple[tuple[str, str, Tensor], ...] = ()


def run_rows(source: Source, rows: list[Row], flag: StopFlag) -> Iterator[dict[str, Any]]:
    """Sample row by row, yielding values for the view: while it runs ("live") the predicted x_0, at the end "done"."""
    shape, device = source.image_shape, source.device
    waiting = torch.zeros(ACROSS, *shape)
    shown = [_row(row, waiting, "") for row in rows]
    started, told = time.monotonic(), 0.0
    for k, row in enumerate(rows):
        denoiser, _ = denoiser_of(row.recipe, source.model, device)
        begun, step = time.monotonic(), None
        for step in in_background(recipes.run(row.recipe, denoiser, shape, device)):
            if flag.up:
                break
            now = time.monotonic()
            if now - told > PREVIEW_SECONDS:
                told = now
                shown[k] = _row(row, step.x_0, f"{step.index + 1} of {step.count}")
                yield {"state": "live", "rows": shown, "status": f"Row {k + 1} of {len(rows)} …"}
        assert step is not None
        calls = step.calls
        note = f"{calls} call{'' if calls == 1 else 's'}, {time.monotonic() - begun:.1f} s"
        shown[k] = _row(row, step.x_0 if flag.up else step.x_s, f"stopped: {note}" if flag.up else note)
        if flag.up:
            break
    seconds = time.monotonic() - started
    yield {"state": "done", "rows": shown, "status": f"{'Stopped after' if flag.up else 'Took'} {seconds:.1f} s."}


def _row(row: Row, samples: Tensor, note: str) -> dict[str, Any]:
    """A row for the browser."""
    images = to_bytes(torch.stack([*(picture for *_, picture in row.lead), *samples.cpu()]))
    return {
        "label": row.label,
        "note": note,
        "lead": [{"title": title, "kind": kind} for title, kind, _ in row.lead],
        "shape": images.shape,
        "data": base64.b64encode(images.tobytes()).decode(),
    }


def branches(source: Source, recipe: Recipe, sample: int, t: int | None, flag: StopFlag) -> list[Row]:
    """One sample of a run, taken up at t, or at several moments, with other noise from there on.

    A sampler that adds no noise has decided everything at T; then DDIM with eta = 1 goes on.

    Args:
        sample: which, from 0.

    Raises:
        SamplingError: nothing follows after t.
    """
    steps = list(recipe.steps)
    if t is None:
        at = np.linspace(0, len(steps), MOMENTS, endpoint=False).astype(int)
        chosen = sorted({steps[i] for i in at}, reverse=True)
    else:
        chosen = [step for step in steps if step <= t][:1]
    if not chosen:
        raise SamplingError("t", "At t = 0 nothing is left to be decided: move the player to an earlier frame.")
    k = min(sample, len(recipe.seeds) - 1)
    alone = replace(recipe, seeds=[recipe.seeds[k]], labels=recipe.labels and [recipe.labels[k]])
    on = alone if noisy(recipe) else replace(alone, sampler="ddim", options={"eta": 1.0})
    denoiser, shape = denoiser_of(alone, source.model, source.device)
    rows = []
    for step in in_background(recipes.run(alone, denoiser, shape, source.device)):
        if step.t in chosen:
            seed, labels = alone.seeds[0] + 1, on.labels and list(on.labels) * ACROSS
            later = replace(
                on,
                start=step.x_t,
                steps=[s for s in steps if s <= step.t],
                seeds=range(seed, seed + ACROSS),
                labels=labels,
            )
            lead = (("x_t", "xt", step.x_t[0].cpu()), ("x̂_0", "pred", step.x_0[0].cpu()))
            rows.append(Row(f"t = {step.t}", later, lead))
        if step.t == chosen[-1] or flag.up:
            break
    return rows


def comparison(recipe: Recipe, controls: Controls, samplers: list[str], counts: list[int]) -> list[Row]:
    """The same x_T through several samplers and numbers of steps.

    Raises:
        SamplingError: no sampler, or a number of steps that cannot be.
    """
    if not samplers:
        raise SamplingError("sampler", "Choose at least one sampler.")
    return [
        Row(
            f"{SAMPLERS[name].title}, {count}",
            replace(
                recipe, steps=timesteps(recipe.schedule, count, controls.spacing), sampler=name,
                options=options_of(controls, name),
            ),
        )
        for count in counts for name in samplers
    ]  # fmt: skip


def interpolation(source: Source, recipe: Recipe, controls: Controls, first: str, second: str) -> list[Row]:
    """From the x_T of one seed to that of another, along the arc between them; noise on the way would hide it.

    Raises:
        SamplingError: a seed that is none.
    """
    a, b = first_noise([read_seed(first), read_seed(second)], source.image_shape)
    start = torch.stack([noise_between(a, b, float(u)) for u in np.linspace(0, 1, ACROSS)])
    plain = replace(recipe, sampler="ddim", options={"eta": 0.0}) if noisy(recipe) else recipe
    names = source.classes[:SHOWN_CLASSES] if controls.label == ALL_CLASSES else [controls.label]
    return [
        Row(
            name or source.title,
            replace(plain, start=start, seeds=[0] * ACROSS, labels=labels_of(source, name, ACROSS)),
        )
        for name in names or [""]
    ]


def denoised_back(source: Source, recipe: Recipe, controls: Controls, picture: Tensor, shares: list[int]) -> list[Row]:
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
        made = replace(
            recipe, steps=timesteps(recipe.schedule, count, controls.spacing, t), start=start,
            labels=one_class(source, controls),
        )  # fmt: skip
        rows.append(Row(f"t = {t}", made, (("x_0", "x0", picture), ("x_t", "xt", start[0]))))
    return rows


def filled_in(
    source: Source, recipe: Recipe, controls: Controls, picture: Tensor, mask: Tensor, rounds: int
) -> list[Row]:
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
    made = replace(recipe, known=Known(picture[None], mask[None, None]), labels=one_class(source, controls))
    jump = min(JUMP, len(recipe.steps))
    return [
        Row(label, replace(made, steps=resampled(recipe.steps, jump, repeats), spacing=None), lead)
        for label, repeats in (("straight down", 1), (f"{rounds} rounds", rounds))
    ]


def one_class(source: Source, controls: Controls) -> list[int] | None:
    """The class that is chosen, for a row; None, no class, if it is all of them."""
    return None if controls.label == ALL_CLASSES else labels_of(source, controls.label, ACROSS)


def read_numbers(text: str, what: str) -> list[int]:
    """At most eight whole numbers with commas between them.

    Raises:
        SamplingError: anything else.
    """
    parts = [part.strip() for part in str(text).replace(";", ",").split(",") if part.strip()]
    try:
        numbers = [read_whole(part) for part in parts]
    except ValueError:
        numbers = []
    if not numbers:
        raise SamplingError(what, f"Write the {what} as whole numbers with commas between them, as in 10, 20, 50.")
    if len(parts) > MOST_NUMBERS:
        raise SamplingError(what, f"{len(parts)} {what} are too many rows; write at most {MOST_NUMBERS}.")
    return list(dict.fromkeys(numbers))
