"""The reverse tab: samples out of noise, watched live and scrubbed afterwards.

Controls say what is asked for (``Controls``), a job draws it and shows it as it comes, and the player then goes back
and forth through what was kept. Building, handlers and wiring lie apart: handlers are called in tests without a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import gradio as gr
from gradio.events import Dependency
from typing_extensions import TypedDict

from diffusion.device import best_device
from diffusion.images import SUFFIXES, difference
from diffusion.sampling import archive, snippet
from diffusion.sampling import recipe as recipes
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.clips import CLIPS
from diffusion.sampling.recipe import denoiser_of
from diffusion.sampling.steps import SPACINGS
from diffusion.sampling.updates import SAMPLERS, option_parameters
from diffusion.schedules.review import compare
from ui import cost
from ui.asked import REFUSALS
from ui.card import card_table, describe_model
from ui.choosing import (
    QUIET,
    about_choice,
    about_sampler,
    describe_clip,
    describe_spacing,
    explained,
    option_sliders,
    options_in_sight,
    sampler_titles,
)
from ui.composing import composing_section
from ui.enough import build_enough, follow_controls
from ui.figures import trajectory_figure
from ui.files import find_made, for_browser, made_path
from ui.frames import StoredFrames, export_animation, export_png, read_frames
from ui.job import Values, ended, run_job
from ui.link import controls_from_link, controls_in_link, keep_in_link
from ui.models import (
    AT_NETWORK,
    AT_OPENING,
    AT_TIMING,
    EXACT,
    OWN,
    RUN,
    StopFlag,
    find_source,
    shared_model,
    sources,
    sources_with,
    stop,
    student_calls,
)
from ui.opening import opening_of
from ui.page import Page
from ui.sampling import (
    FRAMES,
    MOST_GUIDANCE,
    MOST_IMAGES,
    Controls,
    control_names,
    controls_of,
    read_recipe,
    recipe_path,
    run_for_view,
    run_name,
    values_of,
)
from ui.sidebar import AskedSchedule, Settings, default_settings, read_schedule, trained_for
from ui.told import ToldView, told_value
from ui.view import FROM_LINK, PLOTLY, View, call_module, served
from ui.whatif_tab import Asking, LastRun, whatif_tabs

EXACT_LINE = (
    "**No network** · the exact denoiser of these images, the best there can be for them. It is what perfect training "
    "would do: memorise. Its samples are the images themselves."
)
EXACT_CARD = (
    "The best guess of x₀ is the mean of all images, each weighed by how likely it is to have become x_t: "
    "softmax of −|x_t − √ᾱ_t x_i|² / (2 (1 − ᾱ_t)). A network that had learned its training images perfectly would say "
    "the same. That real networks make new images is because they cannot."
)
ROUNDING_IMAGES, ROUNDING_STEPS = 8, 20
ASKED_TWICE, TOLD = "1 = plain conditional, one call a step", "this network is told it: one call a step in any case"


@cache
def opening_run() -> tuple[dict[str, Any], bytes, LastRun]:
    """The finished trajectory that the tab opens with, its frames, and what it is."""
    source = find_source(Controls().network)
    opening = opening_of(source.name)
    if opening is None or opening.run is None:
        raise RuntimeError("There is no run to open with: run python -m ui.make_opening.")
    recipe = replace(read_recipe(source, default_settings(), Controls()), precision="float32")
    return opening.run, opening.frames, LastRun(source.name, (), recipe)


def press_generate(settings: Settings, flag: StopFlag, *controls: Any) -> Iterator[Values]:
    """Generate's handler, ``controls`` in the order of ``control_names``.

    Yields (view, message at steps, message at seed, the run that is shown, Generate, Stop).
    """

    def work() -> Iterator[tuple[Values, bool]]:
        chosen = controls_of(controls)
        source = find_source(chosen.network, chosen.own or ())
        recipe = read_recipe(source, settings, chosen)
        for value in run_for_view(source, recipe, flag, chosen.keep_all):
            done = value["state"] == "done"
            last = LastRun(source.name, tuple(chosen.own or ()), recipe) if done else gr.skip()
            yield (value, "", "", last), done

    def refuse(error: Exception, shown: Values | None) -> Values:
        at_seed = isinstance(error, SamplingError) and error.field == "seed"
        messages = ("", str(error)) if at_seed else (str(error), "")
        return ended(shown, state="failed", status=""), *messages, gr.skip()

    yield from run_job(flag, work(), refuse)


def foresee(settings: Settings, *controls: Any) -> str:
    """What the run costs that the controls ask for, ``controls`` as of ``press_generate``; "" if it would be refused.

    The first to ask has the network timed.
    """
    return _cost(settings, controls, timed=True)


def count_calls(settings: Settings, *controls: Any) -> str:
    """The same without how long it takes: for a page that was only opened, which asks no network."""
    return _cost(settings, controls, timed=False)


def _cost(settings: Settings, controls: tuple[Any, ...], *, timed: bool) -> str:
    try:
        chosen = controls_of(controls)
        source = find_source(chosen.network, chosen.own or ())
        recipe = read_recipe(source, settings, chosen)
    except REFUSALS:
        return ""  # Generate says why
    model = source.model if timed else None
    return cost.words(source, recipe, None if model is None else cost.seconds_of(model, recipe, source.name))


class AskedRun(TypedDict):
    """A run of this visitor, whose file is ``file``, in a form to take away."""

    file: str
    form: Literal["gif", "webp", "mp4", "png", "npz", "py"]


def take_away(asked: AskedRun) -> dict[str, str]:
    """A run as a file, {"url", "name"}; as Python, {"text"}; or {"error"}."""
    path, form = find_made(asked["file"], FRAMES), asked["form"]
    if path is None:
        return {"error": "This run is no longer kept; press Generate again."}
    if form in ("npz", "py") and not recipe_path(path).is_file():
        return {"error": "This run was stopped; let a run end to have it drawn again."}
    if form == "py":
        return {"text": snippet.snippet(archive.read(recipe_path(path)), best_device(), f"{path.stem}.npz")}
    file = made_path(f"{path.stem}.{form}")
    if form == "npz":
        recipe = archive.read(recipe_path(path))
        archive.save(file, recipe, read_frames(path)[-1, 0], StoredFrames(path, recipe.steps))
    else:
        file.write_bytes(export_png(path) if form == "png" else export_animation(path, form))
    return {"url": served(file), "name": file.name}


def show_options(sampler: str) -> tuple[Any, ...]:
    """The options and the words that the chosen sampler has: (each of ``option_parameters``, about)."""
    return *options_in_sight([sampler]), about_choice(SAMPLERS[sampler])


def open_reverse_tab(link: dict[str, str]) -> tuple[Any, ...]:
    """What a visitor finds: (view, the run that it shows, one's own images, line about the network, all about it,
    about the sampler, controls in the order of ``controls_in_link``).

    The controls are as the link says; the run is always the same, so that many who open a link at once need not wait
    for one another.
    """
    value, frames, last = opening_run()
    # Files of one's own: they are deleted when they are old.
    path = made_path(f"{run_name(last.network, last.recipe)}{FRAMES}")
    path.write_bytes(frames)
    archive.save(recipe_path(path), last.recipe, read_frames(path)[-1, 0])
    controls = controls_from_link(link)
    _, guidance, *about_network = choose_network(controls.network)
    *options, about = show_options(controls.sampler)
    shown = {"guidance": guidance, **dict(zip(option_parameters(), options, strict=True))}
    shown["network"] = {"choices": sources_with(controls.network)}
    values = values_of(controls) | {"label": told_value(controls.network, controls.label)}
    updates = [gr.update(**{**shown.get(name, {}), "value": values[name]}) for name in controls_in_link().values()]
    return value | {"file": for_browser(path)}, last, *about_network, about, *updates


def compare_schedule(asked: AskedSchedule) -> str:
    """How far the schedule of ``asked["settings"]`` is from that of ``asked["network"]``; nothing where it has none."""
    trained = trained_for(asked["network"])
    return "" if trained is None else compare(read_schedule(asked["settings"]), trained)


def choose_network(name: str) -> tuple[Any, ...]:
    """Another network: (what it can be told, guidance, one's own images, line about it, all about it)."""
    card = None if name.startswith(EXACT) else shared_model(name).card
    taught, guides = card and card.network.guidance, card is not None and bool(card.network.empty)
    low, high = taught or (0, MOST_GUIDANCE)
    return (
        told_value(name),
        gr.update(
            minimum=low,
            maximum=high,
            info=TOLD if taught else ASKED_TWICE,
            visible=guides,
            value=card.usual_guidance() if card else 1.0,
        ),
        gr.update(visible=name == OWN),
        EXACT_LINE if name.startswith(EXACT) else describe_model(shared_model(name)),
        EXACT_CARD if name.startswith(EXACT) else card_table(shared_model(name)),
    )


def suit_network(name: str, sampler: str, steps: float | None) -> tuple[Any, Any]:
    """(sampler, steps) for another network: a student takes its own, and what they were for it is not for others."""
    usual, calls = Controls(), student_calls()
    if name in calls:
        return "ddim", calls[name]
    of_a_student = sampler == "ddim" and steps in calls.values()
    return (usual.sampler, usual.steps) if of_a_student else (gr.skip(), gr.skip())


@cache
def rounding_of(name: str) -> str:
    """What computing in bfloat16 changes in a network's images, measured here, in a sentence; nothing if it is not."""
    # Of a run's network, which is another one tomorrow, nothing is kept.
    if name.startswith((EXACT, RUN)) or find_source(name).precision == "float32":
        return ""
    source = find_source(name)
    controls = Controls(network=name, count=ROUNDING_IMAGES, sampler="dpmpp", steps=ROUNDING_STEPS)
    recipe = read_recipe(source, default_settings(), controls)
    drawn = []
    for here in (recipe, replace(recipe, precision="float32")):
        denoiser, shape = denoiser_of(here, recipes.load_model_of(here, source.device))
        drawn.append(recipes.draw(here, denoiser, shape, source.device))
    off = difference(*drawn)
    return (
        f"Computed in bfloat16, which is faster here. Against float32, {ROUNDING_IMAGES} images of {ROUNDING_STEPS} "
        f"steps of DPM-Solver++(2M) differ by {off.rms:.1f} of 255 grey levels (RMS), a single pixel by at most "
        f"{off.largest}."
    )


def build_choices() -> dict[str, Any]:
    """Controls by name, of what is always in sight."""
    start_with = Controls()
    control: dict[str, Any] = {
        "network": gr.Dropdown(sources(), value=start_with.network, label="network", elem_id="lab-network"),
        "own": gr.File(
            file_count="multiple", file_types=["image", *sorted(SUFFIXES)], label="your images", visible=False,
            height=120, elem_id="lab-own",
        ),
        "label": ToldView(start_with.network),
        "count": gr.Slider(1, MOST_IMAGES, start_with.count, step=1, label="images"),
        "sampler": gr.Dropdown(
            sampler_titles(), value=start_with.sampler, label="sampler", elem_id="lab-sampler",
        ),
    }  # fmt: skip
    with gr.Row():
        control["steps"] = gr.Number(start_with.steps, label="steps", elem_id="lab-steps", min_width=90)
        control["seed"] = gr.Textbox(start_with.seed, label="seed", max_lines=1, elem_id="lab-seed", min_width=90)
    return control


def build_more() -> dict[str, Any]:
    """Controls by name, of what is seldom changed: first a slider for each option of any sampler."""
    start_with = Controls()
    control: dict[str, Any] = {**option_sliders(start_with.sampler)}
    control["guidance"] = gr.Slider(0, MOST_GUIDANCE, start_with.guidance, step=0.1, label="guidance", info=ASKED_TWICE)
    control["spacing"] = explained("spacing of steps", SPACINGS, start_with.spacing, describe_spacing)
    control["clip"] = explained("predicted x₀", CLIPS, start_with.clip, describe_clip)
    control["keep_all"] = gr.Checkbox(start_with.keep_all, label="keep every step as a frame")
    return control


@dataclass(frozen=True)
class Press:
    """The two buttons of a run, and what is said beside them; at ``waiting`` what it costs, and in its place Gradio
    says which place in the queue it has.
    """

    start: gr.Button
    halt: gr.Button
    at_steps: gr.Markdown
    at_seed: gr.Markdown
    waiting: gr.Markdown


def build_press() -> Press:
    at_steps = gr.Markdown(elem_classes="lab-message", elem_id="lab-steps-message")
    at_seed = gr.Markdown(elem_classes="lab-message", elem_id="lab-seed-message")
    waiting = gr.Markdown("&nbsp;", elem_classes="lab-note lab-waiting", elem_id="lab-generate-waiting")
    with gr.Row():
        start = gr.Button("Generate", variant="primary", elem_id="lab-generate", min_width=90)
        halt = gr.Button("Stop", interactive=False, elem_id="lab-stop", min_width=70)
    return Press(start, halt, at_steps, at_seed, waiting)


@dataclass(frozen=True)
class RunView:
    """The run, and below it all about its network: a line, and what is unfolded."""

    view: View
    line: gr.Markdown
    unfolded: gr.Accordion
    card: gr.Markdown
    rounding: gr.Markdown


def build_view() -> RunView:
    model = shared_model()
    view = View(
        "reverse", elem_id="lab-reverse", server_functions=[take_away, compare_schedule], plotly=served(PLOTLY),
        wide=trajectory_figure(), narrow=trajectory_figure(across=1),
    )  # fmt: skip
    line = gr.Markdown(describe_model(model), elem_classes="lab-note", elem_id="lab-network-line")
    with gr.Accordion("About this network", open=False, elem_id="lab-card") as unfolded:
        card = gr.Markdown(card_table(model), elem_classes="lab-card")
        rounding = gr.Markdown(elem_classes="lab-note", elem_id="lab-rounding")
    return RunView(view, line, unfolded, card, rounding)


def wire_choices(control: Mapping[str, Any], about: gr.Markdown, run_view: RunView) -> Dependency:
    """What follows from the choice of a network or a sampler, and that the link keeps all of them.

    Returns:
        the event after which sampler and steps suit another network.
    """
    network, sampler = control["network"], control["sampler"]
    run_view.unfolded.expand(rounding_of, network, run_view.rounding, **AT_NETWORK, **QUIET)
    network.change(lambda: "", None, run_view.rounding, **QUIET)
    # What the visitor chooses, not what a link has chosen: that comes with its class.
    network.input(
        choose_network, network, [control["label"], control["guidance"], control["own"], run_view.line, run_view.card],
        trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    network.change(None, network, None, js=call_module("store", "assign", "network"))
    sampler.change(show_options, sampler, [*(control[name] for name in option_parameters()), about], **QUIET)
    # What the samples shall show is kept by its own view.
    linked = {name: control[of] for name, of in controls_in_link().items() if of != "label"}
    kept = [*linked.values()]
    gr.on([component.change for component in kept], None, kept, None, js=keep_in_link(*linked))
    return network.input(
        suit_network, [network, sampler, control["steps"]], [sampler, control["steps"]],
        trigger_mode="always_last", **QUIET,
    )  # fmt: skip


def reverse_tab(page: Page) -> None:
    """Build the tab."""
    flag, last = gr.State(StopFlag()), gr.State()
    with gr.Row(elem_id="lab-reverse-row"):
        with gr.Column(scale=1, min_width=250, elem_id="lab-reverse-controls"):
            with gr.Column(min_width=250):
                choices = build_choices()
            # A column of its own: it stays in sight at the bottom; on a phone at the top, above the pictures, while the
            # controls lie below them.
            with gr.Column(min_width=250, elem_id="lab-reverse-press"):
                press = build_press()
            with gr.Column(min_width=250):
                about = about_sampler(Controls().sampler)
                with gr.Accordion("More", open=False):
                    control = choices | build_more()
        with gr.Column(scale=3, min_width=320):
            run_view = build_view()
    enough = build_enough()
    suited = wire_choices(control, about, run_view)
    page.networks["reverse"] = control["network"]
    asked = [page.sidebar, *(control[name] for name in control_names())]
    pressed = press.start.click(
        press_generate,
        [page.sidebar, flag, *asked[1:]],
        [run_view.view, press.at_steps, press.at_seed, last, press.start, press.halt],
        show_progress="minimal",
        show_progress_on=press.waiting,
        api_visibility="private",
        **AT_NETWORK,
    )
    press.halt.click(stop, flag, None, queue=False, **QUIET)
    cost_of = {
        "fn": foresee, "inputs": asked, "outputs": press.waiting, "trigger_mode": "always_last", **AT_TIMING, **QUIET
    }  # fmt: skip
    # What the visitor chooses, not what a link has chosen: the network is timed for it.
    foreseen = gr.on([control[name].input for name in ("count", "sampler", "steps", "spacing", "guidance")], **cost_of)
    foreseen_of_network = suited.then(**cost_of)
    linked = [control[name] for name in controls_in_link().values()]
    opened = page.blocks.load(
        open_reverse_tab, run_view.view,
        [run_view.view, last, control["own"], run_view.line, run_view.card, about, *linked],
        js=FROM_LINK, **AT_OPENING, **QUIET,
    )  # fmt: skip
    opened.then(count_calls, asked, press.waiting, **AT_OPENING, **QUIET)
    follow_controls(enough, control, opened, (foreseen, foreseen_of_network, pressed))
    composing_section(control["network"], control["seed"])
    whatif_tabs(opened, Asking(page, last, control))
