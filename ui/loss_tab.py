"""The loss tab: where along t the bound is paid, for a shipped network."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import gradio as gr
import numpy as np
from torch import Tensor

from diffusion.checkpoint import MODELS, Model
from diffusion.folders import load_data
from diffusion.images import ImageError, open_image, to_tensor, to_unit
from diffusion.likelihood import bits_per_dim
from diffusion.measure import ErrorCurve, measure_errors, measuring_levels
from diffusion.rate import ledger, loss_terms
from diffusion.schedule import Variance
from ui.figures import loss_figure
from ui.models import DEFAULT, StopFlag, choices, shared_model, stop
from ui.sidebar import plain, read_schedule, thin
from ui.view import PLOTLY, View, served, tell

THEIRS, OWN = "bundled", "my picture"


def weigh(asked: dict[str, Any]) -> dict[str, Any]:
    """Put a schedule and a variance on measured errors; no network is called.

    ``asked``: {"curve": ErrorCurve as JSON, "variance", "settings"}. Gives {"columns", "summary"} for the chart.
    """
    curve, schedule = ErrorCurve.from_json(asked["curve"]), read_schedule(asked["settings"])
    variance: Variance = asked["variance"]
    terms = loss_terms(curve, schedule, variance)
    columns = thin(
        {
            "t": np.arange(schedule.T + 1, dtype=np.float64),
            "error": curve.on(schedule),
            "weight": terms.weight,
            "product": bits_per_dim(terms.weight * curve.on(schedule), 1),
            "bound": terms.term,
        }
    )
    # The measured levels lie between the steps of this schedule: put each where its log-SNR falls.
    at = np.interp(-curve.log_snr, -schedule.log_snr[1:], np.arange(1, schedule.T + 1), left=np.nan, right=np.nan)
    columns |= {
        "measured_t": plain(at),
        "measured": plain(curve.mean),
        "measured_error": plain(curve.standard_error),
    }
    found = ledger(curve, schedule, variance)
    gaps = (
        f" over the {schedule.T - 1 - found.missing} of {schedule.T - 1} steps within the measured levels"
        if found.missing
        else ""
    )
    return {
        "columns": columns,
        "summary": f"Sum of Lₜ₋₁ for t = 2 … {schedule.T}{gaps}: {found.L_mid:.3f} bits/dim"
        + (f", of which {found.constant:.3f} is Cₜ, the price of choosing σ² = β_t." if variance == "beta" else "."),
    }


def bundled_images(model: Model, count: int) -> tuple[Tensor, Tensor]:
    """Held-out images of the kind a network makes, evenly over the classes as they are stored: (images in [-1, 1],
    labels).
    """
    channels, size, _ = model.image_shape
    chosen = load_data(model.card.name, "test", size, channels).spread(count)
    return to_unit(chosen.images), chosen.labels


def own_picture(path: str, model: Model, count: int) -> tuple[Tensor, None]:
    """The visitor's picture as the network's images are (size, grey), ``count`` times for as many draws of eps.

    Raises:
        ImageError: a picture that cannot be used.
    """
    channels, height, width = model.image_shape
    image = open_image(path).convert("L" if channels == 1 else "RGB").resize((width, height))
    return to_tensor(image).repeat(count, 1, 1, 1), None


@cache
def measured_before(name: str = DEFAULT) -> dict[str, Any] | None:
    """The curve that was measured when the network was shipped, if it is there."""
    path = MODELS / f"{name}.loss.json"
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    curve = ErrorCurve.from_json(content["curve"])
    return {
        "curve": curve.to_json(),
        "variance": "posterior",
        "running": False,
        "part": 1.0,
        "status": f"Measured before: {content['count']} bundled {name} at {len(curve.mean)} noise levels.",
    }


def measure(
    network: str, source: str, path: str, count: float, levels: float, variance: Variance, flag: StopFlag
) -> Iterator[tuple[dict[str, Any], str, dict[str, Any], dict[str, Any]]]:
    """Measure's handler: (view, message, Measure, Stop)."""
    idle = gr.update(interactive=True), gr.update(interactive=False)
    busy = gr.update(interactive=False), gr.update(interactive=True)
    flag.up = False
    model = shared_model(network)
    try:
        images, labels = own_picture(path, model, int(count)) if source == OWN else bundled_images(model, int(count))
    except ImageError as error:
        yield gr.skip(), str(error), *idle
        return
    alpha_bars = measuring_levels(model.card.training_schedule(), int(levels))
    started, shown = time.monotonic(), 0.0
    curve = None
    for curve in measure_errors(model.denoiser, images, alpha_bars, labels=labels, device=model.device):
        now, done = time.monotonic(), len(curve.mean)
        if flag.up:
            break
        if now - shown > 0.2 and done < len(alpha_bars):
            shown = now
            left = (now - started) / done * (len(alpha_bars) - done)
            status = f"{done} of {len(alpha_bars)} levels, about {left:.0f} s left"
            yield _value(curve, variance, status, part=done / len(alpha_bars)), "", *busy
    assert curve is not None
    done, seconds = len(curve.mean), time.monotonic() - started
    stopped = "Stopped: " if done < len(alpha_bars) else ""
    what = f"{len(images)} draws of ε on your picture" if source == OWN else f"{len(images)} bundled {network}"
    yield _value(curve, variance, f"{stopped}{what} at {done} noise levels, {seconds:.1f} s"), "", *idle


def _value(curve: ErrorCurve, variance: Variance, status: str, part: float = 1.0) -> dict[str, Any]:
    return {"curve": curve.to_json(), "variance": variance, "status": status, "part": part, "running": part < 1}


def show_measured(network: str, variance: Variance) -> dict[str, Any]:
    """Another network's curve, as it was measured when it was shipped."""
    value = measured_before(network)
    return gr.skip() if value is None else value | {"variance": variance}


def choose_variance(value: dict[str, Any] | None, variance: Variance) -> dict[str, Any]:
    """Another weight on the errors that were measured."""
    return gr.skip() if value is None else value | {"variance": variance}


def loss_tab(shown: gr.State) -> None:
    """Build the tab; ``shown`` holds the path of the forward tab's picture."""
    flag = gr.State(StopFlag())
    with gr.Row(elem_classes="lab-loss-row", equal_height=True):
        network = gr.Dropdown(
            choices(), value=DEFAULT, label="network", min_width=190, scale=1, elem_id="lab-loss-network"
        )
        source = gr.Radio([THEIRS, OWN], value=THEIRS, label="images", min_width=155, scale=1)
        with gr.Column(min_width=230, scale=2):
            count = gr.Slider(8, 128, 32, step=8, label="draws of ε", buttons=[])
            levels = gr.Slider(10, 100, 40, step=1, label="noise levels", buttons=[])
        variance = gr.Radio(
            [("posterior β̃", "posterior"), ("forward β", "beta")],
            value="posterior",
            label="variance σ²",
            min_width=160,
            scale=1,
            elem_id="lab-loss-variance",
        )
        with gr.Column(min_width=110, scale=1):
            start = gr.Button("Measure", variant="primary", elem_id="lab-measure")
            halt = gr.Button("Stop", interactive=False, elem_id="lab-measure-stop")
    message = gr.Markdown(elem_classes="lab-message")
    view = View(
        "loss",
        value=measured_before(),
        elem_id="lab-loss",
        server_functions=[weigh],
        figure=loss_figure(),
        plotly=served(PLOTLY),
    )
    start.click(
        measure,
        [network, source, shown, count, levels, variance, flag],
        [view, message, start, halt],
        show_progress="hidden",
        concurrency_id="network",
        api_visibility="private",
    )
    halt.click(stop, flag, None, queue=False, show_progress="hidden", api_visibility="private")
    network.change(show_measured, [network, variance], view, show_progress="hidden", api_visibility="private")
    network.change(None, network, None, js=tell("store", "assign", "network"))
    variance.input(choose_variance, [view, variance], view, show_progress="hidden", api_visibility="private")
