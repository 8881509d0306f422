"""The kinds of networks there are: a new one is a file of its own, and a line here."""

from __future__ import annotations

from diffusion.networks.fast import FastUNet
from diffusion.networks.network import Kind
from diffusion.networks.points import PointsNetwork, read_points_config
from diffusion.networks.unet import UNet, read_config

DEFAULT_KIND = "unet"  # of cards from when there were no others
KINDS: dict[str, Kind] = {
    "unet": Kind(read_config, UNet, FastUNet),
    "points": Kind(read_points_config, PointsNetwork),
}
