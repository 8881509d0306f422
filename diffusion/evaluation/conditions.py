"""A network that is told several things of an image: is each of them found in what it draws, and what is new to it?

Images are held out in two ways. Some show what no training image shows, a concept in any style: of them the network
can be told the rest, their kind and their style, and what it draws then stands beside the held-out images. Others are
single pairs: training has seen the concept and the style, but not this concept in this style. As many pairs that it has
seen, of the same concepts, stand beside them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from diffusion.data.sets import ImageSet
from diffusion.evaluation.classifier import (
    CLASSIFIERS,
    Classifier,
    ClassifierCard,
    accuracy,
    classify,
    load_classifier,
    once_each,
)
from diffusion.evaluation.evaluate import (
    Drawing,
    EvaluationError,
    check_count,
    draw_labelled,
    judge,
    make_reference,
    way_of,
)
from diffusion.networks.card import Card
from diffusion.networks.checkpoint import find_weights
from diffusion.networks.model import Model


@dataclass(frozen=True)
class Judge:
    """A classifier that finds one of the conditions."""

    classifier: Classifier
    card: ClassifierCard


def load_judges(card: Card, names: Sequence[str] = ()) -> dict[str, Judge]:
    """The judges of a network, by what they find, in the order of its conditions.

    Args:
        names: of classifiers, or paths; without, those named after the network, or its teacher, and a condition.

    Raises:
        CheckpointError: as ``load_classifier``.
        EvaluationError: a classifier that finds something else than the network is told, or none at all.
    """
    if not names:
        usual = [f"{card.teacher or card.name}-{condition}" for condition in card.conditions]
        names = [name for name in usual if find_weights(name, CLASSIFIERS)]
    judges = {}
    for name in names:
        classifier, about = load_classifier(name)
        values = card.conditions.get(about.condition, [])
        if not values or list(about.classes[: len(values)]) != values:
            raise EvaluationError(f"The classifier {about.name} finds other things than {card.name} is told.")
        if classifier.config.channels != card.network.image_shape[0]:
            raise EvaluationError(f"The classifier {about.name} is for images of other channels than {card.name}'s.")
        judges[about.condition] = Judge(classifier, about)
    if not judges:
        raise EvaluationError(f"There are no classifiers that find what {card.name} is told: {card.told()}.")
    return {condition: judges[condition] for condition in card.conditions if condition in judges}


def implied(labels: Tensor) -> list[int]:
    """Which columns of labels (N, conditions) follow from another one, as the kind from the concept."""
    counts = [len(column.unique()) for column in labels.unbind(1)]
    return [
        k for k, own in enumerate(counts)
        if any(own < other == len(labels[:, [j, k]].unique(dim=0)) for j, other in enumerate(counts))
    ]  # fmt: skip


@dataclass(frozen=True)
class Pairs:
    """Pairs of values, an image of each, that training has not seen, and as many that it has.

    Args:
        names: the conditions that are asked for; the labels of the images leave the others out.
    """

    names: tuple[str, ...]
    unseen: ImageSet
    seen: ImageSet


def find_pairs(
    card: Card, train: ImageSet, unseen: ImageSet, names: Sequence[str], *, most: int | None = None, seed: int = 0
) -> Pairs:
    """One image of every pair of ``unseen``, and for each a training image of the same first value, at random.

    Args:
        names: what can be judged; of it that which does not follow from the rest is asked for.
        most: of the pairs only so many, evenly spread; None for all.

    Raises:
        EvaluationError: nothing that can be judged is left, or a value that training images do not have.
    """
    follows = implied(train.labels)
    columns = [k for k, name in enumerate(card.conditions) if name in names and k not in follows]
    if len(columns) < 2:
        raise EvaluationError("A pair is of two conditions that can be judged, of which neither follows from another.")
    chosen = once_each(unseen)
    _, which = chosen.labels[:, columns].unique(dim=0, return_inverse=True)
    firsts = torch.stack([(which == i).nonzero()[0, 0] for i in range(int(which.max()) + 1)])
    chosen = chosen[firsts].evenly(len(firsts) if most is None else most)
    generator, alike = torch.Generator().manual_seed(seed), []
    for value in chosen.labels[:, columns[0]].tolist():
        there = (train.labels[:, columns[0]] == value).nonzero()[:, 0]
        if not len(there):
            raise EvaluationError(f"No training image has the {list(card.conditions)[columns[0]]} of an unseen pair.")
        pairs = train.labels[there][:, columns].unique(dim=0)
        pair = pairs[torch.randint(len(pairs), (), generator=generator)]
        alike.append(there[(train.labels[there][:, columns] == pair).all(1).nonzero()[0, 0]])
    said = [list(card.conditions)[k] for k in columns]
    seen = train[torch.stack(alike)]
    return Pairs(
        tuple(said), *(replace(s, labels=asked_for(card, s.labels, said), groups=None) for s in (chosen, seen))
    )


def asked_for(card: Card, labels: Tensor, names: Sequence[str]) -> Tensor:
    """Labels (N, conditions) of which all but the conditions ``names`` are left out."""
    said = torch.tensor([name in names for name in card.conditions])
    return torch.where(said, labels, labels.new_tensor(card.network.conditions))


def shares_found(card: Card, judges: Mapping[str, Judge], images: ImageSet, names: Sequence[str]) -> dict[str, float]:
    """Of each of the conditions, in which share of the images its judge finds the value of the label."""
    places = list(card.conditions)
    return {
        name: accuracy(classify(judges[name].classifier, images.images)[1], images.labels[:, places.index(name)])
        for name in names
    }


def evaluate_conditions(
    model: Model,
    judges: Mapping[str, Judge],
    train: ImageSet,
    held_out: ImageSet,
    pairs: Pairs | None,
    runs: Sequence[Drawing],
    *,
    seed: int = 0,
    batch: int = 64,
) -> dict[str, Any]:
    """Draw what is known of the held-out images, and the pairs, in each of several ways, and judge what is found.

    Args:
        pairs: to draw as well; None for none.

    Returns:
        asked: what is asked for, in place of held-out images: the conditions of which the network knows all values.
        held_out: ``Reference.summary``, by the first of these, and ``found``, the share of each that its judge finds.
        runs: for each run what ``evaluate_samples`` says, ``found`` too, and of the pairs ``unseen`` and ``seen``, the
            shares found in what was drawn of them, and ``ratio``, of the former to the latter.
        pairs: ``asked``, how many ``images``, and what is found in the real ``unseen`` and ``seen`` ones.

    Raises:
        EvaluationError: fewer than two images, or nothing that can be judged.
    """
    card, places = model.card, list(model.card.conditions)
    known = (held_out.labels < held_out.labels.new_tensor(card.network.conditions)).all(0).tolist()
    names = [name for name, all_known in zip(places, known, strict=True) if all_known and name in judges]
    if not names:
        raise EvaluationError(f"Of the held-out images nothing that {card.name} is told can be judged.")
    for run in runs:
        check_count(run.count)
    reference = make_reference(judges[names[0]].classifier, train, held_out, places.index(names[0]))
    labels = asked_for(card, reference.held_out.labels, names)
    results = []
    for run in runs:
        started = time.perf_counter()
        drawn = draw_labelled(model, run, labels[torch.arange(run.count) % len(labels)], seed=seed, batch=batch)
        result = way_of(run, time.perf_counter() - started) | judge(reference, drawn)
        result["found"] = shares_found(card, judges, drawn, names)
        if pairs is not None:
            found = {
                which: shares_found(card, judges, draw_labelled(model, run, asked, seed=seed, batch=batch), pairs.names)
                for which, asked in (("unseen", pairs.unseen.labels), ("seen", pairs.seen.labels))
            }
            ratio = {name: found["unseen"][name] / max(found["seen"][name], 1e-9) for name in pairs.names}
            result["pairs"] = {**found, "ratio": ratio}
        results.append(result)
    real = reference.summary() | {"found": shares_found(card, judges, reference.held_out, names)}
    figures: dict[str, Any] = {"asked": names, "held_out": real, "runs": results}
    if pairs is not None:
        figures["pairs"] = {
            "asked": list(pairs.names), "images": len(pairs.unseen),
            **{which: shares_found(card, judges, getattr(pairs, which), pairs.names) for which in ("unseen", "seen")},
        }  # fmt: skip
    return figures
