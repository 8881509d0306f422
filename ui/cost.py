"""What a run asks of this machine, said before it starts: calls of the network, and how long they take here.

How long is measured once, when a visitor first asks for something else than the page opened with: a page that is only
looked at asks no network.
"""

from __future__ import annotations

import time
from functools import lru_cache

import torch

from diffusion.networks.model import Model
from diffusion.sampling.recipe import Recipe
from ui.background import in_background
from ui.models import Source, shared_model

FEW, MANY = 1, 16  # images whose calls are timed; others lie on the line through both
LARGE = 64 * 64  # pixels of an image
TIMED = 3  # calls of each, after one that is not: the quickest is what is left when nobody else computes


def words(source: Source, recipe: Recipe, seconds: float | None = None) -> str:
    """What a run costs; without how long it takes where that is not known."""
    calls = recipe.calls(recipe.schedule)
    what = "the network" if source.model else "the exact denoiser"
    there = f" of {what}" if seconds is None else f", about {duration(seconds)} here"
    return f"{calls:,} call{'' if calls == 1 else 's'}{there}"


def duration(seconds: float) -> str:
    """As people say it: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def seconds_of(model: Model, recipe: Recipe, network: str = "") -> float:
    """How long the calls of a run will take here; ``network``: its name on the page, if its card has another."""
    # Guidance that is not told to the network doubles the batch, see ``Guided``.
    twice = recipe.guidance != 1 and recipe.labels is not None and model.card.network.guidance is None
    return recipe.calls(recipe.schedule) * seconds_a_call(network or model.card.name, len(recipe.seeds) * (1 + twice))


def seconds_a_call(network: str, images: int) -> float:
    """How long a network of the page takes here for a batch."""
    few, many = _batches(network)
    short, long = _timed(network)
    return max(short + (long - short) * (images - few) / (many - few), short)


def _batches(network: str) -> tuple[int, int]:
    """Of how many images the two calls are that are timed: one and two where an image is large."""
    _, height, width = shared_model(network).image_shape
    return (FEW, MANY) if height * width <= LARGE else (1, 2)


@lru_cache(maxsize=64)
def _timed(network: str) -> tuple[float, float]:
    """Seconds of these two calls."""
    model = shared_model(network)
    short, long = in_background(_seconds(model, count) for count in _batches(network))
    return short, long


@torch.inference_mode()
def _seconds(model: Model, count: int) -> float:
    x_t, found = torch.zeros(count, *model.image_shape, device=model.device), []
    # One that knows no empty class is told the first.
    must = model.card.network.conditions and not model.card.network.empty
    label = torch.zeros(count, dtype=torch.int64, device=model.device) if must else None
    for _ in range(1 + TIMED):
        started = time.perf_counter()
        model.denoiser(x_t, 0.5, label).cpu()  # a GPU answers before it has computed
        found.append(time.perf_counter() - started)
    return min(found[1:])
