"""A network small enough for tests."""

from pathlib import Path

import torch

from diffusion.checkpoint import Card, save_model
from diffusion.unet import UNet, UNetConfig


def save_tiny(path: Path, classes: list[str], T: int = 100) -> Card:
    """Write a network of 8 x 8 grey images, with random weights, that was "trained" under a cosine schedule."""
    # 12: group norm with one channel a group would take the noise level and the label out again.
    config = UNetConfig(8, 1, len(classes), widths=(12, 24), blocks=1, attention=())
    torch.manual_seed(0)
    network = UNet(config)
    for parameter in network.parameters():  # its last layers start at zero: a label would change nothing
        torch.nn.init.normal_(parameter, std=0.2)
    schedule = {"family": "cosine", "T": T}
    return save_model(path, network, Card("tiny", "Tiny", classes, config, schedule, "none", "none", "", 0, 0.0))
