"""The reverse tab: samples out of noise, watched live and scrubbed afterwards."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from gradio.utils import get_upload_folder
from torch import Tensor

from diffusion.checkpoint import Model
from diffusion.denoiser import Guided
from diffusion.sampler import (
    CLIPS,
    SAMPLERS,
    SPACINGS,
    About,
    Clip,
    Past,
    SamplingError,
    Spacing,
    Step,
    Update,
    make_update,
    sample,
    timesteps,
    title_of,
)  # fmt: skip
from diffusion.schedule import Schedule, ScheduleError
from ui.models import DEFAULT, StopFlag, choices, shared_model, stop
from ui.player import Frame, Recorder, export_animation, export_png, planes, stride
from ui.sidebar import Settings, default_settings, read_schedule
from ui.view import View, browser_file, browser_path, for_browser, served, tell

PREVIEW_SECONDS = 0.1
PREVIEW_RATE = 2e6  # bytes a second at most: what is sent faster than it can be received only piles up
MAX_SEED = 2**53 - 1  # what a browser can say exactly
ALL_CLASSES = "all in turn"
FRAMES = ".frames"  # of a file with the frames of a run
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
LATEX: list[dict[str, str | bool]] = [{"left": "$", "right": "$", "display": False}]
OPTIONS = ("v", "eta")  # of the samplers, in the order of the page


@dataclass(frozen=True)
class Controls:
    """What the controls of the tab say, as they came from the page; the defaults are what it opens with."""

    network: str = DEFAULT
    label: str = ALL_CLASSES
    count: float = 20
    sampler: str = "ddim"
    steps: float | None = 50
    seed: str = "0"
    guidance: float = 1.0
    v: float = 1.0
    eta: float = 0.0
    spacing: Spacing = "trailing"
    clip: Clip = "static"
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
    clip: Clip
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
        update=make_update(
            controls.sampler, **{name: getattr(controls, name) for name in SAMPLERS[controls.sampler].parameters}
        ),
        labels=model.card.labels(count, only),
        seeds=[int(seed) + i for i in range(count)],
        guidance=controls.guidance,
        clip=controls.clip,
        keep_all=controls.keep_all,
    )


def terms(update: Update, schedule: Schedule, t: int, s: int, before: Sequence[int] = ()) -> dict[str, float]:
    """What x_t, x_0, eps, and the x_0 of the steps ``before``, the latest first, are multiplied by in the step to x_s.

    A step is linear in them, so these are the means of unit vectors.
    """
    alpha_bar = schedule.alpha_bar
    names = ("xt", "x0", "eps", "x0_before", "x0_before2")[: 3 + len(before)]
    x_t, x_0, eps, *earlier = torch.eye(len(names), dtype=torch.float64)
    past = [Past(float(alpha_bar[r]), torch.zeros_like(x_t), x) for r, x in zip(before, earlier, strict=False)]
    mean = update.mean(x_t, x_0, eps, float(alpha_bar[t]), float(alpha_bar[s]), past)
    return dict(zip(names, mean.tolist(), strict=True))


def noisy(wish: Wish) -> bool:
    """Whether any step but the last adds noise."""
    levels = wish.schedule.alpha_bar[wish.steps].tolist()
    return any(wish.update.noise_variance(t, s) > 0 for t, s in pairwise(levels))


def run(model: Model, wish: Wish, flag: StopFlag) -> Iterator[dict[str, Any]]:
    """Sample, yielding values for the view: previews while it runs ("live"), at the end every frame ("done")."""
    denoiser = Guided(model.denoiser, wish.guidance, len(model.card.classes))
    count, (channels, height, width) = len(wish.steps), model.image_shape
    shape = (len(wish.seeds), height, width, channels)
    drawn = 3 + noisy(wish)
    frame_bytes = drawn * math.prod(shape)
    pause = max(PREVIEW_SECONDS, frame_bytes / PREVIEW_RATE)
    path = browser_path(FRAMES)
    started, shown = time.monotonic(), 0.0
    step = None
    with path.open("wb") as file:
        recorder = Recorder(file, shape, drawn, every=stride(count, frame_bytes, wish.keep_all))
        for step in sample(
            denoiser, wish.schedule, model.image_shape, steps=wish.steps, seeds=wish.seeds, labels=wish.labels,
            update=wish.update, clip=wish.clip, device=model.device,
        ):  # fmt: skip
            if recorder.wants(step.index):
                recorder.add(describe(step, wish), step.x_t, step.x_0, step.eps, step.z)
            if flag.up:
                break
            now = time.monotonic()
            if now - shown > pause:
                shown = now
                taken = step.index + 1
                left = (now - started) / taken * (count - taken)
                yield {
                    "state": "live",
                    "step": taken,
                    "count": count,
                    "shape": shape,
                    "planes": drawn,
                    "preview": base64.b64encode(planes(step.x_s, step.x_0, step.eps, step.z, drawn).tobytes()).decode(),
                    "status": f"step {taken} of {count}, about {left:.1f} s left",
                }
        assert step is not None  # timesteps() never gives an empty list
        taken = step.index + 1
        # The end repeats the numbers of the step that led to it.
        end = replace(describe(step, wish), t=step.s, step=taken, s=None)
        recorder.add(end, step.x_s, step.x_0, step.eps, None)
    seconds = time.monotonic() - started
    what = f"{len(wish.seeds)} image{'s' if len(wish.seeds) > 1 else ''}, {taken} of {count} steps"
    yield {
        "state": "done",
        "stopped": taken < count,
        "file": for_browser(path),
        "frames": [vars(frame) for frame in recorder.frames],
        "count": count,
        "T": wish.schedule.T,
        "key": f"{wish.seeds[0]}-{time.time_ns()}",
        "status": f"{'Stopped: ' if taken < count else ''}{what} in {seconds:.1f} s "
        f"({1000 * seconds / taken:.0f} ms a step)",
        "note": ""
        if recorder.every == 1
        else f"Every {recorder.every}th of the {count} steps is kept as a frame, {len(recorder.frames)} in all; "
        "“keep every step” keeps more.",
    }


def describe(step: Step, wish: Wish) -> Frame:
    """The numbers of a step."""
    before = wish.steps[: step.index][::-1][:2]
    return Frame(
        step.t, step.index, step.s, terms(wish.update, wish.schedule, step.t, step.s, before) | {"z": step.sigma}
    )


@cache
def opening_run() -> tuple[dict[str, Any], bytes]:
    """The finished trajectory that the tab opens with, and its packed frames."""
    model = shared_model()
    wish = read_wish(model, default_settings(), Controls())
    *_, value = run(model, wish, StopFlag())
    return value, Path(value["file"]["path"]).read_bytes()


Answer = tuple[dict[str, Any], str, str, dict[str, Any], dict[str, Any]]


def generate(settings: Settings, flag: StopFlag, *controls: Any) -> Iterator[Answer]:
    """Generate's handler, ``controls`` in the order of ``Controls``.

    Yields (view, message at steps, message at seed, Generate, Stop).
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
        yield gr.skip(), "" if at_seed else str(error), str(error) if at_seed else "", *idle
        return
    for value in run(model, wish, flag):
        yield value, "", "", *(idle if value["state"] == "done" else busy)


def take_away(asked: dict[str, Any]) -> dict[str, str]:
    """A run, whose file is ``asked["file"]``, in another form: {"url", "name"}."""
    path, form = Path(asked["file"]).resolve(), asked["form"]
    if path.suffix != FRAMES or not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        return {"error": "This run is no longer kept; press Generate again."}
    data = export_png(path) if form == "png" else export_animation(path, form)
    file = browser_path(f".{form}")
    file.write_bytes(data)
    return {"url": served(file), "name": f"ddpm-lab.{form}"}


def show_options(sampler: str) -> tuple[Any, ...]:
    """The options and the words that the chosen sampler has: (v, eta, about)."""
    chosen = SAMPLERS[sampler]
    return *(gr.update(visible=name in chosen.parameters) for name in OPTIONS), about_choice(chosen)


def about_choice(choice: About) -> str:
    """A sampler, a spacing or a way to clip in Markdown: its advice, formula and source."""
    lines = "\n\n".join(f"${line}$" for line in choice.formula.split(r",\;"))
    return "\n\n".join(filter(None, (choice.advice, lines, choice.source)))


def open_tab() -> dict[str, Any]:
    """What a new visitor finds in the view."""
    value, frames = opening_run()
    # A file of one's own: Gradio clears old ones away.
    return value | {"file": browser_file(frames, FRAMES)}


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
            [title_of(run["sampler"], {name: run[name] for name in SAMPLERS[run["sampler"]].parameters if name in run}),
             run["steps"], f"{run['images']:,}", f"{run['accuracy']:.1%}",
             f"{run['frechet']:.2f}", f"{run['frechet_held_out']:.2f}", f"{run['nearest_median']:.1f}",
             f"{run['copied']:.1%}"]
            for run in figures["runs"]
        ]  # fmt: skip
        rows.append(["held-out images", "", f"{held['images']:,}", f"{held['accuracy']:.1%}", "", "",
                     f"{held['nearest_median']:.1f}", "1.0%"])  # fmt: skip
        lines = [head, ["---"] * len(head), *rows]
        text += "\n\n" + "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)
    return f"{text}\n\nMeasured with `{figures['command']}`."


def explained(label: str, choices: Mapping[Any, About], value: str) -> gr.Dropdown:
    """A list to choose from, with words about the choice below it."""
    chooser = gr.Dropdown([(about.title, name) for name, about in choices.items()], value=value, label=label)
    words = gr.Markdown(about_choice(choices[value]), latex_delimiters=LATEX, elem_classes="lab-note lab-about")
    chooser.change(lambda name: about_choice(choices[name]), chooser, words, **QUIET)
    return chooser


def reverse_tab(demo: gr.Blocks, sidebar: View) -> None:
    """Build the tab on the page ``demo``; ``sidebar`` holds the schedule's settings."""
    model, start_with = shared_model(), Controls()
    flag = gr.State(StopFlag())
    control: dict[str, gr.Component] = {}
    with gr.Row():
        with gr.Column(scale=1, min_width=250):
            network = gr.Dropdown(choices(), value=start_with.network, label="network", elem_id="lab-network")
            control["network"] = network
            classes = [ALL_CLASSES, *model.card.classes]
            control["label"] = gr.Dropdown(classes, value=start_with.label, label="class")
            control["count"] = gr.Slider(1, 64, start_with.count, step=1, label="images")
            sampler = gr.Dropdown(
                [(about.title, name) for name, about in SAMPLERS.items()], value=start_with.sampler, label="sampler",
                elem_id="lab-sampler",
            )  # fmt: skip
            control["sampler"] = sampler
            about_sampler = gr.Markdown(
                about_choice(SAMPLERS[start_with.sampler]), latex_delimiters=LATEX, elem_classes="lab-note lab-about"
            )
            with gr.Row():
                control["steps"] = gr.Number(start_with.steps, label="steps", elem_id="lab-steps", min_width=90)
                control["seed"] = gr.Textbox(
                    start_with.seed, label="seed", max_lines=1, elem_id="lab-seed", min_width=90
                )
            at_steps = gr.Markdown(elem_classes="lab-message", elem_id="lab-steps-message")
            at_seed = gr.Markdown(elem_classes="lab-message", elem_id="lab-seed-message")
            with gr.Row():
                start = gr.Button("Generate", variant="primary", elem_id="lab-generate", min_width=90)
                halt = gr.Button("Stop", interactive=False, elem_id="lab-stop", min_width=70)
            with gr.Accordion("More", open=False):
                for name in OPTIONS:
                    owners = [about for about in SAMPLERS.values() if name in about.parameters]
                    parameter = owners[0].parameters[name]
                    control[name] = gr.Slider(
                        parameter.minimum, parameter.maximum, getattr(start_with, name), step=0.05,
                        label=parameter.symbol, info=parameter.about, visible=SAMPLERS[start_with.sampler] in owners,
                    )  # fmt: skip
                control["guidance"] = gr.Slider(
                    0, 8, start_with.guidance, step=0.1, label="guidance", info="1 = plain conditional, one call a step"
                )
                control["spacing"] = explained("spacing of steps", SPACINGS, start_with.spacing)
                control["clip"] = explained("predicted x₀", CLIPS, start_with.clip)
                control["keep_all"] = gr.Checkbox(start_with.keep_all, label="keep every step as a frame")
        with gr.Column(scale=3, min_width=320):
            view = View("reverse", elem_id="lab-reverse", server_functions=[take_away])
            line = gr.Markdown(describe_model(model), elem_classes="lab-note", elem_id="lab-network-line")
            with gr.Accordion("About this network", open=False, elem_id="lab-card"):
                card = gr.Markdown(about(model), elem_classes="lab-card")

    at_network: dict[str, Any] = {"concurrency_id": "network", "concurrency_limit": 2}
    network.change(choose_network, network, [control["label"], line, card], **QUIET)
    network.change(None, network, None, js=tell("store", "assign", "network"))
    sampler.change(show_options, sampler, [*(control[name] for name in OPTIONS), about_sampler], **QUIET)
    start.click(
        generate,
        [sidebar, flag, *(control[field.name] for field in fields(Controls))],
        [view, at_steps, at_seed, start, halt],
        **at_network,
        **QUIET,
    )
    halt.click(stop, flag, None, queue=False, **QUIET)
    demo.load(open_tab, None, view, **at_network, **QUIET)
