"""What all commands that train have in common: their folder and name, their data, and how a run is told to go."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion.cli.options import DATA_HELP, CommandError, processes_of

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    from accelerate import Accelerator

    from diffusion.data.sets import ImageSet
    from diffusion.networks.model import Model
    from diffusion.networks.unet import UNet
    from diffusion.training.config import TrainConfig


def given(args: argparse.Namespace, kind: type[Any]) -> dict[str, Any]:
    """Those of the fields of a dataclass that were given as options."""
    values = {field.name: getattr(args, field.name, None) for field in fields(kind)}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if v is not None}


def settings_of(args: argparse.Namespace, usual: TrainConfig) -> TrainConfig:
    """The usual settings, but for those that were given; a single share of --drop-label is for every condition."""
    found = given(args, type(usual))
    shares = found.get("drop_label", ())
    return replace(usual, **found | ({"drop_label": shares[0]} if len(shares) == 1 else {}))


def check_names(args: argparse.Namespace) -> None:
    """Refuses a name or a folder that files cannot have."""
    if not args.name or Path(args.name).name != args.name or len(args.name) > 100:
        raise CommandError(f"--name is what the files of the network are called, and cannot be {args.name!r}.")
    if args.run.exists() and not args.run.is_dir():
        raise CommandError(f"{args.run} is a file; --run names a folder.")


def unet_of(name: str, model: Model) -> UNet:
    """The network of a model, which is called ``name``; refuses one that others cannot begin with or learn from."""
    from diffusion.networks.unet import UNet

    if not isinstance(model.denoiser.network, UNet):
        raise CommandError(f"{name} is no U-Net, and only with those can others begin, or learn from them.")
    return model.denoiser.network


def training_data(args: argparse.Namespace, size: int) -> ImageSet:
    """The images to learn from, of a side of ``size``, less those that are held out."""
    from diffusion.data.folders import load_data

    data = load_data(args.data, "train", size)
    if args.hold_out is not None:
        whole = len(data)
        data = data.without(load_data(args.hold_out, "test", size, data.images.shape[1]))
        print(f"{whole - len(data)} of the {whole} images are among those that --hold-out leaves out.")
        if not len(data):
            raise CommandError(f"All images of {args.data} are among those that --hold-out leaves out.")
    return data


def accelerator_of(args: argparse.Namespace) -> Accelerator:
    """What computes, and in which precision."""
    from accelerate import Accelerator

    from diffusion.device import best_precision

    precision = best_precision(processes_of(args).device) if args.precision == "auto" else args.precision
    return Accelerator(cpu=args.device == "cpu", mixed_precision=precision)


def add_run_options(command: argparse.ArgumentParser) -> None:
    """The options that say what a run is called, what it learns from, and how it goes."""
    add = command.add_argument
    add("--data", required=True, help=DATA_HELP)
    add("--hold-out", metavar="DATA", help="data whose test images are left out of --data")
    add("--run", type=Path, required=True, help="folder for checkpoints, samples and the log")
    add("--name", required=True, help="name of the network")
    add("--title", default="", help="for the card (default: the name)")
    add("--images", type=int, help="images seen in all")
    add("--batch", type=int, help="images a step, over all processes")
    add("--lr", type=float, help="peak learning rate")
    add("--warmup", type=int, help="steps until the peak")
    add("--decay", choices=("cosine", "constant"), help="of the learning rate")
    add("--weight-decay", type=float)
    add("--drop-label", type=float, nargs="+", metavar="SHARE", help="share shown with the empty "
        "class; of several conditions, without each: one number for all or one for each")  # fmt: skip
    add("--drop-all", type=float, metavar="SHARE", help="share shown without any condition, besides")
    add("--flip", action=argparse.BooleanOptionalAction, help="mirror half of the images")
    add("--ema", type=float, help="decay of the averaged weights")
    add("--clip", type=float, help="largest gradient norm")
    add("--seed", type=int)
    add("--save-every", type=float, help="seconds between checkpoints")
    add("--log-every", type=int, help="steps a row of log.csv")
    add("--preview-every", type=int, help="images between two grids of samples")
    add("--preview-seconds", type=float, help="seconds between two grids of samples, besides; they take a tenth of the "
        "time at most")  # fmt: skip
    add("--preview-count", type=int, help="samples of a grid")
    add("--preview-steps", type=int, help="calls of the network for each of them")
    add("--stop-after", type=float, metavar="SECONDS", help="stop by itself; the same command goes on")
    add("--precision", choices=("auto", "no", "bf16", "fp16"), default="auto",
        help="auto: what the device is fast at (default: %(default)s)")  # fmt: skip
    add("--device", choices=("auto", "cpu"), default="auto")
