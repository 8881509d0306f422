"""How many steps are enough? What a network draws, as a judge finds it, by every sampler and number of calls.

Heun's method asks twice a step, so what is counted is calls of the network, which is what drawing costs. In all ways
the same images are drawn, of the same seeds and labels, under the schedule of training, in steps even in t, without
guidance. NAME.steps.json beside a network keeps what was found, tied to its weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from diffusion.checks import is_number, is_whole, shown
from diffusion.data.sets import ImageSet
from diffusion.evaluation.classifier import Classifier
from diffusion.evaluation.evaluate import (
    Drawing,
    EvaluationError,
    Reference,
    check_count,
    check_judge,
    draw_labelled,
    fit_gaussian,
    frechet_distance,
    judge,
    make_reference,
)
from diffusion.networks.model import Model
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import Spacing, timesteps
from diffusion.sampling.updates import SAMPLERS
from diffusion.schedules.schedule import Schedule

CALLS = (1, 2, 3, 4, 6, 8, 10, 12, 20, 35, 50)  # about even in their logarithm
MOST_CALLS = CALLS[-1]


@dataclass(frozen=True)
class QualityPoint:
    """A sampler in so many steps.

    Args:
        calls: of the network, as ``SamplingPlan.calls`` counts them.
        accuracy: share of the images in which the classifier finds the class that was asked for.
        frechet: squared Fréchet distance of their features to the training images', see ``judge``.
    """

    sampler: str
    steps: int
    calls: int
    accuracy: float
    frechet: float


@dataclass(frozen=True)
class Quality:
    """What a network draws by sampler and calls, beside held-out images.

    Args:
        model: its name.
        sha256: of its weights.
        command: that measures it, and goes on where it was stopped.
        images: drawn in each way.
        precision: what the network computed in.
        seed: of the first image; the others follow.
        held_out_accuracy: share of the held-out images in which the classifier finds their class.
        held_out_frechet: the distance of as many held-out images, which few images raise; the mean over all disjoint
            sets of so many.
        held_out_sets: how many those are.
        accuracy_spread, frechet_spread: standard deviation over these sets, 0 of a single one: so much is chance. Of
            points it is less, as all are of the same seeds.
        points: what was drawn, few calls first.
    """

    model: str
    sha256: str
    command: str
    images: int
    precision: str
    seed: int
    held_out_accuracy: float = 0.0
    held_out_frechet: float = 0.0
    held_out_sets: int = 1
    accuracy_spread: float = 0.0
    frechet_spread: float = 0.0
    points: tuple[QualityPoint, ...] = ()

    def of_same_run(self, other: Quality) -> bool:
        """Whether both are of the same weights and command, so that the points of one go on in the other."""
        return (self.sha256, self.command) == (other.sha256, other.command)

    def to_json(self) -> dict[str, Any]:
        """What NAME.steps.json holds."""
        return asdict(self) | {"points": [asdict(point) for point in self.points]}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Quality:
        """What ``to_json`` gave.

        Raises:
            EvaluationError: anything else.
        """
        try:
            points = tuple(QualityPoint(**point) for point in content["points"])
            found = Quality(**{**content, "points": points})
        except (KeyError, TypeError) as error:
            raise EvaluationError("This is not what evaluate --by-steps writes.") from error
        named = (found.model, found.sha256, found.command, found.precision)
        counts = (found.images, found.seed, found.held_out_sets)
        if not all(isinstance(value, str) for value in named) or not all(is_whole(count) for count in counts):
            raise EvaluationError("This is not what evaluate --by-steps writes.")
        shares = [found.held_out_accuracy, found.accuracy_spread, *(point.accuracy for point in points)]
        distances = [found.held_out_frechet, found.frechet_spread, *(point.frechet for point in points)]
        if not all(is_number(x) and 0 <= x <= 1 for x in shares) or not all(is_number(x) for x in distances):
            raise EvaluationError("Shares must lie between 0 and 1, and distances be numbers.")
        for point in points:
            if point.sampler not in SAMPLERS:
                raise EvaluationError(f"There is no sampler {shown(point.sampler)}.")
            if not (is_whole(point.steps) and is_whole(point.calls) and 1 <= point.steps <= point.calls):
                raise EvaluationError("Steps and calls must be whole numbers, at least one call a step.")
        return found


def quality_path(weights: Path) -> Path:
    """Where it is kept: beside the weights."""
    return weights.with_suffix(".steps.json")


def read_quality(path: Path, sha256: str) -> Quality | None:
    """What was measured of the weights with this hash; None if there is no such file, or it is of other weights.

    Raises:
        EvaluationError: a file that holds something else.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvaluationError(f"{path.name} is no JSON.") from error
    if not isinstance(content, dict):
        raise EvaluationError(f"{path.name} is not what evaluate --by-steps writes.")
    found = Quality.from_json(content)
    return found if found.sha256 == sha256 else None


def calls_by_steps(sampler: str, schedule: Schedule, spacing: Spacing = "trailing") -> list[int]:
    """The calls of a sampler in 1, 2, ... steps of a schedule, as long as they are at most ``MOST_CALLS``."""
    calls: list[int] = []
    for steps in range(1, min(MOST_CALLS, schedule.T) + 1):
        count = SamplingPlan(timesteps(schedule, steps, spacing), (0,), sampler).calls(schedule)
        if count > MOST_CALLS:
            break
        calls.append(count)
    return calls


def ways_to_measure(
    schedule: Schedule, most_calls: Sequence[int] = CALLS, spacing: Spacing = "trailing"
) -> list[tuple[str, int, int]]:
    """(sampler, steps, calls) of all that is measured, few calls first: of each sampler the most steps that each of
    ``most_calls`` allows.
    """
    ways = []
    for sampler in SAMPLERS:
        calls = calls_by_steps(sampler, schedule, spacing)
        allowed = {max(k for k, count in enumerate(calls, 1) if count <= most) for most in most_calls}
        ways += [(sampler, steps, calls[steps - 1]) for steps in sorted(allowed)]
    return sorted(ways, key=lambda way: way[2])


def measure_quality(
    model: Model,
    classifier: Classifier,
    train: ImageSet,
    held_out: ImageSet,
    begun: Quality,
    *,
    known: Quality | None = None,
    batch: int = 64,
) -> Iterator[Quality]:
    """Draw in every way and judge, yielding what is known after each.

    Args:
        begun: what is to be measured; its held-out values are filled in, its points are found.
        known: of a run that was stopped; if it is of the same weights and command, its points are kept.

    Raises:
        EvaluationError: a classifier of other images or classes, fewer than two images, or more than are held out.
    """
    check_judge(model, classifier)
    check_count(begun.images)
    reference = make_reference(classifier, train, held_out)
    if begun.images > len(reference.held_out):
        raise EvaluationError(
            f"{begun.images} images would have no floor to compare with: {len(reference.held_out)} are held out."
        )
    real = reference.held_out[: begun.images]
    kept = known.points if known is not None and known.of_same_run(begun) else ()
    found = replace(begun, **_of_held_out(reference, begun.images), points=kept)
    yield found
    there = {(point.sampler, point.steps) for point in found.points}
    for sampler, steps, calls in ways_to_measure(model.card.training_schedule()):
        if (sampler, steps) in there:
            continue
        drawn = draw_labelled(model, Drawing(sampler, steps, len(real)), real.labels, seed=begun.seed, batch=batch)
        figures = judge(reference, drawn)
        point = QualityPoint(sampler, steps, calls, figures["accuracy"], figures["frechet"])
        found = replace(found, points=(*found.points, point))
        yield found


def _of_held_out(reference: Reference, count: int) -> dict[str, Any]:
    """The fields of ``Quality`` that are about held-out images, of disjoint sets of ``count`` of them."""
    sets = len(reference.held_out) // count
    right = (reference.found == reference.asked(reference.held_out)).double()
    shares = [float(part.mean()) for part in right.split(count)[:sets]]
    gaussians = map(fit_gaussian, reference.features.split(count)[:sets])
    distances = [frechet_distance(gaussian, reference.training_gaussian) for gaussian in gaussians]
    return {
        "held_out_accuracy": float(right.mean()), "held_out_frechet": float(np.mean(distances)), "held_out_sets": sets,
        "accuracy_spread": float(np.std(shares, ddof=1)) if sets > 1 else 0.0,
        "frechet_spread": float(np.std(distances, ddof=1)) if sets > 1 else 0.0,
    }  # fmt: skip
