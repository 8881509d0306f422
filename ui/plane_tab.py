"""The plane tab: diffusion where one can see all of it, on points of two coordinates.

The browser draws density, field and paths exactly and by itself; Python makes the points, and draws samples of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from diffusion.data.points import patterns
from diffusion.data.sets import DataError
from diffusion.images import ImageError
from diffusion.sampling.steps import SPACINGS
from diffusion.sampling.updates import SAMPLERS
from ui.asked import read_arguments
from ui.job import Values, ended, run_job
from ui.lesson import lesson_section
from ui.models import AT_NETWORK, StopFlag, stop
from ui.page import Page
from ui.plane import (
    IN_TURN,
    MOST_DRAWN,
    MOST_GUIDED,
    NOTHING,
    OPENED_WITH,
    PLANE_OPENING,
    PlaneData,
    PlaneWish,
    encode_points,
    pattern_buttons,
    pattern_points,
    read_points_file,
    run_on_plane,
)
from ui.plane_away import take_away_plane
from ui.sidebar import Settings, read_schedule
from ui.view import View, served


def press_draw(settings: Settings, data: PlaneData | None, flag: StopFlag, *controls: Any) -> Iterator[Values]:
    """Draw's handler, ``controls`` in the order of ``PlaneWish``. Yields (view, message, Draw, Stop)."""

    def work() -> Iterator[tuple[Values, bool]]:
        wish = PlaneWish(*read_arguments(PlaneWish, controls))
        for value, last in run_on_plane(data, read_schedule(settings), wish, flag):
            yield (value, ""), last

    def refuse(error: Exception, shown: Values | None) -> Values:
        return ended(shown, state="failed", status=""), str(error)

    yield from run_job(flag, work(), refuse)


def upload_points(path: str | None) -> tuple[Any, str]:
    """Points of a file: (view of the data, message). One that cannot be used changes nothing but the message."""
    if path is None:
        return gr.skip(), ""
    try:
        rows = read_points_file(Path(path))
    except (DataError, ImageError) as error:
        return gr.skip(), str(error)
    return {"points": encode_points(rows), "labels": "", "key": f"file-{Path(path).name[:40]}", "uploaded": True}, ""


def build_wish() -> tuple[list[Any], gr.Button, gr.Button]:
    """The controls of a run in the order of ``PlaneWish``, and its two buttons."""
    usual = PlaneWish()
    with gr.Row():
        sampler = gr.Dropdown(
            [(about.title, name) for name, about in SAMPLERS.items()], value=usual.sampler, label="sampler",
            elem_id="lab-plane-sampler", min_width=150, scale=2,
        )  # fmt: skip
        steps = gr.Number(usual.steps, label="steps", elem_id="lab-plane-steps", min_width=70)
    with gr.Row():
        start = gr.Button("Draw samples", variant="primary", elem_id="lab-plane-draw", min_width=120, scale=2)
        halt = gr.Button("Stop", interactive=False, elem_id="lab-plane-stop", min_width=70)
    with gr.Accordion("More", open=False):
        count = gr.Slider(1, MOST_DRAWN, usual.count, step=1, label="samples")
        seed = gr.Textbox(usual.seed, label="seed", max_lines=1)
        spacing = gr.Dropdown(
            [(about.title, name) for name, about in SPACINGS.items()], value=usual.spacing, label="spacing of steps"
        )
        told = gr.Dropdown([NOTHING, IN_TURN], value=usual.told, label="each sample is asked for")
        beside = gr.Dropdown(
            [("none", ""), *((about.title, name) for name, about in SAMPLERS.items())], value=usual.beside,
            label="a second sampler, from the same x_T", elem_id="lab-plane-beside",
        )  # fmt: skip
        guidance = gr.Slider(0, MOST_GUIDED, usual.guidance, step=0.1, label="guidance to its class")
    return [sampler, steps, count, seed, spacing, told, guidance, beside], start, halt


def plane_tab(page: Page) -> None:
    """Build the tab."""
    flag = gr.State(StopFlag())
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
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
                "plane", elem_id="lab-plane", server_functions=[take_away_plane], opening=opening,
                taught=list(patterns()),
            )  # fmt: skip
        with gr.Column(scale=3, min_width=260, elem_id="lab-plane-side"):
            View("planesaid", elem_id="lab-plane-said")
            controls, start, halt = build_wish()
            waiting = gr.Markdown("&nbsp;", elem_classes="lab-waiting", elem_id="lab-plane-waiting")
            message = gr.Markdown(elem_classes="lab-message", elem_id="lab-plane-message")
    View("planestep", elem_id="lab-plane-step")
    lesson_section(data)
    upload.upload(upload_points, upload, [data, refused], **quiet)
    start.click(
        press_draw, [page.sidebar, data, flag, *controls], [view, message, start, halt], show_progress="minimal",
        show_progress_on=waiting, api_visibility="private", **AT_NETWORK,
    )  # fmt: skip
    halt.click(stop, flag, None, queue=False, **quiet)
