"""The kinds of networks there are: a new one is a file of its own, and a line here."""

from __future__ import annotations

from typing import Any

from diffusion.checks import shown
from diffusion.networks.fast import FastUNet
from diffusion.networks.network import Kind
from diffusion.networks.points import PointsNetwork, read_points_config
from diffusion.networks.unet import UNet, read_config

DEFAULT_KIND = "unet"  # of cards from when there were no others
KINDS: dict[str, Kind] = {
    "unet": Kind(read_config, UNet, FastUNet),
    "points": Kind(read_points_config, PointsNetwork),
}


def find_kind(name: Any) -> Kind:
    """Raises ValueError: none of that name."""
    if not isinstance(name, str) or name not in KINDS:
        raise ValueError(f"there is no kind of network {shown(name)}, only {', '.join(KINDS)}")
    return KINDS[name]
