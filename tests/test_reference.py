"""Perfect memories: what they know, and that nothing has less error than one that knows what it is asked about."""

from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion.data.folders import load_data
from diffusion.data.sets import ImageSet
from diffusion.losses.measure import measure_errors
from diffusion.losses.reference import measure_references, other_images

LEVELS = np.array([0.999, 0.9, 0.5, 0.1, 0.01])


def some(n: int, seed: int) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 1, 4, 4), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.arange(n) % 2)


@pytest.mark.parametrize("classes", [True, False])
def test_the_one_that_knows_the_images_has_the_least_error(classes: bool) -> None:
    measured, others = some(6, 0), some(20, 1)
    curves = dict(measure_references(measured, others, LEVELS, classes=classes, noises=50))
    assert list(curves) == ["known", "others"]
    assert (curves["known"].mean < curves["others"].mean).all()
    everyone = torch.cat((others.images, measured.images)).float() / 127.5 - 1
    labels = torch.cat((others.labels, measured.labels))
    x_0 = everyone[-6:]

    def mean_of_class(
        x_t: torch.Tensor, alpha_bar: float | torch.Tensor, label: torch.Tensor | None = None
    ) -> torch.Tensor:
        """A good guess at high noise, and the best of all that do not look at x_t."""
        means = torch.stack([everyone[labels == k].mean(0) for k in (0, 1)])
        guess = everyone.mean(0).expand_as(x_t) if label is None else means[label]
        return (x_t - alpha_bar**0.5 * guess) / (1 - alpha_bar) ** 0.5

    *_, other = measure_errors(mean_of_class, x_0, LEVELS, labels=measured.labels if classes else None, noises=50)
    assert (curves["known"].mean < other.mean).all()


def test_without_others_there_is_one_curve() -> None:
    measured = some(3, 0)
    curves = dict(measure_references(measured, measured.without(measured), LEVELS))
    assert list(curves) == ["known"]


def test_others_are_the_training_images_and_none_that_was_measured(tmp_path: Path) -> None:
    test, train = some(4, 0), some(9, 1)
    images = train.images[:, 0].numpy().copy()
    images[3] = test.images[1, 0].numpy()  # a duplicate
    np.savez(tmp_path / "a.npz", x_train=images, y_train=train.labels.numpy().astype(np.uint8),
             x_test=test.images[:, 0].numpy(), y_test=test.labels.numpy().astype(np.uint8))  # fmt: skip
    found = other_images(tmp_path / "a.npz", load_data(tmp_path / "a.npz", "test", 4))
    assert len(found) == 8 and torch.equal(found.images[3], train.images[4])


def test_where_there_are_no_training_images_the_rest_are_the_others() -> None:
    digits = load_data("digits", "test", 32).evenly(64)
    assert len(other_images("digits", digits)) == 64
