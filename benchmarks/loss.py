"""`python -m benchmarks.loss`: how long an error curve takes, and how much of that is the network's.

The pass of the Loss tab over bundled images, at as many noise levels as asked for, and what the tab waits for besides:
the first level, putting a schedule on the result, the exact denoisers on the same draws, and the row that shows what
the network sees. Its part is the time inside its calls. JSON on the last line, times in seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import torch
from torch import Tensor

from diffusion.denoiser import Denoiser
from diffusion.images import to_unit
from diffusion.losses.measure import measure_errors, measuring_levels
from diffusion.losses.reference import measure_references
from ui.models import shared_model
from ui.seen import predictions_by_level
from ui.sidebar import default_settings
from ui.subjects import bundled_subject
from ui.weighing import weigh


class Timed:
    """A denoiser and the seconds spent in it."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.seconds = denoiser, 0.0

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        started = time.perf_counter()
        found = self.denoiser(x_t, alpha_bar, label)
        self.seconds += time.perf_counter() - started
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="digits")
    parser.add_argument("--count", type=int, default=64, help="images (default: %(default)s)")
    parser.add_argument("--levels", type=int, default=100, help="noise levels (default: %(default)s)")
    args = parser.parse_args()

    model = shared_model(args.model)
    subject = bundled_subject(model, args.count)
    x_0 = to_unit(subject.images.images).to(model.device)
    levels = measuring_levels(model.card.training_schedule(), args.levels)
    *_, _ = measure_errors(model.denoiser, x_0[:2], levels[:1])  # what only the first call does
    timed = Timed(model.denoiser)
    labels = subject.images.labels if subject.told else None
    started = time.perf_counter()
    passing = measure_errors(timed, x_0, levels, labels=labels, batch=32)
    next(passing)
    first = time.perf_counter() - started
    *_, curve = passing
    seconds = time.perf_counter() - started

    started = time.perf_counter()
    references = dict(measure_references(subject.images, subject.others, levels, classes=subject.told))
    exact = time.perf_counter() - started
    asked: Any = {
        "curve": curve.to_json(), "settings": default_settings(),
        "references": {name: reference.to_json() for name, reference in references.items()},
    }  # fmt: skip
    started = time.perf_counter()
    weigh(asked)
    weighing = time.perf_counter() - started
    started = time.perf_counter()
    predictions_by_level(model, subject.images.images[0], subject.images.labels[0])
    looking = time.perf_counter() - started
    result = {
        "model": args.model, "images": len(x_0), "levels": args.levels, "threads": torch.get_num_threads(),
        "device": str(model.device), "precision": str(model.denoiser.precision), "pass": round(seconds, 2),
        "in_network": round(timed.seconds / seconds, 4), "first_level": round(first, 3),
        "exact_denoisers": round(exact, 2), "known_images": len(subject.others) + len(x_0),
        "weigh": round(weighing, 3), "look": round(looking, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
