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
)

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    from diffusion.sampling.recipe import Precision
    from diffusion.sampling.steps import Spacing

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
    runs = [_drawing(text) for text in args.runs]
    check_seed(args.seed, max([count for _, _, count, *_ in runs], default=1))
    if not runs:
        check_unused(args, "--runs draws nothing; leave {} out.", "precision")
    check_places(args.out)
    precision: Precision = args.precision or "float32"

    from dataclasses import replace

    from diffusion.data.folders import load_data
    from diffusion.evaluation.classifier import load_classifier
    from diffusion.evaluation.evaluate import Drawing, evaluate_likelihood, evaluate_samples
    from diffusion.files import write_atomically
    from diffusion.networks.model import load_model, save_card
    from diffusion.sampling.recipe import PRECISIONS
    from diffusion.sampling.steps import timesteps
    from diffusion.sampling.updates import make_update

    for name, _, _, options, _ in runs:
        make_update(name, **options)  # refuses what is not there
    model = load_model(args.model, device_of(args.device))
    channels, size, _ = model.image_shape
    for _, steps, _, _, spacing in runs:
        timesteps(model.card.training_schedule(), steps, spacing)  # refuses too many
    train = load_data(args.data, "train", size, channels)
    test = args.data if args.test is None else args.test
    held_out = load_data(test, "test", size, channels)
    for source, data in ((args.data, train), (test, held_out)):
        check_labels(source, data, model.card)
    if args.test is None:
        held_out = held_out.without(train)  # data sets have duplicates
    else:
        train = train.without(held_out)  # as --hold-out did in training
    result: dict[str, Any] = {"model": model.card.name, "sha256": model.card.sha256, "command": command_of(args)}
    result |= evaluate_likelihood(model, held_out, draws=args.draws, seed=args.seed, batch=BATCH)
    if runs:
        classifier, judge = load_classifier(args.classifier or model.card.name)
        result["precision"] = precision
        plain = precision == "float32"
        drawing = model if plain else load_model(args.model, model.device, PRECISIONS[precision])
        result |= evaluate_samples(
            drawing, classifier, train, held_out, [Drawing(*run) for run in runs], seed=args.seed, batch=BATCH
        )
        result["classifier"] = {"name": judge.name, "sha256": judge.sha256, "accuracy": judge.test_accuracy}
    if args.card:
        save_card(args.model, replace(model.card, figures=result))
    if args.out is not None:
        write_atomically(args.out, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result))


def _drawing(text: str) -> tuple[str, int, int, dict[str, float], Spacing]:
    """SAMPLER:STEPS:COUNT, with OPTION=X or spacing=NAME in between: what ``evaluate.Drawing`` is made of."""
    try:
        sampler, *options, steps, count = text.split(":")
        given = dict(option.split("=") for option in options)
        spacing: Any = given.pop("spacing", "trailing")
        if not sampler or not all(number.isdecimal() and int(number) > 0 for number in (steps, count)):
            raise ValueError
        high = RANGES["count"][1]
        if not 2 <= int(count) <= high:
            raise CommandError(f"{text!r} draws {count} images, but 2 to {high:,} can be measured.")
        return sampler, int(steps), int(count), {name: float(value) for name, value in given.items()}, spacing
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
    add("--draws", type=int, default=10, help="steps drawn for each image (default: %(default)s)")
    add("--runs", nargs="*", metavar="SAMPLER:STEPS:COUNT", default=DRAWINGS,
                          help="what to draw, with options as in dpmpp:eta=1:spacing=log_snr:20:1000; none for "
                          "bits/dim alone (default: all of 10 ... 1000 steps)")  # fmt: skip
    add_precision(command, "what the network draws in; bits/dim are float32's")
    add("--classifier", help="that judges, by name or path (default: the one named like the model)")
    add("--out", type=Path, help=".json to write as well")
    add("--card", action="store_true", help="write the figures into the network's card as well")
    command.set_defaults(run_command=run_evaluate)
