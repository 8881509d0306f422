"""The loss tab: where along t the bound is paid, by a network and by exact denoisers, on bundled images or one's own.

A pass of the network gives raw errors (``losses.measure``). They stay in the page; what is drawn of them follows from
the page's schedule by ``weigh``, in which no network is asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from typing import Annotated, Any, Literal

import gradio as gr
import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from diffusion.images import ImageError, to_unit
from diffusion.losses.curve import ErrorCurve
from diffusion.losses.measure import measure_errors, measuring_levels
from diffusion.losses.rate import PUBLISHED, distortion, ledger, loss_csv, loss_terms, rate
from diffusion.losses.reference import measure_references
from diffusion.losses.weightings import WEIGHTINGS, kl_extra, loss_weight
from diffusion.networks.model import MODELS, Model
from diffusion.sampling.choices import SamplingError
from diffusion.schedules.schedule import EXPONENTS, Array, Schedule, Variance
from ui.figures import loss_figure, rate_figure
from ui.job import Values, ended, run_job
from ui.models import AT_NETWORK, DEFAULT, StopFlag, shared_model, stop
from ui.page import Page
from ui.seen import face, faces, look, look_at
from ui.sidebar import CHART_POINTS, Settings, plain, read_schedule
from ui.subjects import About, Subject, about_bundled, bundled_subject, measurable, own_subject
from ui.view import PLOTLY, View, served, tell

THEIRS, OWN = "bundled", "my picture"
YIELD_SECONDS = 0.2
MAX_SEED = 2**31 - 1
FLOOR, CEILING = 2e-6, 30.0  # of errors in the chart: a perfect memory has none, or any
MOST_LEVELS = 1000  # of a curve that comes from the browser
LEAST_TERM = 1e-8  # bits/dim, in the chart
SHOWN_SMALL = 24  # steps near t = 0 that are all drawn: weights change fast there


def _drawn_steps(T: int, log_snr: Array) -> Array:
    """The steps that are drawn: the first ones, and the rest even in t and in log-SNR, both ends among them."""
    even = np.round(np.linspace(1, T, CHART_POINTS // 2))
    levels = np.linspace(log_snr[1], log_snr[-1], CHART_POINTS // 2)
    by_snr = np.round(np.interp(-levels, -log_snr[1:], np.arange(1, T + 1)))
    small = np.arange(1, min(T, SHOWN_SMALL) + 1)
    return np.unique(np.concatenate((small, even, by_snr))).astype(int)


Levels = Annotated[list[Any], Field(max_length=MOST_LEVELS)]


class Curve(TypedDict):
    """``ErrorCurve.to_json``."""

    dimensions: int
    mean_square: float
    log_snr: Levels
    mean: Levels
    standard_error: Levels
    decoder: Levels


class AskedLoss(TypedDict):
    """What the browser holds of a pass, the network's curve and the references, and the schedule to put them on."""

    curve: Curve
    references: dict[Literal["known", "others"], Curve]
    settings: Settings


def read_curves(shown: Mapping[str, Any]) -> tuple[ErrorCurve, dict[str, ErrorCurve]]:
    """The network's curve and the references, of a value that the view shows.

    Raises:
        CurveError: curves that no pass gives.
    """
    references = shown["references"].items()
    return ErrorCurve.from_json(shown["curve"]), {name: ErrorCurve.from_json(curve) for name, curve in references}


def weigh(asked: AskedLoss) -> dict[str, Any]:
    """Put a schedule on measured errors, under every weight and variance there is; no network is asked.

    Gives {"columns": what curves are drawn from, "measured": the levels
    themselves, "ledger": by variance, "dimensions"}.
    """
    (curve, references), schedule = read_curves(asked), read_schedule(asked["settings"])
    steps = np.arange(schedule.T + 1, dtype=np.float64)
    error, spread = curve.on(schedule), curve.standard_error_on(schedule)
    columns = {
        "t": steps,
        "u": steps / schedule.T,
        "log_snr": schedule.log_snr,
        "error": error,
        "error_low": np.maximum(error - spread, FLOOR),
        "error_high": error + spread,
        "distortion": distortion(curve, schedule),
    }
    for name, reference in references.items():
        known = reference.on(schedule)
        columns[name] = np.where((known < FLOOR) | (known > CEILING), np.nan, known)
    for name in WEIGHTINGS:
        terms = loss_terms(curve, schedule, name)
        part = terms.weight * spread * (1 if WEIGHTINGS[name].variance is None else 1 / np.log(2))
        columns |= {
            f"weight_{name}": terms.weight, f"term_{name}": terms.term, f"share_{name}": terms.share,
            f"spread_{name}": part,
        }  # fmt: skip
    for variance in EXPONENTS:
        columns |= {
            f"rate_{variance}": rate(curve, schedule, variance),
            f"extra_{variance}": kl_extra(schedule, variance),
        }
        if "known" in references:
            least = loss_terms(references["known"], schedule, variance).term
            columns[f"known_{variance}"] = np.where(least < LEAST_TERM, np.nan, least)
    at = _drawn_steps(schedule.T, schedule.log_snr)
    # The measured levels lie between the steps of this schedule: each where its log-SNR falls.
    places = np.interp(-curve.log_snr, -schedule.log_snr[1:], steps[1:], left=np.nan, right=np.nan)
    return {
        "columns": {name: plain(column[at]) for name, column in columns.items()},
        "measured": {
            "t": plain(places),
            "u": plain(places / schedule.T),
            "log_snr": plain(curve.log_snr),
            "error": plain(curve.mean),
            "spread": plain(curve.standard_error),
        },
        "ledger": {variance: _plain_ledger(curve, schedule, variance) for variance in EXPONENTS},
        # What the exact denoiser pays to say which image it is, bits/dim.
        "naming": ledger(references["known"], schedule, "posterior").L_mid if "known" in references else None,
        "L_simple": _number(float(np.mean(error[1:]))),
        "weight_sum": {v: float(np.sum(loss_weight(schedule, v)[2:])) for v in EXPONENTS},
        "dimensions": curve.dimensions,
    }


def _plain_ledger(curve: ErrorCurve, schedule: Schedule, variance: Variance) -> dict[str, float | None]:
    found = ledger(curve, schedule, variance)
    return {name: _number(value) for name, value in (asdict(found) | {"total": found.total}).items()}


def _number(value: float) -> float | None:
    """What JSON can say."""
    return float(value) if np.isfinite(value) else None


def export_loss(asked: AskedLoss) -> dict[str, str]:
    """Everything that ``weigh`` gives, at every step, as CSV: {"name", "text"}."""
    (curve, references), schedule = read_curves(asked), read_schedule(asked["settings"])
    return {"name": f"loss-{schedule.family}-T{schedule.T}.csv", "text": loss_csv(curve, schedule, references)}


@cache
def measured_before(name: str = DEFAULT) -> dict[str, Any] | None:
    """The curves that were measured when the network was shipped, if they are there and of these very weights."""
    path, model = MODELS / f"{name}.loss.json", shared_model(name)
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["sha256"] != model.card.sha256:
        return None
    about, levels = about_bundled(model, content["count"], content["others"]), len(content["curve"]["mean"])
    return _value(
        ErrorCurve.from_json(content["curve"]),
        {key: ErrorCurve.from_json(curve) for key, curve in content["references"].items()},
        about, f"Measured before: {about.about} at {levels} noise levels.",
    )  # fmt: skip


def _value(
    curve: ErrorCurve, references: dict[str, ErrorCurve], about: About, status: str, part: float = 1.0
) -> dict[str, Any]:  # fmt: skip
    """What the view shows; ``part`` of the pass is done."""
    return {
        "curve": curve.to_json(),
        "references": {name: reference.to_json() for name, reference in references.items()},
        **asdict(about), "status": status, "part": part, "running": part < 1,
    }  # fmt: skip


def measure(
    network: str,
    source: str,
    path: str,
    count: float,
    noises: float,
    levels: float,
    seed: float | None,
    flag: StopFlag,
) -> Iterator[Values]:
    """Measure's handler: (view, message, Measure, Stop)."""

    def work() -> Iterator[tuple[Values, bool]]:
        if seed is None or not 0 <= seed <= MAX_SEED:
            raise SamplingError("seed", f"The seed must be a whole number from 0 to {MAX_SEED}.")
        model = shared_model(network)
        subject = own_subject(path, model) if source == OWN else bundled_subject(model, int(count))
        yield (gr.skip(), ""), False
        draws = int(noises) * (int(count) if source == OWN else 1)
        for value in measure_all(model, subject, draws, int(levels), int(seed), flag):
            yield (value, ""), not value["running"]

    yield from run_job(flag, work(), lambda error, shown: (ended(shown, running=False, part=1.0), str(error)))


def measure_all(
    model: Model, subject: Subject, draws: int, levels: int, seed: int, flag: StopFlag
) -> Iterator[dict[str, Any]]:
    """The network's curve level by level, then those of the exact denoisers on the same draws, for the view.

    Args:
        draws: of eps for each image.
    """
    alpha_bars = measuring_levels(model.card.training_schedule(), levels, seed)
    labels = subject.images.labels if subject.classes else None
    started, shown, curve = time.monotonic(), 0.0, None
    for curve in measure_errors(
        model.denoiser, to_unit(subject.images.images), alpha_bars, labels=labels, noises=draws, seed=seed,
        batch=32, device=model.device,
    ):  # fmt: skip
        now, done = time.monotonic(), len(curve.mean)
        if flag.up:
            break
        if now - shown > YIELD_SECONDS:
            shown = now
            left = (now - started) / done * (len(alpha_bars) - done)
            status = f"{done} of {len(alpha_bars)} noise levels, about {left:.0f} s left"
            yield _value(curve, {}, subject.about, status, 0.99 * done / len(alpha_bars))
    assert curve is not None  # there are at least two levels
    done, seconds = len(curve.mean), time.monotonic() - started
    asked = 1 / (1 + np.exp(-curve.log_snr))
    references: dict[str, ErrorCurve] = {}
    for name, reference in measure_references(
        subject.images, subject.others, asked, classes=subject.classes, noises=draws, seed=seed
    ):
        references[name] = reference
        if time.monotonic() - shown > YIELD_SECONDS:
            shown = time.monotonic()
            yield _value(curve, references, subject.about, "The exact denoisers on the same draws", 0.99)
    stopped = "Stopped: " if done < len(alpha_bars) else ""
    noise = f", {draws} draws of ε" + (" each" if len(subject.images) > 1 else "") if draws > 1 else ""
    status = f"{stopped}{subject.about.about}{noise}, at {done} noise levels, {seconds:.1f} s"
    yield _value(curve, references, subject.about, status)


def show_images(network: str, source: str, path: str) -> tuple[dict[str, Any], str]:
    """What the network is looked at with: (what it sees, message)."""
    if source == THEIRS:
        return {"network": network, "faces": faces(network)}, ""
    model = shared_model(network)
    try:
        subject = own_subject(path, model)
    except ImageError as error:
        return gr.skip(), str(error)
    image = subject.images.images[0]
    return {"network": network, "faces": [face(image, "your picture")], "own": look(model, image, None)}, ""


def show_measured(network: str) -> dict[str, Any]:
    """Another network's curve, as it was measured when it was shipped."""
    value = measured_before(network)
    return gr.skip() if value is None else value


def loss_tab(page: Page) -> None:
    """Build the tab."""
    shown = page.picture
    flag = gr.State(StopFlag())
    with gr.Row(elem_classes="lab-loss-row"):
        network = gr.Dropdown(
            measurable(), value=DEFAULT, label="network", min_width=190, scale=3, elem_id="lab-loss-network"
        )
        source = gr.Radio(
            [THEIRS, OWN], value=THEIRS, label="images", min_width=250, scale=3, elem_id="lab-loss-source"
        )
        with gr.Column(min_width=240, scale=3):
            with gr.Row():
                start = gr.Button("Measure", variant="primary", elem_id="lab-measure", min_width=90)
                halt = gr.Button("Stop", interactive=False, elem_id="lab-measure-stop", min_width=70)
            with gr.Accordion("How much", open=False, elem_id="lab-how-much"):
                count = gr.Slider(8, 128, 32, step=8, label="images, or draws of ε on your picture", buttons=[])
                noises = gr.Slider(1, 8, 1, step=1, label="draws of ε for each image", buttons=[])
                levels = gr.Slider(10, 100, 40, step=1, label="noise levels", buttons=[])
                seed = gr.Number(0, label="seed", precision=0)
            waiting = gr.Markdown("&nbsp;", elem_classes="lab-waiting", elem_id="lab-measure-waiting")
    message = gr.Markdown(elem_classes="lab-message", elem_id="lab-loss-message")
    seen = View(
        "seen",
        value={"network": DEFAULT, "faces": faces(DEFAULT)},
        elem_id="lab-seen",
        server_functions=[look_at],
    )
    view = View(
        "loss",
        value=measured_before(),
        elem_id="lab-loss",
        server_functions=[weigh, export_loss],
        figure=loss_figure(),
        rates=rate_figure(),
        weightings={
            name: {"title": w.title, "formula": w.formula, "source": w.source, "variance": w.variance}
            for name, w in WEIGHTINGS.items()
        },
        published=[asdict(figure) for figure in PUBLISHED],
        plotly=served(PLOTLY),
    )
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    start.click(
        measure,
        [network, source, shown, count, noises, levels, seed, flag],
        [view, message, start, halt],
        show_progress="minimal",
        show_progress_on=waiting,
        api_visibility="private",
        **AT_NETWORK,
    )
    halt.click(stop, flag, None, queue=False, **quiet)
    network.change(show_measured, network, view, **quiet)
    network.change(None, network, None, js=tell("store", "assign", "network"))
    gr.on(
        [network.change, source.change, shown.change],
        show_images,
        [network, source, shown],
        [seen, message],
        trigger_mode="always_last",
        **quiet,
    )
