"""The reverse tab: samples out of noise, watched live and scrubbed afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
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
from ui.models import DEFAULT, StopFlag, choices, shared_model, stop
from ui.player import Frame, Recorder, data_uri, export_gif, export_png, lossless, stride
from ui.sidebar import Settings, default_settings, read_schedule
from ui.view import View, browser_file, tell

PREVIEW_SECONDS = 0.08
MAX_SEED = 2**53 - 1  # what a browser can say exactly
ALL_CLASSES = "all in turn"


@dataclass(frozen=True)
class Controls:
    """What the controls of the tab say, as they came from the page; the defaults are what it opens with."""

    network: str = DEFAULT
    label: str = ALL_CLASSES
    count: float = 20
    sampler: str = "DDIM"
    steps: float | None = 50
    seed: str = "0"
    guidance: float = 1.0
    variance: Variance = "beta"
    eta: float = 0.0
    spacing: Spacing = "trailing"
    keep_all: bool = False


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


def read_wish(model: Model, settings: Settings, controls: Controls) -> Wish:
    """Check the controls.

    Raises:
        SamplingError: with the control it is about in ``field``.
    """
    try:
        schedule = read_schedule(settings)
    except ScheduleError as error:
        raise SamplingError("steps", f"The schedule cannot be used: {error}") from error
    seed = str(controls.seed).strip()
    if not seed.isdecimal() or int(seed) > MAX_SEED:
        raise SamplingError("seed", f"The seed must be a whole number from 0 to {MAX_SEED}.")
    if controls.steps is None or controls.steps != int(controls.steps):
        raise SamplingError("steps", "The number of steps must be a whole number.")
    classes, count = model.card.classes, int(controls.count)
    if controls.label not in (ALL_CLASSES, *classes):
        raise SamplingError("label", f"{model.card.title} has no class {controls.label}; choose another.")
    only = None if controls.label == ALL_CLASSES else classes.index(controls.label)
    return Wish(
        schedule=schedule,
        steps=timesteps(schedule, int(controls.steps), controls.spacing),
        update=DDIM(controls.eta) if controls.sampler == "DDIM" else DDPM(1.0 if controls.variance == "beta" else 0.0),
        labels=model.card.labels(count, only),
        seeds=[int(seed) + i for i in range(count)],
        guidance=controls.guidance,
        keep_all=controls.keep_all,
    )


def coefficients(update: Update, schedule: Schedule, t: int, s: int) -> tuple[float, float, float, float]:
    """(a, b, c, sigma) of the step x_s = a x_t + b x_0 + c eps + sigma z: the mean of each unit vector."""
    levels = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
    a, b, c = (update.mean(x_t, x_0, eps, *levels) for x_t, x_0, eps in torch.eye(3, dtype=torch.float64))
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
    wish = read_wish(model, default_settings(), Controls())
    *_, value = run(model, wish, StopFlag())
    return value, Path(value["file"]["path"]).read_bytes()


Answer = tuple[dict[str, Any], str, str, str, dict[str, Any], dict[str, Any]]


def generate(settings: Settings, flag: StopFlag, packed: str, *controls: Any) -> Iterator[Answer]:
    """Generate's handler, ``controls`` in the order of ``Controls``.

    Yields (view, message at steps, message at seed, frames' path, Generate, Stop).
    """
    idle = gr.update(interactive=True), gr.update(interactive=False)
    busy = gr.update(interactive=False), gr.update(interactive=True)
    flag.up = False
    chosen = Controls(*controls)
    model = shared_model(chosen.network)
    try:
        wish = read_wish(model, settings, chosen)
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


def show_options(sampler: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that the chosen sampler has: (variance, eta)."""
    return gr.update(visible=sampler == "DDPM"), gr.update(visible=sampler == "DDIM")


def open_tab() -> tuple[dict[str, Any], str]:
    """What a new visitor finds: (view, frames' path)."""
    value, frames = opening_run()
    # A file of one's own: Gradio clears old ones away.
    file = browser_file(frames, ".frames")
    return value | {"file": file}, file["path"]


def choose_network(name: str) -> tuple[dict[str, Any], str, str]:
    """Another network's classes and card: (class, line about it, all about it)."""
    model = shared_model(name)
    return gr.update(choices=[ALL_CLASSES, *model.card.classes], value=ALL_CLASSES), describe_model(model), about(model)


def describe_model(model: Model) -> str:
    """The network in a line of Markdown."""
    card = model.card
    return f"**{card.title}** · {len(card.classes)} classes, {card.images_seen:,} images seen · {card.data}"


def about(model: Model) -> str:
    """The network's card as a table in Markdown."""
    card, network = model.card, model.card.network
    parameters = sum(parameter.numel() for parameter in model.denoiser.network.parameters())
    levels = " - ".join(map(str, network.widths))
    rows = {
        "network": f"U-Net, {parameters / 1e6:.1f} M parameters, channels {levels}, {network.blocks} blocks a level, "
        f"attention at {', '.join(f'{network.image_size // network.patch >> i} px' for i in network.attention)}, "
        f"patches of {network.patch} x {network.patch}, predicts {network.prediction}",
        "images": f"{network.image_size} x {network.image_size}, {'grey' if network.channels == 1 else 'RGB'}",
        "classes": ", ".join(card.classes),
        "schedule in training": f"{card.schedule['family']}, T = {card.schedule['T']}",
        "data": card.data,
        "licence": card.licence,
        "trained with": f"`{card.command}`",
        "images seen": f"{card.images_seen:,} in {card.seconds / 60:.0f} minutes",
        "SHA-256 of the weights": f"`{card.sha256}`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"| | |\n|---|---|\n{table}\n\n{quality(card.figures)}"


def quality(figures: dict[str, Any]) -> str:
    """What was measured of a network, in Markdown; nothing if nothing was."""
    if not figures:
        return ""
    text = (
        f"**{figures['bits_per_dim']:.3f} ± {figures['standard_error']:.3f} bits/dim** "
        f"on {figures['images']:,} held-out images, of which L_T {figures['L_T']:.4f}, "
        f"L_1 to L_(T-1) {figures['L_mid']:.3f} and L_0 {figures['L_0']:.3f}."
    )
    if "runs" in figures:
        head = ["sampler", "steps", "images", "right class", "Fréchet distance", "that of real images",
                "to the nearest in training, grey levels", "nearer than 99 % of real images"]  # fmt: skip
        held = figures["held_out"]
        rows = [
            [run["sampler"].upper(), run["steps"], f"{run['images']:,}", f"{run['accuracy']:.1%}",
             f"{run['frechet']:.2f}", f"{run['frechet_held_out']:.2f}", f"{run['nearest_median']:.1f}",
             f"{run['copied']:.1%}"]
            for run in figures["runs"]
        ]  # fmt: skip
        rows.append(["held-out images", "", f"{held['images']:,}", f"{held['accuracy']:.1%}", "", "",
                     f"{held['nearest_median']:.1f}", "1.0%"])  # fmt: skip
        lines = [head, ["---"] * len(head), *rows]
        text += "\n\n" + "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)
    return f"{text}\n\nMeasured with `{figures['command']}`."


def reverse_tab(demo: gr.Blocks, sidebar: View) -> None:
    """Build the tab on the page ``demo``; ``sidebar`` holds the schedule's settings."""
    model, start_with = shared_model(), Controls()
    flag, packed = gr.State(StopFlag()), gr.State("")
    control: dict[str, gr.Component] = {}
    with gr.Row():
        with gr.Column(scale=1, min_width=250):
            network = gr.Dropdown(choices(), value=start_with.network, label="network", elem_id="lab-network")
            control["network"] = network
            classes = [ALL_CLASSES, *model.card.classes]
            control["label"] = gr.Dropdown(classes, value=start_with.label, label="class")
            control["count"] = gr.Slider(1, 64, start_with.count, step=1, label="images")
            sampler = gr.Radio(["DDPM", "DDIM"], value=start_with.sampler, label="sampler")
            control["sampler"] = sampler
            control["steps"] = gr.Number(start_with.steps, label="steps (up to T)", elem_id="lab-steps")
            at_steps = gr.Markdown(elem_classes="lab-message", elem_id="lab-steps-message")
            control["seed"] = gr.Textbox(
                start_with.seed, label="seed", info="image k uses seed + k", max_lines=1, elem_id="lab-seed"
            )
            at_seed = gr.Markdown(elem_classes="lab-message", elem_id="lab-seed-message")
            with gr.Row():
                start = gr.Button("Generate", variant="primary", elem_id="lab-generate", min_width=90)
                halt = gr.Button("Stop", interactive=False, elem_id="lab-stop", min_width=70)
            with gr.Accordion("More", open=False):
                control["guidance"] = gr.Slider(
                    0, 8, start_with.guidance, step=0.1, label="guidance", info="1 = plain conditional, one call a step"
                )
                control["variance"] = gr.Radio(
                    [("forward β", "beta"), ("posterior β̃", "posterior")],
                    value=start_with.variance,
                    label="DDPM variance σ²",
                    visible=start_with.sampler == "DDPM",
                )
                control["eta"] = gr.Slider(
                    0,
                    1,
                    start_with.eta,
                    step=0.05,
                    label="DDIM η",
                    info="0 = deterministic, 1 = DDPM with the posterior variance",
                    visible=start_with.sampler == "DDIM",
                )
                control["spacing"] = gr.Dropdown(
                    list(SPACINGS),
                    value=start_with.spacing,
                    label="spacing of steps",
                    info="trailing always starts at T",
                )
                control["keep_all"] = gr.Checkbox(start_with.keep_all, label="keep every step as a frame")
        with gr.Column(scale=3, min_width=320):
            view = View("reverse", elem_id="lab-reverse")
            with gr.Row(elem_classes="lab-downloads"):
                as_gif = gr.DownloadButton("Download GIF", interactive=False, elem_id="lab-gif", size="sm")
                as_png = gr.DownloadButton("Download PNG", interactive=False, elem_id="lab-png", size="sm")
            line = gr.Markdown(describe_model(model), elem_classes="lab-note", elem_id="lab-network-line")
            with gr.Accordion("About this network", open=False, elem_id="lab-card"):
                card = gr.Markdown(about(model), elem_classes="lab-card")

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    at_network: dict[str, Any] = {"concurrency_id": "network", "concurrency_limit": 2}
    network.change(choose_network, network, [control["label"], line, card], **quiet)
    network.change(None, network, None, js=tell("store", "assign", "network"))
    sampler.change(show_options, sampler, [control["variance"], control["eta"]], **quiet)
    start.click(
        generate,
        [sidebar, flag, packed, *(control[field.name] for field in fields(Controls))],
        [view, at_steps, at_seed, packed, start, halt],
        **at_network,
        **quiet,
    ).then(export, packed, [as_gif, as_png], **quiet)
    halt.click(stop, flag, None, queue=False, **quiet)
    demo.load(open_tab, None, [view, packed], **at_network, **quiet).then(export, packed, [as_gif, as_png], **quiet)
