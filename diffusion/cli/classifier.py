"""`python -m diffusion classifier`: a judge for evaluate."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    from diffusion.data.sets import ImageSet

VARIANTS = "variants"
# How an image is changed before it is learnt from, and at most how far.
CHANGED = {
    "degrees": "it is turned by at most (default: 15)",
    "stretch": "it grows or shrinks by at most this share (default: 0.2)",
    "shift": "pixels it is shifted by at most (default: 3)",
    "noise": "largest deviation of noise that is added, in grey levels (default: 0)",
}


def run_classifier(args: argparse.Namespace) -> None:
    check_place(args.out)
    if args.out.suffix != ".safetensors":
        raise CommandError(f"--out must end in .safetensors, not {args.out.suffix or args.out.name!r}.")
    check_seed(args.seed, 1)
    if args.image_size % 2:
        raise CommandError(f"--image-size must be even, not {args.image_size}.")
    if args.images < BATCH:
        raise CommandError(f"--images must be at least {BATCH}, a step's, not {args.images}.")
    if args.test in args.learn:
        raise CommandError(f"What is learnt from cannot be tested on: give another --test than {args.test}.")

    from diffusion.evaluation.classifier import ClassifierConfig, ClassifierTraining, make_classifier

    train, test = _images(args)
    classes = len(train.classes) or 1 + max(int(data.labels.max()) for data in (train, test))
    config = ClassifierConfig(train.images.shape[1], classes, tuple(args.widths), args.dropout)
    changed = {name: value for name in CHANGED if (value := getattr(args, name)) is not None}
    training = ClassifierTraining(images=args.images, mirror=args.mirror, seed=args.seed, **changed)
    said = {}
    if args.condition is not None:
        words = f"one variation of each of several, of {' and '.join(args.learn)}; the others were learnt from"
        said = {"condition": args.condition, "tested_on": words if args.test == VARIANTS else args.test,
                "classes": train.classes}  # fmt: skip
    card = make_classifier(
        args.out, train, test, config, training, about_data=args.about_data, command=command_of(args), **said,
    )  # fmt: skip
    print(json.dumps({"test_accuracy": card.test_accuracy, "test_images": card.test_images}))


def _images(args: argparse.Namespace) -> tuple[ImageSet, ImageSet]:
    """What to learn from and what to be tested on, each image with the one label that is to be found."""
    from diffusion.data.folders import load_data
    from diffusion.data.sets import joined
    from diffusion.evaluation.classifier import hold_out_variants

    train = joined([load_data(args.data, split, args.image_size) for split in args.learn])
    if args.test == VARIANTS:
        train, test = hold_out_variants(train, args.seed)
    else:
        test = load_data(args.data, args.test, args.image_size, train.images.shape[1])
    if train.conditions and args.condition is None:
        raise CommandError(
            f"The images have several labels: say which to find, --condition {' or '.join(train.conditions)}."
        )
    if args.condition is None:
        return train, test
    return train.of_condition(args.condition), test.of_condition(args.condition)


def add_classifier(commands: Commands) -> None:
    command = commands.add_parser("classifier", help="train a classifier for evaluate to judge with")
    add = command.add_argument
    add("--data", required=True, help=DATA_HELP + ", with test images")
    add("--condition", help="which of several labels to find")
    add("--learn", nargs="+", default=["train"], metavar="SPLIT", help="images to learn from (default: train)")
    add("--test", default="test", metavar="SPLIT", help=f"images to be tested on, or {VARIANTS}: of those to learn "
        "from, one of each group of variations (default: %(default)s)")  # fmt: skip
    add("--out", type=Path, required=True, help="NAME.safetensors to write, with its card")
    add("--image-size", type=int, default=32, help="(default: %(default)s)")
    add("--widths", type=int, nargs="+", default=[32, 64, 96], help="channels of its levels (default: 32 64 96)")
    add("--dropout", type=float, default=0.5, help="of its features (default: %(default)s)")
    add("--images", type=int, default=200_000, help="images seen in all (default: %(default)s)")
    for name, about in CHANGED.items():
        add(f"--{name}", type=float, metavar="X", help=about)
    add("--mirror", action="store_true", help="mirror half of the images")
    add("--about-data", default="", help="where the data is from, for the card")
    add_seed(command)
    command.set_defaults(run_command=run_classifier)
