"""What if: the questions below a run, each with its controls and rows of samples that answer it.

What a question plans is in the library (sampling/whatif.py), how its rows are drawn in whatif.py; here are the controls
and how they are read.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import gradio as gr
import torch
from gradio.events import Dependency
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from diffusion.images import ImageError, picture_for, read_picture, to_bytes, to_unit
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.recipe import Recipe
from diffusion.sampling.updates import SAMPLERS
from diffusion.sampling.whatif import ACROSS, Row, comparison, denoised_back, filled_in, interpolation
from diffusion.schedules.families import T_MAX
from ui.job import Values, ended, run_job
from ui.models import (
    AT_NETWORK,
    AT_OPENING,
    DEFAULT,
    OWN,
    Source,
    StopFlag,
    bundled_picture,
    find_source,
    relatives,
    stop,
)
from ui.opening import opening_of
from ui.page import Page
from ui.picture import SIDE, PictureBox, png_for_box
from ui.sampling import Controls, control_names, controls_of, options_of, read_recipe, read_seed
from ui.sidebar import Settings
from ui.view import View
from ui.whatif import beside, branches, chosen_labels, read_numbers, run_rows, with_picture

FIVE, FRAME = "five moments", "the frame shown"
BUNDLED, FORWARD, UPLOAD = "a bundled one", "that of the Forward tab", "your own"
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# ``js=`` of a listener whose first input is replaced by what the view of the run shows.
SHOWN_FRAME = """(view, ...rest) => {
  const { t, only } = document.querySelector('.lab-reverse').dataset;
  return [{ t: Number(t), sample: Number(only || 0) }, ...rest];
}"""


@dataclass(frozen=True, eq=False)
class LastRun:
    """The run that is shown: what it was drawn from, by name, and all that decided it."""

    network: str
    own: tuple[str, ...]
    recipe: Recipe


Plan = tuple[Source, list[Row]]


def answer_with_rows(flag: StopFlag, plan: Callable[[], Plan]) -> Iterator[Values]:
    """Any of the questions, answered: (view, message, its button, Stop). ``plan`` says what is to be sampled."""

    def work() -> Iterator[tuple[Values, bool]]:
        yield (gr.skip(), ""), False
        source, rows = plan()
        for value in run_rows(source, rows, flag):
            yield (value, ""), value["state"] == "done"

    yield from run_job(flag, work(), lambda error, shown: (ended(shown, state="done", status=""), str(error)))


def read_all(settings: Settings, values: Sequence[Any]) -> tuple[Source, Controls, Recipe]:
    """What the controls above say, for a row of samples; ``values`` in the order of ``control_names``.

    Raises:
        SamplingError, ImageError: as ``read_recipe`` and ``find_source``.
    """
    controls = replace(controls_of(values), count=ACROSS)
    source = find_source(controls.network, controls.own or ())
    return source, controls, read_recipe(source, settings, controls)


class Shown(TypedDict):
    """The t of the frame that is shown of a run, and which sample is the enlarged one."""

    t: Annotated[int, Field(ge=0, le=T_MAX)]
    sample: Annotated[int, Field(ge=0, le=10_000)]


class Painted(TypedDict, total=False):
    """The view that is painted on: a digit a pixel in "mask", 1 where it is painted."""

    mask: Annotated[str, Field(max_length=10**6)]


def ask_branches(shown: Shown, flag: StopFlag, last: LastRun | None, moments: str) -> Iterator[Values]:
    def plan() -> Plan:
        run = run_to_ask_of(last)
        source = find_source(run.network, run.own)
        t = shown["t"] if moments == FRAME else None
        return source, branches(source, run.recipe, shown["sample"], t, flag)

    yield from answer_with_rows(flag, plan)


def ask_comparison(
    settings: Settings, flag: StopFlag, samplers: list[str], counts: str, networks: list[str], *values: Any
) -> Iterator[Values]:
    """``networks``: relatives of that which is chosen, by name."""

    def plan() -> Plan:
        source, controls, recipe = read_all(settings, values)
        others = beside(source, settings, controls, networks)
        if others and not samplers:
            return source, others
        options = {name: options_of(controls, name) for name in samplers}
        return source, [*comparison(recipe, options, read_numbers(counts, "steps")), *others]

    yield from answer_with_rows(flag, plan)


def ask_interpolation(settings: Settings, flag: StopFlag, first: str, second: str, *values: Any) -> Iterator[Values]:
    def plan() -> Plan:
        source, controls, recipe = read_all(settings, values)
        seeds = read_seed(first), read_seed(second)
        return source, interpolation(recipe, source.image_shape, seeds, chosen_labels(source, controls.label))

    yield from answer_with_rows(flag, plan)


def ask_denoised(
    settings: Settings, flag: StopFlag, which: str, upload: str | None, shown: str, shares: str, *values: Any
) -> Iterator[Values]:
    """``which``, ``upload`` and ``shown``: see ``choose_picture``."""

    def plan() -> Plan:
        source, controls, recipe = read_all(settings, values)
        picture = choose_picture(which, upload, shown, source)
        return source, denoised_back(
            with_picture(source, recipe, controls.label), picture, read_numbers(shares, "shares")
        )

    yield from answer_with_rows(flag, plan)


def ask_filled(
    settings: Settings, flag: StopFlag, which: str, upload: str | None, shown: str, painted: Painted | None,
    rounds: float, *values: Any,
) -> Iterator[Values]:  # fmt: skip
    def plan() -> Plan:
        source, controls, recipe = read_all(settings, values)
        picture = choose_picture(which, upload, shown, source)
        digits = (painted or {}).get("mask", "")
        if len(digits) != picture[0].numel():
            raise SamplingError("mask", "Paint over what is to be made up first.")
        mask = torch.tensor([digit == "0" for digit in digits]).reshape(picture.shape[1:]).float()
        return source, filled_in(with_picture(source, recipe, controls.label), picture, mask, int(rounds))

    yield from answer_with_rows(flag, plan)


def choose_picture(which: str, upload: str | None, shown: str, source: Source) -> Tensor:
    """The picture to begin with, (C, H, W) in [-1, 1], as the source's images are.

    Args:
        which: BUNDLED, one of the source's own kind; FORWARD, ``shown``; or UPLOAD.

    Raises:
        ImageError: none, or one that cannot be used.
    """
    if which == UPLOAD and upload is None:
        raise ImageError("Choose a picture of your own first.")
    if which != BUNDLED:
        return picture_for(upload if which == UPLOAD and upload else shown, source.image_shape)
    if source.name == OWN and source.examples is not None:
        return to_unit(source.examples[0])
    return bundled_picture(source.kind)


def show_for_painting(
    which: str, upload: str | None, shown: str, network: str, own: list[str] | None
) -> tuple[Any, dict[str, Any]]:
    """The picture as the network would see it: (what is painted on, the box for uploads)."""
    box = gr.update(visible=which == UPLOAD)
    try:
        if which == UPLOAD and upload is not None:
            instead = png_for_box(upload, read_picture(upload, SIDE))
            if instead is not None:
                return gr.skip(), box | {"value": instead[1]}  # with which this is called again
        picture = choose_picture(which, upload, shown, find_source(network, own or ()))
    except ImageError:
        return gr.skip(), box
    images = to_bytes(picture[None])
    key = hashlib.sha256(images.tobytes()).hexdigest()
    return {"shape": images.shape, "data": base64.b64encode(images.tobytes()).decode(), "key": key}, box


@dataclass(frozen=True)
class Question:
    """What every question has on the page; at ``waiting`` Gradio says which place in the queue it has."""

    flag: gr.State
    message: gr.Markdown
    waiting: gr.Markdown
    start: gr.Button
    halt: gr.Button
    view: View
    tab: gr.Tab

    def wire(self, ask: Callable[..., Iterator[Values]], inputs: list[Any], **event: Any) -> None:
        """``ask`` is called with ``inputs`` when the button is pressed."""
        self.start.click(
            ask, inputs, [self.view, self.message, self.start, self.halt], show_progress="minimal",
            show_progress_on=self.waiting, api_visibility="private", **AT_NETWORK, **event,
        )  # fmt: skip
        self.halt.click(stop, self.flag, None, queue=False, **QUIET)


def question(
    title: str, name: str, words: str, button: str, extra: Callable[[], list[Any]]
) -> tuple[Question, list[Any]]:
    """A tab, and what ``extra`` built in it, above the button."""
    with gr.Tab(title, id=name) as tab, gr.Row():
        flag = gr.State(StopFlag())
        with gr.Column(scale=1, min_width=250):
            gr.Markdown(words, elem_classes="lab-note")
            built = extra()
            message = gr.Markdown(elem_classes="lab-message", elem_id=f"lab-{name}-message")
            with gr.Row():
                start = gr.Button(button, elem_id=f"lab-{name}", min_width=90)
                halt = gr.Button("Stop", interactive=False, elem_id=f"lab-{name}-stop", min_width=70)
            waiting = gr.Markdown("&nbsp;", elem_classes="lab-waiting")
        with gr.Column(scale=3, min_width=320):
            view = View("whatif", elem_id=f"lab-{name}-view", hint=f"Press {button} to see.")
    return Question(flag, message, waiting, start, halt, view, tab), built


def opening_answer() -> dict[str, Any] | None:
    """The branches of the run that the page opens with; the view shows them only where there is no answer yet."""
    opening = opening_of(DEFAULT)
    return None if opening is None else opening.branches


def run_to_ask_of(last: LastRun | None) -> LastRun:
    """The run that is shown.

    Raises:
        SamplingError: there is none yet.
    """
    if last is None:
        raise SamplingError("run", "Wait until the first run is there.")
    return last


@dataclass(frozen=True)
class Asking:
    """What the questions are asked with.

    Args:
        page: its sidebar says the schedule, and its picture may be begun with.
        last: a ``LastRun``, the run that is shown.
        control: the components of the controls above by name, all of ``control_names``.
    """

    page: Page
    last: gr.State
    control: Mapping[str, Any]

    @property
    def values(self) -> list[Any]:
        """The controls above, in the order of ``control_names``."""
        return [self.control[name] for name in control_names()]


def branch_tab(asking: Asking, opened: Dependency) -> None:
    """``opened``: after which there is the run that the page opens with."""
    branch, own = question(
        "Branch",
        "branch",
        "**… the noise changed midway?** One sample of the run above, the enlarged one or the first, goes on from "
        "t with other noise. What the samples of a row share was decided before t.",
        "Branch",
        lambda: [gr.Radio([FIVE, FRAME], value=FIVE, label="from")],
    )
    opened.then(opening_answer, None, branch.view, **AT_OPENING, **QUIET)
    branch.wire(ask_branches, [branch.view, branch.flag, asking.last, *own], js=SHOWN_FRAME)


def offer_relatives(network: str) -> dict[str, Any]:
    """The networks beside which one can be compared, all of them chosen; nothing where there are none."""
    found = relatives(network)
    return gr.update(choices=found, value=[name for _, name in found], visible=bool(found))


def compare_tab(asking: Asking) -> None:
    found = relatives(DEFAULT)
    compare, own = question(
        "Compare",
        "compare",
        "**… another sampler had the same noise?** Look for the row from which more steps change nothing, and at "
        "what a row costs: calls of the network, and seconds.",
        "Compare",
        lambda: [
            gr.CheckboxGroup(
                [(about.title, name) for name, about in SAMPLERS.items()], value=["ddim", "dpmpp"], label="samplers"
            ),
            gr.Textbox("5, 10, 20", label="steps", max_lines=1, elem_id="lab-compare-steps"),
            gr.CheckboxGroup(
                found, value=[name for _, name in found], label="and from the same noise", visible=bool(found),
                elem_id="lab-compare-networks",
            ),
        ],
    )  # fmt: skip
    asking.control["network"].change(offer_relatives, asking.control["network"], own[-1], **QUIET)
    compare.wire(ask_comparison, [asking.page.sidebar, compare.flag, *own, *asking.values])


def interpolate_tab(asking: Asking) -> None:
    between, own = question(
        "Interpolate",
        "interpolate",
        "**… the noise lay between two?** From that of one seed to that of another, along the arc between them: "
        "all on the way is noise too, and every image a whole one.",
        "Interpolate",
        lambda: [
            gr.Textbox("0", label="from seed", max_lines=1),
            gr.Textbox("1", label="to seed", max_lines=1),
        ],
    )
    between.wire(ask_interpolation, [asking.page.sidebar, between.flag, *own, *asking.values])


def denoise_tab(asking: Asking) -> list[Any]:
    """Gives what says which picture is begun with: (which, upload, that of the Forward tab)."""
    back, own = question(
        "From a picture",
        "denoise",
        "**… it began with a picture?** Noised to t and taken back: the further, the less of it is kept, and the "
        "more is made up.",
        "Denoise",
        lambda: [
            gr.Radio([BUNDLED, FORWARD, UPLOAD], value=BUNDLED, label="picture", elem_id="lab-denoise-which"),
            PictureBox(
                label="your picture", sources=["upload", "clipboard"], type="filepath", format="png", height=150,
                elem_id="lab-denoise-picture", visible=False,
            ),
            gr.Textbox("20, 40, 60, 80", label="t in % of T", max_lines=1),
        ],
    )  # fmt: skip
    which, upload, shares = own
    picture = [which, upload, asking.page.picture]
    back.wire(ask_denoised, [asking.page.sidebar, back.flag, *picture, shares, *asking.values])
    return picture


def fill_tab(asking: Asking, picture: Sequence[Any]) -> None:
    """``picture``: what ``denoise_tab`` gives."""
    fill, own = question(
        "Fill in",
        "fill",
        "**… part of it were given?** What you paint over is made up, in the picture chosen under “From a "
        "picture”. Straight down, the two parts hardly know of one another; with rounds back up they come to "
        "terms.",
        "Fill in",
        lambda: [
            View("mask", elem_id="lab-mask"),
            gr.Slider(2, 10, 4, step=1, label="rounds", info="as many times the calls"),
        ],
    )
    mask, rounds = own
    fill.wire(ask_filled, [asking.page.sidebar, fill.flag, *picture, mask, rounds, *asking.values])
    which, upload, _ = picture
    network, images = asking.control["network"], asking.control["own"]
    for event in (fill.tab.select, which.change, upload.change, network.change):
        event(show_for_painting, [*picture, network, images], [mask, upload], **QUIET)


def whatif_tabs(opened: Dependency, asking: Asking) -> None:
    """Build a tab for each question.

    Args:
        opened: after which there is the run that the page opens with.
    """
    gr.Markdown("### What if …", elem_classes="lab-heading")
    with gr.Tabs(elem_id="lab-whatif"):
        branch_tab(asking, opened)
        compare_tab(asking)
        interpolate_tab(asking)
        picture = denoise_tab(asking)
        fill_tab(asking, picture)
