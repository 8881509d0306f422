"""An error is measured on images, and means little before it is said on which: had the network seen them in training?

A ``Subject`` is what is measured, bundled images of the network's kind or the visitor's own picture, with those facts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
import torch

from diffusion.data.folders import BUNDLED, load_data
from diffusion.data.sets import ImageSet
from diffusion.images import picture_for, to_bytes
from diffusion.losses.reference import other_images
from diffusion.networks.model import Model
from ui.models import RUN, choices, shared_model
from ui.runs import find_run
from ui.watching import images_of_run


def measurable() -> list[tuple[str, str]]:
    """(title, name) of the shipped networks that there are bundled images for."""
    return [(title, name) for title, name in choices() if name in BUNDLED]


@dataclass(frozen=True)
class SubjectFacts:
    """What a network was measured on, in words and numbers.

    Args:
        about: what they are, for the status line.
        count: how many.
        others: how many more the perfect memories know.
        held_out: whether they had no part in the network's training; None for a picture that is not of their kind.
    """

    about: str
    count: int
    others: int
    held_out: bool | None


@dataclass(frozen=True)
class Subject:
    """What a network is measured on.

    Args:
        images: those measured.
        others: that a perfect memory of other images knows.
        told: whether the network, and a perfect memory, are told the labels of each.
    """

    images: ImageSet
    others: ImageSet
    told: bool
    facts: SubjectFacts


def held_out(model: Model) -> bool:
    """Whether the bundled images of its kind had no part in a network's training."""
    # One command for each time it was trained on.
    all_held_out = all("--hold-out" in command for command in model.card.command.split(" && "))
    return all_held_out or _is_of_training_data(model.card.name)


@cache
def _is_of_training_data(name: str) -> bool:
    """Whether they are those that a file with training images holds out, or a part of such a file."""
    with np.load(BUNDLED[name]) as arrays:
        return "x_train" in arrays or "splits" in arrays


@lru_cache(maxsize=32)
def bundled(name: str) -> ImageSet:
    """The bundled images to measure on; of a run on the page those that it holds out, or else learns from."""
    if name.startswith(RUN):
        learnt, kept_out = images_of_run(find_run(name.removeprefix(RUN)))
        return learnt if kept_out is None else kept_out
    model = shared_model(name)
    channels, size, _ = model.image_shape
    return load_data(name, "test", size, channels)


def bundled_facts(model: Model, count: int, others: int) -> SubjectFacts:
    """What those images are."""
    held = held_out(model)
    return SubjectFacts(f"{count} {'held-out' if held else 'bundled'} {model.card.name}", count, others, held)


def bundled_subject(model: Model, count: int) -> Subject:
    """Images of the kind a network makes, evenly over the classes as they are stored."""
    images = bundled(model.card.name).evenly(count)
    others, card = other_images(model.card.name, images), model.card
    facts = bundled_facts(model, len(images), len(others))
    images, others = (some.labelled(card.known(some.labels)) for some in (images, others))
    return Subject(images, others, bool(card.network.conditions), facts)


def subject_of_run(network: str, model: Model, count: int) -> Subject:
    """Images of a run on the page, evenly: those that it holds out, where there are any.

    Raises:
        AskedError: no such run.
    """
    learnt, kept_out = images_of_run(find_run(network.removeprefix(RUN)))
    images = bundled(network).evenly(count)
    others = learnt.without(images)
    what = "training images" if kept_out is None else "held-out images"
    facts = SubjectFacts(f"{len(images)} {what}", len(images), len(others), kept_out is not None)
    return Subject(images, others, bool(model.card.network.conditions), facts)


def own_subject(path: str, model: Model, network: str = "") -> Subject:
    """The visitor's picture as the network's images are: the square in its middle, in their size and colours.

    Args:
        network: its name on the page, if that is not the one on its card.

    Raises:
        ImageError: a picture that cannot be used.
    """
    pixels = torch.from_numpy(to_bytes(picture_for(path, model.image_shape))).movedim(-1, 0)
    image = ImageSet(pixels[None], torch.zeros(1, dtype=torch.int64))
    nothing = replace(image, images=image.images[:0], labels=image.labels[:0])
    others = bundled(network) if network.startswith(RUN) else other_images(model.card.name, nothing)
    image = image.labelled(torch.zeros_like(others.labels[:1]))  # of which nobody is told
    return Subject(image, others, False, SubjectFacts("your picture", 1, len(others), None))
