"""`python -m diffusion train`: from a data set to a network, its card and a log."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from diffusion.cli.options import (
    CommandError,
    Commands,
    add_schedule_options,
    check_unused,
    command_of,
    schedule_spec_of,
)
from diffusion.cli.runs import accelerator_of, add_run_options, check_names, given, settings_of, training_data, unet_of

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    from diffusion.data.sets import ImageSet
    from diffusion.networks.model import Model
    from diffusion.networks.points import PointsConfig
    from diffusion.networks.unet import UNet, UNetConfig


@dataclass(frozen=True)
class Told:
    """What a network is told of its images: the names of their classes, or of the values of several conditions."""

    classes: list[str]
    conditions: dict[str, list[str]]
    counts: tuple[int, ...]

    def names(self) -> str:
        return ", ".join(self.classes or self.conditions) or "none"


def run_train(args: argparse.Namespace) -> None:
    import torch

    from diffusion.data.folders import PLANE
    from diffusion.networks.card import Card
    from diffusion.networks.model import load_model
    from diffusion.networks.unet import UNetConfig
    from diffusion.training.presets import PRESETS
    from diffusion.training.train import train

    usually = args.data if args.data in PRESETS else "points" if args.data.startswith(PLANE) else "emoji"
    name = usually if args.config is None else args.config
    if name not in PRESETS:
        raise CommandError(f"There is no configuration {name!r}; choose one of {', '.join(PRESETS)}.")
    preset = PRESETS[name]
    config = settings_of(args, preset.train)
    schedule = schedule_spec_of(args, preset.schedule.family if args.schedule is None else args.schedule)
    schedule.make()  # refuses what cannot be, before the data are read
    check_names(args)
    start = None if args.init is None else load_model(args.init)
    usual = preset.network if start is None or args.config is not None else unet_of(args.init, start).config
    _check_fields(args, name, usual)
    network = replace(usual, **given(args, type(usual)))  # refuses what cannot be
    points = not isinstance(network, UNetConfig)
    if points != args.data.startswith(PLANE):
        raise CommandError(f"--config {name} is for {'points' if points else 'images'}, and {args.data} "
                           f"has {'images' if points else 'points'}.")  # fmt: skip
    data = training_data(args, network.image_shape[1])
    # A label that all images share, and that has no name, says nothing of any.
    nothing = not (data.classes or data.conditions or data.labels.any())
    told = _told(data, start, conditional=bool(data.classes if points else preset.network.conditions and not nothing))
    if not told.counts:
        check_unused(args, f"The network of --config {name} has no classes; leave {{}} out.", "drop_label")
    changed: dict[str, Any] = {} if points else {"channels": data.images.shape[1]}
    network = replace(network, conditions=told.counts, **changed)
    commands = [start.card.command, command_of(args)] if start else [command_of(args)]
    card = Card(
        name=args.name, title=args.title or args.name, classes=told.classes, network=network, schedule=schedule,
        data=args.about_data, licence=args.licence, command=" && ".join(commands),
        images_seen=start.card.images_seen if start else 0, seconds=start.card.seconds if start else 0.0,
        conditions=told.conditions, follows=data.follows() if told.conditions else {},
        kind=preset.kind if start is None else start.card.kind,
    )  # fmt: skip
    torch.manual_seed(config.seed)
    begin, labels = _beginning(args, start, network, told, data) if isinstance(network, UNetConfig) else (None, None)
    accelerator = accelerator_of(args)
    weights = train(data, config, args.run, card, accelerator, begin, labels)
    if accelerator.is_main_process:
        print(weights)
    accelerator.end_training()


def _check_fields(args: argparse.Namespace, name: str, usual: UNetConfig | PointsConfig) -> None:
    """Refuses what only networks of another kind have."""
    from diffusion.networks.points import PointsConfig
    from diffusion.networks.unet import UNetConfig

    own = {field.name for field in fields(usual)}
    all_names = {field.name: None for config in (UNetConfig, PointsConfig) for field in fields(config)}
    others = [each for each in all_names if each not in own]
    check_unused(args, f"The network of --config {name} is of another kind; leave {{}} out.", *others)


def _told(data: ImageSet, start: Model | None, *, conditional: bool) -> Told:
    """What is known of the images; as ``start`` calls it where they have no names of their own."""
    if not conditional:
        return Told([], {}, ())
    counts = (data.labels.reshape(len(data), -1).amax(0) + 1).tolist()
    if data.conditions:
        names = {name: list(v[:count]) for count, (name, v) in zip(counts, data.conditions.items(), strict=True)}
        return Told([], names, tuple(counts))
    classes = list(data.classes or map(str, range(counts[0])))
    if start is not None and not data.classes and len(classes) == len(start.card.classes):
        classes = start.card.classes
    return Told(classes, {}, (len(classes),))


def _beginning(
    args: argparse.Namespace, start: Model | None, network: UNetConfig, told: Told, data: ImageSet
) -> tuple[UNet | None, Any]:
    """The network to begin with, None for any weights, and the labels of a preview, where there are conditions."""
    from diffusion.data.folders import load_data
    from diffusion.networks.unet import UNet, grow
    from diffusion.training.conditions import begin_labels, preview_labels

    begin, same = None, False
    if start is not None:
        card = start.card
        before = Told(card.classes, card.conditions, card.network.conditions)
        same = (told.classes, told.conditions) == (before.classes, before.conditions)
        if not same:
            print(f"The classes of {args.data} ({told.names()}) are not those of {card.name} ({before.names()}): what "
                  "depends on them begins anew, the rest is kept.")  # fmt: skip
        try:
            begin = grow(unet_of(args.init, start), network, same_classes=same)
        except ValueError as error:
            raise CommandError(f"{args.init} is a network of another architecture; give the options it was made with. "
                               f"{error}") from error  # fmt: skip
    if not told.conditions:
        return begin, None
    begin = UNet(network) if begin is None else begin
    if not same:
        begin_labels(begin, data)
    return begin, preview_labels(data, load_data(args.data, "pairs", network.image_size), args.run / "samples")


def add_train(commands: Commands) -> None:
    command = commands.add_parser("train", help="train a network; run again to go on with a stopped run")
    add_run_options(command)
    add = command.add_argument
    add("--config", help="digits, emoji, emoji-sets, points, or cifar10, the paper's: sets all that follows "
        "(default: that of --data if there is one, else emoji)")  # fmt: skip
    add("--init", metavar="MODEL", help="begin with the weights of a network, by name or path; "
        "it may have fewer --blocks, no --modulate and other classes, and "
        "without --config gives the architecture")  # fmt: skip
    add("--about-data", default="", help="where the data is from, for the card")
    add("--licence", default="", help="licence of the data, for the card")
    add("--image-size", type=int)
    add("--widths", type=int, nargs="+", metavar="N", help="channels at each level")
    add("--blocks", type=int, help="residual blocks a level")
    add("--width", type=int, help="of points: of each layer")
    add("--depth", type=int, help="of points: residual blocks")
    add("--sinusoids", action=argparse.BooleanOptionalAction, help="of points: whether sines of x are seen too")
    add("--modulate", action=argparse.BooleanOptionalAction, help="noise level and class scale the features too")
    add("--prediction", choices=("eps", "v", "x0"), help="what the network predicts")
    add("--dropout", type=float)
    add(
        "--table-lr",
        type=float,
        metavar="X",
        help="learning rate of what is learnt of each class, relative to the rest",
    )
    add("--t", choices=("stratified", "uniform", "importance"), help="how steps are drawn")
    add("--weighting", choices=("simple", "min-snr"), help="of the squared error")
    add("--target", choices=("sample", "mean"), help="the image that was noised, or the mean of "
        "all that it can have been: less noise in the gradient")  # fmt: skip
    add_schedule_options(command, "--schedule", "as --config says")
    command.set_defaults(run_command=run_train)
