"""What if, on the page: rows of samples drawn one after another while the visitor looks on."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from diffusion.images import to_bytes
from diffusion.sampling import recipe as recipes
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.recipe import Recipe, denoiser_of
from diffusion.sampling.whatif import ACROSS, Row, branch, branch_points, one_sample
from diffusion.sampling.wishes import IN_TURN, USUAL_STEPS, in_words
from ui.asked import read_whole
from ui.background import in_background
from ui.cost import duration
from ui.models import Source, StopFlag, find_source, student_calls
from ui.sampling import Controls, labels_of, read_recipe
from ui.sidebar import Settings

PREVIEW_SECONDS = 0.2
SHOWN_CLASSES = 4
MOST_NUMBERS = 8


def run_rows(source: Source, rows: list[Row], flag: StopFlag) -> Iterator[dict[str, Any]]:
    """Sample row by row, yielding values for the view: while it runs ("live") the predicted x_0, at the end "done"."""
    shape, device = source.image_shape, source.device
    waiting = torch.zeros(ACROSS, *shape)
    shown = [_row(row, waiting, "") for row in rows]
    started, told = time.monotonic(), 0.0
    for k, row in enumerate(rows):
        by = find_source(row.network) if row.network else source
        denoiser, _ = denoiser_of(row.recipe, by.model, device)
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
        note = f"{calls} call{'' if calls == 1 else 's'}, {duration(time.monotonic() - begun)}"
        shown[k] = _row(row, step.x_0 if flag.up else step.x_s, f"stopped: {note}" if flag.up else note)
        if flag.up:
            break
    seconds = time.monotonic() - started
    yield {"state": "done", "rows": shown, "status": f"{'Stopped after' if flag.up else 'Took'} {duration(seconds)}."}


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


def beside(source: Source, settings: Settings, controls: Controls, names: list[str]) -> list[Row]:
    """The same x_T through other networks, each as it draws by itself: a student in its own calls, a teacher in 50.

    Args:
        names: of relatives of the source, see ``relatives``; guidance is that of each, if it is that of the source.

    Raises:
        SamplingError: as ``read_recipe``.
    """
    rows = []
    for name in names:
        other, calls = find_source(name), student_calls().get(name, USUAL_STEPS)
        here, there = (of.model.card.usual_guidance() for of in (source, other) if of.model)
        guidance = there if controls.guidance == here else controls.guidance
        asked = replace(
            controls, network=name, sampler="ddim", steps=calls, spacing="trailing", options={}, guidance=guidance
        )
        title = other.title if other.levels else f"{other.title}, DDIM {calls}"
        rows.append(Row(title, read_recipe(other, settings, asked), network=name))
    return rows


def branches(source: Source, recipe: Recipe, sample: int, t: int | None, flag: StopFlag) -> list[Row]:
    """One sample of a run, taken up at t, or at several moments, with other noise from there on.

    Args:
        sample: which, from 0.

    Raises:
        SamplingError: nothing follows after t.
    """
    alone, chosen = one_sample(recipe, sample), branch_points(recipe, t)
    denoiser, shape = denoiser_of(alone, source.model, source.device)
    rows = []
    for step in in_background(recipes.run(alone, denoiser, shape, source.device)):
        if step.t in chosen:
            rows.append(branch(alone, step))
        if step.t == chosen[-1] or flag.up:
            break
    return rows


def chosen_labels(source: Source, label: str) -> dict[str, Any]:
    """What is chosen, or the first few of what is taken in turn, in words; one row without where there is nothing."""
    found = labels_of(source, label, SHOWN_CLASSES)
    if source.model is None or found is None:
        return {source.title: None}
    return {in_words(source.model.card, each): each for each in found}


def with_picture(source: Source, recipe: Recipe, label: str) -> Recipe:
    """A recipe for rows that begin with a picture. Where nothing is chosen nothing is told, as the picture says what it
    is; but more guidance than is usual leads to something, and takes all in turn.
    """
    usual = source.model.card.usual_guidance() if source.model else 1
    return replace(recipe, labels=None, guidance=1.0) if label == IN_TURN and recipe.guidance == usual else recipe


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
