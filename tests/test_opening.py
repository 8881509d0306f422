"""What the page opens with is kept: it belongs to the weights and to today's defaults, and asks no network."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.model import MODELS, read_card
from ui import opening as openings
from ui.frames import read_frames
from ui.make_opening import make_opening
from ui.models import DEFAULT, find_source
from ui.opening import Opening, opening_of, opening_path, read_opening, save_opening
from ui.reverse_tab import open_reverse_tab
from ui.sampling import Controls, read_recipe
from ui.seen import FIRST, predictions_of
from ui.sidebar import default_settings
from ui.subjects import measurable
from ui.whatif_tab import opening_answer

pytestmark = pytest.mark.slow

NETWORKS = [name for _, name in measurable()]


def kept(network: str) -> Opening:
    opening = read_opening(network)
    assert opening is not None
    return opening


@pytest.mark.parametrize("network", NETWORKS)
def test_it_belongs_to_the_weights(network: str) -> None:
    """After a network has changed: python -m ui.make_opening."""
    assert kept(network).sha256 == read_card(MODELS / f"{network}.safetensors").sha256


def test_its_run_is_the_one_that_the_controls_describe_as_they_stand() -> None:
    opening, recipe = kept(DEFAULT), read_recipe(find_source(DEFAULT), default_settings(), Controls())
    assert opening.run is not None and opening.branches is not None
    assert [frame["t"] for frame in opening.run["frames"]] == [*recipe.steps, 0]
    assert len(opening.branches["rows"]) == 5
    head = json.loads(opening.frames[: opening.frames.index(b"\n")])
    assert head["shape"] == [len(recipe.seeds), 32, 32, 1]


@pytest.mark.parametrize("network", NETWORKS)
def test_made_anew_it_is_the_same_but_for_rounding(network: str) -> None:
    old, new = kept(network), make_opening(network)
    assert old.seen.keys() == new.seen.keys() and old.seen["log_snr"] == pytest.approx(new.seen["log_snr"])
    head = old.seen["width"] * old.seen["height"] * old.seen["channels"]
    a, b = (
        np.frombuffer(base64.b64decode(each.seen["data"])[head + head % 2 :], "<i2").astype(float)
        for each in (old, new)
    )
    assert np.abs(a - b).mean() < 0.01 * np.abs(a).mean()
    if old.run is not None:
        assert new.run is not None and new.branches is not None and old.branches is not None
        assert old.run | {"frames": []} == new.run | {"frames": []}
        frames = [np.frombuffer(each.frames, np.uint8).astype(int) for each in (old, new)]
        assert frames[0].shape == frames[1].shape and np.abs(frames[0] - frames[1]).mean() < 0.5
        assert [row["label"] for row in old.branches["rows"]] == [row["label"] for row in new.branches["rows"]]


def test_opening_the_page_asks_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: Any) -> torch.Tensor:
        raise AssertionError("a network was asked")

    monkeypatch.setattr(NetworkDenoiser, "__call__", ask)
    value, last, *_ = open_reverse_tab({})
    assert value["state"] == "done" and value["opening"] and last.recipe.precision == "float32"
    assert read_frames(Path(value["file"]["path"])).shape[0] == len(last.recipe.steps) + 1
    answer = opening_answer()
    assert answer is not None and answer["opening"]
    assert all(row["note"].endswith(("call", "calls")) for row in answer["rows"])  # without seconds of elsewhere
    for network in NETWORKS:
        assert predictions_of({"network": network, "index": FIRST})["log_snr"]
    with pytest.raises(AssertionError, match="was asked"):
        predictions_of({"network": DEFAULT, "index": FIRST + 1})  # which is what a press asks for


def test_what_is_kept_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openings, "FOLDER", tmp_path / "opening")
    opening = Opening("abc", {"width": 2}, {"frames": [1]}, b"\x00\xff\n", {"rows": []})
    save_opening("toy", opening)
    assert read_opening("toy") == opening
    assert opening_of("nobody") is None and not opening_path("nobody").exists()


def test_what_was_computed_with_other_weights_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openings, "FOLDER", tmp_path / "opening")
    save_opening(DEFAULT, Opening("another", {}))
    opening_of.cache_clear()
    try:
        with pytest.raises(RuntimeError, match=r"python -m ui\.make_opening"):
            opening_of(DEFAULT)
    finally:
        opening_of.cache_clear()
