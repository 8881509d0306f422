"""The reverse tab: samples out of noise, watched live and scrubbed afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from diffusion.sampler import CLIPS, SAMPLERS, SPACINGS, About, SamplingError
from ui.card import about, describe_model
from ui.models import StopFlag, choices, shared_model, stop
from ui.player import export_animation, export_png
from ui.sampling import ALL_CLASSES, FRAMES, Controls, read_wish, run
from ui.sidebar import Settings, default_settings
from ui.view import View, browser_file, browser_path, served, tell

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
LATEX: list[dict[str, str | bool]] = [{"left": "$", "right": "$", "display": False}]
OPTIONS = ("v", "eta")  # of the samplers, in the order of the page


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
