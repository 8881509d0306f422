"""`python -m benchmarks.sampling`: sampling against diffusers, and what the loop, previews and lower precision cost.

Both loops draw the same images: the same network and weights, the same steps of DDIM, the same noise.

- theirs: diffusers' DDIMScheduler around the network as it is, in float32, as its documentation shows;
- ours: `sample` around the network as the page runs it: prepared for bfloat16 where the processor computes in it.

They take turns, and medians count. The loop's own time is that of a run with a denoiser that does nothing; that of
previews (and of their frames, which the page keeps) comes from the page's own runs with and without. JSON on the last
line: times in milliseconds, differences of images in grey levels 0 ... 255, overheads as shares of the time without.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

import ui.sampling
from diffusion.device import best_device, describe_device
from diffusion.images import difference, to_bytes
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.model import Model, load_model
from diffusion.networks.network import Network
from diffusion.sampling import recipe as recipes
from diffusion.sampling.noise import first_noise
from diffusion.sampling.recipe import Recipe
from diffusion.sampling.steps import timesteps
from ui.models import StopFlag, find_source

PREDICTION = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}


def theirs(model: Model, recipe: Recipe) -> Tensor:
    """diffusers' loop: the final x_0."""
    schedule, device = recipe.schedule, model.device
    network = model.denoiser.network
    scheduler = DDIMScheduler(
        schedule.T, trained_betas=schedule.beta[1:], prediction_type=PREDICTION[network.config.prediction],
        timestep_spacing="trailing",
    )  # fmt: skip
    scheduler.set_timesteps(len(recipe.steps), device=device)
    labels = torch.tensor(recipe.labels, device=device)
    levels = torch.tensor(schedule.log_snr[1:], dtype=torch.float32, device=device).clamp(-20, 20)
    x = first_noise(recipe.seeds, model.image_shape).to(device)
    with torch.no_grad():
        for t in scheduler.timesteps:
            out = network(x, levels[t].expand(len(x)), labels)
            x = scheduler.step(out, t, x, use_clipped_model_output=True).prev_sample
    return x


def ours(model: Model, recipe: Recipe) -> Tensor:
    """Our loop: the final x_0."""
    *_, step = recipes.run(recipe, *recipes.denoiser_of(recipe, model), model.device)
    return step.x_s


def in_layout(model: Model, layout: torch.memory_format) -> Network:
    """Its network, from now on with its weights laid out in this way."""
    network = cast(nn.Module, model.denoiser.network)
    return cast(Network, network.to(memory_format=layout))  # type: ignore[call-overload]


def seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def medians(repeats: int, **runs: Callable[[], Any]) -> dict[str, float]:
    """The median time of each, in milliseconds, taking turns after a first round that does not count."""
    rounds = [{name: seconds(run) for name, run in runs.items()} for _ in range(repeats + 1)][1:]
    return {name: 1000 * statistics.median(times[name] for times in rounds) for name in runs}


def loop_alone(recipe: Recipe, shape: tuple[int, int, int], repeats: int) -> float:
    """Milliseconds of a run in which the network takes no time, on the CPU."""
    eps = first_noise(recipe.seeds, shape)

    def run() -> None:
        for _ in recipes.run(recipe, lambda x_t, alpha_bar, label=None: eps, shape, "cpu"):
            pass

    return medians(repeats, loop=run)["loop"]


def pages(recipe: Recipe, repeats: int) -> dict[str, float]:
    """The page's runs with previews and without."""
    source = find_source(recipe.model)
    every = ui.sampling.PREVIEW_SECONDS

    def run(pause: float) -> None:
        ui.sampling.PREVIEW_SECONDS = pause
        for _ in ui.sampling.run_for_view(source, recipe, StopFlag()):
            pass

    try:
        return medians(repeats, previews=lambda: run(every), none=lambda: run(math.inf))
    finally:
        ui.sampling.PREVIEW_SECONDS = every


def calls(name: str, plain: Model, prepared: Model, count: int, repeats: int, also: list[str]) -> dict[str, float]:
    """One call of the network in each of the ways that were tried."""
    network, device = plain.denoiser.network, plain.device
    x = first_noise(range(count), plain.image_shape).to(device)
    labels = plain.card.labels(count).to(device)
    log_snr = torch.zeros(count, device=device)
    channels_last = in_layout(load_model(name, device), torch.channels_last)

    def autocast() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            network(x, log_snr, labels)

    ways: dict[str, Callable[[], Any]] = {
        "float32": lambda: network(x, log_snr, labels),
        "float32 channels last": lambda: channels_last(x, log_snr, labels),
        "bfloat16 autocast": autocast,
        "as the page runs it": lambda: prepared.denoiser(x, 0.5, labels),
    }
    if "trace" in also:
        frozen = torch.jit.freeze(torch.jit.trace(network, (x, log_snr, labels)))
        ways["float32 traced and frozen"] = lambda: frozen(x, log_snr, labels)
    if "compile" in also:
        compiled = NetworkDenoiser(cast(Network, torch.compile(network)), torch.bfloat16)
        ways["bfloat16 compiled"] = lambda: compiled(x, 0.5, labels)
    if "openvino" in also:
        import openvino

        core = openvino.Core()
        sizes = [list(x.shape), [count], [count]]
        converted = openvino.convert_model(network, example_input=(x, log_snr, labels), input=sizes)
        there = core.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"}).create_infer_request()
        arrays = [x.numpy(), log_snr.numpy(), labels.numpy()]
        ways["bfloat16 OpenVINO"] = lambda: there.infer(arrays)
    with torch.inference_mode():
        return medians(repeats, **ways)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="emoji")
    parser.add_argument("--count", type=int, default=16, help="images (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=50, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--also", nargs="*", default=[], choices=("trace", "compile", "openvino"),
                        help="further ways to call the network; some need minutes, or a package")  # fmt: skip
    args = parser.parse_args(arguments)

    device = best_device()
    source = find_source(args.model)
    prepared, plain = source.model, load_model(args.model, device)
    assert prepared is not None
    schedule, labels = plain.card.training_schedule(), plain.card.labels(args.count).tolist()
    recipe = Recipe(
        timesteps(schedule, args.steps), range(args.count), "ddim", labels=labels, schedule=schedule,
        model=args.model, precision=source.precision,
    )  # fmt: skip
    users = load_model(args.model, device)
    in_layout(users, torch.contiguous_format)

    expected = to_bytes(theirs(users, recipe))
    exact, fast = to_bytes(ours(plain, recipe)), to_bytes(ours(prepared, recipe))
    usual = Model(NetworkDenoiser(plain.denoiser.network, torch.bfloat16), plain.card, device)
    autocast = to_bytes(ours(usual, recipe))
    times = medians(
        args.repeats, theirs=lambda: theirs(users, recipe), ours=lambda: ours(prepared, recipe),
        ours_float32=lambda: ours(plain, recipe),
    )  # fmt: skip
    loop, page = loop_alone(recipe, plain.image_shape, args.repeats), pages(recipe, args.repeats)
    ways = calls(args.model, plain, prepared, args.count, 4 * args.repeats, args.also)
    result = {
        "model": args.model, "sha256": plain.card.sha256, "images": args.count, "steps": args.steps,
        "device": describe_device(device), "precision": source.precision,
        "ms_a_step": {name: round(value / args.steps, 2) for name, value in times.items()},
        "ms_a_call": {name: round(value, 2) for name, value in ways.items()},
        "ratio_to_diffusers": round(times["theirs"] / times["ours"], 3),
        "ratio_to_diffusers_float32": round(times["theirs"] / times["ours_float32"], 3),
        "loop_overhead": round(loop / (times["ours"] - loop), 4),
        "preview_overhead": round(page["previews"] / page["none"] - 1, 4),
        "max_abs_difference": difference(exact, expected).largest,
        "precision_difference": vars(difference(fast, exact)),
        "autocast_difference": vars(difference(autocast, exact)),
    }  # fmt: skip
    for name, value in result.items():
        print(f"{name:28s} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
