"""What does a network see in one image under so much noise? Asking it at every move of the hand would take too long.

It is asked once, at about a hundred levels, and sight.js draws any step from its answers.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from diffusion.images import encode, to_bytes, to_pil, to_unit
from diffusion.losses.measure import find_noise, measuring_levels
from diffusion.networks.model import Model
from diffusion.process import q_sample, v_from_x0_eps, x0_from_eps
from diffusion.sampling.wishes import in_words
from ui.asked import AskedError
from ui.models import RUN, shared_model
from ui.opening import opening_of
from ui.picture import EPS_UNIT
from ui.subjects import bundled, measurable

OFFERED = 10  # bundled images to choose from
FIRST = 0  # which of them is looked at first
LEVELS = 96  # at which the network is asked; between them its answer is interpolated


def predictions_by_level(model: Model, image: Tensor, label: Tensor | None, seed: int = 0) -> dict[str, Any]:
    """What a network sees in one image (uint8, (C, H, W)) with one noise, at every level, told ``label`` of it.

    The browser draws any step from it. Data: x_0 as uint8, eps as int16, then for each level what the network predicts
    as v, int16, from which both eps_theta and the predicted x_0 follow with all digits that can be seen:
    eps_theta = sqrt(1 - alpha_bar) x_t + sqrt(alpha_bar) v, x_0 = sqrt(alpha_bar) x_t - sqrt(1 - alpha_bar) v.
    """
    x_0 = to_unit(image)
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(seed))
    levels = measuring_levels(model.card.training_schedule(), 2)
    high, low = np.log(levels) - np.log1p(-levels)
    log_snr = np.linspace(high, low, LEVELS)
    alpha_bar = 1 / (1 + np.exp(-log_snr))
    found = find_noise(model.denoiser, x_0, eps, alpha_bar, label=label, device=model.device).double()
    a = torch.tensor(alpha_bar)[:, None, None, None]
    x_t = q_sample(x_0[None].double(), a, eps[None].double())
    v = v_from_x0_eps(x0_from_eps(x_t, found, a), found, a)
    parts = [to_bytes(x_0).tobytes(), *(_int16(part.movedim(-3, -1)) for part in (eps, v))]
    channels, height, width = x_0.shape
    return {
        "width": width, "height": height, "channels": channels, "log_snr": log_snr.tolist(), "unit": EPS_UNIT,
        "data": base64.b64encode(b"".join(parts)).decode(),
    }  # fmt: skip


def _int16(x: Tensor) -> bytes:
    return np.clip(np.rint(x.numpy() * EPS_UNIT), -32768, 32767).astype("<i2").tobytes()


def predictions_in(model: Model, index: int, network: str = "") -> dict[str, Any]:
    """What a network sees in one of its bundled images; ``network``: its name on the page, if its card has another."""
    offered = bundled(network or model.card.name).evenly(OFFERED)
    known = model.card.known(offered.labels)
    return predictions_by_level(model, offered.images[index], None if known is None else known[index])


@lru_cache(maxsize=16)
def _predictions_of(network: str, index: int) -> dict[str, Any]:
    opening = opening_of(network) if index == FIRST else None
    return predictions_in(shared_model(network), index) if opening is None else opening.seen


class AskedImage(TypedDict):
    """One of the images that ``image_buttons`` shows of a network."""

    network: str
    index: Annotated[int, Field(ge=0, lt=OFFERED)]


def predictions_of(asked: AskedImage) -> dict[str, Any]:
    """What a network sees in an image; see ``predictions_by_level``.

    Raises:
        AskedError: no such image.
    """
    if asked["network"].startswith(RUN):  # whose weights are others tomorrow
        model, offered = shared_model(asked["network"]), len(image_buttons(asked["network"]))
        if not 0 <= asked["index"] < offered:
            raise AskedError("There is no such image to look at.")
        return predictions_in(model, asked["index"], asked["network"])
    if not 0 <= asked["index"] < OFFERED or asked["network"] not in (name for _, name in measurable()):
        raise AskedError("There is no such image to look at.")
    return _predictions_of(asked["network"], asked["index"])


def image_button(image: Tensor, name: str) -> dict[str, str]:
    """An image (uint8, (C, H, W)) for a button: {"picture": data URI, "name"}."""
    png = base64.b64encode(encode(to_pil(image.movedim(0, -1).numpy()), "PNG")).decode()
    return {"picture": f"data:image/png;base64,{png}", "name": name}


@lru_cache(maxsize=32)
def image_buttons(network: str) -> list[dict[str, str]]:
    """The bundled images to choose from."""
    chosen, card = bundled(network).evenly(OFFERED), shared_model(network).card
    # Held-out images may show what the network knows no name of; the data do.
    names = replace(card, conditions={name: [*values] for name, values in chosen.conditions.items()})
    return [
        image_button(image, in_words(names, label) if card.network.conditions else f"image {i}")
        for i, (image, label) in enumerate(zip(chosen.images, chosen.labels.tolist(), strict=True), 1)
    ]
