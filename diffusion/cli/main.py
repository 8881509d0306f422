"""`python -m diffusion ...`: the library from a terminal."""

from __future__ import annotations

import argparse
import os
import sys

from diffusion.cli.classifier import add_classifier
from diffusion.cli.distill import add_distill
from diffusion.cli.evaluate import add_evaluate
from diffusion.cli.loss import add_loss
from diffusion.cli.options import LONGEST, check_numbers
from diffusion.cli.sample import add_sample
from diffusion.cli.schedule import add_schedule
from diffusion.cli.train import add_train


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m diffusion", description=__doc__)
    commands = top.add_subparsers(required=True)
    for add in (add_train, add_distill, add_sample, add_schedule, add_loss, add_evaluate, add_classifier):
        add(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    args.arguments = sys.argv[1:] if arguments is None else arguments
    if getattr(args, "offline", False):
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the Hub's library is imported, which is when it is needed
    try:
        check_numbers(args)
        args.run_command(args)
    except (ValueError, OSError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.strerror and error.filename:  # without its number
            text = f"{error.strerror}: {error.filename}"
        print(f"error: {text if len(text) <= LONGEST else text[:LONGEST] + '…'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0
