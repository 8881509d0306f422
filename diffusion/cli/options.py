"""What several commands take: options, and how they are checked before any work is done."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion.schedules.exchange import read_betas
from diffusion.schedules.families import FAMILIES, T_MAX, beta_for_terminal_snr, last_beta
from diffusion.schedules.schedule import Schedule, to_zero_terminal_snr
from diffusion.schedules.spec import ScheduleSpec

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    import torch
    from accelerate import PartialState

    from diffusion.data.sets import ImageSet
    from diffusion.networks.card import Card


BATCH = 64


# Every parameter of every family, and what it does.
PARAMETERS = {name: p.about for family in FAMILIES.values() for name, p in family.parameters.items()}

SCHEDULE_OPTIONS = ("schedule", "family", "T", *PARAMETERS, "terminal_snr", "keep_shape_of", "zero_terminal_snr")

# What numbers the options take, of any command that has them; more is refused by what they are for.
RANGES: dict[str, tuple[float, float]] = {
    "count": (1, 1_000_000), "guidance": (-1000, 1000), "size": (1, 1024), "jump": (1, T_MAX),
    "repeats": (1, 1000), "levels": (2, 100_000), "noises": (1, 10_000), "draws": (1, 100_000), "image_size": (1, 1024),
    "terminal_snr": (-1000, 1000), "images": (1, 10**12), "calls": (1, 100), "substeps": (1, 1000),
    "pairs": (0, 1_000_000), "degrees": (0, 180), "stretch": (0, 0.9), "shift": (0, 1024), "noise": (0, 255),
    "by_steps": (2, 1_000_000),
}  # fmt: skip


LONGEST = 500  # of a message: what it quotes may be longer


class CommandError(ValueError):
    """A command that cannot be carried out, said in one sentence."""


def command_of(args: argparse.Namespace) -> str:
    """The command that was given, for the card or the figures it made."""
    return "python -m diffusion " + shlex.join(args.arguments)


def check_labels(source: str, data: ImageSet, card: Card, *, new: bool = False) -> None:
    """Labels that a network does not have would fail deep inside it, or be taken for other classes.

    Args:
        new: whether values of several conditions may be new to it, as those of held-out images are.
    """
    if card.conditions:
        _check_conditions(source, data, card, new)
    if not card.classes:
        return
    if data.classes and list(data.classes) != card.classes:
        theirs, ours = ", ".join(data.classes), ", ".join(card.classes)
        raise CommandError(f"The classes of {source} ({theirs}) are not those of {card.name} ({ours}).")
    if not 0 <= int(data.labels.min()) <= int(data.labels.max()) < len(card.classes):
        raise CommandError(f"{source} has labels outside 0 ... {len(card.classes) - 1}, the classes of {card.name}.")


def _check_conditions(source: str, data: ImageSet, card: Card, new: bool) -> None:
    names = {
        name: list(values[: len(card.conditions.get(name, []))]) for name, values in (data.conditions or {}).items()
    }
    if names != card.conditions:
        raise CommandError(f"{source} does not say of its images what {card.name} is told: {card.told()}.")
    if not new and (data.labels.amax(0) >= data.labels.new_tensor(card.network.conditions)).any():
        raise CommandError(f"{source} has images of which {card.name} cannot be told, since it knows no such value.")


def note(remark: str) -> None:
    """Say something beside what a command prints, if there is anything to say."""
    if remark:
        print(f"note: {remark}", file=sys.stderr)


def check_place(path: Path) -> None:
    """Whether a file can be written there: before the work, not after it."""
    if not path.parent.is_dir():
        raise CommandError(f"There is no folder {path.parent} to write {path.name} in.")
    if path.is_dir():
        raise CommandError(f"{path} is a folder; give the name of a file to write.")
    if not os.access(path.parent, os.W_OK):
        raise CommandError(f"Nothing can be written in the folder {path.parent}.")


def check_places(*paths: Path | None) -> None:
    """``check_place`` of those that are given; no two are the same, or one would be lost."""
    given = [path for path in paths if path is not None]
    for path in given:
        check_place(path)
    if len({path.resolve() for path in given}) < len(given):
        raise CommandError(f"Two files cannot both be written to {given[0]}.")


def check_file(path: Path) -> None:
    if path.is_dir():
        raise CommandError(f"{path} is a folder, not a file.")
    if not path.exists():
        raise CommandError(f"There is no file {path}.")


def check_unused(args: argparse.Namespace, message: str, *names: str) -> None:
    """Refuses options that were given and would do nothing; {} in the message becomes their names."""
    values = {name: getattr(args, name, None) for name in names}
    given = [option_of(name) for name, value in values.items() if value is not None and value is not False]
    if given:
        raise CommandError(message.format(" and ".join(given)))


def option_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def check_numbers(args: argparse.Namespace) -> None:
    """Refuses numbers outside ``RANGES``."""
    for name, (low, high) in RANGES.items():
        value = getattr(args, name, None)
        if not isinstance(value, int | float):  # not given; or data, which loss calls --images
            continue
        if not math.isfinite(value):
            raise CommandError(f"{option_of(name)} must be a finite number, not {value}.")
        if not low <= value <= high:
            most = f"at least {low:,}" if value < low else f"at most {high:,}"
            raise CommandError(f"{option_of(name)} must be {most}, not {value}.")


def check_seed(seed: int, count: int) -> None:
    if not 0 <= seed <= 2**63 - count:
        raise CommandError(f"--seed must be a whole number from 0 to 2^63 - {count}, not {seed}.")


def processes_of(args: argparse.Namespace) -> PartialState:
    """All processes that ``accelerate launch`` started; this one alone without it."""
    from accelerate import PartialState

    return PartialState(cpu=args.device == "cpu")


def device_of(name: str) -> torch.device:
    import torch

    from diffusion.device import best_device

    if name == "auto":
        return best_device()
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable[name]:
        raise CommandError(f"This machine has no {name} device that PyTorch can use.")
    return torch.device(name)


def schedule_of(args: argparse.Namespace, family: str | None) -> Schedule:
    """The schedule that the options describe; those left out take the family's defaults."""
    if args.betas is None:
        return schedule_spec_of(args, "linear" if family is None else family).make()
    others = (name for name in SCHEDULE_OPTIONS if name != "zero_terminal_snr")
    check_unused(args, "--betas has all there is to a schedule; leave its other options out: {}.", *others)
    check_file(args.betas)
    schedule = read_betas(args.betas.read_bytes())
    return to_zero_terminal_snr(schedule) if args.zero_terminal_snr else schedule


def schedule_spec_of(args: argparse.Namespace, family: str) -> ScheduleSpec:
    """How the schedule of a family is made, by the options."""
    T = 1000 if args.T is None else int(args.T)
    params = {name: getattr(args, name) for name in PARAMETERS if getattr(args, name) is not None}
    solved = last_beta(family) if family in FAMILIES else None
    if family in FAMILIES and solved is None:
        check_unused(args, f"The {family} schedule is a function of t/T and keeps its shape in any case; leave {{}} "
                           "out.", "keep_shape_of")  # fmt: skip
    if args.terminal_snr is not None:
        check_unused(args, "--terminal-snr says what is left at T; leave {} out.", *filter(None, [solved]),
                     "zero_terminal_snr")  # fmt: skip
        kept = {} if args.keep_shape_of is None else {"keep_shape_of": args.keep_shape_of}
        params |= beta_for_terminal_snr(family, T, args.terminal_snr, **params, **kept)
    return ScheduleSpec(family, T, params, args.keep_shape_of, args.zero_terminal_snr)


def add_schedule_options(command: argparse.ArgumentParser, name: str, default: str = "linear") -> None:
    command.add_argument(name, metavar="FAMILY", help=f"{', '.join(FAMILIES)} (default: {default})")
    command.add_argument("--T", type=int, help="number of steps (default: 1000)")
    for parameter, about in PARAMETERS.items():
        holders = [family for family in FAMILIES if parameter in FAMILIES[family].parameters]
        command.add_argument(f"--{parameter.replace('_', '-')}", type=float, metavar="X",
                             help=f"{about} ({', '.join(holders)})")  # fmt: skip
    command.add_argument("--terminal-snr", type=float, metavar="DB",
                         help="the SNR wanted at T in decibel; solved for the last beta")  # fmt: skip
    command.add_argument("--keep-shape-of", type=int, metavar="N", help="the betas are meant for N steps: "
                         "scale them by N / T")  # fmt: skip
    command.add_argument("--zero-terminal-snr", action="store_true", help="leave nothing of the image at T")


def add_model_options(command: argparse.ArgumentParser, required: bool = True) -> None:
    command.add_argument("--model", required=required, help="a network: name of a shipped one, path of a "
                         ".safetensors, of a run's folder, or of a folder or zip of diffusers; or its name on the "
                         "Hugging Face Hub")  # fmt: skip
    command.add_argument("--offline", action="store_true", help="of the Hub only what was downloaded before")
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")


def add_seed(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")


def add_betas(command: argparse.ArgumentParser) -> None:
    command.add_argument("--betas", type=Path, metavar="FILE", help="CSV of beta or alpha_bar, or diffusers' "
                         "scheduler_config.json, instead of a family")  # fmt: skip


def add_precision(command: argparse.ArgumentParser, about: str) -> None:
    command.add_argument("--precision", choices=("float32", "bfloat16"), help=f"{about} (default: float32)")


DATA_HELP = (
    "digits, emoji, emoji-sets, plane:moons or another pattern of points, an .npz with x_train, y_train (or images, "
    "labels), or a folder or zip of images"
)

Commands = Any  # what argparse's add_subparsers gives; it has no public name
