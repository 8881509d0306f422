"""Samples are drawn from a shipped network, or from images by an exact denoiser: to the page each is a ``Source``.

Networks are loaded once for all visitors, and only so many runs at a time may call them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusion.data.folders import BUNDLED, load_data, split_of_examples
from diffusion.device import best_device, best_precision
from diffusion.images import ImageError, picture_for, to_bytes, to_unit
from diffusion.networks.card import Card
from diffusion.networks.model import Model, available, find_model, load_model, read_card
from diffusion.sampling.recipe import Precision
from diffusion.sampling.statistics import Moments, moments
from ui.runs import DATA, NAME, weights_of

DEFAULT = "digits"
ADDED = "DDPM_LAB_MODELS"  # in the environment: what networks the page has besides, with os.pathsep between them
AT_ONCE = 2
# Of events that call a network: so many at a time, the others wait in one queue. What opens the page does not wait for
# the runs of other visitors, nor the page for other programs.
AT_NETWORK: dict[str, Any] = {"concurrency_id": "network", "concurrency_limit": AT_ONCE}
AT_OPENING: dict[str, Any] = {"concurrency_id": "opening", "concurrency_limit": AT_ONCE}
# Timing a network takes a moment, and is no run that others wait for.
AT_TIMING: dict[str, Any] = {"concurrency_id": "timing", "concurrency_limit": 1}
FOR_PROGRAMS: dict[str, Any] = {"concurrency_id": "programs", "concurrency_limit": 1}
MOST_WAITING = 100  # events in all queues together
EXACT, OWN = "exact-", "exact-own"  # names of sources that are no networks
RUN = "run-"  # before the ID of a run on the page, whose network is then meant
MOST_IMAGES = 500  # of one's own
BUNDLED_PICTURE = 3  # which of the held-out images
SIDE = 32  # of the images that exact denoisers know


@dataclass
class StopFlag:
    """Set by a Stop button, looked at between two calls of the network. One a visitor and tab."""

    up: bool = False


def stop(flag: StopFlag) -> None:
    """A Stop button's handler: the run ends after the step in hand and keeps what it has."""
    flag.up = True


@dataclass(frozen=True, eq=False)
class Source:
    """What samples are drawn from: a network, or images for the exact denoiser.

    Args:
        examples: (N, C, H, W) uint8.
    """

    name: str
    title: str
    device: torch.device
    model: Model | None = None
    examples: Tensor | None = None

    @property
    def is_told(self) -> bool:
        """Whether it can be told a class, or several things, of the images."""
        return self.model is not None and bool(self.model.card.network.conditions)

    @property
    def levels(self) -> list[float]:
        """Of a student those of its calls, alpha_bar; it was taught no others."""
        return self.model.card.levels if self.model else []

    @property
    def kind(self) -> str:
        """Which bundled images its samples are like, by name; a student's are like its teacher's, and those of a run on
        the page like those of which it may have begun with the network.
        """
        if self.name.startswith(RUN):
            return "emoji" if self.image_shape[0] == 3 else "digits"
        return (self.model.card.teacher if self.model else "") or self.name.removeprefix(EXACT)

    @property
    def known_as(self) -> str:
        """What whoever takes something away calls the network: a run's lies beside what they take, and the name of the
        run is nobody else's business. "" for an exact denoiser.
        """
        if self.model is None:
            return ""
        return f"{NAME}.safetensors" if self.name.startswith(RUN) else self.name

    @property
    def precision(self) -> Precision:
        fast = self.model is not None and self.model.denoiser.precision == torch.bfloat16
        return "bfloat16" if fast else "float32"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        if self.model:
            return self.model.image_shape
        assert self.examples is not None
        channels, height, width = self.examples.shape[1:]
        return channels, height, width


@cache
def opened() -> dict[str, str]:
    """Networks that whoever serves the page has added, by what the page and its links call them: what ``load_model``
    knows each by. The environment says which, see app.py: it is the same for all visitors.
    """
    found: dict[str, str] = {}
    for place in filter(None, os.environ.get(ADDED, "").split(os.pathsep)):
        name = read_card(find_model(place)).name
        others = (f"{name}-{k}" for k in count(2))
        found[next(each for each in chain([name], others) if each not in {*available(), *found})] = place
    return found


def add_networks(places: Sequence[str]) -> None:
    """Have the page offer these networks too, before it is built.

    Raises:
        CheckpointError: one that cannot be opened.
    """
    os.environ[ADDED] = os.pathsep.join(places)
    opened()


def networks() -> list[str]:
    """The names of all networks that the page has."""
    return [*available(), *opened()]


@cache
def card_of(name: str) -> Card:
    """The card of one of them."""
    return read_card(find_model(opened().get(name, name)))


def shared_model(name: str = DEFAULT) -> Model:
    """A network of the page on the best device there is; or that of a run on the page, as it was saved last.

    Raises:
        AskedError: no such run, or one that has saved none yet.
    """
    if not name.startswith(RUN):
        return loaded_once(name)
    weights = weights_of(name.removeprefix(RUN))
    return _loaded_of_run(weights, weights.with_suffix(".json").stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _loaded_of_run(weights: Path, _saved: int) -> Model:
    """As it was saved at that time."""
    return _load(str(weights))


@cache
def loaded_once(name: str) -> Model:
    """A network of the page that is no run, for all who ask."""
    return _load(opened().get(name, name))


def _load(place: str) -> Model:
    device = best_device()
    # On a processor with bfloat16 speed is worth the rounding; a GPU is fast enough without.
    fast = device.type == "cpu" and best_precision(device) == "bf16"
    return load_model(place, device, torch.bfloat16 if fast else torch.float32)


def find_source(name: str, own: Sequence[str] = ()) -> Source:
    """A network, or the exact denoiser of bundled images or of one's ``own``, by name.

    Raises:
        ImageError: no images of one's own, too many, or one that cannot be used.
    """
    if name == OWN:
        return Source(name, "Your images", best_device(), examples=own_images(own))
    if name.startswith(EXACT):
        return bundled_source(name.removeprefix(EXACT))
    model = shared_model(name)
    return Source(name, model.card.title, model.device, model)


@cache
def bundled_source(name: str) -> Source:
    """The exact denoiser of the images that come with the project."""
    examples = load_data(name, split_of_examples(name), SIDE).images
    return Source(EXACT + name, f"The bundled {name}", best_device(), examples=examples)


def own_images(paths: Sequence[str]) -> Tensor:
    """Images of one's own, the middle of each, (N, 3, 32, 32) uint8.

    Raises:
        ImageError: none, too many, or one that cannot be used.
    """
    if not paths:
        raise ImageError("Choose some images of your own first.")
    if len(paths) > MOST_IMAGES:
        raise ImageError(f"{len(paths)} images are too many; choose at most {MOST_IMAGES}.")
    pictures = []
    for path in paths:
        try:
            pictures.append(picture_for(path, (3, SIDE, SIDE)))
        except ImageError as error:
            raise ImageError(f"{Path(path).name}: {error}") from error
    return torch.from_numpy(to_bytes(torch.stack(pictures))).movedim(-1, 1)


@cache
def bundled_picture(name: str) -> Tensor:
    """One of the bundled images of a kind, which no network has seen, (C, H, W) in [-1, 1].

    Raises:
        ImageError: none are bundled.
    """
    if name not in BUNDLED:
        raise ImageError(f"There are no bundled pictures like those of {name}; choose one of your own.")
    return to_unit(load_data(name, "test", SIDE).images[BUNDLED_PICTURE])


def data_moments(source: Source) -> Moments | None:
    """Of the images that samples should be like: those of an exact denoiser, or a network's held-out ones; of a run's,
    those that it learns from; None where there are none.
    """
    if source.name.startswith(RUN):
        folder = weights_of(source.name.removeprefix(RUN)).parent
        return moments(to_unit(load_data(folder / DATA, "train", source.image_shape[1]).images))
    if source.examples is None and source.kind not in BUNDLED:
        return None
    return _bundled_moments(source.kind) if source.examples is None else moments(to_unit(source.examples))


@cache
def _bundled_moments(name: str) -> Moments:
    return moments(to_unit(load_data(name, "test", SIDE).images))


def choices() -> list[tuple[str, str]]:
    """(title, name) of every network, for a list to choose from."""
    return [(card_of(name).title, name) for name in networks()]


def student_calls() -> dict[str, int]:
    """How many calls each student takes, by name."""
    return {name: len(card_of(name).levels) for name in networks() if card_of(name).levels}


def relatives(name: str) -> list[tuple[str, str]]:
    """(title, name) of the networks that draw the same images: teacher and students of a network."""
    teachers = {each: card_of(each).teacher or each for each in networks()}
    return [(title, each) for title, each in choices() if each != name and teachers[each] == teachers.get(name)]


def sources_with(name: str) -> list[tuple[str, str]]:
    """``sources``, and in front of them the network of a run, if ``name`` is one's."""
    own = [(f"Trained here: {shared_model(name).card.title}", name)] if name.startswith(RUN) else []
    return [*own, *sources()]


def sources() -> list[tuple[str, str]]:
    """(title, name) of all that samples can be drawn from, but for the networks of runs, which are found by who has
    their names.
    """
    exact = [(f"Exact: bundled {name}", EXACT + name) for name in BUNDLED]
    return [*choices(), *exact, ("Exact: your own images", OWN)]
