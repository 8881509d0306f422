"""The bound of the plane, in bits a dimension: what it costs to say where points lie to somebody who has a denoiser.

Errors are measured once, when it is asked for; what the page's schedule makes of them follows by itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import gradio as gr
import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from diffusion.denoiser import Denoiser
from diffusion.losses.curve import ErrorCurve
from diffusion.losses.on_mixtures import measure_on_mixture
from diffusion.mixture import Mixture, MixtureDenoiser
from diffusion.plane import table_csv
from diffusion.schedules.schedule import EXPONENTS
from ui.asked import AskedError
from ui.background import in_background
from ui.cost import duration
from ui.job import Values, ended, run_job
from ui.learning import Lesson
from ui.lesson import behind
from ui.models import AT_NETWORK, StopFlag, stop
from ui.plane import TELL_SECONDS, PlaneData, find_denoiser, read_plane_data
from ui.sidebar import Settings, read_schedule
from ui.view import View
from ui.weighing import Curve, plain_ledger

LEVELS = 1 / (1 + np.exp(-np.linspace(14, -12, 53)))  # alpha_bar: those of any schedule, but for extreme ones
DRAWS = 2000  # x_t at each level
ENTROPY_DRAWS = 50_000
SEED = 2**52 + 2  # no points of the page come from it
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
PARTS = ("L_T", "L_mid", "constant", "L_0", "total", "standard_error")


class AskedBound(TypedDict):
    """Curves of denoisers of the plane by name, and the schedule to put them on."""

    curves: Annotated[dict[str, Curve], Field(max_length=8)]
    settings: Settings


def weigh_points(asked: AskedBound) -> dict[str, Any]:
    """The bound of points under a schedule, in bits a dimension: {"ledger": by variance and denoiser, "csv"}.

    Raises:
        CurveError, ScheduleError: what is none.
    """
    curves = {name: ErrorCurve.from_json(curve) for name, curve in asked["curves"].items()}
    schedule = read_schedule(asked["settings"])
    found = {
        variance: {name: plain_ledger(curve, schedule, variance, continuous=True) for name, curve in curves.items()}
        for variance in EXPONENTS
    }
    rows = (
        [variance, name, *("" if parts[part] is None else f"{parts[part]:.6g}" for part in PARTS)]
        for variance, by_name in found.items() for name, parts in by_name.items()
    )  # fmt: skip
    return {"ledger": found, "csv": table_csv(["variance", "denoiser", *PARTS], rows).decode()}


def entropy_bits(mixture: Mixture) -> tuple[float, float]:
    """Differential entropy in bits a dimension, by Monte Carlo from the density, and its standard error."""
    x, _ = mixture.draw(ENTROPY_DRAWS, torch.Generator().manual_seed(SEED))
    bits = -mixture.log_density(x).double() / (mixture.dimensions * math.log(2))
    return float(bits.mean()), float(bits.std()) / math.sqrt(len(bits))


def ledger_denoisers(
    data: PlaneData, points: Tensor, labels: Tensor | None, lesson: Lesson
) -> tuple[dict[str, Denoiser], dict[str, str], list[str]]:
    """Those that are measured, by name; what they are called; and what is to be said of them."""
    mixture = behind(data)
    found: dict[str, Denoiser] = {} if mixture is None else {"distribution": MixtureDenoiser(mixture)}
    titles = {"distribution": "exact, of the distribution", "exact": f"exact, of the {len(points):,} points"}
    found["exact"] = MixtureDenoiser(Mixture(points))
    try:
        learned = find_denoiser("learned", data, points, labels, lesson)
    except AskedError as error:
        return found, titles, [str(error)]
    return found | {"learned": learned.denoiser}, titles | {"learned": "learned"}, [learned.about]


def measure_bound(data: PlaneData | None, lesson: Lesson, flag: StopFlag) -> Iterator[tuple[dict[str, Any], bool]]:
    """Values for the view, finer with every level, and whether they are the last.

    Raises:
        AskedError: there is nothing to be measured.
    """
    points, labels = read_plane_data(data)
    assert data is not None
    if len(points) < 2:
        raise AskedError("One point is nothing to be said of; two are the least.")
    mixture = behind(data)
    denoisers, titles, about = ledger_denoisers(data, points, labels, lesson)
    shown: dict[str, Any] = {
        "key": data["key"], "titles": titles, "entropy": None if mixture is None else entropy_bits(mixture),
        "note": " ".join([about_points(mixture, len(points)), *about]),
    }  # fmt: skip
    started, told, curves = time.monotonic(), 0.0, dict[str, ErrorCurve]()
    measuring = measure_on_mixture(denoisers, mixture or Mixture(points), LEVELS, draws=DRAWS, seed=SEED)
    for done, curves in enumerate(in_background(measuring), 1):
        if flag.up:
            break
        now = time.monotonic()
        if 1 < done < len(LEVELS) and now - told > TELL_SECONDS:
            told = now
            left = duration((now - started) / done * (len(LEVELS) - done))
            status = f"{done} of {len(LEVELS)} noise levels, {left} left."
            yield shown | shown_curves(curves, "live", status, done / len(LEVELS)), False
    stopped = "Stopped: " if done < len(LEVELS) else ""
    status = f"{stopped}{done} noise levels, {DRAWS:,} points at each, in {duration(time.monotonic() - started)}."
    yield shown | shown_curves(curves, "done", status, 1.0), True


def about_points(mixture: Mixture | None, count: int) -> str:
    """What the bound is of, in a sentence."""
    if mixture is None:
        return (
            f"It is the bound of the {count:,} points themselves: they come from no known distribution, and points "
            "alone have no density whose entropy would be the least; the finer the first step, the lower it falls."
        )
    return (
        "It is the bound of fresh points of the distribution behind this pattern, and the entropy, by Monte Carlo from "
        "its density, is the least that any denoiser could have."
    )


def shown_curves(curves: Mapping[str, ErrorCurve], state: str, status: str, part: float) -> dict[str, Any]:
    """What changes while it is measured."""
    made = {name: curve.to_json() for name, curve in curves.items()}
    return {"state": state, "status": status, "part": part, "curves": made}


def press_bound(data: PlaneData | None, flag: StopFlag, lesson: Lesson) -> Iterator[Values]:
    """Measure's handler: yields (view, message, Measure, Stop)."""

    def work() -> Iterator[tuple[Values, bool]]:
        for value, last in measure_bound(data, lesson, flag):
            yield (value, ""), last

    def refuse(error: Exception, shown: Values | None) -> Values:
        return ended(shown, state="done", part=1.0), str(error)

    yield from run_job(flag, work(), refuse)


def ledger_section(data: View, lesson: gr.State) -> None:
    """Build the section; ``data`` holds the points of the plane, ``lesson`` the ``Lesson``."""
    flag = gr.State(StopFlag())
    gr.Markdown("### What it costs, in bits", elem_classes="lab-heading")
    with gr.Row():
        start = gr.Button("Measure", elem_id="lab-plane-bound-start", min_width=110, scale=0)
        halt = gr.Button("Stop", interactive=False, elem_id="lab-plane-bound-stop", min_width=80, scale=0)
        waiting = gr.Markdown("&nbsp;", elem_classes="lab-waiting", elem_id="lab-plane-bound-waiting")
    message = gr.Markdown(elem_classes="lab-message", elem_id="lab-plane-bound-message")
    view = View("planeledger", elem_id="lab-plane-bound", server_functions=[weigh_points])
    start.click(
        press_bound, [data, flag, lesson], [view, message, start, halt], show_progress="minimal",
        show_progress_on=waiting, api_visibility="private", **AT_NETWORK,
    )  # fmt: skip
    halt.click(stop, flag, None, queue=False, **QUIET)
