"""The loss tab's handlers, called without a browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion.denoiser import ExactDenoiser
from diffusion.images import to_unit
from diffusion.losses.curve import ErrorCurve
from diffusion.losses.measure import measure_errors, measuring_levels
from diffusion.losses.rate import ledger, rate
from diffusion.losses.weightings import WEIGHTINGS, kl_extra, loss_weight
from diffusion.schedules.families import make_schedule
from diffusion.schedules.schedule import EXPONENTS
from ui import figures, loss_tab, seen, sidebar, subjects, weighing
from ui.models import StopFlag, shared_model
from ui.weighing import AskedLoss

SETTINGS = sidebar.default_settings() | {"T": 30}
SCHEDULE = make_schedule("linear", 30)


def measured(levels: int = 30) -> ErrorCurve:
    images = torch.linspace(-1, 1, 32).reshape(8, 1, 2, 2)
    *_, curve = measure_errors(ExactDenoiser(images), images, measuring_levels(SCHEDULE, levels), seed=1)
    return curve


def asked(curve: ErrorCurve, **references: ErrorCurve) -> AskedLoss:
    said: Any = {
        "curve": curve.to_json(),
        "references": {name: reference.to_json() for name, reference in references.items()},
        "settings": SETTINGS,
    }
    return said


def test_errors_are_weighed_by_the_paper_s_formula() -> None:
    curve = measured()
    answer = json.loads(json.dumps(weighing.weigh(asked(curve, known=curve))))
    columns = {name: np.array(column, dtype=float) for name, column in answer["columns"].items()}
    t = 17
    at = int(np.flatnonzero(columns["t"] == t)[0])
    error = curve.on(SCHEDULE)
    assert columns["error"][at] == pytest.approx(error[t], rel=2e-5)
    assert columns["error_low"][at] < error[t] < columns["error_high"][at]
    nats = loss_weight(SCHEDULE)[t] * error[t] + kl_extra(SCHEDULE)[t]
    assert columns["term_beta"][at] == pytest.approx(nats / math.log(2), rel=2e-5)
    spread = loss_weight(SCHEDULE)[t] * curve.standard_error_on(SCHEDULE)[t] / math.log(2)
    assert columns["spread_beta"][at] == pytest.approx(spread, rel=2e-5)
    assert columns["weight_simple"][at] == 1
    np.testing.assert_allclose(columns["known_beta"], columns["term_beta"], rtol=1e-6)  # here the same denoiser
    assert np.isnan(columns["term_posterior"][0])  # t = 1 is L_0's
    for variance in EXPONENTS:
        assert columns[f"rate_{variance}"][at] == pytest.approx(rate(curve, SCHEDULE, variance)[t], rel=2e-5)
        assert answer["ledger"][variance]["total"] == pytest.approx(ledger(curve, SCHEDULE, variance).total, rel=2e-5)


def test_every_trace_of_its_figures_names_columns_that_are_sent() -> None:
    curve = measured()
    columns = weighing.weigh(asked(curve, known=curve, others=curve))["columns"]
    added = {"measured_x", "measured", "measured_spread", "rate"}  # by the browser
    for figure in (figures.loss_figure(), figures.rate_figure()):
        for trace in figure["data"]:
            assert {trace["meta"]["x"], trace["meta"]["y"]} <= set(columns) | added
    shown = {trace["meta"]["loss"] for trace in figures.loss_figure()["data"] if "loss" in trace["meta"]}
    assert shown == set(WEIGHTINGS)
    for kind in ("weight", "term", "share"):
        assert {f"{kind}_{name}" for name in WEIGHTINGS} <= set(columns)
    assert {f"extra_{variance}" for variance in EXPONENTS} <= set(columns)


@pytest.mark.parametrize("levels", [1, 2])
def test_a_pass_that_was_stopped_at_once_can_still_be_shown(levels: int) -> None:
    *_, curve = measure_errors(ExactDenoiser(torch.zeros((1, 1, 2, 2))), torch.ones((2, 1, 2, 2)), [0.9, 0.1][:levels])
    answer = json.loads(json.dumps(weighing.weigh(asked(curve, known=curve))))
    assert len(answer["measured"]["error"]) == levels
    assert answer["ledger"]["beta"]["missing"] > 0
    weighing.export_loss(asked(curve))


def test_the_csv_has_every_step() -> None:
    curve = measured()
    file = weighing.export_loss(asked(curve, known=curve))
    assert file["name"] == "loss-linear-T30.csv"
    rows = list(csv.DictReader(io.StringIO(file["text"])))
    assert len(rows) == 30
    np.testing.assert_allclose([float(row["error_known"]) for row in rows], curve.on(SCHEDULE)[1:], rtol=2e-5)


def test_one_s_own_picture_becomes_the_square_in_its_middle(tmp_path: Path) -> None:
    wide = Image.new("RGB", (90, 30), (255, 0, 0))
    wide.paste((0, 255, 0), (30, 0, 60, 30))
    wide.save(tmp_path / "wide.png")
    subject = subjects.own_subject(str(tmp_path / "wide.png"), shared_model("emoji"))
    assert subject.images.images.shape == (1, 3, 32, 32)
    inner = subject.images.images[0, :, :, 3:-3].movedim(0, -1)  # at the sides the colours run into each other
    assert (inner == torch.tensor([0, 255, 0])).all()
    assert not subject.told and len(subject.others) > 3000
    grey = subjects.own_subject(str(tmp_path / "wide.png"), shared_model("digits"))
    assert grey.images.images.shape == (1, 1, 32, 32) and len(grey.others) == 128


@pytest.mark.parametrize("name", [name for _, name in subjects.measurable()])
def test_every_network_opens_measured_on_its_own_kind_of_image(name: str) -> None:
    model = shared_model(name)
    subject = subjects.bundled_subject(model, 9)
    assert subject.images.images.shape == (9, *model.image_shape)
    assert len(subject.images.labels.unique()) >= 5
    shown = loss_tab.show_measured(name)
    assert f"{name} at" in shown["status"] and not shown["running"]
    curve, references = weighing.read_curves(shown)
    assert list(references) == ["known", "others"]
    assert (references["known"].mean < references["others"].mean).all()
    assert (
        curve.mean > 0.99 * references["known"].mean
    ).mean() > 0.95  # nothing beats the exact denoiser but by chance
    assert ledger(curve, model.card.training_schedule(), "beta").missing == 0
    assert len(seen.image_buttons(name)) == seen.OFFERED


@pytest.mark.parametrize("name", [name for _, name in subjects.measurable()])
def test_the_browser_gets_what_the_network_sees(name: str) -> None:
    """eps_theta at one level, put together from what is sent as the browser does, against the network itself."""
    model = shared_model(name)
    sent = seen.predictions_of({"network": name, "index": 3})
    data = base64.b64decode(sent["data"])
    shape = sent["height"], sent["width"], sent["channels"]
    n = math.prod(shape)
    x_0 = np.frombuffer(data, np.uint8, n) / 127.5 - 1
    words = np.frombuffer(data, "<i2", offset=n).reshape(-1, n) / sent["unit"]
    eps, v = words[0], words[1:]
    assert len(v) == len(sent["log_snr"]) == seen.LEVELS
    chosen = subjects.bundled(name).evenly(seen.OFFERED)
    np.testing.assert_allclose(x_0, to_unit(chosen.images[3]).movedim(0, -1).flatten(), atol=1e-6)
    for k in (20, 50, 80):
        alpha_bar = 1 / (1 + math.exp(-sent["log_snr"][k]))
        a, b = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
        x_t = a * x_0 + b * eps
        network = torch.tensor(x_t.reshape(1, *shape)).movedim(-1, 1).float()
        found = (
            model.denoiser(network, alpha_bar, model.card.known(chosen.labels[3:4])).movedim(1, -1).flatten().numpy()
        )
        assert np.abs(b * x_t + a * v[k] - found).mean() < 0.01  # of noise whose standard deviation is 1


def test_only_images_that_are_offered_can_be_looked_at() -> None:
    asked: list[seen.AskedImage] = [{"network": "digits", "index": 10}, {"network": "../digits", "index": 0}]
    for wrong in asked:
        with pytest.raises(ValueError, match="no such image"):
            seen.predictions_of(wrong)


def test_measuring_streams_stops_and_ends_with_the_exact_denoisers() -> None:
    flag = StopFlag()
    run = loss_tab.press_measure("digits", loss_tab.THEIRS, "", 8, 1, 10, 0, flag)
    values = [next(run)[0], next(run)[0]]
    flag.up = True
    values += [value for value, *_ in run]
    assert values[1]["running"] and values[1]["references"] == {} and "left" in values[1]["status"]
    last = values[-1]
    about = subjects.bundled_facts(shared_model("digits"), 8, 120).about
    assert not last["running"] and last["status"].startswith(f"Stopped: {about}")
    assert 1 <= len(last["curve"]["mean"]) < 10
    assert len(last["references"]["known"]["mean"]) == len(last["curve"]["mean"])


def test_a_seed_that_is_none_is_refused_in_a_sentence() -> None:
    for seed in (None, -1):
        (answer,) = loss_tab.press_measure("digits", loss_tab.THEIRS, "", 8, 1, 10, seed, StopFlag())
        assert "whole number" in answer[1]


@pytest.mark.parametrize(
    ("commands", "held_out"),
    [(["train"], False), (["train --hold-out digits"], True), (["train", "train --hold-out digits --init a"], False)],
)
def test_images_are_held_out_only_if_no_training_saw_them(commands: list[str], held_out: bool) -> None:
    model = shared_model("digits")
    assert subjects.held_out(replace(model, card=replace(model.card, command=" && ".join(commands)))) is held_out
