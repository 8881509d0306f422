"""The train tab: one's own images become a network while one watches.

On the left what a run learns from and how, on the right the run itself, which training.js draws from what the trainer
writes (watching.py); the run is a process of its own (runs.py), and this page only one of those that may look at it.
"""

from __future__ import annotations

import re
from typing import Any, get_args

import gradio as gr
from typing_extensions import TypedDict

from diffusion.images import SUFFIXES
from diffusion.training.config import TimeSampling
from ui.asked import REFUSALS, AskedError
from ui.choosing import QUIET
from ui.drafts import (
    BUNDLED_SETS,
    Draft,
    beginnings,
    expect,
    nearest_beginning,
    read_bundled,
    read_dropped,
    seconds_a_thousand,
    show_draft,
    suited_to,
)
from ui.figures import training_figure
from ui.link import read_link
from ui.models import AT_OPENING, AT_TIMING, RUN, shared_model, sources_with
from ui.page import Page
from ui.runs import BOUNDS, RunWish, begin_run, find_run
from ui.subjects import measurable
from ui.view import FROM_LINK, PLOTLY, View, served
from ui.watching import (
    bracket_run,
    go_on_here,
    keep_run_here,
    pause_run_here,
    remove_run_here,
    take_network,
    watch_run,
    with_reason,
)

NOT_YET = "Drop some images above, or take bundled ones: then what to expect of them is said here."
MOST_BATCH, MOST_LR, MOST_TEXT = 128, 0.01, 300
ABOUT_T = {
    "stratified": "stratified: evenly",
    "uniform": "uniform: evenly by chance",
    "importance": "importance: where the loss is large",
}


class RunShown(TypedDict):
    """Which run the view shows; "" for none."""

    run: str


def drop_files(paths: list[str] | None) -> tuple[Any, Any, str, Any, Any, Any]:
    """Images were dropped: (draft, view of them, message, begin from, classes, what to expect).

    What cannot be used changes nothing but the message.
    """
    if not paths:
        return gr.skip(), gr.skip(), "", gr.skip(), gr.skip(), gr.skip()
    try:
        return _shown(read_dropped(paths))
    except REFUSALS as error:
        return gr.skip(), gr.skip(), str(error), gr.skip(), gr.skip(), gr.skip()


def take_emoji() -> tuple[Any, Any, str, Any, Any, Any]:
    """The bundled emoji are chosen, as ``drop_files``."""
    return _shown(read_bundled("emoji"))


def take_digits() -> tuple[Any, Any, str, Any, Any, Any]:
    """The bundled digits are chosen, as ``drop_files``."""
    return _shown(read_bundled("digits"))


def _shown(draft: Draft) -> tuple[Any, Any, str, Any, Any, Any]:
    begin = nearest_beginning(draft)
    told = bool(draft.data.classes)
    return draft, show_draft(draft), "", begin, gr.update(value=told, interactive=told), expect(
        len(draft.data), begin, None)  # fmt: skip


def say_expectation(draft: Draft | None, begin: str) -> str:
    """What to expect, when something else was chosen to begin from."""
    return expect(len(draft.data), begin, None) if draft else NOT_YET


def measure_speed(draft: Draft | None, begin: str, batch: float) -> str:
    """What to expect, with how long it takes on this machine, which is measured for a second or two.

    Raises:
        AskedError: no such network to begin with, or a batch that no control gives.
    """
    if begin not in {name for _, name in beginnings()} or not 1 <= batch <= MOST_BATCH:
        raise AskedError("This cannot be measured; choose what to begin from, and a batch.")
    seconds = seconds_a_thousand(begin, int(batch))
    return expect(len(draft.data) if draft else 30, begin, seconds)


def press_begin(
    draft: Draft | None, begin: str, mirror: bool, classes: bool, source: str, *more: Any
) -> tuple[Any, str]:
    """Train's handler: (the run that is shown, message); ``more`` as in ``read_run_wish``."""
    try:
        if draft is None:
            raise AskedError("There is nothing to learn from yet: drop some images, or take bundled ones.")
        wish = read_run_wish(draft, begin, mirror, source, more)
        suited = suited_to(draft, begin, classes=classes)
        return {"run": begin_run(suited.data, suited.held_out, wish)}, ""
    except REFUSALS as error:
        return gr.skip(), str(error)


def read_run_wish(draft: Draft, begin: str, mirror: bool, source: str, more: tuple[Any, ...]) -> RunWish:
    """What the controls ask for.

    Args:
        source: where the images are from, and their licence.
        more: minutes, batch, learning rate (None for the usual one), decay of the average, how t is drawn, seed.

    Raises:
        AskedError: a value that cannot be.
    """
    minutes, batch, lr, ema, t, seed = more
    for value, low, high, name in (
        (minutes, 1, BOUNDS.minutes, "minutes"),
        (batch, 1, MOST_BATCH, "images a step"),
        (0.0 if lr is None else lr, 0.0, MOST_LR, "learning rate"),
        (ema, 0.0, 0.9999, "average"),
        (seed, 0, 2**20, "seed"),
    ):
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise AskedError(f"The {name} must lie between {low:g} and {high:g}.")
    if t not in get_args(TimeSampling):
        raise AskedError("Steps t are drawn stratified, uniform or by importance.")
    said = re.sub(r"\s+", " ", source).strip()[:MOST_TEXT]
    title = f"{len(draft.data):,} image{'s' * (len(draft.data) != 1)} of one's own" if not draft.about else draft.about
    return RunWish(
        begin=begin, mirror=mirror, minutes=int(minutes), batch=int(batch), lr=float(lr or 0.0), ema=float(ema), t=t,
        seed=int(seed), title=title[:60], about=said or draft.about, licence=said or draft.licence,
    )  # fmt: skip


def press_draw_from(shown: RunShown | None) -> tuple[Any, Any, Any, str]:
    """Draw from the run's network: (the reverse tab's network, the loss tab's, the tab that is open, message).

    The loss tab offers it too, and stays with the network that it has.
    """
    try:
        if not shown or not shown["run"]:
            raise AskedError("There is no run yet to draw from.")
        name = RUN + shown["run"]
        shared_model(name)  # refuses what was not saved yet
        offered = sources_with(name)
        measured = gr.update(choices=[offered[0], *measurable()])
        return gr.update(choices=offered, value=name), measured, gr.Tabs(selected="reverse"), ""
    except REFUSALS as error:
        return gr.skip(), gr.skip(), gr.skip(), str(error)


def open_train_tab(link: dict[str, str]) -> tuple[RunShown, str]:
    """The run that a link names: (the run that is shown, message)."""
    run = read_link(link)["run"] or ""
    try:
        if run:
            find_run(run)
    except AskedError as error:
        return {"run": ""}, str(error)
    return {"run": run}, ""


def build_drop() -> dict[str, Any]:
    """What a run learns from: controls by name."""
    part: dict[str, Any] = {"files": gr.File(
        file_count="multiple", file_types=["image", ".zip", *sorted(SUFFIXES)], height=120, elem_id="lab-train-files",
        label="your images, or a zip in which folders are classes",
    )}  # fmt: skip
    with gr.Row(elem_id="lab-train-bundled"):
        for name in BUNDLED_SETS:
            part[name] = gr.Button(f"bundled {name}", size="sm", min_width=90, elem_id=f"lab-train-{name}")
    part["message"] = gr.Markdown(elem_classes="lab-message", elem_id="lab-train-data-message")
    part["shown"] = View("dropped", elem_id="lab-train-data")
    return part


def build_more_training() -> list[Any]:
    """What is seldom changed: controls in the order of ``read_run_wish``."""
    usual = RunWish()
    return [
        gr.Slider(1, BOUNDS.minutes, usual.minutes, step=1, label="minutes", info="then it rests, and can go on"),
        gr.Slider(1, 64, usual.batch, step=1, label="images a step", info="more: smoother, and fewer steps a minute"),
        gr.Number(None, label="learning rate", placeholder="the usual one", minimum=0, maximum=MOST_LR,
                  info="lower it if the loss jumps; 0.0004 from a shipped network, 0.001 to 0.002 from nothing"),
        gr.Slider(0.9, 0.9999, usual.ema, step=0.0005, label="average",
                  info="of the weights, what is drawn from; higher for runs of hours"),
        gr.Dropdown([(ABOUT_T[name], name) for name in get_args(TimeSampling)], value=usual.t, label="t drawn",
                    info="importance pays in runs of hours"),
        gr.Number(usual.seed, label="seed", precision=0, info="another one, another run"),
    ]  # fmt: skip


def train_tab(page: Page) -> None:
    """Build the tab."""
    draft = gr.State(None)
    with gr.Row(elem_id="lab-train-row"):
        with gr.Column(scale=2, min_width=280, elem_id="lab-train-controls"):
            drop = build_drop()
            begin = gr.Dropdown(beginnings(), value="emoji", label="begin from", elem_id="lab-train-begin")
            with gr.Row():
                mirror = gr.Checkbox(False, label="mirror too", info="not for letters or digits", min_width=120)
                classes = gr.Checkbox(False, label="learn classes", info="the folders", interactive=False,
                                      min_width=120, elem_id="lab-train-classes")  # fmt: skip
            source = gr.Textbox("", label="where from, and licence", max_lines=1, max_length=MOST_TEXT,
                                placeholder="for the card, as in: my own photos, CC BY 4.0")  # fmt: skip
            start = gr.Button("Train", variant="primary", elem_id="lab-train-begin-run")
            message = gr.Markdown(elem_classes="lab-message", elem_id="lab-train-run-message")
            expected = gr.Markdown(NOT_YET, elem_classes="lab-note", elem_id="lab-train-expected")
            measure = gr.Button("How long on this machine?", size="sm", elem_id="lab-train-measure")
            with gr.Accordion("More", open=False):
                more = build_more_training()
        with gr.Column(scale=5, min_width=320):
            view = View(
                "training", elem_id="lab-training", figure=training_figure(), narrow=training_figure(across=1),
                plotly=served(PLOTLY), server_functions=[with_reason(function) for function in (
                    watch_run, bracket_run, take_network, pause_run_here, go_on_here, remove_run_here, keep_run_here,
                )],
            )  # fmt: skip
            draw = gr.Button("Draw from it", elem_id="lab-train-draw")  # pressed by that of the view
    read = [draft, drop["shown"], drop["message"], begin, classes, expected]
    drop["files"].upload(drop_files, drop["files"], read, **QUIET)
    drop["emoji"].click(take_emoji, None, read, **QUIET)
    drop["digits"].click(take_digits, None, read, **QUIET)
    begin.input(say_expectation, [draft, begin], expected, **QUIET)
    measure.click(measure_speed, [draft, begin, more[1]], expected, show_progress_on=expected,
                  show_progress="minimal", api_visibility="private", **AT_TIMING)  # fmt: skip
    start.click(press_begin, [draft, begin, mirror, classes, source, *more], [view, message], show_progress="minimal",
                show_progress_on=start, api_visibility="private")  # fmt: skip
    draw.click(press_draw_from, view, [page.networks["reverse"], page.networks["loss"], page.tabs, message], **QUIET)
    page.blocks.load(open_train_tab, view, [view, message], js=FROM_LINK, **AT_OPENING, **QUIET)
