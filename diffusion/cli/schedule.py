"""`python -m diffusion schedule`: a schedule as a table, or for diffusers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from diffusion.cli.options import CommandError, Commands, add_betas, add_schedule_options, check_places, schedule_of
from diffusion.schedules.exchange import to_diffusers


def run_schedule(args: argparse.Namespace) -> None:
    if args.csv is None and args.diffusers is None:
        raise CommandError("Say what to write: --csv FILE, --diffusers FILE or both.")
    if args.csv == args.diffusers:
        raise CommandError("--csv and --diffusers cannot both be written to the same place.")
    check_places(*(Path(path) for path in (args.csv, args.diffusers) if path not in (None, "-")))
    schedule = schedule_of(args, args.family)

    from diffusion.files import write_atomically
    from diffusion.losses.weightings import schedule_csv

    texts = {args.csv: schedule_csv(schedule), args.diffusers: json.dumps(to_diffusers(schedule), indent=1) + "\n"}
    for path, text in texts.items():
        if path == "-":
            sys.stdout.write(text)
        elif path is not None:
            write_atomically(Path(path), text.encode())


def add_schedule(commands: Commands) -> None:
    command = commands.add_parser(
        "schedule", help="write a schedule, as CSV with a row for each t = 1 ... T or for diffusers"
    )
    add = command.add_argument
    add_schedule_options(command, "--family")
    add_betas(command)
    add("--csv", metavar="FILE", help="where to write a table; - for the terminal")
    add("--diffusers", metavar="FILE", help="where to write a DDPMScheduler's configuration, JSON")
    command.set_defaults(run_command=run_schedule)
