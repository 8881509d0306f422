"""Below the plane: a small network learns its points while one watches.

What is shown of it is computed in learning.py; here are its controls, handlers and wiring.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, get_args

import gradio as gr
from typing_extensions import TypedDict

from diffusion.data.points import patterns
from diffusion.mixture import Mixture
from diffusion.process import Prediction
from diffusion.training.config import TrainError, Weighting
from ui.asked import AskedError, read_arguments
from ui.background import in_background
from ui.figures import history_figure, learning_figure
from ui.files import for_browser
from ui.job import Values, ended, others_wait, run_job
from ui.learning import LearnWish, Lesson, learn, learned_before, save_lesson
from ui.models import AT_TIMING, StopFlag, stop
from ui.plane import PlaneData, class_names, pattern_of, read_plane_data
from ui.view import PLOTLY, View, served

# One at a time: training takes a core for minutes, and what else the page does must not wait for it.
AT_LESSON: dict[str, Any] = {"concurrency_id": "lesson", "concurrency_limit": 1}
TURN_SECONDS = 60.0  # after which a lesson pauses where others wait for theirs
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
TARGETS = {"v": "v", "eps": "ε", "x0": "x₀"}
WEIGHTED = {"simple": "as it is", "min-snr": "min-SNR"}
OTHERS_WAIT = "Others were waiting for their turn, so it was paused; press Train to go on."
ABOUT = (
    "The network's error at every noise level, and the **floor** below it: the exact denoiser's, which none can beat "
    "on these points. **Memory**: how far it is from that denoiser, and so from knowing the points by heart. "
    "**Pattern**: how far from the distribution they were drawn from. With few points it learns the points, with many "
    "the pattern."
)


class AskedLesson(TypedDict):
    """A pattern whose network was taught beforehand."""

    pattern: str


def taught_before(asked: AskedLesson) -> dict[str, Any]:
    """What is shown of that network.

    Raises:
        AskedError: there is no such pattern.
    """
    if asked["pattern"] not in patterns():
        raise AskedError(f"There is no pattern {asked['pattern'][:40]!r}.")
    return learned_before(asked["pattern"])


def behind(data: PlaneData) -> Mixture | None:
    """The distribution that points were drawn from, where it is known."""
    known = patterns().get(pattern_of(data))
    return None if known is None else known.mixture()


def press_train(data: PlaneData | None, flag: StopFlag, lesson: Lesson, *controls: Any) -> Iterator[Values]:
    """Train's handler, ``controls`` in the order of ``LearnWish``. Yields (view, message, Train, Pause, One step)."""
    yield from _teach(data, flag, lesson, controls, None)


def press_once(data: PlaneData | None, flag: StopFlag, lesson: Lesson, *controls: Any) -> Iterator[Values]:
    """That of One step."""
    yield from _teach(data, flag, lesson, controls, 1)


def _teach(
    data: PlaneData | None, flag: StopFlag, lesson: Lesson, controls: tuple[Any, ...], updates: int | None
) -> Iterator[Values]:  # fmt: skip
    def work() -> Iterator[tuple[Values, bool]]:
        points, labels = read_plane_data(data)
        assert data is not None
        if len(points) < 2:
            raise AskedError("One point is nothing to learn from; two are the least.")
        lesson.wish = read_wish(controls)
        started, turned = time.monotonic(), False
        for view in in_background(learn(lesson, points, labels, behind(data), flag, updates)):
            over = view["state"] == "done"
            away = {"weights": for_browser(save_lesson(lesson, data["key"], class_names(data)))} if over else {}
            message = OTHERS_WAIT if over and turned else ""
            yield (view | away | {"key": data["key"]}, message), over
            if not flag.up and time.monotonic() - started > TURN_SECONDS and others_wait():
                flag.up = turned = True
        if lesson.run is None:  # it was reset meanwhile
            yield (None, ""), True

    def refuse(error: Exception, shown: Values | None) -> Values:
        return ended(shown, state="done"), str(error)

    for *values, start, halt in run_job(flag, work(), refuse):
        yield *values, start, halt, start  # One step can be pressed when Train can


def read_wish(controls: tuple[Any, ...]) -> LearnWish:
    """What the controls say.

    Raises:
        AskedError: what no network can be built of, or learn with.
    """
    wish = LearnWish(*read_arguments(LearnWish, controls))
    try:
        wish.network(0)
        wish.settings()
    except (TrainError, ValueError) as error:
        raise AskedError(str(error)) from error
    return wish


def change_wish(lesson: Lesson, *controls: Any) -> str:
    """A control was moved: what is learning goes on with it. Gives the message."""
    try:
        lesson.wish = read_wish(controls)
    except AskedError as error:
        return str(error)
    return ""


def press_reset(flag: StopFlag, lesson: Lesson) -> tuple[None, str]:
    """Forget all that was learnt: (view, message)."""
    flag.up = True
    lesson.run = lesson.points = None
    return None, ""


def build_lesson_wish() -> list[Any]:
    """The controls of what is to learn, in the order of ``LearnWish``."""
    usual = LearnWish()
    predicted = [(TARGETS[name], name) for name in get_args(Prediction)]
    weighted = [(WEIGHTED[name], name) for name in get_args(Weighting)]
    with gr.Row():
        width = gr.Slider(8, 256, usual.width, step=8, label="width", info="another one begins anew")
        depth = gr.Slider(1, 6, usual.depth, step=1, label="depth", info="blocks of two layers; begins anew")
        sinusoids = gr.Checkbox(usual.sinusoids, label="sinusoids", info="sees sines of x too; begins anew")
        prediction = gr.Dropdown(predicted, value=usual.prediction, label="predicts", info="begins anew")
    with gr.Row():
        weighting = gr.Dropdown(weighted, value=usual.weighting, label="error weighed", info="while it learns")
        lr = gr.Slider(1e-4, 1e-2, usual.lr, step=1e-4, label="learning rate", info="while it learns")
        batch = gr.Slider(16, 1024, usual.batch, step=16, label="batch", info="while it learns")
    return [width, depth, sinusoids, prediction, weighting, lr, batch]


def lesson_section(data: View, lesson: gr.State) -> None:
    """Build the section; ``data`` holds the points of the plane, ``lesson`` the ``Lesson``."""
    flag = gr.State(StopFlag())
    gr.Markdown("### Let a network learn it", elem_classes="lab-heading")
    with gr.Row():
        start = gr.Button("Train", elem_id="lab-train", min_width=95, scale=0)
        halt = gr.Button("Pause", interactive=False, elem_id="lab-train-stop", min_width=90, scale=0)
        once = gr.Button("One step", elem_id="lab-train-once", min_width=125, scale=0)
        anew = gr.Button("Reset", elem_id="lab-train-reset", min_width=90, scale=0)
    waiting = gr.Markdown("&nbsp;", elem_classes="lab-waiting", elem_id="lab-train-waiting")
    message = gr.Markdown(elem_classes="lab-message", elem_id="lab-train-message")
    view = View(
        "learning", elem_id="lab-learning", server_functions=[taught_before], figure=learning_figure(),
        wide=history_figure(), narrow=history_figure(across=1), taught=list(patterns()), plotly=served(PLOTLY),
    )  # fmt: skip
    gr.Markdown(ABOUT, elem_classes="lab-note")
    with gr.Accordion("The network, and how it learns", open=False):
        controls = build_lesson_wish()
    asked, outputs = [data, flag, lesson, *controls], [view, message, start, halt, once]
    for press, handler in ((start, press_train), (once, press_once)):
        press.click(
            handler, asked, outputs, show_progress="minimal", show_progress_on=waiting, api_visibility="private",
            **AT_LESSON,
        )  # fmt: skip
    halt.click(stop, flag, None, queue=False, **QUIET)
    anew.click(press_reset, [flag, lesson], [view, message], queue=False, **QUIET)
    moved = [control.change if isinstance(control, gr.Checkbox) else control.input for control in controls]
    gr.on(moved, change_wish, [lesson, *controls], message, trigger_mode="always_last", **AT_TIMING, **QUIET)
