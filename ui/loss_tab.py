"""The loss tab: at which steps is the bound paid?

A network and exact denoisers are measured on bundled images or one's own, once; what a schedule makes of their errors
follows by itself (weighing.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import gradio as gr
import numpy as np

from diffusion.images import ImageError, to_unit
from diffusion.losses.curve import ErrorCurve
from diffusion.losses.measure import measure_errors, measuring_levels
from diffusion.losses.rate import PUBLISHED
from diffusion.losses.reference import measure_references
from diffusion.losses.weightings import WEIGHTINGS
from diffusion.networks.model import Model
from diffusion.sampling.choices import SamplingError
from ui.cost import duration, seconds_a_call
from ui.figures import loss_figure, rate_figure
from ui.job import Values, ended, run_job
from ui.models import AT_NETWORK, AT_TIMING, DEFAULT, RUN, StopFlag, shared_model, stop
from ui.page import Page
from ui.seen import image_button, image_buttons, predictions_by_level, predictions_of
from ui.subjects import Subject, bundled_subject, measurable, own_subject, subject_of_run
from ui.view import PLOTLY, View, call_module, served
from ui.weighing import export_loss, measured_before, shown_value, weigh

THEIRS, OWN = "bundled", "my picture"
YIELD_SECONDS = 0.2
BATCH = 32  # images of a call
MAX_SEED = 2**31 - 1


def press_measure(
    network: str,
    source: str,
    path: str,
    count: float,
    noises: float,
    levels: float,
    seed: float | None,
    flag: StopFlag,
) -> Iterator[Values]:
    """Measure's handler: (view, message, Measure, Stop)."""

    def work() -> Iterator[tuple[Values, bool]]:
        if seed is None or not 0 <= seed <= MAX_SEED:
            raise SamplingError("seed", f"The seed must be a whole number from 0 to {MAX_SEED}.")
        model = shared_model(network)
        subject = subject_to_measure(network, model, source, path, int(count))
        yield (gr.skip(), ""), False
        draws = int(noises) * (int(count) if source == OWN else 1)
        for value in measure_all(model, subject, draws, int(levels), int(seed), flag):
            yield (value, ""), not value["running"]

    yield from run_job(flag, work(), lambda error, shown: (ended(shown, running=False, part=1.0), str(error)))


def subject_to_measure(network: str, model: Model, source: str, path: str, count: int) -> Subject:
    """What a network is measured on: the visitor's picture, or ``count`` images of its kind.

    Raises:
        ImageError: a picture that cannot be used.
        AskedError: a run that is not here.
    """
    if source == OWN:
        return own_subject(path, model, network)
    return subject_of_run(network, model, count) if network.startswith(RUN) else bundled_subject(model, count)


def measure_all(
    model: Model, subject: Subject, draws: int, levels: int, seed: int, flag: StopFlag
) -> Iterator[dict[str, Any]]:
    """The network's curve level by level, then those of the exact denoisers on the same draws, for the view.

    Args:
        draws: of eps for each image.
    """
    alpha_bars = measuring_levels(model.card.training_schedule(), levels, seed)
    labels = subject.images.labels if subject.told else None
    started, shown, curve = time.monotonic(), 0.0, None
    for curve in measure_errors(
        model.denoiser, to_unit(subject.images.images).to(model.device), alpha_bars, labels=labels, noises=draws,
        seed=seed, batch=BATCH,
    ):  # fmt: skip
        now, done = time.monotonic(), len(curve.mean)
        if flag.up:
            break
        if now - shown > YIELD_SECONDS:
            shown = now
            left = (now - started) / done * (len(alpha_bars) - done)
            status = f"{done} of {len(alpha_bars)} noise levels, about {duration(left)} left"
            yield shown_value(curve, {}, subject.facts, status, 0.99 * done / len(alpha_bars))
    assert curve is not None  # there are at least two levels
    done, seconds = len(curve.mean), time.monotonic() - started
    asked = 1 / (1 + np.exp(-curve.log_snr))
    references: dict[str, ErrorCurve] = {}
    for name, reference in measure_references(
        subject.images, subject.others, asked, classes=subject.told, noises=draws, seed=seed
    ):
        references[name] = reference
        if time.monotonic() - shown > YIELD_SECONDS:
            shown = time.monotonic()
            yield shown_value(curve, references, subject.facts, "The exact denoisers on the same draws", 0.99)
    stopped = "Stopped: " if done < len(alpha_bars) else ""
    noise = f", {draws} draws of ε" + (" each" if len(subject.images) > 1 else "") if draws > 1 else ""
    status = f"{stopped}{subject.facts.about}{noise}, at {done} noise levels, {duration(seconds)}"
    yield shown_value(curve, references, subject.facts, status)


def foresee_measuring(network: str, source: str, count: float, noises: float, levels: float) -> str:
    """What a measurement costs that the controls ask for. The first to ask has the network timed."""
    # Of a picture of one's own each draw of eps stands for an image.
    each = int(count) * int(noises)
    what = "draws of ε" if source == OWN else "images" if noises == 1 else f"draws of ε for {int(count)} images"
    batches = [BATCH] * (each // BATCH) + [each % BATCH] * (each % BATCH > 0)
    seconds = levels * sum(seconds_a_call(network, images) for images in batches)
    return f"{int(levels)} noise levels, {each} {what} at each, about {duration(seconds)} here"


def show_images(network: str, source: str, path: str) -> tuple[dict[str, Any], str]:
    """What the network is looked at with: (what it sees, message)."""
    if source == THEIRS:
        return {"network": network, "images": image_buttons(network)}, ""
    model = shared_model(network)
    try:
        subject = own_subject(path, model, network)
    except ImageError as error:
        return gr.skip(), str(error)
    image = subject.images.images[0]
    own = predictions_by_level(model, image, None)
    return {"network": network, "images": [image_button(image, "your picture")], "own": own}, ""


def show_measured(network: str) -> dict[str, Any]:
    """Another network's curve, as it was measured when it was shipped."""
    value = None if network.startswith(RUN) else measured_before(network)
    return gr.skip() if value is None else value


def loss_tab(page: Page) -> None:
    """Build the tab."""
    shown = page.picture
    flag = gr.State(StopFlag())
    with gr.Row(elem_classes="lab-loss-row"):
        network = gr.Dropdown(
            measurable(), value=DEFAULT, label="network", min_width=190, scale=3, elem_id="lab-loss-network"
        )
        page.networks["loss"] = network
        source = gr.Radio(
            [THEIRS, OWN], value=THEIRS, label="images", min_width=250, scale=3, elem_id="lab-loss-source"
        )
        with gr.Column(min_width=240, scale=3):
            with gr.Row():
                start = gr.Button("Measure", variant="primary", elem_id="lab-measure", min_width=90)
                halt = gr.Button("Stop", interactive=False, elem_id="lab-measure-stop", min_width=70)
            with gr.Accordion("How much", open=False, elem_id="lab-how-much"):
                count = gr.Slider(8, 128, 32, step=8, label="images, or draws of ε on your picture", buttons=[])
                noises = gr.Slider(1, 8, 1, step=1, label="draws of ε for each image", buttons=[])
                levels = gr.Slider(10, 100, 40, step=1, label="noise levels", buttons=[])
                seed = gr.Number(0, label="seed", precision=0)
                costs = gr.Markdown(elem_classes="lab-note", elem_id="lab-measure-cost")
            waiting = gr.Markdown("&nbsp;", elem_classes="lab-waiting", elem_id="lab-measure-waiting")
    message = gr.Markdown(elem_classes="lab-message", elem_id="lab-loss-message")
    seen = View(
        "seen",
        value={"network": DEFAULT, "images": image_buttons(DEFAULT)},
        elem_id="lab-seen",
        server_functions=[predictions_of],
    )
    view = View(
        "loss",
        value=measured_before(),
        elem_id="lab-loss",
        server_functions=[weigh, export_loss],
        figure=loss_figure(),
        rates=rate_figure(),
        weightings={
            name: {"title": w.title, "formula": w.formula, "source": w.source, "variance": w.variance}
            for name, w in WEIGHTINGS.items()
        },
        published=[asdict(figure) for figure in PUBLISHED],
        plotly=served(PLOTLY),
    )
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    start.click(
        press_measure,
        [network, source, shown, count, noises, levels, seed, flag],
        [view, message, start, halt],
        show_progress="minimal",
        show_progress_on=waiting,
        api_visibility="private",
        **AT_NETWORK,
    )
    halt.click(stop, flag, None, queue=False, **quiet)
    asked: list[Any] = [network, source, count, noises, levels]
    # What the visitor chooses, not what a link has chosen: the network is timed for it.
    gr.on(
        [chosen.input for chosen in asked],
        foresee_measuring,
        asked,
        costs,
        trigger_mode="always_last",
        **AT_TIMING,
        **quiet,
    )
    network.change(show_measured, network, view, **quiet)
    network.change(None, network, None, js=call_module("store", "assign", "network"))
    gr.on(
        [network.change, source.change, shown.change],
        show_images,
        [network, source, shown],
        [seen, message],
        trigger_mode="always_last",
        **quiet,
    )
