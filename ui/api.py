"""What other programs can ask of the running page, through gradio_client or plain HTTP."""

# Annotations are not postponed here: Gradio reads the types of the endpoints from them.
from typing import Any, Literal

import gradio as gr
from gradio.events import api

from diffusion import recipe as recipes
from diffusion.images import encode, grid, to_bytes, to_pil
from diffusion.recipe import denoiser_of
from diffusion.sampler import Clip, SamplingError, Spacing
from diffusion.schedule import ScheduleError
from ui.background import in_background
from ui.models import AT_NETWORK, DEFAULT, OWN, find_source, sources
from ui.sampling import ALL_CLASSES, Controls, read_recipe
from ui.sidebar import default_settings, read_schedule
from ui.view import browser_file, browser_path, for_browser

MOST_IMAGES = 64


def generate(
    network: str = DEFAULT,
    label: str = ALL_CLASSES,
    count: int = 16,
    sampler: Literal["ddpm", "ddim", "dpmpp", "unipc"] = "dpmpp",
    steps: int = 20,
    seed: int = 0,
    guidance: float = 1.0,
    v: float = 1.0,
    eta: float = 0.0,
    spacing: Spacing = "trailing",
    clip: Clip = "static",
    family: str = "linear",
    schedule_steps: int = 1000,
    parameters: dict[str, float] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sample images from noise.

    Args:
        network: "digits" or "emoji"; or "exact-digits" or "exact-emoji", which know their images by heart.
        label: a class of the network by name, or "all in turn".
        count: how many images, 1 to 64.
        sampler: "ddpm", "ddim", "dpmpp" or "unipc".
        steps: calls of the network, at most schedule_steps.
        seed: image k uses seed + k.
        guidance: scale of classifier-free guidance; 1 is none.
        v: variance of "ddpm", from 0 (beta-tilde) to 1 (beta).
        eta: noise of "ddim" and "dpmpp", from 0 (none) to 1.
        spacing: "trailing", "linspace", "leading", "quadratic" or "log_snr".
        clip: of the predicted x_0: "static", "dynamic" or "none".
        family, schedule_steps, parameters: the schedule, as in ``schedule``.

    Returns:
        A grid of the images as PNG, and an NPZ with the images, (N, H, W, C) uint8, and all that decided them:
        ``python -m diffusion sample --like FILE`` draws them again.
    """
    if network not in {name for _, name in sources()} - {OWN}:
        raise gr.Error(f"There is no network {network!r}.", print_exception=False)
    if not 1 <= count <= MOST_IMAGES:
        raise gr.Error(f"count must lie between 1 and {MOST_IMAGES}, not {count}.", print_exception=False)
    controls = Controls(
        network, label, count, sampler, steps, str(seed), guidance, v, eta, spacing, clip
    )  # fmt: skip
    source = find_source(network)
    try:
        recipe = read_recipe(source, _settings(family, schedule_steps, parameters), controls)
    except SamplingError as error:
        raise gr.Error(str(error), print_exception=False) from error
    denoiser, shape = denoiser_of(recipe, source.model, source.device)
    for step in in_background(recipes.run(recipe, denoiser, shape, source.device)):
        x = step.x_s
    images = to_bytes(x)
    path = browser_path(".npz")
    recipes.save(path, recipe, images)
    return browser_file(encode(to_pil(grid(images)), "PNG"), ".png"), for_browser(path)


def schedule(
    family: str = "linear", schedule_steps: int = 1000, parameters: dict[str, float] | None = None
) -> dict[str, Any]:
    """A noise schedule by t = 0 ... T.

    Args:
        family: "linear", "constant", "scaled_linear", "cosine", "sigmoid" or "laplace".
        schedule_steps: T, the number of steps.
        parameters: of the family, by name, as in {"beta_end": 0.02}; those left out take its defaults.

    Returns:
        {"beta", "alpha_bar", "snr_db"}, a list of T + 1 numbers each; the SNR at t = 0, which is infinite, is null.
    """
    try:
        made = read_schedule(_settings(family, schedule_steps, parameters))
    except ScheduleError as error:
        raise gr.Error(str(error), print_exception=False) from error
    return {
        "beta": made.beta.tolist(),
        "alpha_bar": made.alpha_bar.tolist(),
        "snr_db": [None, *made.snr_db[1:].tolist()],
    }


def _settings(family: str, T: int, parameters: dict[str, float] | None) -> dict[str, Any]:
    return default_settings() | {"family": family, "T": T, "params": parameters or {}}


def add_endpoints() -> None:
    """Make ``/generate`` and ``/schedule`` of the page that is being built."""
    api(generate, api_name="generate", **AT_NETWORK)
    api(schedule, api_name="schedule")
