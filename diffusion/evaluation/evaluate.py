"""How well a network explains held-out images, and how good and how new what it draws is.

Every figure of drawn images stands beside the same figure of as many held-out images, which says what a perfect network
would get. Where a data set has groups (images that are variations of one thing), one member of each stands for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from diffusion.data.sets import ImageSet
from diffusion.evaluation.classifier import Classifier, accuracy, classify, once_each
from diffusion.images import to_unit
from diffusion.losses.likelihood import bits_per_dim, estimate_bound
from diffusion.networks.model import Model
from diffusion.sampling.generate import generate
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import Spacing, timesteps
from diffusion.sampling.updates import all_options
from diffusion.schedules.schedule import Variance

Array = NDArray[np.float64]


class EvaluationError(ValueError):
    """A measurement that cannot be made, said in one sentence."""


def evaluate_likelihood(
    model: Model, held_out: ImageSet, *, variance: Variance = "beta", draws: int = 10, seed: int = 0, batch: int = 64
) -> dict[str, Any]:
    """The variational bound on images, under the schedule of training, given what the network knows of their labels.

    Returns:
        bits_per_dim: L_T + L_mid + L_0, mean over the images; smaller is better, 8 is a fair guess of each grey level.
        L_T, L_mid, L_0: its parts, bits/dim.
        standard_error: of bits_per_dim, over the images and the steps and noise that were drawn.
        images, draws, variance, seed: how it was measured.

    Raises:
        EvaluationError: fewer than two images.
    """
    data = once_each(held_out)
    check_count(len(data))
    schedule = model.card.training_schedule()
    generator = torch.Generator().manual_seed(seed)
    parts: dict[str, list[Tensor]] = {"L_T": [], "L_mid": [], "L_0": []}
    with tqdm(total=len(data), unit=" images", desc="bits/dim") as bar:
        for start in range(0, len(data), batch):
            chosen = data[slice(start, start + batch)]
            terms = estimate_bound(
                model.denoiser, to_unit(chosen.images), schedule, generator, draws=draws, variance=variance,
                labels=model.card.known(chosen.labels), device=model.device,
            )  # fmt: skip
            for name, nats in terms.items():
                parts[name].append(nats)
            bar.update(len(chosen))
    bits = {name: bits_per_dim(torch.cat(nats).numpy(), data.images[0].numel()) for name, nats in parts.items()}
    total = np.sum(list(bits.values()), axis=0)
    return {
        "bits_per_dim": float(total.mean()),
        **{name: float(values.mean()) for name, values in bits.items()},
        "standard_error": float(total.std(ddof=1) / len(total) ** 0.5),
        "images": len(data), "draws": draws, "variance": variance, "seed": seed,
    }  # fmt: skip


@dataclass(frozen=True)
class Gaussian:
    """mean (F,) and covariance (F, F) of features."""

    mean: Array
    covariance: Array


def fit_gaussian(features: Tensor) -> Gaussian:
    """The Gaussian with the mean and (unbiased) covariance of features (N, F), N >= 2, in float64."""
    values = features.double().numpy()
    return Gaussian(values.mean(0), np.cov(values, rowvar=False))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Squared Fréchet distance of two Gaussians (Dowson & Landau 1982; Heusel et al. 2017, arXiv 1706.08500, eq. 6):

        |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^(1/2) C_b C_a^(1/2))^(1/2)).

    That product is symmetric: the trace of its root is the sum of the roots of its eigenvalues, real even where a
    covariance is singular.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T  # rounding can leave an eigenvalue below zero
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b.covariance @ root), 0)).sum()
    return float(((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross)


def nearest_distance(images: Tensor, training: Tensor, block: int = 4096) -> Array:
    """How far each image is from the nearest of ``training``, (N,), see ``nearest_images``."""
    return nearest_images(images, training, block=block)[1]


def nearest_images(
    images: Tensor, training: Tensor, but: Tensor | None = None, *, block: int = 4096
) -> tuple[Tensor, Array]:
    """Which of ``training`` is nearest to each image, and how far: root mean square a pixel, in grey levels 0 ... 255.

    The nearest is the one with the largest x y - |y|^2 / 2, found in float32, ``block`` x ``block`` pairs at a time;
    its distance is then computed exactly.

    Args:
        images: (N, C, H, W) uint8.
        training: (M, C, H, W) uint8.
        but: (N, K) int64, those of ``training`` that do not count for each image, itself for example; fewer than M.

    Returns:
        index: (N,) int64.
        distance: (N,).
    """
    top, nearest = torch.full((len(images),), -torch.inf), torch.zeros(len(images), dtype=torch.int64)
    for first in range(0, len(training), block):
        # Smaller numbers round less; a shift of both changes no distance.
        y = training[first : first + block].flatten(1).float() - 127.5
        half_square = y.square().sum(1) / 2
        for start in range(0, len(images), block):
            some = slice(start, start + block)
            score = images[some].flatten(1).float().sub(127.5) @ y.T - half_square
            if but is not None:
                row, column = ((but[some] >= first) & (but[some] < first + len(y))).nonzero(as_tuple=True)
                score[row, but[some][row, column] - first] = -torch.inf
            value, index = score.max(1)
            better = value > top[some]
            top[some] = torch.where(better, value, top[some])
            nearest[some] = torch.where(better, index + first, nearest[some])
    parts = [
        ((x.int() - training[i].int()).square().flatten(1).sum(1).double() / training[0].numel()).sqrt()
        for x, i in zip(images.split(block), nearest.split(block), strict=True)
    ]
    return nearest, torch.cat(parts).numpy()


@dataclass(frozen=True)
class Reference:
    """What drawn images are compared with, measured once.

    Args:
        classifier: judges; its features are compared.
        column: which of several labels it finds; None where images have one.
        training: (M, C, H, W) uint8, all training images.
        training_gaussian: of the features of the training images, one of each group.
        training_count: how many those are.
        held_out: one image of each group, none of them a training image too.
        features: (N, F) of the held-out images.
        found: (N,) classes that the classifier finds in them.
        distance: (N,) of each to the nearest training image.
    """

    classifier: Classifier
    training: Tensor
    training_gaussian: Gaussian
    training_count: int
    held_out: ImageSet
    features: Tensor
    found: Tensor
    distance: Array
    column: int | None = None

    def asked(self, images: ImageSet) -> Tensor:
        """What the classifier should find in images, (N,)."""
        return images.labels if self.column is None else images.labels[:, self.column]

    def summary(self) -> dict[str, Any]:
        """The held-out images' own figures; the keys are those of ``judge``."""
        return {
            "images": len(self.held_out),
            "training_images": len(self.training),
            "frechet_training_images": self.training_count,
            "accuracy": accuracy(self.found, self.asked(self.held_out)),
            **_nearness(self.distance),
        }


def make_reference(classifier: Classifier, train: ImageSet, held_out: ImageSet, column: int | None = None) -> Reference:
    """Measure the training set and the held-out images; ``column`` as of a ``Reference``.

    Held-out images that equal a training image are left out: such a distance of zero would hide every copy.

    Raises:
        EvaluationError: fewer than two images in either.
    """
    training, new = once_each(train), held_out.without(train)
    chosen = once_each(new)
    if len(chosen) < 2 and len(new) < len(held_out):
        raise EvaluationError(f"{len(held_out) - len(new)} of the {len(held_out)} held-out images are training images.")
    check_count(min(len(training), len(chosen)))
    features, found = classify(classifier, chosen.images)
    gaussian = fit_gaussian(classify(classifier, training.images)[0])
    distance = nearest_distance(chosen.images, train.images)
    return Reference(classifier, train.images, gaussian, len(training), chosen, features, found, distance, column)


def judge(reference: Reference, drawn: ImageSet) -> dict[str, Any]:
    """Judge drawn images, each with the class that was asked for.

    Returns:
        images: how many were drawn.
        accuracy: share in which the classifier finds the class that was asked for.
        frechet: squared Fréchet distance of the features of ``frechet_images`` of them to the training images'.
        frechet_held_out: the same of as many held-out images. Few images raise both alike, so only images measured in
            the same number compare. Memorised images lower the first: read it with ``copied``.
        nearest_median, nearest_percentile_1: distance to the nearest training image (``nearest_distance``).
        copied: share nearer to the training set than the nearest 1 % of the held-out images are; about 0.01 if the
            images are as new as those.

    Raises:
        EvaluationError: fewer than two images.
    """
    count = min(len(drawn), len(reference.held_out))
    check_count(count)
    features, found = classify(reference.classifier, drawn.images)
    distance = nearest_distance(drawn.images, reference.training)
    return {
        "images": len(drawn),
        "accuracy": accuracy(found, reference.asked(drawn)),
        "frechet": frechet_distance(fit_gaussian(features[:count]), reference.training_gaussian),
        "frechet_held_out": frechet_distance(fit_gaussian(reference.features[:count]), reference.training_gaussian),
        "frechet_images": count,
        **_nearness(distance),
        "copied": float((distance < np.percentile(reference.distance, 1)).mean()),
    }


def _nearness(distance: Array) -> dict[str, float]:
    return {"nearest_median": float(np.median(distance)), "nearest_percentile_1": float(np.percentile(distance, 1))}


def check_count(count: int) -> None:
    if count < 2:
        raise EvaluationError(f"At least two images are needed to measure a spread, not {count}.")


def check_judge(model: Model, classifier: Classifier) -> None:
    """Raises EvaluationError: a classifier for other images or classes than the network's."""
    config = classifier.config
    channels, classes = model.image_shape[0], len(model.card.classes)
    if (config.channels, config.num_classes) != (channels, classes):
        raise EvaluationError(
            f"The classifier knows {config.num_classes} classes of images of {config.channels} channels, but "
            f"{model.card.name} has {classes} classes and {channels} channels."
        )


@dataclass(frozen=True)
class Drawing:
    """One way to draw, as in ``make_update`` and ``timesteps``, and how many images to draw that way."""

    sampler: str
    steps: int
    count: int
    options: Mapping[str, float] = field(default_factory=dict)
    spacing: Spacing = "trailing"
    guidance: float = 1.0


def way_of(run: Drawing, seconds: float) -> dict[str, Any]:
    """A way to draw and how long it took, for the figures."""
    return {
        "sampler": run.sampler, **all_options(run.sampler, run.options), "spacing": run.spacing, "steps": run.steps,
        "guidance": run.guidance, "seconds": seconds, "images_per_second": run.count / seconds,
    }  # fmt: skip


def draw_labelled(model: Model, run: Drawing, labels: Tensor, *, seed: int = 0, batch: int = 64) -> ImageSet:
    """Draw an image for each label, (count,) or (count, conditions), with seeds seed, seed + 1, ..., under the
    schedule of training.

    The predicted x_0 is clipped.
    """
    schedule = model.card.training_schedule()
    plan = SamplingPlan(
        timesteps(schedule, run.steps, run.spacing), range(seed, seed + len(labels)), run.sampler, run.options,
        labels=labels.tolist(), guidance=run.guidance,
    )  # fmt: skip
    made = generate(model.denoiser, schedule, plan, model.image_shape, model.device, batch=batch, progress=True)
    return ImageSet(torch.from_numpy(made).movedim(-1, 1), labels)


def evaluate_samples(
    model: Model,
    classifier: Classifier,
    train: ImageSet,
    held_out: ImageSet,
    runs: Sequence[Drawing],
    *,
    seed: int = 0,
    batch: int = 64,
) -> dict[str, Any]:
    """Draw images in each of several ways, from the same seeds, and judge them.

    The labels are those of the held-out images, in turn if more are drawn.

    Returns:
        held_out: ``Reference.summary``.
        runs: for each run its ``sampler``, that sampler's options, ``spacing``, ``steps``, ``guidance``, ``seconds``,
            ``images_per_second`` and the figures of ``judge``.

    Raises:
        EvaluationError: fewer than two images, or a classifier for other images or classes than the network's.
    """
    check_judge(model, classifier)
    for run in runs:
        check_count(run.count)
    reference = make_reference(classifier, train, held_out)
    results = []
    for run in runs:
        labels = reference.held_out.labels[torch.arange(run.count) % len(reference.held_out)]
        started = time.perf_counter()
        drawn = draw_labelled(model, run, labels, seed=seed, batch=batch)
        results.append(way_of(run, time.perf_counter() - started) | judge(reference, drawn))
    return {"held_out": reference.summary(), "runs": results}
