"""How many steps are enough: what the picture shows of each network, and that the page's own choice lies on it."""

import dataclasses

import gradio as gr
import pytest

from diffusion.evaluation.quality import Quality, QualityPoint, calls_by_steps, quality_path, read_quality
from diffusion.networks.card import Card
from diffusion.networks.model import MODELS, available, read_card
from diffusion.sampling.updates import SAMPLERS
from ui.enough import shown_networks, shown_quality, time_calls
from ui.figures import quality_figure
from ui.models import EXACT, sources
from ui.sampling import Controls
from ui.theme import BY_SAMPLER

TITLES = {name: sampler.title for name, sampler in SAMPLERS.items()}
MARK = {"calls_mark", "accuracy_mark", "frechet_mark"}  # which the browser adds
POINTS = (QualityPoint("ddim", 8, 8, 0.75, 0.5), QualityPoint("ddim", 2, 2, 0.5, 4.0))
FOUND = Quality("digits", "", "the command", 500, "float32", 0, 0.995, 0.1, 20, 0.002, 0.01, POINTS)


@pytest.fixture(scope="module")
def card() -> Card:
    return read_card(MODELS / "digits.safetensors")


def test_a_line_runs_from_few_calls_to_many(card: Card) -> None:
    shown = shown_quality(card, FOUND)
    assert shown["columns"]["calls_ddim"] == [2, 8]
    assert shown["columns"]["accuracy_ddim"] == [50, 75]
    assert shown["columns"]["frechet_ddim"] == [4, 0.5]
    assert shown["columns"]["accuracy_real"] == [99.5, 99.5]
    assert shown["columns"]["frechet_high"] == pytest.approx([0.11, 0.11])
    assert shown["columns"]["calls_heun"] == []  # of a measurement that was stopped
    assert shown["calls"]["heun"] == calls_by_steps("heun", card.training_schedule())
    assert shown["command"] == "the command" and "500 images" in shown["note"] and "20 sets" in shown["note"]
    alone = dataclasses.replace(FOUND, held_out_sets=1, accuracy_spread=0.0, frechet_spread=0.0)
    assert "sets" not in shown_quality(card, alone)["note"]


@pytest.mark.parametrize("across", [1, 2])
def test_every_trace_of_the_figure_names_columns_that_are_sent(card: Card, across: int) -> None:
    columns = shown_quality(card, FOUND)["columns"].keys() | MARK
    traces = quality_figure(TITLES, across=across)["data"]
    assert {trace["meta"][axis] for trace in traces for axis in "xy"} == columns
    colours = {trace["name"]: trace["line"]["color"] for trace in traces if trace.get("legendgroup") in SAMPLERS}
    assert colours == {title: BY_SAMPLER[name] for name, title in TITLES.items()}


def test_what_was_not_measured_is_said_with_the_command_that_does_it(card: Card) -> None:
    shown = shown_quality(card, None)
    assert shown["missing"] and shown["command"].endswith("evaluate --model digits --data DATA --by-steps 500")
    student = dataclasses.replace(card, name="student", teacher="digits", levels=[0.1, 0.9])
    assert "its own 2 steps" in shown_quality(student, None)["missing"]
    of_things = dataclasses.replace(card, classes=[], conditions={"kind": ["a"]})
    assert "networks of classes alone" in shown_quality(of_things, None)["missing"]


def test_calls_are_timed_of_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.enough.seconds_a_call", lambda network, images: 0.002 * images)
    assert time_calls("emoji", 20) == {"network": "emoji", "images": 20, "ms_a_call": 40}
    assert time_calls(f"{EXACT}digits", 20) == gr.skip()


def test_exact_denoisers_have_no_picture() -> None:
    assert shown_networks().keys() == {name for _, name in sources() if not name.startswith(EXACT)}


@pytest.mark.parametrize("name", available())
def test_what_the_page_opens_with_lies_on_the_picture(name: str) -> None:
    path = MODELS / f"{name}.safetensors"
    card = read_card(path)
    if card.levels or not card.classes:
        return
    found, usual = read_quality(quality_path(path), card.sha256), Controls()
    assert found is not None
    assert (usual.sampler, usual.steps) in {(point.sampler, point.steps) for point in found.points}
