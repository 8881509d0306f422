"""`python -m diffusion distill`: from a network to a student of it, which draws in a few calls."""

from __future__ import annotations

import argparse
from dataclasses import replace

from diffusion.cli.options import CommandError, Commands, check_labels, check_unused, command_of
from diffusion.cli.runs import accelerator_of, add_run_options, check_names, settings_of, training_data, unet_of

GUIDANCE = (1.0, 4.0)  # that a student is taught, if its teacher has conditions


def run_distill(args: argparse.Namespace) -> None:
    import torch

    from diffusion.data.folders import load_data
    from diffusion.networks.model import load_model
    from diffusion.networks.unet import grow
    from diffusion.sampling.steps import timesteps
    from diffusion.training.conditions import preview_labels
    from diffusion.training.config import TrainConfig
    from diffusion.training.train import train

    check_names(args)
    model = load_model(args.model)
    card, teacher = model.card, unet_of(args.model, model)
    if card.levels:
        if args.critic_steps:
            raise CommandError(f"{card.name} is a student itself: it knows a few noise levels, and a critic asks at "
                               "all of them; match to its teacher, and begin with the student by --init.")  # fmt: skip
        check_unused(args, f"{card.name} is a student itself, and taught in its own steps; leave {{}} out.", "substeps")
        if len(card.levels) % args.calls or len(card.levels) == args.calls:
            raise CommandError(f"{card.name} takes {len(card.levels)} calls: a student of it must take a part of them.")
        args.substeps = len(card.levels) // args.calls
    config = settings_of(args, TrainConfig(lr=2e-4, substeps=8))
    network = teacher.config
    if not network.conditions:
        check_unused(args, f"{card.name} has no classes; leave {{}} out.", "drop_label", "drop_all", "guidance")
    elif network.guidance is None:
        network = replace(network, guidance=tuple(args.guidance or GUIDANCE))
    else:
        check_unused(args, f"{card.name} already takes guidance; leave {{}} out.", "guidance")
    network = replace(network, dropout=0.0)  # there is always another noise, and one image to find in it
    start = teacher
    commands = [card.command, command_of(args)]
    seen, seconds = card.images_seen, card.seconds
    if args.init is not None:
        begin = load_model(args.init)
        if begin.card.network not in (network, teacher.config):
            raise CommandError(f"{args.init} is a network of another architecture than the student.")
        start, commands = unet_of(args.init, begin), [begin.card.command, command_of(args)]
        seen, seconds = begin.card.images_seen, begin.card.seconds
    data = training_data(args, network.image_size)
    check_labels(args.data, data, card)
    schedule = card.training_schedule()
    student = replace(
        card, name=args.name, title=args.title or args.name, network=network, command=" && ".join(commands),
        images_seen=seen, seconds=seconds, sha256="", figures={}, teacher=card.teacher or card.name,
        levels=schedule.alpha_bar[timesteps(schedule, config.calls)].tolist(),
    )  # fmt: skip
    torch.manual_seed(config.seed)
    labels = None
    if card.conditions:
        labels = preview_labels(data, load_data(args.data, "pairs", network.image_size), args.run / "samples")
    accelerator = accelerator_of(args)
    weights = train(data, config, args.run, student, accelerator, grow(start, network), labels, teacher)
    if accelerator.is_main_process:
        print(weights)
    accelerator.end_training()


def add_distill(commands: Commands) -> None:
    command = commands.add_parser(
        "distill", help="teach a network to draw in a few calls; run again to go on with a stopped run"
    )
    add = command.add_argument
    add("--model", required=True, help="the teacher: name of a shipped network, or path of a .safetensors; a student "
        "can be the teacher of one with fewer calls")  # fmt: skip
    add("--calls", type=int, required=True, help="how many the student is to take")
    add("--substeps", type=int, help="in how many steps the teacher does one of the student's (default: 8)")
    add("--guidance", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="scales of guidance that the student is to take as an input (default: 1 4)")  # fmt: skip
    add("--critic-steps", type=int, metavar="N", help="match the images of the student to those of its teacher "
        "as a whole, by a critic that learns N times for each of its steps (default: learn the teacher's)")  # fmt: skip
    add("--critic-lr", type=float, help="learning rate of the critic (default: 2e-4)")
    add("--init", metavar="MODEL", help="begin with the weights of this student of it, not with the teacher's")
    add_run_options(command)
    command.set_defaults(run_command=run_distill)
