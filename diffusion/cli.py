"""`python -m diffusion ...`: the library from a terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from diffusion.device import best_device


def _train(args: argparse.Namespace) -> None:
    from diffusion.checkpoint import Card
    from diffusion.data import load_npz
    from diffusion.train import TrainConfig, train
    from diffusion.unet import UNetConfig

    data = load_npz(args.data, "train", args.image_size)
    classes = [str(i) for i in range(int(data.labels.max()) + 1)]
    network = UNetConfig(args.image_size, data.images.shape[1], len(classes), widths=tuple(args.widths))
    card = Card(
        name=args.name, title=args.title, classes=classes, network=network, schedule={"family": "cosine", "T": 1000},
        data=args.about_data, licence=args.licence, command="", images_seen=0, seconds=0.0,
    )  # fmt: skip
    config = TrainConfig(images=args.images, batch=args.batch, lr=args.lr, seed=args.seed)
    print(train(data, network, config, args.run, card, best_device()))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m diffusion", description=__doc__)
    commands = top.add_subparsers(required=True)

    train = commands.add_parser("train", help="train a network; run again to go on with a stopped run")
    train.add_argument("--data", type=Path, required=True, help=".npz with x_train, y_train (uint8)")
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
    return top


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        args.run_command(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
