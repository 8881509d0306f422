"""A thing in a hand that never drew it: pairs, pictures, figures, and what is drawn."""

import base64

import numpy as np
import pytest
import torch

from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.model import MODELS
from ui import composing
from ui.composing import AskedPair
from ui.models import StopFlag, find_source, shared_model
from ui.opening import opening_of

pytestmark = pytest.mark.slow

NETWORK = "emoji-sets"


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> torch.Tensor:
        raise AssertionError("a network was asked")

    monkeypatch.setattr(NetworkDenoiser, "__call__", ask)


def test_the_section_is_there_for_networks_with_such_figures(unasked: None) -> None:
    for name, there in ((NETWORK, True), ("digits", False), ("emoji", False), ("exact-own", False)):
        section, value = composing.show_composing(name)
        assert section["visible"] == there and ("pairs" in value) == there


def test_it_begins_with_what_was_drawn_beforehand_and_the_real_pictures(unasked: None) -> None:
    value = composing.composing_value(NETWORK)
    assert len(value["pairs"]) == 449 and len(value["offered"]) == 9
    assert {value["pairs"][each["pair"]][1] for each in value["offered"]} == set(
        shared_model(NETWORK).card.conditions["style"]
    )
    first = composing.pictures_of_pair({"network": NETWORK, "pair": value["pair"]})
    opening = opening_of(NETWORK)
    assert opening is not None and first["drawn"] == opening.composed
    assert first["drawn"]["status"].startswith("Drawn beforehand: DDIM, 50 steps, guidance 2")
    for each in value["offered"]:
        found = composing.pictures_of_pair({"network": NETWORK, "pair": each["pair"]})
        thing, hand = value["pairs"][each["pair"]]
        assert found["real"]["picture"] == each["picture"] and found["real"]["name"] == hand
        names = [seen["name"] for seen in found["seen"]]
        assert len(names) >= 5 and hand not in names, thing
    rare = next(i for i in range(449) if i not in {each["pair"] for each in value["offered"]})
    other = composing.pictures_of_pair({"network": NETWORK, "pair": rare})
    assert other["seen"] == [] and other["drawn"] is None and other["real"]["picture"]


def test_figures_are_those_of_the_card() -> None:
    card = shared_model(NETWORK).card
    run = next(run for run in card.figures["runs"] if run["guidance"] == 2)
    rows = composing.figures_of_pairs(card)["rows"]
    for name, unseen, seen, real in rows:
        for text, found in ((unseen, run["pairs"]["unseen"]), (seen, run["pairs"]["seen"]),
                            (real, card.figures["pairs"]["unseen"])):  # fmt: skip
            assert float(text.removesuffix(" %")) == pytest.approx(100 * found[name], abs=0.051)
    assert [row[0] for row in rows] == ["concept", "style"]


def test_a_pair_is_drawn_as_its_figures_were_measured() -> None:
    source, card = find_source(NETWORK), shared_model(NETWORK).card
    pair = composing.composing_value(NETWORK)["pairs"].index(["automobile", "openmoji"])
    recipe = composing.pair_recipe(source, card, pair, 5)
    concept, style = (card.conditions[name].index(value) for name, value in (
        ("concept", "automobile"), ("style", "openmoji")))  # fmt: skip
    assert recipe.labels == [[concept, 98, style]] * composing.DRAWN  # the kind left out
    assert (recipe.sampler, len(recipe.steps), recipe.guidance, [*recipe.seeds]) == ("ddim", 50, 2, [5, 6, 7, 8])
    assert recipe.schedule.family == card.schedule.family


def test_press_draws_and_stop_keeps_what_is_there() -> None:
    asked: AskedPair = {"network": NETWORK, "pair": 3}
    flag = StopFlag()
    pressed = composing.press_compose(asked, "4", flag)
    values = []
    for value, message, *_ in pressed:
        assert message == ""
        if isinstance(value, dict) and "data" in value:
            values.append(value)
            flag.up = True
    last = values[-1]
    assert last["state"] == "done" and last["pair"] == 3 and last["status"].startswith("Stopped: DDIM")
    images = np.frombuffer(base64.b64decode(last["data"]), np.uint8).reshape(last["shape"])
    assert images.shape == (composing.DRAWN, 32, 32, 3) and images.std() > 1


@pytest.mark.parametrize("asked", [{"network": "digits", "pair": 0}, {"network": NETWORK, "pair": 449},
                                   {"network": "exact-own", "pair": 0}, {"network": "../models/digits", "pair": 0},
                                   {"network": str(MODELS / "digits.safetensors"), "pair": 0}])  # fmt: skip
def test_pairs_that_are_none_are_refused(asked: AskedPair) -> None:
    with pytest.raises(ValueError, match="no such pair"):
        composing.pictures_of_pair(asked)
    *_, (_, message, start, halt) = composing.press_compose(asked, "0", StopFlag())
    assert message == "There is no such pair; choose another." and start["interactive"] and not halt["interactive"]


def test_without_a_pair_or_a_seed_there_is_a_sentence() -> None:
    *_, (_, message, *_) = composing.press_compose(None, "0", StopFlag())
    assert message == "Choose a pair first."
    *_, (_, message, *_) = composing.press_compose({"network": NETWORK, "pair": 0}, "many", StopFlag())
    assert message.startswith("The seed must be a whole number")
