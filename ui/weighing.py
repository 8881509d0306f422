"""Measured errors on the page: what was measured before, and what a schedule makes of any of it.

A pass of a network gives raw errors (``losses.measure``). They stay in the page; what is drawn of them follows from the
page's schedule by ``weigh``, in which no network is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from diffusion.losses.curve import ErrorCurve
from diffusion.losses.rate import distortion, ledger, loss_csv, loss_terms, rate
from diffusion.losses.weightings import WEIGHTINGS, kl_extra, loss_weight
from diffusion.networks.model import MODELS
from diffusion.schedules.schedule import EXPONENTS, Array, Schedule, Variance
from ui.models import DEFAULT, shared_model
from ui.sidebar import CHART_POINTS, Settings, numbers_for_json, read_schedule
from ui.subjects import SubjectFacts, bundled_facts

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
        "columns": {name: numbers_for_json(column[at]) for name, column in columns.items()},
        "measured": {
            "t": numbers_for_json(places),
            "u": numbers_for_json(places / schedule.T),
            "log_snr": numbers_for_json(curve.log_snr),
            "error": numbers_for_json(curve.mean),
            "spread": numbers_for_json(curve.standard_error),
        },
        "ledger": {variance: plain_ledger(curve, schedule, variance) for variance in EXPONENTS},
        # What the exact denoiser pays to say which image it is, bits/dim.
        "naming": ledger(references["known"], schedule, "posterior").L_mid if "known" in references else None,
        "L_simple": _number(float(np.mean(error[1:]))),
        "weight_sum": {v: float(np.sum(loss_weight(schedule, v)[2:])) for v in EXPONENTS},
        "dimensions": curve.dimensions,
    }


def plain_ledger(
    curve: ErrorCurve, schedule: Schedule, variance: Variance, continuous: bool = False
) -> dict[str, float | None]:  # fmt: skip
    """The parts of ``ledger`` and their total, as JSON can say them."""
    found = ledger(curve, schedule, variance, continuous=continuous)
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
    facts, levels = bundled_facts(model, content["count"], content["others"]), len(content["curve"]["mean"])
    return shown_value(
        ErrorCurve.from_json(content["curve"]),
        {key: ErrorCurve.from_json(curve) for key, curve in content["references"].items()},
        facts, f"Measured before: {facts.about} at {levels} noise levels.",
    )  # fmt: skip


def shown_value(
    curve: ErrorCurve, references: dict[str, ErrorCurve], facts: SubjectFacts, status: str, part: float = 1.0
) -> dict[str, Any]:  # fmt: skip
    """What the view shows; ``part`` of the pass is done."""
    return {
        "curve": curve.to_json(),
        "references": {name: reference.to_json() for name, reference in references.items()},
        **asdict(facts), "status": status, "part": part, "running": part < 1,
    }  # fmt: skip
