"""`python -m diffusion loss`: the errors of a network by noise level, for the page and as a table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from diffusion.cli.options import (
    BATCH,
    DATA_HELP,
    CommandError,
    Commands,
    add_model_options,
    add_seed,
    check_labels,
    check_places,
    check_seed,
    device_of,
)


def run_loss(args: argparse.Namespace) -> None:
    check_places(args.out, args.csv)
    check_seed(args.seed, 1)

    from tqdm import tqdm

    from diffusion.data.folders import BUNDLED, load_data
    from diffusion.files import write_atomically
    from diffusion.images import to_unit
    from diffusion.losses.measure import measure_errors, measuring_levels
    from diffusion.losses.rate import loss_csv
    from diffusion.losses.reference import measure_references, other_images
    from diffusion.networks.model import load_model

    model = load_model(args.model, device_of(args.device))
    images = args.images if args.images is not None else (model.card.name if model.card.name in BUNDLED else "digits")
    wanted, size, _ = model.image_shape
    data = load_data(images, "test", size)
    found = data.images.shape[1]
    if found != wanted:
        raise CommandError(f"{images} has images of {found} channels, but {args.model} takes {wanted}.")
    if args.count > len(data):
        raise CommandError(f"{images} has {len(data)} images, fewer than the {args.count} asked for.")
    check_labels(images, data, model.card, new=True)
    card, told = model.card, bool(model.card.network.conditions)
    chosen = data.evenly(args.count)
    others = other_images(images, chosen)
    chosen, others = (some.labelled(card.known(some.labels)) for some in (chosen, others))
    levels = measuring_levels(model.card.training_schedule(), args.levels, args.seed)
    curves = measure_errors(
        model.denoiser, to_unit(chosen.images).to(model.device), levels, labels=chosen.labels if told else None,
        noises=args.noises, seed=args.seed, batch=BATCH,
    )  # fmt: skip
    *_, curve = tqdm(curves, total=args.levels, unit=" levels")
    references = dict(measure_references(
        chosen, others, levels, classes=told, noises=args.noises, seed=args.seed,
    ))  # fmt: skip
    content = {
        "model": model.card.name, "sha256": model.card.sha256, "images": images, "count": args.count,
        "noises": args.noises, "others": len(others), "seed": args.seed, "curve": curve.to_json(),
        "references": {name: reference.to_json() for name, reference in references.items()},
    }  # fmt: skip
    write_atomically(args.out, (json.dumps(content) + "\n").encode())
    if args.csv is not None:
        write_atomically(args.csv, loss_csv(curve, model.card.training_schedule(), references).encode())


def add_loss(commands: Commands) -> None:
    command = commands.add_parser(
        "loss", help="measure a network's error on images, by noise level, beside that of a perfect memory of them"
    )
    add = command.add_argument
    add_model_options(command)
    add_seed(command)
    add("--images", metavar="DATA", help=DATA_HELP + " (default: the bundled images of its kind)")
    add("--levels", type=int, default=100, help="noise levels, even in log-SNR (default: %(default)s)")
    add("--count", type=int, default=64, help="number of images (default: %(default)s)")
    add("--noises", type=int, default=1, help="draws of noise for each image (default: %(default)s)")
    add("--out", type=Path, required=True, help="where to write the JSON")
    add("--csv", type=Path, help="where to write losses, rate and distortion by step, under the schedule "
                                               "of training")  # fmt: skip
    command.set_defaults(run_command=run_loss)
