"""How many steps are enough on the plane? Every sampler in few steps and in many, by the exact denoiser and by what a
network has learnt, measured when it is asked for; drawn as on the Reverse tab (enough.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
import torch
from gradio.events import Dependency
from torch import Tensor

from diffusion.evaluation.on_points import DrawnDistance, chance_distance, drawn_distances
from diffusion.evaluation.quality import MOST_CALLS, calls_by_steps, ways_to_measure
from diffusion.plane import table_csv
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.updates import SAMPLERS
from diffusion.schedules.schedule import Schedule
from ui.asked import AskedError
from ui.background import in_background
from ui.cost import duration
from ui.figures import quality_figure
from ui.job import Values, ended, run_job
from ui.learning import Lesson
from ui.lesson import behind
from ui.models import AT_NETWORK, StopFlag, stop
from ui.page import Page
from ui.plane import (
    DENOISERS,
    Found,
    PlaneData,
    PlaneWish,
    find_denoiser,
    plan_on_plane,
    read_plane_data,
)
from ui.sampling import control_names, read_controls
from ui.sidebar import Settings, read_schedule, schedule_name
from ui.view import PLOTLY, View, call_module, served

SHOWN_CALLS = (1, 2, 4, 8, 16, 32, 50)
SAMPLES, FRESH = 500, 2000  # drawn in each way, and points that they are held against
DRAW_SECONDS = 0.5  # from one picture of the lines to the next: each takes the browser a while
FRESH_SEED = 2**52 + 1  # no points of the page come from it
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
PANELS = {"exact": "distance, by the exact denoiser", "learned": "distance, by what a network has learnt"}
FLOOR = "as many fresh points"
WHAT = f"Sliced Wasserstein distance of {SAMPLES:,} samples, of the same seeds in each way, in the units of the points."


@dataclass(frozen=True)
class Against:
    """What samples are held against.

    Args:
        points: (M, 2, 1, 1).
        floor, spread: how far as many fresh points are by chance, mean and standard deviation.
        about: which points these are, in a sentence.
    """

    points: Tensor
    floor: float
    spread: float
    about: str


def held_against(data: PlaneData, points: Tensor) -> Against:
    """Fresh points of the distribution behind a pattern; where there is none, the points themselves."""
    generator = torch.Generator().manual_seed(FRESH_SEED)
    mixture = behind(data)

    def draw(count: int) -> Tensor:
        if mixture is not None:
            return mixture.draw(count, generator)[0]
        return points[torch.randint(len(points), (count,), generator=generator)]

    reference = points if mixture is None else draw(FRESH)
    about = (
        f"These points come from no known distribution, so samples are held against the {len(points):,} points "
        f"themselves, and the grey line is that of {SAMPLES:,} of them drawn at random, each as often as chance has it."
        if mixture is None
        else f"Samples are held against {FRESH:,} fresh points of the distribution behind this pattern, which no "
        f"denoiser has seen, and the grey line is that of {SAMPLES:,} other fresh ones."
    )
    return Against(reference, *chance_distance(draw, reference, SAMPLES), about)


def plans_by_steps(schedule: Schedule, labels: Tensor | None, wish: PlaneWish) -> list[SamplingPlan]:
    """Every sampler in few steps and in many, sampler after sampler, each with its options as they are chosen; of no
    class, as the points that samples are held against are of all.

    Raises:
        SamplingError: what cannot be.
    """
    usual = replace(wish, steps=1, count=SAMPLES, told="nothing", guidance=1.0)
    plan_on_plane(labels, schedule, usual)
    ways = ways_to_measure(schedule, SHOWN_CALLS, wish.spacing)
    return [
        plan_on_plane(labels, schedule, replace(usual, sampler=sampler, steps=steps))
        for sampler in SAMPLERS for way, steps, _ in ways if way == sampler
    ]  # fmt: skip


@dataclass
class MeasuredSteps:
    """What was measured so far.

    Args:
        key: of the points.
        calls: of each sampler in 1, 2, ... steps.
        found: by the name of the denoiser.
    """

    key: str
    against: Against
    calls: Mapping[str, list[int]]
    found: dict[str, list[DrawnDistance]] = field(default_factory=dict)

    def columns(self) -> dict[str, list[float]]:
        """What ``quality_figure`` draws."""
        floor, spread = self.against.floor, self.against.spread
        columns: dict[str, list[float]] = {"calls_real": [1, MOST_CALLS]}
        for name in DENOISERS:
            columns |= {
                f"{name}_real": [floor] * 2,
                f"{name}_low": [max(floor - spread, floor / 2)] * 2,  # an axis of logarithms has no 0
                f"{name}_high": [floor + spread] * 2,
            }
        for sampler in SAMPLERS:
            of_it = {
                name: [point for point in points if point.sampler == sampler] for name, points in self.found.items()
            }
            columns[f"calls_{sampler}"] = [point.calls for point in max(of_it.values(), key=len, default=[])]
            for name in DENOISERS:
                columns[f"{name}_{sampler}"] = [point.distance for point in of_it.get(name, [])]
        return columns

    def csv(self) -> str:
        """A row for each way of drawing."""
        floor = [f"{self.against.floor:.6g}", f"{self.against.spread:.6g}"]
        rows = (
            [name, point.sampler, str(point.steps), str(point.calls), f"{point.distance:.6g}", *floor]
            for name, points in self.found.items()
            for point in points
        )
        return table_csv(["denoiser", "sampler", "steps", "calls", "wasserstein", "floor", "spread"], rows).decode()


def measure_steps(
    data: PlaneData | None, settings: Settings, wish: PlaneWish, lesson: Lesson, flag: StopFlag
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Values for the view, line by line, and whether they are the last.

    Raises:
        AskedError, SamplingError: nothing can be drawn, before anything is.
    """
    points, labels = read_plane_data(data)
    assert data is not None
    if len(points) < 2:
        raise AskedError("One point has no distance to be measured by; two are the least.")
    schedule = read_schedule(settings)
    plans = plans_by_steps(schedule, labels, wish)
    found, missing = denoisers_here(data, points, labels, lesson)
    calls = {name: calls_by_steps(name, schedule, wish.spacing) for name in SAMPLERS}
    measured = MeasuredSteps(data["key"], held_against(data, points), calls)
    whole, done = len(found) * sum(plan.calls(schedule) for plan in plans), 0
    started, told = time.monotonic(), 0.0
    for by in found:
        here = measured.found.setdefault(by.name, [])
        for point in in_background(drawn_distances(by.denoiser, schedule, plans, measured.against.points)):
            here.append(point)
            done += point.calls
            if flag.up:
                break
            now = time.monotonic()
            if done < whole and now - told > DRAW_SECONDS:
                told = now
                left = duration((now - started) / done * (whole - done))
                status = f"{SAMPLERS[point.sampler].title}, {by.name}: {done} of {whole} calls, {left} left."
                yield shown_steps(measured, status, done / whole), False
        if flag.up:
            break
    stopped = "Stopped: " if done < whole else ""
    status = f"{stopped}{done} calls, {SAMPLES:,} samples in each way, in {duration(time.monotonic() - started)}."
    about = [by.about for by in found if by.about]
    note = " ".join([f"Under {schedule_name(settings)}, with the options and spacing chosen above.", *about, *missing])
    yield shown_steps(measured, status, 1.0, note), True


def denoisers_here(
    data: PlaneData, points: Tensor, labels: Tensor | None, lesson: Lesson
) -> tuple[list[Found], list[str]]:
    """Those that there are of these points, and why others are not there."""
    found, missing = [], []
    for name in DENOISERS:
        try:
            found.append(find_denoiser(name, data, points, labels, lesson))
        except AskedError as error:
            missing.append(str(error))
    return found, missing


def shown_steps(measured: MeasuredSteps, status: str, part: float, note: str = "") -> dict[str, Any]:
    """What the view shows; ``part`` of it is done."""
    against = measured.against
    return {
        "state": "live" if part < 1 else "done", "part": part, "status": status, "key": measured.key,
        "columns": measured.columns(), "calls": measured.calls, "floor": [against.floor, against.spread],
        "note": " ".join(filter(None, (WHAT, against.about, note))), "csv": measured.csv(),
    }  # fmt: skip


def press_measure_steps(
    settings: Settings, data: PlaneData | None, flag: StopFlag, lesson: Lesson, *controls: Any
) -> Iterator[Values]:  # fmt: skip
    """Measure's handler, ``controls`` in the order of ``control_names`` of ``PlaneWish``.

    Yields (view, message, Measure, Stop).
    """

    def work() -> Iterator[tuple[Values, bool]]:
        wish = read_controls(PlaneWish, controls)
        for value, last in measure_steps(data, settings, wish, lesson, flag):
            yield (value, ""), last

    def refuse(error: Exception, shown: Values | None) -> Values:
        return ended(shown, state="done", part=1.0), str(error)

    yield from run_job(flag, work(), refuse)


def steps_section(
    page: Page, data: View, lesson: gr.State, control: Mapping[str, Any], opened: Dependency
) -> None:  # fmt: skip
    """Build the section; what is measured follows the button, and the mark what is chosen.

    Args:
        data, lesson: the points, and what a network has learnt of them.
        control: those of a run, by name.
        opened: the event after which a link has chosen.
    """
    flag = gr.State(StopFlag())
    titles, usual = {name: sampler.title for name, sampler in SAMPLERS.items()}, PlaneWish()
    gr.Markdown("### How many steps are enough?", elem_classes="lab-heading")
    with gr.Row(elem_id="lab-plane-enough-row"):
        start = gr.Button("Measure", elem_id="lab-plane-measure", min_width=110, scale=0)
        halt = gr.Button("Stop", interactive=False, elem_id="lab-plane-measure-stop", min_width=80, scale=0)
        waiting = gr.Markdown("&nbsp;", elem_classes="lab-waiting", elem_id="lab-plane-measure-waiting")
    message = gr.Markdown(elem_classes="lab-message", elem_id="lab-plane-measure-message")
    wide, narrow = (
        quality_figure(titles, PANELS, real=FLOOR, logarithmic=PANELS, alike=True, across=across) for across in (2, 1)
    )
    view = View(
        "planeenough", elem_id="lab-plane-enough", samplers=titles, wide=wide, narrow=narrow, plotly=served(PLOTLY),
        usual={"sampler": usual.sampler, "steps": usual.steps, "denoiser": usual.denoiser},
    )  # fmt: skip
    start.click(
        press_measure_steps,
        [page.sidebar, data, flag, lesson, *(control[name] for name in control_names(PlaneWish))],
        [view, message, start, halt], show_progress="minimal", show_progress_on=waiting, api_visibility="private",
        **AT_NETWORK,
    )  # fmt: skip
    halt.click(stop, flag, None, queue=False, **QUIET)
    names = ("sampler", "steps", "denoiser")
    chosen, told = [control[name] for name in names], call_module("planeenough", "follow", *names)
    gr.on([component.change for component in chosen], None, chosen, None, js=told)
    opened.then(None, chosen, None, js=told)
