"""`python -m benchmarks.sampling`: sampling against diffusers, and what the loop, previews and lower precision cost.

Both loops draw the same images: the same network and weights, the same steps of DDIM, the same noise.

- theirs: diffusers' DDIMScheduler around the network as it is, in float32, as its documentation shows;
- ours: `sample` around the network as the page runs it: prepared, for bfloat16 where the processor computes in it.

They take turns, and medians count. The loop's own time is that of a run with a denoiser that does nothing; that of
previews (and of their frames, which the page keeps) comes from the page's own runs with and without. A call of the
network is also timed beside one busy process and beside another sampling; a step of the loop for 1 to 512 images and in
long runs, with the memory that it takes; and the way to images as good as those of 50 steps of DDIM, beside diffusers'
best (see equal.py). Whatever this machine lacks is left out, and said. JSON on the last line: times in milliseconds,
differences of images in grey levels 0 ... 255, overheads as shares of the time without.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

import ui.sampling
from benchmarks.equal import equal_quality
from benchmarks.load import beside_a_neighbour, print_result, two_at_once
from benchmarks.loops import in_layout, ours, recipe_for, theirs
from diffusion.device import best_device, best_precision, describe_device
from diffusion.images import difference, to_bytes
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.model import Model, load_model
from diffusion.networks.network import Network
from diffusion.sampling import recipe as recipes
from diffusion.sampling.noise import first_noise
from diffusion.sampling.recipe import Recipe
from ui.models import StopFlag, find_source

NO_BFLOAT16 = "This processor does not compute in bfloat16; what imitates it takes many times longer, and is left out."
IMAGES, STEPS = (1, 4, 16, 64, 256, 512), (10, 50, 250)  # how many of each are looked at


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

    able = best_precision(device) == "bf16"
    ways: dict[str, Callable[[], Any]] = {
        "float32": lambda: network(x, log_snr, labels),
        "float32 channels last": lambda: channels_last(x, log_snr, labels),
        "float32 prepared": lambda: plain.denoiser(x, 0.5, labels),
        "as the page runs it": lambda: prepared.denoiser(x, 0.5, labels),
    }
    if able:
        ways["bfloat16 autocast"] = autocast
    if "trace" in also:
        frozen = torch.jit.freeze(torch.jit.trace(network, (x, log_snr, labels)))
        ways["float32 traced and frozen"] = lambda: frozen(x, log_snr, labels)
    if "compile" in also and able:
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


def beside_others(model: Model, count: int, repeats: int) -> dict[str, dict[str, float]]:
    """A call of the network beside one busy process, and beside another sampling."""
    x, labels = first_noise(range(count), model.image_shape).to(model.device), model.card.labels(count).to(model.device)

    def call() -> None:
        with torch.inference_mode():
            model.denoiser(x, 0.5, labels)

    return {"busy_neighbour": beside_a_neighbour(call, repeats), "two_samplings": two_at_once(call, repeats)}


def growth(name: str, images: Sequence[int], steps: Sequence[int]) -> dict[str, Any]:
    """Time of a step and memory at the highest, by the number of images and of steps; for a process of its own."""
    source = find_source(name)
    assert source.model is not None
    model = source.model
    found: dict[str, dict[int, dict[str, float]]] = {"images": {}, "steps": {}}
    runs = [("images", count, 2) for count in sorted(images)] + [("steps", 4, taken) for taken in sorted(steps)]
    for kind, count, taken in runs:  # rising, since what is known of memory is its highest so far
        recipe = recipe_for(name, model.card, count, taken, source.precision)
        best = 1000 * min(seconds(partial(ours, model, recipe)) for _ in range(2)) / taken
        row = {"ms_a_step": round(best, 2), "ms_an_image": round(best / count, 2), "peak_mb": peak_megabytes()}
        found[kind][count if kind == "images" else taken] = row
    return found


def peak_megabytes() -> int:
    """The most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says there begins with what the process had that started this one
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) / 1e3)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1e6 if sys.platform == "darwin" else 1e3))


def grown(name: str, images: Sequence[int], steps: Sequence[int]) -> dict[str, Any]:
    """``growth`` in a process of its own, which has taken no memory for anything else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(growth, name, images, steps).result()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="emoji")
    parser.add_argument("--count", type=int, default=16, help="images (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=50, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--most", type=int, default=IMAGES[-1], help="images at a time (default: %(default)s)")
    parser.add_argument("--also", nargs="*", default=[], choices=("trace", "compile", "openvino"),
                        help="further ways to call the network; some need minutes, or a package")  # fmt: skip
    args = parser.parse_args(arguments)

    device = best_device()
    source = find_source(args.model)
    prepared, plain = source.model, load_model(args.model, device)
    assert prepared is not None
    recipe = recipe_for(args.model, plain.card, args.count, args.steps, source.precision)
    users = load_model(args.model, device)
    in_layout(users, torch.contiguous_format)

    expected = to_bytes(theirs(users, recipe))
    exact, fast = to_bytes(ours(plain, recipe)), to_bytes(ours(prepared, recipe))
    autocast = None
    if best_precision(device) == "bf16":
        usual = Model(NetworkDenoiser(plain.denoiser.network, torch.bfloat16), plain.card, device)
        autocast = difference(to_bytes(ours(usual, recipe)), exact)
    times = medians(
        args.repeats, theirs=lambda: theirs(users, recipe), ours=lambda: ours(prepared, recipe),
        ours_float32=lambda: ours(plain, recipe),
    )  # fmt: skip
    loop, page = loop_alone(recipe, plain.image_shape, args.repeats), pages(recipe, args.repeats)
    ways = calls(args.model, plain, prepared, args.count, 4 * args.repeats, args.also)
    counts = [count for count in IMAGES if count <= args.most]
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
        "autocast_difference": NO_BFLOAT16 if autocast is None else vars(autocast),
        "equal_quality": equal_quality(users, prepared, recipe, args.repeats),
        **beside_others(prepared, args.count, args.repeats),
        **{f"by_{name}": rows for name, rows in grown(args.model, counts, STEPS).items()},
    }  # fmt: skip
    print_result(result)


if __name__ == "__main__":
    main()
