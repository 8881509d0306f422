"""Two loops that draw the same images with the same network: diffusers' and ours."""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from diffusion.networks.card import Card
from diffusion.networks.model import Model
from diffusion.networks.network import Network
from diffusion.sampling import recipe as recipes
from diffusion.sampling.noise import first_noise
from diffusion.sampling.recipe import Precision, Recipe
from diffusion.sampling.steps import timesteps

PREDICTION = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}


def theirs(model: Model, recipe: Recipe, kind: Any = DDIMScheduler) -> Tensor:
    """diffusers' loop, with a scheduler of this ``kind``: the final x_0."""
    schedule, device = recipe.schedule, model.device
    network = model.denoiser.network
    scheduler = kind(
        schedule.T, trained_betas=schedule.beta[1:], prediction_type=PREDICTION[network.config.prediction],
        timestep_spacing="trailing",
    )  # fmt: skip
    # DDIM clips the predicted x_0 and has to be told that eps follows.
    more = {"use_clipped_model_output": True} if kind is DDIMScheduler else {}
    scheduler.set_timesteps(len(recipe.steps), device=device)
    labels = torch.tensor(recipe.labels, device=device)
    levels = torch.tensor(schedule.log_snr[1:], dtype=torch.float32, device=device).clamp(-20, 20)
    x = first_noise(recipe.seeds, model.image_shape).to(device)
    with torch.no_grad():
        for t in scheduler.timesteps:
            out = network(x, levels[t].expand(len(x)), labels)
            x = scheduler.step(out, t, x, **more).prev_sample
    return x


def ours(model: Model, recipe: Recipe) -> Tensor:
    """Our loop: the final x_0."""
    *_, step = recipes.run(recipe, *recipes.denoiser_of(recipe, model), model.device)
    return step.x_s


def in_layout(model: Model, layout: torch.memory_format) -> Network:
    """Its network, from now on with its weights laid out in this way."""
    network = cast(nn.Module, model.denoiser.network)
    return cast(Network, network.to(memory_format=layout))  # type: ignore[call-overload]


def recipe_for(name: str, card: Card, count: int, steps: int, precision: Precision) -> Recipe:
    """DDIM over ``steps`` steps of the training schedule, all images at once."""
    schedule = card.training_schedule()
    return Recipe(
        timesteps(schedule, steps), range(count), "ddim", labels=card.labels(count).tolist(), schedule=schedule,
        model=name, precision=precision, batch=count,
    )  # fmt: skip
