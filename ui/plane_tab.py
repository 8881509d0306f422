"""The plane tab: diffusion where one can see all of it, on points of two coordinates.

The browser draws density, field and paths exactly and by itself; Python makes the points, and draws samples of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from diffusion.data.points import patterns
from diffusion.data.sets import DataError
from diffusion.images import ImageError
from diffusion.sampling.clips import CLIPS
from diffusion.sampling.steps import SPACINGS
from diffusion.sampling.updates import SAMPLERS, option_parameters
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
from ui.job import Values, ended, run_job
from ui.learning import Lesson
from ui.lesson import lesson_section
from ui.link import keep_in_link, plane_controls_in_link, plane_wish_from_link
from ui.models import AT_NETWORK, AT_OPENING, StopFlag, stop
from ui.page import Page
from ui.plane import (
    DENOISERS,
    MOST_DRAWN,
    MOST_GUIDED,
    OPENED_WITH,
    PLANE_OPENING,
    TOLD,
    PlaneData,
    PlaneWish,
    encode_labels,
    encode_points,
    keep_opening,
    pattern_buttons,
    pattern_points,
    read_points_file,
    run_on_plane,
)
from ui.plane_away import AskedPlaneRun, take_away_plane
from ui.plane_enough import steps_section
from ui.plane_ledger import ledger_section
from ui.plane_walk import AT_WALK, take_walk
from ui.sampling import control_names, read_controls, values_of
from ui.sidebar import Settings, default_settings, read_schedule
from ui.view import FROM_LINK, View, asked_by, served


def press_draw(
    settings: Settings, data: PlaneData | None, flag: StopFlag, lesson: Lesson, *controls: Any
) -> Iterator[Values]:  # fmt: skip
    """Draw's handler, ``controls`` in the order of ``control_names`` of ``PlaneWish``.

    Yields (view, message, Draw, Stop).
    """

    def work() -> Iterator[tuple[Values, bool]]:
        wish = read_controls(PlaneWish, controls)
        for value, last in run_on_plane(data, read_schedule(settings), wish, lesson, flag):
            yield (value, ""), last

    def refuse(error: Exception, shown: Values | None) -> Values:
        return ended(shown, state="failed", status=""), str(error)

    yield from run_job(flag, work(), refuse)


def take_away_shown(asked: AskedPlaneRun) -> dict[str, str]:
    """``take_away_plane``, also of the run that the tab opens with, which the page calls "opening"."""
    if asked["file"] == "opening":
        asked = {**asked, "file": str(keep_opening(read_schedule(default_settings())))}
    return take_away_plane(asked)


def upload_points(path: str | None) -> tuple[Any, str]:
    """Points of a file: (view of the data, message). One that cannot be used changes nothing but the message."""
    if path is None:
        return gr.skip(), ""
    try:
        rows, classes = read_points_file(Path(path))
    except (DataError, ImageError) as error:
        return gr.skip(), str(error)
    labels = "" if classes is None else encode_labels(classes)
    key = f"file-{Path(path).name[:40]}"
    return {"points": encode_points(rows), "labels": labels, "key": key, "uploaded": True}, ""


def show_second(beside: str) -> Any:
    """The second denoiser is chosen where there is a second run."""
    return gr.update(visible=bool(beside))


def show_plane_options(sampler: str, beside: str) -> tuple[Any, ...]:
    """What the chosen samplers have: (each of ``option_parameters``, about the first)."""
    return *options_in_sight(filter(None, (sampler, beside))), about_choice(SAMPLERS[sampler])


def open_plane_tab(link: dict[str, str]) -> tuple[Any, ...]:
    """The controls as a link says: (about the sampler, each of ``plane_controls_in_link``)."""
    wish = plane_wish_from_link(link)
    *options, about = show_plane_options(wish.sampler, wish.beside)
    shown = dict(zip(option_parameters(), options, strict=True)) | {"beside_denoiser": show_second(wish.beside)}
    values = values_of(wish)
    return about, *(gr.update(**{**shown.get(name, {}), "value": values[name]})
                    for name in plane_controls_in_link().values())  # fmt: skip


@dataclass(frozen=True)
class PlaneControls:
    """Of a run: its controls by name, words about its sampler, and its two buttons."""

    by_name: dict[str, Any]
    about: gr.Markdown
    start: gr.Button
    halt: gr.Button


def build_wish() -> PlaneControls:
    usual = PlaneWish()
    found = [(words, name) for name, words in DENOISERS.items()]
    control: dict[str, Any] = {}
    with gr.Row():
        control["sampler"] = gr.Dropdown(
            sampler_titles(), value=usual.sampler, label="sampler", elem_id="lab-plane-sampler", min_width=150, scale=2
        )
        control["steps"] = gr.Number(usual.steps, label="steps", elem_id="lab-plane-steps", min_width=70)
    with gr.Row():
        control["denoiser"] = gr.Dropdown(
            found, value=usual.denoiser, label="denoiser", elem_id="lab-plane-denoiser", min_width=150
        )
        control["beside"] = gr.Dropdown(
            [("nothing", ""), *sampler_titles()], value=usual.beside, label="beside it, same x_T",
            elem_id="lab-plane-beside", min_width=150,
        )  # fmt: skip
        control["beside_denoiser"] = gr.Dropdown(
            found, value=usual.beside_denoiser, label="denoiser of what is beside", visible=False,
            elem_id="lab-plane-beside-denoiser", min_width=150,
        )  # fmt: skip
    control |= option_sliders(usual.sampler)
    with gr.Row():
        start = gr.Button("Draw samples", variant="primary", elem_id="lab-plane-draw", min_width=120, scale=2)
        halt = gr.Button("Stop", interactive=False, elem_id="lab-plane-stop", min_width=70)
    about = about_sampler(usual.sampler)
    with gr.Accordion("More", open=False):
        control["count"] = gr.Slider(1, MOST_DRAWN, usual.count, step=1, label="samples")
        control["seed"] = gr.Textbox(usual.seed, label="seed", max_lines=1)
        control["told"] = gr.Dropdown(
            [(words, name) for name, words in TOLD.items()], value=usual.told, label="each sample is asked for"
        )
        control["guidance"] = gr.Slider(0, MOST_GUIDED, usual.guidance, step=0.1, label="guidance to its class")
        control["spacing"] = explained("spacing of steps", SPACINGS, usual.spacing, describe_spacing)
        control["clip"] = explained("predicted x₀", CLIPS, usual.clip, describe_clip)
    return PlaneControls(control, about, start, halt)


def wire_wish(wish: PlaneControls, page: Page) -> Dependency:
    """What follows from a choice, and that the link keeps all of them, and says what they are when it is opened: gives
    the event after which it has.
    """
    control, linked = wish.by_name, {name: wish.by_name[of] for name, of in plane_controls_in_link().items()}
    samplers = [control["sampler"], control["beside"]]
    gr.on(
        [chooser.change for chooser in samplers], show_plane_options, samplers,
        [*(control[name] for name in option_parameters()), wish.about], trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    control["beside"].change(show_second, control["beside"], control["beside_denoiser"], **QUIET)
    kept = [*linked.values()]
    gr.on([component.change for component in kept], None, kept, None, js=keep_in_link(*linked))
    return page.blocks.load(open_plane_tab, wish.about, [wish.about, *kept], js=FROM_LINK, **AT_OPENING, **QUIET)


def plane_tab(page: Page) -> None:
    """Build the tab."""
    flag, lesson = gr.State(StopFlag()), gr.State(Lesson())
    opening = {"url": served(PLANE_OPENING), "data": pattern_points(OPENED_WITH)["key"]}
    with gr.Row(elem_id="lab-plane-data-row"):
        data = View(
            "planedata", elem_id="lab-plane-data", server_functions=[pattern_points], patterns=pattern_buttons()
        )
        upload = gr.UploadButton(
            "CSV or picture", file_types=["image", ".csv", ".tsv", ".txt", ".heic"], size="sm", min_width=120, scale=0,
            elem_id="lab-plane-upload",
        )  # fmt: skip
    refused = gr.Markdown(elem_classes="lab-message", elem_id="lab-plane-data-message")
    with gr.Row(elem_id="lab-plane-row"):
        with gr.Column(scale=5, min_width=320):
            view = View(
                "plane", elem_id="lab-plane", server_functions=[take_away_shown], opening=opening,
                taught=list(patterns()),
            )  # fmt: skip
        with gr.Column(scale=3, min_width=260, elem_id="lab-plane-side"):
            View("planesaid", elem_id="lab-plane-said")
            walk = View("planewalk", elem_id="lab-plane-walk")
            wish = build_wish()
            waiting = gr.Markdown("&nbsp;", elem_classes="lab-waiting", elem_id="lab-plane-waiting")
            message = gr.Markdown(elem_classes="lab-message", elem_id="lab-plane-message")
    opened = wire_wish(wish, page)
    View("planestep", elem_id="lab-plane-step")
    steps_section(page, data, lesson, wish.by_name, opened)
    ledger_section(data, lesson)
    lesson_section(data, lesson)
    upload.upload(upload_points, upload, [data, refused], **QUIET)
    controls = [wish.by_name[name] for name in control_names(PlaneWish)]
    wish.start.click(
        press_draw, [page.sidebar, data, flag, lesson, *controls], [view, message, wish.start, wish.halt],
        show_progress="minimal", show_progress_on=waiting, api_visibility="private", **AT_NETWORK,
    )  # fmt: skip
    wish.halt.click(stop, flag, None, queue=False, **QUIET)
    gr.on(
        [walk.input, *(control.change for control in controls)], take_walk,
        [walk, page.sidebar, data, lesson, *controls], walk, js=asked_by("planewalk", "place"),
        trigger_mode="always_last", **AT_WALK, **QUIET,
    )  # fmt: skip
