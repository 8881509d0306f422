"""`python -m diffusion evaluate`: bits/dim of a network, and what it draws, as a judge finds it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion.cli.options import (
    BATCH,
    DATA_HELP,
    RANGES,
    CommandError,
    Commands,
    add_model_options,
    add_precision,
    add_seed,
    check_labels,
    check_places,
    check_seed,
    check_unused,
    command_of,
    device_of,
    note,
)

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    from diffusion.data.sets import ImageSet
    from diffusion.evaluation.classifier import Classifier, ClassifierCard
    from diffusion.evaluation.evaluate import Drawing
    from diffusion.networks.card import Card
    from diffusion.networks.model import Model
    from diffusion.sampling.recipe import Precision
    from diffusion.sampling.steps import Spacing

    Run = tuple[str, int, int, dict[str, float], Spacing, float]

MANY, DRAWS = 1000, 10  # images, and steps of each for bits/dim, if nothing else is asked for
# What `evaluate` draws: fewer images where one takes longer.
DRAWINGS = [
    f"{sampler}:{steps}:{count}"
    for steps, count in ((10, 1000), (20, 1000), (50, 1000), (100, 1000), (1000, 200))
    for sampler in (
        "ddim", "ddpm", *(("dpmpp",) if steps <= 50 else ()),
        *(("dpmpp:eta=1", "dpmpp:spacing=log_snr", "dpmpp:eta=1:spacing=log_snr", "unipc") if steps <= 20 else ()),
    )
]  # fmt: skip


def run_evaluate(args: argparse.Namespace) -> None:
    if args.by_steps is not None:
        _run_by_steps(args)
        return
    runs = None if args.runs is None else [_drawing(text) for text in args.runs]
    check_seed(args.seed, max([count for _, _, count, *_ in runs or ()], default=MANY))
    if runs == []:
        check_unused(args, "--runs draws nothing; leave {} out.", "precision", "pairs")
    check_places(args.out)
    precision: Precision = args.precision or "float32"

    from dataclasses import replace

    from diffusion.evaluation.evaluate import Drawing, evaluate_likelihood
    from diffusion.files import write_atomically
    from diffusion.networks.model import load_model, save_card
    from diffusion.sampling.loop import guided
    from diffusion.sampling.plan import SamplingPlan
    from diffusion.sampling.recipe import PRECISIONS
    from diffusion.sampling.steps import timesteps
    from diffusion.sampling.wishes import remark_on_student

    model = load_model(args.model, device_of(args.device))
    card, schedule = model.card, model.card.training_schedule()
    drawings = [Drawing(*run) for run in (_usual_runs(card) if runs is None else runs)]
    for run in drawings:  # refuses what is not there, too many steps, or guidance that it was not taught
        steps = timesteps(schedule, run.steps, run.spacing)
        note(remark_on_student(card, schedule, SamplingPlan(steps, [0], run.sampler, run.options)))
        guided(model.denoiser, run.guidance)
    if card.levels:
        message = f"{card.name} is a student, taught {len(card.levels)} noise levels: bits/dim, over all, say nothing"
        check_unused(args, f"{message}; leave {{}} out.", "draws")
        if not drawings:
            raise CommandError(f"{message}, and --runs draws nothing.")
    splits = _splits(args, model)
    result: dict[str, Any] = {"model": card.name, "sha256": card.sha256, "command": command_of(args)}
    if not card.levels:
        result |= evaluate_likelihood(model, splits["test"], draws=args.draws or DRAWS, seed=args.seed, batch=BATCH)
    if drawings:
        result["precision"] = precision
        plain = precision == "float32"
        drawing = model if plain else load_model(args.model, model.device, PRECISIONS[precision])
        judged = _of_conditions if card.conditions else _of_classes
        result |= judged(args, drawing, splits, drawings)
    if args.card:
        save_card(args.model, replace(card, figures=result))
    if args.out is not None:
        write_atomically(args.out, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result))


def _run_by_steps(args: argparse.Namespace) -> None:
    """Class found and Fréchet distance by sampler and calls, written after each of them, so that it can be stopped."""
    others = ("runs", "draws", "pairs", "card")
    check_unused(args, "--by-steps draws in all ways and measures no bits/dim; leave {} out.", *others)
    check_seed(args.seed, args.by_steps)
    check_places(args.out)

    from diffusion.evaluation.quality import Quality, measure_quality, quality_path, read_quality
    from diffusion.files import write_atomically
    from diffusion.networks.model import find_model, load_model
    from diffusion.sampling.recipe import PRECISIONS

    precision: Precision = args.precision or "float32"
    model = load_model(args.model, device_of(args.device), PRECISIONS[precision])
    card = model.card
    if card.levels or not card.classes:
        why = f"a student, which takes its own {len(card.levels)} steps" if card.levels else "not told one class"
        raise CommandError(f"{card.name} is {why}: --by-steps is for networks of classes that draw in any steps.")
    splits, (classifier, _) = _splits(args, model), _judge_of(args, card)
    path = quality_path(find_model(args.model)) if args.out is None else args.out
    check_places(path)
    begun = Quality(card.name, card.sha256, command_of(args), args.by_steps, precision, args.seed)
    for found in measure_quality(
        model, classifier, splits["train"], splits["test"], begun, known=read_quality(path, card.sha256), batch=BATCH
    ):
        write_atomically(path, (json.dumps(found.to_json(), indent=1) + "\n").encode())
    print(json.dumps(found.to_json()))


def _splits(args: argparse.Namespace, model: Model) -> dict[str, ImageSet]:
    """The images to compare with by their split: train, test and, where there are any, pairs."""
    from diffusion.data.folders import load_data
    from diffusion.data.sets import DataError

    channels, size, _ = model.image_shape
    test = args.data if args.test is None else args.test
    held_out = load_data(test, "test", size, channels)
    try:
        train = load_data(args.data, "train", size, channels)
    except DataError:
        if args.runs != [] or args.test is not None:
            raise
        check_labels(test, held_out, model.card, new=True)
        return {"test": held_out}  # nothing is drawn that would be compared with them
    check_labels(args.data, train, model.card)
    check_labels(test, held_out, model.card, new=True)
    if args.test is None:
        held_out = held_out.without(train)  # data sets have duplicates
    else:
        train = train.without(held_out)  # as --hold-out did in training
    splits = {"train": train, "test": held_out}
    if not model.card.conditions:
        check_unused(args, f"{model.card.name} is told no pairs of things; leave {{}} out.", "pairs")
    elif args.pairs != 0:
        try:
            pairs = load_data(args.data, "pairs", size, channels)
        except DataError:
            if args.pairs is not None:
                raise
            return splits
        check_labels(args.data, pairs, model.card)
        splits["pairs"] = pairs
    return splits


def _of_classes(
    args: argparse.Namespace, model: Model, splits: dict[str, ImageSet], runs: list[Drawing]
) -> dict[str, Any]:
    """The figures of a network of classes, and of what judged it."""
    from diffusion.evaluation.evaluate import evaluate_samples

    classifier, judge = _judge_of(args, model.card)
    figures = evaluate_samples(model, classifier, splits["train"], splits["test"], runs, seed=args.seed, batch=BATCH)
    about = {"name": judge.name, "sha256": judge.sha256, "accuracy": judge.test_accuracy}
    return figures | {"classifier": about}


def _judge_of(args: argparse.Namespace, card: Card) -> tuple[Classifier, ClassifierCard]:
    """The classifier of a network of classes, and its card."""
    from diffusion.evaluation.classifier import load_classifier

    if args.classifier is not None and len(args.classifier) > 1:
        raise CommandError(f"{card.name} is told a class at most: one classifier judges it.")
    (name,) = args.classifier or (card.teacher or card.name,)
    return load_classifier(name)


def _of_conditions(
    args: argparse.Namespace, model: Model, splits: dict[str, ImageSet], runs: list[Drawing]
) -> dict[str, Any]:
    """The figures of a network of several conditions, and of what judged each."""
    from diffusion.evaluation.conditions import evaluate_conditions, find_pairs, load_judges

    judges, train, pairs = load_judges(model.card, args.classifier or ()), splits["train"], None
    if "pairs" in splits:
        pairs = find_pairs(model.card, train, splits["pairs"], tuple(judges), most=args.pairs, seed=args.seed)
    figures = evaluate_conditions(model, judges, train, splits["test"], pairs, runs, seed=args.seed, batch=BATCH)
    about = {
        condition: {"name": judge.card.name, "sha256": judge.card.sha256, "accuracy": judge.card.test_accuracy}
        for condition, judge in judges.items()
    }
    return figures | {"classifiers": about}


def _usual_runs(card: Card) -> list[Run]:
    """What is drawn if nothing else is asked for: by a student in its own steps, and guided where that is usual."""
    if not card.levels and not card.conditions:
        return [_drawing(text) for text in DRAWINGS]
    steps = len(card.levels) or 50
    guided = [f"ddim:guidance=2:{steps}:{MANY}"] if card.network.conditions else []
    return [_drawing(text) for text in (f"ddim:{steps}:{MANY}", *guided)]


def _drawing(text: str) -> Run:
    """SAMPLER:STEPS:COUNT, with OPTION=X, spacing=NAME or guidance=X in between: what ``evaluate.Drawing`` is made
    of.
    """
    try:
        sampler, *options, steps, count = text.split(":")
        given = dict(option.split("=") for option in options)
        spacing: Any = given.pop("spacing", "trailing")
        if not sampler or not all(number.isdecimal() and int(number) > 0 for number in (steps, count)):
            raise ValueError
        high = RANGES["count"][1]
        if not 2 <= int(count) <= high:
            raise CommandError(f"{text!r} draws {count} images, but 2 to {high:,} can be measured.")
        numbers = {name: float(value) for name, value in given.items()}
        guidance = numbers.pop("guidance", 1.0)
        return sampler, int(steps), int(count), numbers, spacing, guidance
    except CommandError:
        raise
    except ValueError:
        raise CommandError(f"{text!r} is not SAMPLER:STEPS:COUNT or SAMPLER:OPTION=X:STEPS:COUNT, as in ddim:50:1000 "
                           "or dpmpp:eta=1:spacing=log_snr:20:1000.") from None  # fmt: skip


def add_evaluate(commands: Commands) -> None:
    command = commands.add_parser(
        "evaluate", help="measure a network: bits/dim, and what it draws; JSON on the last line"
    )
    add = command.add_argument
    add_model_options(command)
    add_seed(command)
    add("--data", required=True, help=DATA_HELP + "; its test images are the held-out ones")
    add("--test", metavar="DATA", help="other data with the held-out images, left out of --data")
    add("--draws", type=int, help=f"steps drawn for each image, for bits/dim (default: {DRAWS})")
    add("--runs", nargs="*", metavar="SAMPLER:STEPS:COUNT",
                          help="what to draw, with options as in dpmpp:eta=1:spacing=log_snr:20:1000 or "
                          "ddim:guidance=2:50:1000; none for bits/dim alone (default: all of 10 ... 1000 steps; of a "
                          "student, or a network of several conditions, its own steps or 50, with guidance 1 and 2)"
                          )  # fmt: skip
    add("--by-steps", type=int, metavar="COUNT", help="instead, draw COUNT images by every sampler in 1 to 50 calls of "
        "the network, and keep class found and Fréchet distance beside it, in NAME.steps.json; run again to go on "
        "with a stopped run")  # fmt: skip
    add("--pairs", type=int, metavar="N", help="of a network of several conditions: how many pairs that training has "
        "not seen each run draws, beside as many seen ones (default: all)")  # fmt: skip
    add_precision(command, "what the network draws in; bits/dim are float32's")
    add("--classifier", nargs="+", metavar="NAME", help="that judges, by name or path, one for each of several "
        "conditions (default: those named like the model, or its teacher)")  # fmt: skip
    add("--out", type=Path, help=".json to write as well")
    add("--card", action="store_true", help="write the figures into the network's card as well")
    command.set_defaults(run_command=run_evaluate)
