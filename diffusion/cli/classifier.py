"""`python -m diffusion classifier`: a judge for evaluate."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from diffusion.cli.options import (
    BATCH,
    DATA_HELP,
    CommandError,
    Commands,
    add_seed,
    check_place,
    check_seed,
    command_of,
)


def run_classifier(args: argparse.Namespace) -> None:
    check_place(args.out)
    if args.out.suffix != ".safetensors":
        raise CommandError(f"--out must end in .safetensors, not {args.out.suffix or args.out.name!r}.")
    check_seed(args.seed, 1)
    if args.image_size % 2:
        raise CommandError(f"--image-size must be even, not {args.image_size}.")
    if args.images < BATCH:
        raise CommandError(f"--images must be at least {BATCH}, a step's, not {args.images}.")

    from diffusion.data.folders import load_data
    from diffusion.evaluation.classifier import ClassifierConfig, ClassifierTraining, make_classifier

    train = load_data(args.data, "train", args.image_size)
    channels = train.images.shape[1]
    test = load_data(args.data, "test", args.image_size, channels)
    classes = 1 + max(int(data.labels.max()) for data in (train, test))
    card = make_classifier(
        args.out, train, test, ClassifierConfig(channels, classes),
        ClassifierTraining(images=args.images, mirror=args.mirror, seed=args.seed), about_data=args.about_data,
        command=command_of(args),
    )  # fmt: skip
    print(json.dumps({"test_accuracy": card.test_accuracy, "test_images": card.test_images}))


def add_classifier(commands: Commands) -> None:
    command = commands.add_parser("classifier", help="train a classifier for evaluate to judge with")
    add = command.add_argument
    add("--data", required=True, help=DATA_HELP + ", with test images")
    add("--out", type=Path, required=True, help="NAME.safetensors to write, with its card")
    add("--image-size", type=int, default=32, help="(default: %(default)s)")
    add("--images", type=int, default=200_000, help="images seen in all (default: %(default)s)")
    add("--mirror", action="store_true", help="mirror half of the images")
    add("--about-data", default="", help="where the data is from, for the card")
    add_seed(command)
    command.set_defaults(run_command=run_classifier)
