"""`python -m benchmarks.gpu`: sampling on a GPU, against the CPU and against diffusers around the same network.

- the images: those of the CPU, in float32, with multiplications rounded as on it;
- a step of the loop beside diffusers' in float32, as the network is, and compiled (into CUDA graphs) on request;
- images a second over the number of images at a time, and the memory that they take;
- waits: how often the host waits for the GPU in a whole run, whose last images it does not look at.

Without a GPU it says so and ends; `--device cpu` runs all of it there but for waits and memory, to see that it runs.
JSON on the last line: times in milliseconds, differences in grey levels 0 ... 255, memory in megabytes.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.load import print_result
from benchmarks.loops import ours, recipe_for, theirs
from diffusion.device import describe_device
from diffusion.images import difference, to_bytes
from diffusion.networks.model import Model, load_model

NO_GPU = "There is no NVIDIA GPU here that PyTorch can use, so there is nothing to measure."


def seconds(run: Callable[[], Any], device: torch.device) -> float:
    """Until the device has done all of it."""
    _wait(device)
    started = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def milliseconds(
    runs: dict[str, Callable[[], Any]], steps: int, repeats: int, device: torch.device
) -> dict[str, float]:
    """Of a step of each, taking turns; medians, after a first round that does not count."""
    rounds = [{name: seconds(run, device) for name, run in runs.items()} for _ in range(repeats + 1)][1:]
    return {name: round(1000 * statistics.median(times[name] for times in rounds) / steps, 2) for name in runs}


def host_waits(run: Callable[[], Any]) -> int:
    """How often the host waits for the GPU meanwhile."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in said)


def rates(name: str, model: Model, most: int) -> dict[int, dict[str, float]]:
    """Images of 10 steps a second, and the memory they take, by how many are drawn at a time: 1, 4, 16 ... ``most``."""
    found, count = {}, 1
    while count <= most:
        recipe = recipe_for(name, model.card, count, 10, "float32")
        ours(model, recipe)
        if model.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(model.device)
        taken = seconds(partial(ours, model, recipe), model.device)
        found[count] = {"images_a_second": round(count / taken, 1)}
        if model.device.type == "cuda":
            found[count]["peak_mb"] = round(torch.cuda.max_memory_allocated(model.device) / 1e6)
        count *= 4
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="emoji")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--count", type=int, default=16, help="images (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=50, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--most", type=int, default=1024, help="images at a time (default: %(default)s)")
    parser.add_argument("--compile", action="store_true", help="also the compiled network, which takes minutes")
    args = parser.parse_args(arguments)
    if args.device == "cuda" and not torch.cuda.is_available():
        print(NO_GPU)
        return

    device = torch.device(args.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    on_cpu, model = load_model(args.model), load_model(args.model, device)
    recipe = recipe_for(args.model, model.card, args.count, args.steps, "float32")
    expected = to_bytes(ours(on_cpu, recipe))
    runs = {"theirs": lambda: theirs(model, recipe), "ours": lambda: ours(model, recipe)}
    if args.compile:
        compiled = load_model(args.model, device, compiled=True)
        runs["ours_compiled"] = lambda: ours(compiled, recipe)
    result = {
        "model": args.model, "sha256": model.card.sha256, "images": args.count, "steps": args.steps,
        "device": describe_device(device),
        "difference_from_cpu": vars(difference(to_bytes(ours(model, recipe)), expected)),
        "difference_of_diffusers": vars(difference(to_bytes(theirs(model, recipe)), expected)),
        "ms_a_step": milliseconds(runs, args.steps, args.repeats, device),
        "host_waits": host_waits(lambda: ours(model, recipe)) if device.type == "cuda" else None,
        "by_images": rates(args.model, model, args.most),
    }  # fmt: skip
    print_result(result)


if __name__ == "__main__":
    main()
