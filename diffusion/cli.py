"""`python -m diffusion ...`: the library from a terminal."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion.schedule import FAMILIES, Schedule, make_schedule

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    import torch

    from diffusion.checkpoint import Card

BATCH = 64


class CommandError(ValueError):
    """A command that cannot be carried out, said in one sentence."""


def _train(args: argparse.Namespace) -> None:
    from diffusion.checkpoint import Card
    from diffusion.data import load_npz
    from diffusion.device import best_device
    from diffusion.train import TrainConfig, train
    from diffusion.unet import UNetConfig

    data = load_npz(args.data, "train", args.image_size)
    if args.hold_out is not None:
        data = data.without(load_npz(args.hold_out, "test", args.image_size))
    classes = [str(i) for i in range(int(data.labels.max()) + 1)]
    network = UNetConfig(args.image_size, data.images.shape[1], len(classes), widths=tuple(args.widths))
    card = Card(
        name=args.name, title=args.title, classes=classes, network=network, schedule={"family": "cosine", "T": 1000},
        data=args.about_data, licence=args.licence, command="", images_seen=0, seconds=0.0,
    )  # fmt: skip
    config = TrainConfig(images=args.images, batch=args.batch, lr=args.lr, seed=args.seed)
    print(train(data, network, config, args.run, card, best_device()))


def _sample(args: argparse.Namespace) -> None:
    if args.out.suffix not in (".png", ".npz"):
        raise CommandError(f"--out must end in .png or .npz, not {args.out.suffix or args.out.name!r}.")
    _check_folder(args.out)
    _check_count(args.count)
    _check_seed(args.seed, args.count)
    if not math.isfinite(args.guidance):
        raise CommandError(f"--guidance must be a finite number, not {args.guidance}.")
    schedule = _schedule_of(args, args.schedule)

    import numpy as np
    from tqdm import tqdm

    from diffusion.checkpoint import load_model, write_atomically
    from diffusion.denoiser import Guided
    from diffusion.images import encode, grid, to_bytes, to_pil
    from diffusion.sampler import DDIM, DDPM, sample, timesteps

    steps = timesteps(schedule.T, args.steps, args.spacing)
    update = DDIM(args.eta) if args.sampler == "ddim" else DDPM(args.variance)
    model = load_model(args.model, _device(args.device))
    classes = len(model.card.classes)
    labels = model.card.labels(args.count, _class(args.label, model.card))
    denoiser = Guided(model.denoiser, args.guidance, empty=classes)
    starts = range(0, args.count, BATCH)
    images = []
    with tqdm(total=len(starts) * len(steps), unit=" steps") as bar:
        for start in starts:
            stop = min(start + BATCH, args.count)
            for step in sample(
                denoiser, schedule, model.image_shape, steps=steps, seeds=range(args.seed + start, args.seed + stop),
                labels=labels[start:stop] if classes else None, update=update, device=model.device,
            ):  # fmt: skip
                x = step.x_s
                bar.update()
            images.append(to_bytes(x))
    made = np.concatenate(images)
    write_atomically(
        args.out,
        encode(to_pil(grid(made)), "PNG") if args.out.suffix == ".png" else _npz(images=made, labels=labels.numpy()),
    )


def _class(wanted: str | None, card: Card) -> int | None:
    """The index of the class that is wanted by name or index; None for all in turn."""
    names = card.classes
    if wanted is None:
        return None
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    if names:
        raise CommandError(f"There is no class {wanted!r}; {card.name} knows {', '.join(names)}.")
    raise CommandError(f"{card.name} has no classes; leave --label out.")


def _npz(**arrays: object) -> bytes:
    import io

    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()})
    return buffer.getvalue()


def _schedule(args: argparse.Namespace) -> None:
    if args.csv != "-":
        _check_folder(Path(args.csv))
    schedule = _schedule_of(args, args.family)

    from diffusion.checkpoint import write_atomically
    from diffusion.likelihood import schedule_csv

    text = schedule_csv(schedule)
    if args.csv == "-":
        sys.stdout.write(text)
    else:
        write_atomically(Path(args.csv), text.encode())


def _loss(args: argparse.Namespace) -> None:
    _check_folder(args.out)
    _check_count(args.count)
    _check_seed(args.seed, 1)
    if args.levels < 2:
        raise CommandError(f"--levels must be at least 2, not {args.levels}.")

    from tqdm import tqdm

    from diffusion.checkpoint import load_model, write_atomically
    from diffusion.data import BUNDLED_DIGITS, load_npz
    from diffusion.images import to_unit
    from diffusion.likelihood import measure_errors, measuring_levels

    model = load_model(args.model, _device(args.device))
    images = args.images or BUNDLED_DIGITS
    data = load_npz(images, "test", model.card.network.image_size)
    if data.images.shape[1] != model.card.network.channels:
        wanted, found = model.card.network.channels, data.images.shape[1]
        raise CommandError(f"{images} has images of {found} channels, but {args.model} takes {wanted}.")
    if args.count > len(data):
        raise CommandError(f"{images} has {len(data)} images, fewer than the {args.count} asked for.")
    classes = len(model.card.classes)
    if classes and not 0 <= int(data.labels.min()) <= int(data.labels.max()) < classes:
        raise CommandError(f"{images} has labels outside 0 ... {classes - 1}, the classes of {args.model}.")
    chosen = data.spread(args.count)
    levels = measuring_levels(model.card.training_schedule(), args.levels)
    curves = measure_errors(
        model.denoiser, to_unit(chosen.images), levels, labels=chosen.labels if classes else None, seed=args.seed,
        batch=BATCH, device=model.device,
    )  # fmt: skip
    *_, curve = tqdm(curves, total=args.levels, unit=" levels")
    content = {
        "model": model.card.name, "sha256": model.card.sha256, "count": args.count, "seed": args.seed,
        "curve": curve.to_json(),
    }  # fmt: skip
    write_atomically(args.out, (json.dumps(content, indent=1) + "\n").encode())


def _check_folder(path: Path) -> None:
    """Before the work, not after it."""
    if not path.parent.is_dir():
        raise CommandError(f"There is no folder {path.parent} to write {path.name} in.")


def _check_count(count: int) -> None:
    if count < 1:
        raise CommandError(f"--count must be at least 1, not {count}.")


def _check_seed(seed: int, count: int) -> None:
    if not 0 <= seed <= 2**63 - count:
        raise CommandError(f"--seed must be a whole number from 0 to 2^63 - {count}, not {seed}.")


def _device(name: str) -> torch.device:
    import torch

    from diffusion.device import best_device

    if name == "auto":
        return best_device()
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable[name]:
        raise CommandError(f"This machine has no {name} device that PyTorch can use.")
    return torch.device(name)


def _schedule_of(args: argparse.Namespace, family: str) -> Schedule:
    """The schedule that the options describe; those left out take the family's defaults."""
    given = {name: getattr(args, name) for name in _parameters() if getattr(args, name) is not None}
    return make_schedule(family, args.T, **given)


def _parameters() -> dict[str, str]:
    """Every parameter of every family, and what it does."""
    return {name: p.about for family in FAMILIES.values() for name, p in family.parameters.items()}


def _add_schedule_options(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument(name, default="linear", metavar="FAMILY", help=f"{', '.join(FAMILIES)} (default: linear)")
    command.add_argument("--T", type=int, default=1000, help="number of steps (default: %(default)s)")
    for parameter, about in _parameters().items():
        holders = [family for family in FAMILIES if parameter in FAMILIES[family].parameters]
        command.add_argument(f"--{parameter.replace('_', '-')}", type=float, metavar="X",
                             help=f"{about} ({', '.join(holders)})")  # fmt: skip


def _add_model_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", required=True, help="name of a shipped network, or path of a .safetensors")
    command.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m diffusion", description=__doc__)
    commands = top.add_subparsers(required=True)

    train = commands.add_parser("train", help="train a network; run again to go on with a stopped run")
    train.add_argument("--data", type=Path, required=True, help=".npz with x_train, y_train (uint8)")
    train.add_argument(
        "--hold-out", type=Path, metavar="FILE", help=".npz with x_test, y_test that are left out of --data"
    )
    train.add_argument("--run", type=Path, required=True, help="folder for checkpoints")
    train.add_argument("--name", required=True, help="name of the network")
    train.add_argument("--title", default="")
    train.add_argument("--about-data", default="", help="where the data is from, for the card")
    train.add_argument("--licence", default="", help="licence of the data, for the card")
    train.add_argument("--image-size", type=int, default=32)
    train.add_argument("--widths", type=int, nargs="+", default=[48, 96, 128])
    train.add_argument("--images", type=int, default=320_000)
    train.add_argument("--batch", type=int, default=32)
    train.add_argument("--lr", type=float, default=5e-4)
    train.add_argument("--seed", type=int, default=0)
    train.set_defaults(run_command=_train)

    sample = commands.add_parser("sample", help="draw images from a network, with seeds seed, seed + 1, ...")
    _add_model_options(sample)
    sample.add_argument("--out", type=Path, required=True, help=".png: a grid; .npz: arrays images and labels")
    sample.add_argument("--label", help="class, by name or index (default: all in turn)")
    sample.add_argument("--count", type=int, default=16, help="number of images (default: %(default)s)")
    sample.add_argument("--sampler", choices=("ddim", "ddpm"), default="ddim", help="(default: %(default)s)")
    sample.add_argument("--steps", type=int, default=50, help="steps to take, at most T (default: %(default)s)")
    sample.add_argument("--spacing", default="trailing", help="trailing, linspace or leading (default: %(default)s)")
    sample.add_argument("--variance", choices=("beta", "posterior"), default="beta",
                        help="noise that a ddpm step adds (default: %(default)s)")  # fmt: skip
    sample.add_argument("--eta", type=float, default=0.0,
                        help="noise of ddim: 0 is none, 1 the posterior variance (default: %(default)s)")  # fmt: skip
    sample.add_argument("--guidance", type=float, default=1.0, help="1 is plain (default: %(default)s)")
    _add_schedule_options(sample, "--schedule")
    sample.set_defaults(run_command=_sample)

    schedule = commands.add_parser("schedule", help="write a schedule as CSV, a row for each t = 1 ... T")
    _add_schedule_options(schedule, "--family")
    schedule.add_argument("--csv", required=True, metavar="FILE", help="where to write; - for the terminal")
    schedule.set_defaults(run_command=_schedule)

    loss = commands.add_parser("loss", help="measure a network's error on images, by noise level")
    _add_model_options(loss)
    loss.add_argument("--images", type=Path,
                      help=".npz with x_test, y_test (uint8; default: the bundled digits)")  # fmt: skip
    loss.add_argument("--levels", type=int, default=100, help="noise levels, even in log-SNR (default: %(default)s)")
    loss.add_argument("--count", type=int, default=64, help="number of images (default: %(default)s)")
    loss.add_argument("--out", type=Path, required=True, help="where to write the JSON")
    loss.set_defaults(run_command=_loss)
    return top


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        args.run_command(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
