"""The schedule that all tabs share: its settings, what the browser gets of it, and how it goes out and comes in."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import asdict
from functools import cache
from typing import Annotated, Any, Literal, Required

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from diffusion.losses.weightings import loss_weight, schedule_csv
from diffusion.process import posterior_mean
from diffusion.schedules.exchange import read_betas, to_diffusers
from diffusion.schedules.families import FAMILIES, PER_STEP, T_MAX, beta_for_terminal_snr
from diffusion.schedules.given import POINT_LOG_SNR, POINTS_MAX
from diffusion.schedules.review import Trained, review, summarize
from diffusion.schedules.schedule import Array, Schedule, ScheduleError
from diffusion.schedules.spec import DRAWN, GIVEN, ScheduleSpec, read_number
from ui.figures import Columns
from ui.models import card_of, networks
from ui.view import View

CHART_POINTS = 250  # more cannot be told apart on a screen, and cost time on every move
# Where along t/T a curve gets its points when it is taken up to be drawn: close together where it falls fast.
POINTS_AT = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0)

CSV_BYTES = 2**21  # of an upload; the page sends no more of a file. 4,000 rows of our own table take a fifth
MOST_PINS = 6  # schedules that are kept to compare with: no more can be told apart

Name = Annotated[str, Field(max_length=100)]


class Settings(TypedDict, total=False):
    """What makes a schedule, as the page and its links hold it.

    family: a name in FAMILIES with its "params", or "drawn" with "points" [[t/T, log SNR], ...], or "given" with
        "betas", beta_1 ... as float64 in base64.
    T, keep_shape_of, params: as a person has typed them, so not always numbers; ``read_schedule`` says what is wrong.
    keep_shape_of: the number of steps that betas are meant for, or None.
    """

    family: Required[Name]
    T: Required[Any]
    params: Required[Annotated[dict[Name, Any], Field(max_length=16)]]
    keep_shape_of: Any
    zero_terminal_snr: bool
    points: Annotated[list[Any], Field(max_length=4 * POINTS_MAX)] | None
    betas: Annotated[str, Field(max_length=12 * T_MAX)] | None


class AskedSchedule(TypedDict):
    """A schedule, and the network that is to run under it."""

    settings: Settings
    network: Name


class AskedAim(TypedDict):
    """A schedule, and the SNR that it is to leave at T, as it was typed."""

    settings: Settings
    snr_db: Any


class AskedFile(TypedDict):
    """A schedule, and the kind of file that it is to be."""

    settings: Settings
    form: Literal["csv", "json", "diffusers"]


def default_settings() -> Settings:
    """The linear schedule of Ho et al. 2020."""
    parameters = FAMILIES["linear"].parameters
    return {
        "family": "linear",
        "T": 1000,
        "params": {name: p.default for name, p in parameters.items()},
        "keep_shape_of": None,
        "zero_terminal_snr": False,
    }


def read_schedule(settings: Settings) -> Schedule:
    """The schedule of the page's settings.

    Raises:
        ScheduleError: as ``make_schedule``, and for what a person typed, or a link holds, that is not of its kind.
    """
    return ScheduleSpec.from_json(settings).make()


def schedule_name(settings: Settings) -> str:
    """A schedule's name in a few words, for legends and tables."""
    family, T = settings["family"], settings["T"]
    if family in FAMILIES:
        known = FAMILIES[family].parameters
        changed = [
            f"{known[name].symbol.replace('_', '')} {value:.3g}"
            for name, value in settings["params"].items()
            if value != known[name].default
        ]
        words = [FAMILIES[family].title.split(" (")[0], *changed]
        if family in PER_STEP and settings.get("keep_shape_of") not in (None, T):
            words.append(f"shape of T {settings['keep_shape_of']}")
    else:
        words = ["drawn" if family == DRAWN else "from CSV"]
    if T != default_settings()["T"]:
        words.append(f"T {T}")
    if settings.get("zero_terminal_snr"):
        words.append("zero SNR")
    return ", ".join(words)


@cache
def trained_for(network: str) -> Trained | None:
    """None for what is no network: an exact denoiser has seen every level."""
    if network not in networks():
        return None
    card = card_of(network)
    return Trained(card.title, card.training_schedule())


def bend_schedule(asked: AskedSchedule) -> dict[str, Any]:
    """What the browser needs to draw a schedule, or {"error": {"field", "message"}}.

    ``asked``: {"settings", "network": the name of the one that is to run under it}. ``columns``: float64 by
    t = 0 ... T, base64; ``chart``: about 250 points of every curve.
    """
    settings = asked["settings"]
    try:
        schedule = read_schedule(settings)
    except ScheduleError as error:
        return _refusal(error)
    a, b = schedule.alpha_bar[1:], schedule.alpha_bar[:-1]
    zero = np.zeros(1)
    columns = {
        "beta": schedule.beta,
        "alpha_bar": schedule.alpha_bar,
        "signal": schedule.signal,
        "noise": schedule.noise,
        "snr_db": schedule.snr_db,
        "posterior_variance": schedule.posterior_variance,
        # The coefficients of x_t and x_0 in the posterior mean are what it makes of (0, 1) and (1, 0).
        "posterior_xt": np.concatenate((zero, posterior_mean(np.zeros_like(a), np.ones_like(a), a, b))),
        "posterior_x0": np.concatenate((zero, posterior_mean(np.ones_like(a), np.zeros_like(a), a, b))),
    }
    t = np.arange(schedule.T + 1, dtype=np.float64)
    return {
        "settings": settings,
        "name": schedule_name(settings),
        "T": schedule.T,
        "columns": {name: base64.b64encode(column.tobytes()).decode() for name, column in columns.items()},
        "chart": chart_columns(
            {
                "t": t,
                "u": t / schedule.T,
                "beta": schedule.beta,
                "alpha_bar": schedule.alpha_bar,
                "signal": schedule.signal,
                "noise": schedule.noise,
                "log_snr": schedule.log_snr,
                "weight_beta": loss_weight(schedule, "beta"),
                "weight_posterior": loss_weight(schedule, "posterior"),
            }
        ),
        "summary": asdict(summarize(schedule)),
        "remarks": [asdict(remark) for remark in review(schedule, trained_for(asked["network"]))],
    }


def _refusal(error: ScheduleError) -> dict[str, Any]:
    return {"error": {"field": error.field, "message": str(error)}}


def aim_schedule(asked: AskedAim) -> dict[str, Any]:
    """The parameters that leave the SNR "snr_db" at T under "settings": {"params"}, or {"error"}."""
    settings = asked["settings"]
    try:
        snr_db = read_number("terminal_snr", asked["snr_db"], "The SNR at T")
        if settings["family"] not in FAMILIES:
            raise ScheduleError("terminal_snr", "Only a family with a last β can be solved for it.")
        given = settings["params"] | {"keep_shape_of": settings.get("keep_shape_of")}
        return {
            "params": settings["params"] | beta_for_terminal_snr(settings["family"], settings["T"], snr_db, **given)
        }
    except ScheduleError as error:
        return _refusal(ScheduleError("terminal_snr", str(error)))


def points_of_curve(settings: Settings) -> dict[str, Any]:
    """The curve of "settings" as points to be dragged: {"points"}, or {"error"}."""
    try:
        schedule = read_schedule(settings)
    except ScheduleError as error:
        return _refusal(error)
    at = np.interp(POINTS_AT, np.arange(1, schedule.T + 1) / schedule.T, schedule.log_snr[1:])
    at = np.clip(at, -POINT_LOG_SNR + 1, POINT_LOG_SNR - 1)
    falling = np.minimum.accumulate(at) - 1e-3 * np.arange(len(at))  # flat parts still have to fall
    return {"points": [[u, round(float(log_snr), 4)] for u, log_snr in zip(POINTS_AT, falling, strict=True)]}


def read_upload(content: Annotated[str, Field(max_length=4 * CSV_BYTES // 3 + 8)]) -> dict[str, Any]:
    """A CSV file of betas, in base64, as {"settings"}, or {"error"} with the row that is wrong."""
    try:
        schedule = read_betas(base64.b64decode(content))
    except binascii.Error:
        return _refusal(ScheduleError("csv", "This file did not arrive whole; choose it again."))
    except ScheduleError as error:
        return _refusal(ScheduleError("csv", str(error)))
    betas = base64.b64encode(schedule.beta[1:].astype("<f8").tobytes()).decode()
    given = {"family": GIVEN, "T": schedule.T, "params": {}, "betas": betas}
    return {"settings": default_settings() | given}


def export_schedule(asked: AskedFile) -> dict[str, str]:
    """The schedule of "settings" as a file: {"name", "text"}; "form" is "csv", "json" or "diffusers"."""
    schedule = read_schedule(asked["settings"])
    stem = f"{schedule.family}-T{schedule.T}"
    match asked["form"]:
        case "csv":
            return {"name": f"{stem}.csv", "text": schedule_csv(schedule)}
        case "diffusers":
            return {"name": "scheduler_config.json", "text": json.dumps(to_diffusers(schedule), indent=1) + "\n"}
        case "json":
            settings = {key: value for key, value in asked["settings"].items() if key != "betas"}
            arrays = {name: getattr(schedule, name).tolist() for name in ("beta", "alpha_bar")}
            content = {"settings": settings, "summary": asdict(summarize(schedule))} | arrays
            return {"name": f"{stem}.json", "text": json.dumps(content, indent=1) + "\n"}


def chart_columns(columns: dict[str, Array]) -> Columns:
    """About 250 points of t = 1 ... T, both ends among them; what is not finite becomes a gap."""
    length = len(columns["t"])
    at = np.unique(np.round(np.linspace(1, length - 1, CHART_POINTS)).astype(int))
    return {name: numbers_for_json(column[at]) for name, column in columns.items()}


def numbers_for_json(values: Array) -> list[float | None]:
    """Seven digits, None for what JSON cannot say."""
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in values]


def sidebar_view(network: str) -> View:
    """The sidebar; its value is the settings of the last schedule that could be made.

    ``network``: the name of the one that runs under it until another is chosen.
    """
    families = {
        name: {
            "title": family.title,
            "formula": family.formula,
            "source": family.source,
            "parameters": {key: asdict(parameter) for key, parameter in family.parameters.items()},
            "per_step": name in PER_STEP,
        }
        for name, family in FAMILIES.items()
    }
    return View(
        "sidebar",
        value=default_settings(),
        elem_id="lab-sidebar",
        server_functions=[bend_schedule, aim_schedule, points_of_curve, read_upload, export_schedule],
        families=families,
        network=network,
    )
