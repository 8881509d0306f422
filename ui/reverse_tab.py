"""The reverse tab: samples out of noise, watched live and scrubbed afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from diffusion.checkpoint import Model
from diffusion.denoiser import Guided
from diffusion.device import describe_device
from diffusion.sampler import DDIM, DDPM, SPACINGS, SamplingError, Spacing, Update, sample, timesteps
from diffusion.schedule import Schedule, ScheduleError, Variance
from ui.models import StopFlag, shared_model, stop
from ui.player import Frame, Recorder, data_uri, export_gif, export_png, lossless, stride
from ui.sidebar import Settings, default_settings, read_schedule
from ui.view import View, browser_file

PREVIEW_SECONDS = 0.08
MAX_SEED = 2**53 - 1  # what a browser can say exactly
ALL_CLASSES = "one of each"


@dataclass(frozen=True)
class Wish:
    """What is to be sampled, checked."""

    schedule: Schedule
    steps: list[int]
    update: Update
    labels: Tensor
    seeds: list[int]
    guidance: float
    keep_all: bool


def read_wish(
    model: Model, settings: Settings, label: str, guidance: float, sampler: str, steps: float | None,
    spacing: Spacing, variance: Variance, eta: float, seed: str, count: float, keep_all: bool,
) -> Wish:  # fmt: skip
    """Check the controls.

    Raises:
        SamplingError: with the control it is about in ``field``.
    """
    try:
        schedule = read_schedule(settings)
    except ScheduleError as error:
        raise SamplingError("steps", f"The schedule cannot be used: {error}") from error
    text = str(seed).strip()
    if not text.isdecimal() or int(text) > MAX_SEED:
        raise SamplingError("seed", "The seed must be a whole number from 0 to 9007199254740991.")
    if steps is None or steps != int(steps):
        raise SamplingError("steps", "The number of steps must be a whole number.")
    classes = model.card.classes
    number = int(count)
    labels = range(number) if label == ALL_CLASSES else [classes.index(label)] * number
    return Wish(
        schedule=schedule,
        steps=timesteps(schedule.T, int(steps), spacing),
        update=DDIM(eta) if sampler == "DDIM" else DDPM(variance),
        labels=torch.tensor([i % len(classes) for i in labels]),
        seeds=[int(text) + i for i in range(number)],
        guidance=guidance,
        keep_all=keep_all,
    )


def coefficients(update: Update, schedule: Schedule, t: int, s: int) -> tuple[float, float, float, float]:
    """(a, b, c, sigma) of the step x_s = a x_t + b x_0 + c eps + sigma z: the mean of each unit vector."""
    levels = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
    a, b, c = (update.mean(*unit, *levels) for unit in torch.eye(3, dtype=torch.float64))
    return float(a), float(b), float(c), update.noise_variance(*levels) ** 0.5 if s > 0 else 0.0


def run(model: Model, wish: Wish, flag: StopFlag) -> Iterator[dict[str, Any]]:
    """Sample, yielding values for the view: previews while it runs ("live"), at the end every frame ("done")."""
    denoiser = Guided(model.denoiser, wish.guidance, len(model.card.classes))
    count = len(wish.steps)
    recorder = Recorder(every=stride(count, wish.keep_all))
    started, shown = time.monotonic(), 0.0
    step = None
    for step in sample(
        denoiser, wish.schedule, model.image_shape, steps=wish.steps, seeds=wish.seeds, labels=wish.labels,
        update=wish.update, device=model.device,
    ):  # fmt: skip
        if recorder.wants(step.index):
            terms = coefficients(wish.update, wish.schedule, step.t, step.s)
            recorder.add(Frame(step.t, step.index, step.s, terms), step.x_t, step.x_0)
        if flag.up:
            break
        now = time.monotonic()
        if now - shown > PREVIEW_SECONDS:
            shown = now
            taken = step.index + 1
            left = (now - started) / taken * (count - taken)
            yield {
                "state": "live",
                "step": taken,
                "count": count,
                "preview": data_uri(lossless(step.x_s, step.x_0)),
                "status": f"step {taken} of {count}, about {left:.1f} s left",
            }
    assert step is not None  # timesteps() never gives an empty list
    taken = step.index + 1
    # The end repeats the numbers of the step that led to it.
    last = coefficients(wish.update, wish.schedule, step.t, step.s)
    recorder.add(Frame(step.s, taken, None, last), step.x_s, step.x_0)
    seconds = time.monotonic() - started
    what = f"{len(wish.seeds)} image{'s' if len(wish.seeds) > 1 else ''}, {taken} of {count} steps"
    yield {
        "state": "done",
        "stopped": taken < count,
        "file": browser_file(recorder.pack(), ".frames"),
        "frames": [vars(frame) for frame in recorder.frames],
        "count": count,
        "T": wish.schedule.T,
        "key": f"{wish.seeds[0]}-{time.time_ns()}",
        "status": f"{'Stopped: ' if taken < count else ''}{what} in {seconds:.1f} s "
        f"({1000 * seconds / taken:.0f} ms a step) on {describe_device(model.device)}",
        "note": ""
        if recorder.every == 1
        else f"Every {recorder.every}th of the {count} steps is kept as a frame, {len(recorder.frames)} in all; "
        "“keep every step” keeps them all.",
    }


@cache
def opening_run() -> tuple[dict[str, Any], bytes]:
    """The finished trajectory that the tab opens with, and its packed frames."""
    model = shared_model()
    controls = ("one of each", 1.0, "DDIM", 50, "trailing", "beta", 0.0, "0", 20, False)
    wish = read_wish(model, default_settings(), *controls)
    *_, value = run(model, wish, StopFlag())
    return value, Path(value["file"]["path"]).read_bytes()


Answer = tuple[dict[str, Any], str, str, str, dict[str, Any], dict[str, Any]]


def generate(
    settings: Settings, label: str, guidance: float, sampler: str, steps: float | None, spacing: Spacing,
    variance: Variance, eta: float, seed: str, count: float, keep_all: bool, flag: StopFlag, packed: str,
) -> Iterator[Answer]:  # fmt: skip
    """Generate's handler: (view, message at steps, message at seed, frames' path, Generate, Stop)."""
    idle = gr.update(interactive=True), gr.update(interactive=False)
    busy = gr.update(interactive=False), gr.update(interactive=True)
    flag.up = False
    try:
        model = shared_model()
        wish = read_wish(
            model, settings, label, guidance, sampler, steps, spacing, variance, eta, seed, count, keep_all
        )
    except SamplingError as error:
        at_seed = error.field == "seed"
        yield gr.skip(), "" if at_seed else str(error), str(error) if at_seed else "", packed, *idle
        return
    for value in run(model, wish, flag):
        if value["state"] == "done":
            yield value, "", "", value["file"]["path"], *idle
        else:
            yield value, "", "", packed, *busy


def export(packed: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The finished run as files: (GIF button, PNG button)."""
    if not packed:
        return gr.skip(), gr.skip()
    path = Path(packed)
    files = [browser_file(export_gif(path), ".gif"), browser_file(export_png(path), ".png")]
    animation, picture = (gr.update(value=file["path"], interactive=True) for file in files)
    return animation, picture


def open_tab() -> tuple[dict[str, Any], str]:
    """What a new visitor finds: (view, frames' path)."""
    value, frames = opening_run()
    # A file of one's own: Gradio clears old ones away.
    file = browser_file(frames, ".frames")
    return value | {"file": file}, file["path"]


def describe_model(model: Model) -> str:
    """The network in a line of Markdown."""
    card = model.card
    return (
        f"**{card.title}** · {len(card.classes)} classes, trained on {card.images_seen:,} images "
        f"({card.data}), runs on {describe_device(model.device)}"
    )


def reverse_tab(demo: gr.Blocks, sidebar: View) -> None:
    """Build the tab on the page ``demo``; ``sidebar`` holds the schedule's settings."""
    model = shared_model()
    flag, packed = gr.State(StopFlag()), gr.State("")
    with gr.Row(elem_classes="lab-reverse-row"):
        with gr.Column(scale=1, min_width=250, elem_classes="lab-panel"):
            label = gr.Dropdown([ALL_CLASSES, *model.card.classes], value=ALL_CLASSES, label="class")
            count = gr.Slider(1, 64, 20, step=1, label="images")
            sampler = gr.Radio(["DDPM", "DDIM"], value="DDIM", label="sampler", elem_id="lab-sampler")
            steps = gr.Number(50, label="steps (up to T)", elem_id="lab-steps", precision=None)
            at_steps = gr.Markdown(elem_classes="lab-message", elem_id="lab-steps-message")
            seed = gr.Textbox("0", label="seed", elem_id="lab-seed", max_lines=1, info="image k uses seed + k")
            at_seed = gr.Markdown(elem_classes="lab-message", elem_id="lab-seed-message")
            with gr.Row():
                start = gr.Button("Generate", variant="primary", elem_id="lab-generate", min_width=90)
                halt = gr.Button("Stop", interactive=False, elem_id="lab-stop", min_width=70)
            with gr.Accordion("More", open=False):
                guidance = gr.Slider(0, 8, 1, step=0.1, label="guidance", info="1 = plain conditional, one call a step")
                variance = gr.Radio(
                    [("forward β", "beta"), ("posterior β̃", "posterior")], value="beta", label="DDPM variance σ²", visible=False
                )
                eta = gr.Slider(0, 1, 0, step=0.05, label="DDIM η", info="0 = deterministic, 1 = DDPM with the posterior variance")
                spacing = gr.Dropdown(
                    list(SPACINGS), value="trailing", label="spacing of steps", info="trailing always starts at T"
                )
                keep_all = gr.Checkbox(False, label="keep every step as a frame")
        with gr.Column(scale=3, min_width=320):
            view = View("reverse", elem_id="lab-reverse")
            with gr.Row(elem_classes="lab-downloads"):
                as_gif = gr.DownloadButton("Download GIF", interactive=False, elem_id="lab-gif", size="sm")
                as_png = gr.DownloadButton("Download PNG", interactive=False, elem_id="lab-png", size="sm")
            gr.Markdown(describe_model(model), elem_classes="lab-note")

    controls = [label, guidance, sampler, steps, spacing, variance, eta, seed, count, keep_all]
    sampler.change(
        lambda name: (gr.update(visible=name == "DDPM"), gr.update(visible=name == "DDIM")),
        sampler,
        [variance, eta],
        show_progress="hidden",
        api_visibility="private",
    )
    start.click(
        generate,
        [sidebar, *controls, flag, packed],
        [view, at_steps, at_seed, packed, start, halt],
        show_progress="hidden",
        concurrency_id="network",
        concurrency_limit=2,
        api_visibility="private",
    ).then(export, packed, [as_gif, as_png], show_progress="hidden", api_visibility="private")
    halt.click(stop, flag, None, queue=False, show_progress="hidden", api_visibility="private")
    demo.load(
        open_tab, None, [view, packed], show_progress="hidden", concurrency_id="network", api_visibility="private"
    ).then(export, packed, [as_gif, as_png], show_progress="hidden", api_visibility="private")
