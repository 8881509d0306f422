"""`python -m ui.make_opening`: computes what a visitor finds before anything was pressed, see opening.py.

To be run again when a network, or what the page opens with, has changed. In float32, in which all machines agree but
for rounding.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from diffusion.files import write_atomically
from diffusion.networks.card import Card
from diffusion.networks.model import load_model
from ui.composing import composes, composing_value, draw_pair
from ui.learning import Lesson
from ui.models import DEFAULT, Source, StopFlag
from ui.opening import Opening, opening_path, save_opening
from ui.plane import (
    OPENED_WITH,
    PLANE_OPENING,
    PlaneWish,
    TrailsRecorder,
    find_denoiser,
    pattern_points,
    plan_on_plane,
    read_plane_data,
    steps_on_plane,
)
from ui.sampling import Controls, read_recipe, run_for_view
from ui.seen import FIRST, predictions_in
from ui.sidebar import default_settings, read_schedule
from ui.subjects import measurable
from ui.whatif import branches, run_rows


def make_opening(network: str) -> Opening:
    """What is to be kept of a network."""
    model = load_model(network, "cpu", torch.float32)
    source = Source(network, model.card.title, model.device, model)
    opening = Opening(model.card.sha256, predictions_in(model, FIRST))
    if network == DEFAULT:
        opening = replace(opening, **run_and_branches(source))
    if composes(network):
        opening = replace(opening, composed=first_composed(source, model.card))
    return opening


def first_composed(source: Source, card: Card) -> dict[str, Any]:
    """What is drawn of the pair that the section begins with, without the time that it took here."""
    pair = composing_value(source.name)["pair"]
    *_, drawn = draw_pair(source, card, pair, 0, StopFlag())
    return drawn | {"status": f"Drawn beforehand:{drawn['status'].partition(':')[2]}"}


def run_and_branches(source: Source) -> dict[str, Any]:
    """The run that the controls describe as they stand, its frames, and what branches from it; without times, which
    would be those of another machine.
    """
    recipe, flag = read_recipe(source, default_settings(), Controls()), StopFlag()
    *_, run = run_for_view(source, recipe, flag)
    frames = Path(run.pop("file")["path"]).read_bytes()
    run |= {"status": f"{len(recipe.seeds)} images in {len(recipe.steps)} steps, drawn beforehand", "key": "opening"}
    *_, answer = run_rows(source, branches(source, recipe, 0, None, flag), flag)
    rows = [row | {"note": row["note"].split(",")[0]} for row in answer["rows"]]
    answer |= {"rows": rows, "status": "Drawn beforehand."}
    return {"run": run | {"opening": True}, "frames": frames, "branches": answer | {"opening": True}}


def make_plane_opening() -> bytes:
    """The run of two moons that the Plane tab opens with."""
    data, wish = pattern_points(OPENED_WITH), PlaneWish()
    schedule, trails = read_schedule(default_settings()), TrailsRecorder()
    points, labels = read_plane_data(data)
    by = find_denoiser(wish.denoiser, data, points, labels, Lesson())
    for _ in steps_on_plane(by.denoiser, schedule, plan_on_plane(labels, schedule, wish), trails):
        pass
    return trails.file()


if __name__ == "__main__":
    write_atomically(PLANE_OPENING, make_plane_opening())
    print(PLANE_OPENING, f"{PLANE_OPENING.stat().st_size:,} bytes")
    for _, name in measurable():
        save_opening(name, make_opening(name))
        print(opening_path(name), f"{opening_path(name).stat().st_size:,} bytes")
