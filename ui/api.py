"""What other programs can ask of the running page, through gradio_client or plain HTTP.

A program has no control in front of it: names, defaults and ranges are said in the signatures and checked as those of
the page are. Each request is answered alone, and whoever goes away stops what was asked for.
"""

# Annotations are not postponed here: Gradio reads the types of the endpoints from them.
import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_type_hints

import numpy as np
import torch
from gradio.events import api

from diffusion.images import encode, grid, open_image, to_bytes, to_pil, to_tensor
from diffusion.losses.rate import ledger, loss_terms
from diffusion.process import q_sample
from diffusion.sampling import archive
from diffusion.sampling import recipe as recipes
from diffusion.sampling.clips import CLIPS, Clip
from diffusion.sampling.recipe import denoiser_of
from diffusion.sampling.steps import SPACINGS, Spacing
from diffusion.sampling.updates import SAMPLERS, all_options, option_parameters, samplers_with
from diffusion.sampling.wishes import IN_TURN
from diffusion.schedules.schedule import EXPONENTS
from ui.asked import AskedError
from ui.background import in_background
from ui.files import for_browser, made_file, made_path
from ui.job import is_abandoned
from ui.models import DEFAULT, FOR_PROGRAMS, OWN, find_source, sources
from ui.sampling import MOST_IMAGES, Controls, read_recipe, read_seed, run_name
from ui.sidebar import Settings, default_settings, numbers_for_json, read_schedule
from ui.subjects import measurable
from ui.weighing import measured_before, read_curves

MOST_WORK = 64_000  # images times steps of one request: some minutes


@dataclass(frozen=True)
class AskedImages:
    """What ``/generate`` is asked: its parameters, as ``GENERATE_ABOUT`` says; ``options`` are those of the sampler."""

    network: str = DEFAULT
    label: str = IN_TURN
    count: int = 16
    sampler: str = "dpmpp"
    steps: int = 20
    seed: int = 0
    guidance: float = 1.0
    options: dict[str, float] = field(default_factory=dict)
    spacing: Spacing = "trailing"
    clip: Clip = "static"
    family: str = "linear"
    schedule_steps: int = 1000
    parameters: dict[str, float] | None = None


# Of the endpoint, which takes each option of a sampler by its own name.
GENERATE_ABOUT = """Sample images from noise.

Args:
    network: {networks}; those that begin with exact know their images by heart.
    label: a class of the network by name, or values of its several conditions, as "fox, openmoji", "style=all in turn"
        or "concept=any"; "all in turn" is classes, or concepts, in turn.
    count: how many images, 1 to 64.
    sampler: {samplers}.
    steps: at most schedule_steps; each calls the network once, of "heun" twice.
    seed: image k uses seed + k.
    guidance: scale of classifier-free guidance; 1 is none, and for "emoji-sets" 1.5 is usual on the page.
    {options}
    spacing: {spacings}.
    clip: of the predicted x_0: {clips}.
    family, schedule_steps, parameters: the schedule, as in ``schedule``.

Returns:
    A grid of the images as PNG, and an NPZ with the images, (N, H, W, C) uint8, and all that decided them:
    ``python -m diffusion sample --like FILE`` draws them again.
"""


def generate(asked: AskedImages) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sample images from noise; see ``GENERATE_ABOUT``.

    Raises:
        AskedError: no such network, too many images, or nobody who waits for them any more.
        SamplingError, ScheduleError: as ``read_recipe``.
    """
    network, count, steps = asked.network, asked.count, asked.steps
    if network not in {name for _, name in sources()} - {OWN}:
        raise AskedError(f"There is no network {network!r}.")
    if not 1 <= count <= MOST_IMAGES:
        raise AskedError(f"count must lie between 1 and {MOST_IMAGES}, not {count}.")
    if count * steps > MOST_WORK:
        raise AskedError(
            f"{count} images in {steps} steps are too much at once: count times steps may be {MOST_WORK} at most."
        )
    options = all_options(asked.sampler, asked.options)  # refuses those that do nothing
    controls = Controls(
        network, asked.label, count, asked.sampler, steps, str(asked.seed), asked.guidance, asked.spacing, asked.clip,
        options=options,
    )  # fmt: skip
    source = find_source(network)
    recipe = read_recipe(source, _settings(asked.family, asked.schedule_steps, asked.parameters), controls)
    denoiser, shape = denoiser_of(recipe, source.model, source.device)
    for step in in_background(recipes.run(recipe, denoiser, shape, source.device)):
        if is_abandoned():
            raise AskedError("Nobody waits for these images any more.")
        x = step.x_s
    images = to_bytes(x)
    path = made_path(f"{run_name(network, recipe)}.npz")
    archive.save(path, recipe, images)
    return made_file(encode(to_pil(grid(images)), "PNG"), f"{path.stem}.png"), for_browser(path)


def generate_endpoint() -> Callable[..., Any]:
    """``generate`` as Gradio wants it: a parameter for each field of ``AskedImages``, and in place of ``options`` one
    for each option that a sampler has, by whose name other programs ask for it. None is its default.
    """
    options = option_parameters()
    types: dict[str, Any] = get_type_hints(AskedImages) | {"sampler": Literal.__getitem__(tuple(SAMPLERS))}
    given: list[tuple[str, Any, Any]] = []  # name, type, default
    for each in fields(AskedImages):
        if each.name == "options":
            given += [(name, float | None, None) for name in options]
        else:
            given.append((each.name, types[each.name], each.default))
    parameters = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, kind, default in given
    ]
    returned = get_type_hints(generate)["return"]
    signature = inspect.Signature(parameters, return_annotation=returned)

    def answer(*values: Any, **named: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        asked = signature.bind(*values, **named).arguments
        chosen = {name: asked.pop(name, None) for name in options}
        return generate(AskedImages(**asked, options={k: v for k, v in chosen.items() if v is not None}))

    endpoint: Any = answer
    endpoint.__name__ = endpoint.__qualname__ = "generate"
    endpoint.__doc__ = generate_about()
    endpoint.__signature__ = signature
    endpoint.__annotations__ = {name: kind for name, kind, _ in given} | {"return": returned}
    return answer


def generate_about() -> str:
    """``GENERATE_ABOUT`` with the names that there are."""
    options = [
        f"{name}: of {_either(samplers_with(name))}: {parameter.about}; from {parameter.minimum:g} to "
        f"{parameter.maximum:g}, and {parameter.default:g} if it is not given."
        for name, parameter in option_parameters().items()
    ]
    networks = [name for _, name in sources() if name != OWN]
    return GENERATE_ABOUT.format(
        networks=_either(networks),
        samplers=_either(SAMPLERS),
        options="\n    ".join(options),
        spacings=_either(SPACINGS),
        clips=_either(CLIPS),
    )


def _either(names: Iterable[str]) -> str:
    *others, last = (f'"{name}"' for name in names)
    return f"{', '.join(others)} or {last}" if others else last


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
    made = read_schedule(_settings(family, schedule_steps, parameters))
    return {
        "beta": made.beta.tolist(),
        "alpha_bar": made.alpha_bar.tolist(),
        "snr_db": [None, *made.snr_db[1:].tolist()],
    }


def noise(
    picture: dict[str, Any],
    t: int = 300,
    seed: int = 0,
    family: str = "linear",
    schedule_steps: int = 1000,
    parameters: dict[str, float] | None = None,
) -> tuple[dict[str, Any], dict[str, float | None]]:
    """A picture noised to step t: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps (Ho et al. 2020, eq. 4).

    Args:
        picture: an uploaded file, ``gradio_client.handle_file(PATH)``; its longer side becomes 256 pixels at most.
        t: 0, the picture as it is, to schedule_steps.
        seed: of eps.
        family, schedule_steps, parameters: the schedule, as in ``schedule``.

    Returns:
        x_t as PNG, black where it is -1 or less and white where it is 1 or more; and {"t", "beta", "alpha_bar",
        "signal": sqrt(alpha_bar_t), "noise": sqrt(1 - alpha_bar_t), "snr_db", "mean", "std": of all values of x_t};
        the SNR at t = 0, which is infinite, is null.
    """
    made = read_schedule(_settings(family, schedule_steps, parameters))
    if not 0 <= t <= made.T:
        raise AskedError(f"t must lie between 0 and {made.T}, not {t}.")
    x_0 = to_tensor(open_image(_path(picture)))
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(read_seed(str(seed))))
    x_t = q_sample(x_0, float(made.alpha_bar[t]), eps)
    numbers = {name: float(getattr(made, name)[t]) for name in ("beta", "alpha_bar", "signal", "noise", "snr_db")}
    found = {"mean": x_t.mean().item(), "std": x_t.std(correction=0).item()}
    return (
        made_file(encode(to_pil(to_bytes(x_t)), "PNG"), f"ddpm-lab-{made.family}-t{t}.png"),
        {"t": t, **numbers, "snr_db": numbers["snr_db"] if t else None, **found},
    )


def loss(
    network: str = DEFAULT,
    variance: Literal["beta", "between", "posterior"] = "beta",
    family: str = "linear",
    schedule_steps: int = 1000,
    parameters: dict[str, float] | None = None,
) -> dict[str, Any]:
    """The variational bound of a network, L_T + sum of L_{t-1} + L_0, by step (Ho et al. 2020, eq. 5 and 12).

    From errors that were measured on bundled images when the network was shipped; it is not asked again.

    Args:
        network: "digits", "emoji" or "emoji-sets".
        variance: sigma_t^2 of the reverse process: "beta", "posterior" (beta-tilde), or "between", their geometric
            mean.
        family, schedule_steps, parameters: the schedule, as in ``schedule``.

    Returns:
        {"t": 1 ... T, "error": |eps - eps_theta|^2 a dimension, "L": L_{t-1} in bits/dim, of which the first is L_0},
        a list of T numbers each; and {"L_T", "L_0", "L_mid": the sum of L_1 to L_{T-1}, "total"} in bits/dim. null is
        what was not measured.
    """
    if network not in {name for _, name in measurable()}:
        raise AskedError(f"There is no network {network!r} that was measured.")
    if variance not in EXPONENTS:
        raise AskedError(f"variance must be one of {', '.join(EXPONENTS)}, not {variance!r}.")
    value = measured_before(network)
    if value is None:
        raise AskedError(f"The errors of {network} were not measured yet.")
    (curve, _), made = read_curves(value), read_schedule(_settings(family, schedule_steps, parameters))
    book = ledger(curve, made, variance)
    terms = np.concatenate(([book.L_0], loss_terms(curve, made, variance).term[2:]))
    numbers = asdict(book) | {"total": book.total}
    return {
        "t": list(range(1, made.T + 1)),
        "error": numbers_for_json(curve.on(made)[1:]),
        "L": numbers_for_json(terms),
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
    }


def _settings(family: str, T: int, parameters: dict[str, float] | None) -> Settings:
    return {**default_settings(), "family": family, "T": T, "params": dict(parameters or {})}


def _path(picture: dict[str, Any]) -> str:
    path = picture.get("path")
    if not isinstance(path, str):
        raise AskedError("picture must be an uploaded file, as in handle_file('photo.jpg').")
    return path


def add_endpoints() -> None:
    """Make ``/generate``, ``/noise``, ``/schedule`` and ``/loss`` of the page that is being built."""
    api(generate_endpoint(), api_name="generate", **FOR_PROGRAMS)
    for endpoint in (noise, schedule, loss):
        api(endpoint, api_name=endpoint.__name__)
