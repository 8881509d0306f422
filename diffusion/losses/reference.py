"""What the errors of a network are held against: denoisers that know images by heart.

Where x_0 is drawn evenly from a finite set of images there is a best denoiser, ``ExactDenoiser``. Two of them bracket
what a network that was measured on some images can be said to have learned:

    known   knows all images at hand, those that were measured among them: the least error that anything can have if
            each of them is as likely as any other. To come near it a network must know them by heart.
    others  knows only images that were not measured. It is what a perfect memory of other images is worth: a network
            that has less error than this on images it never saw has learned something that holds for them too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from diffusion.data.folders import load_data
from diffusion.data.sets import DataError, ImageSet
from diffusion.denoiser import ExactDenoiser
from diffusion.images import to_unit
from diffusion.losses.curve import ErrorCurve
from diffusion.losses.measure import measure_errors
from diffusion.schedules.schedule import Array


def other_images(source: str | Path, measured: ImageSet) -> ImageSet:
    """The training images of a data set, or what else there is if it has none, without those measured."""
    channels, size = measured.images.shape[1:3]
    try:
        data = load_data(source, "train", size, channels)
    except DataError:
        data = load_data(source, "test", size, channels)
    return data.without(measured)


def measure_references(
    measured: ImageSet, others: ImageSet, alpha_bars: Array, *, classes: bool = True, noises: int = 1, seed: int = 0
) -> Iterator[tuple[str, ErrorCurve]]:
    """The curves of ``known`` and ``others``, over the same draws as ``measure_errors`` makes with this seed.

    Args:
        others: may be empty; then there is only ``known``.
        classes: whether they are told the labels, as the network was: the class, or all of several conditions.
    """
    both = torch.cat((others.labels, measured.labels))
    if both.ndim == 2:  # a class for each row
        both = both.unique(dim=0, return_inverse=True)[1]
    x_0, labels = to_unit(measured.images), both[len(others) :] if classes else None
    everyone = torch.cat((others.images, measured.images))  # as bytes, a quarter of the memory
    denoisers = {"known": ExactDenoiser(everyone, both)}
    if len(others):
        denoisers["others"] = ExactDenoiser(others.images, both[: len(others)])
    for name, denoiser in denoisers.items():
        for curve in measure_errors(
            denoiser, x_0, alpha_bars, labels=labels, noises=noises, seed=seed, batch=256, decoder=False
        ):
            yield name, curve
