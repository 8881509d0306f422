"""Weights and cards on disk: round trips, and everything that must not be taken for a network."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion.files import write_atomically
from diffusion.networks import model
from diffusion.networks.card import Card
from diffusion.networks.checkpoint import CheckpointError
from diffusion.networks.model import load_model, read_card, save_model
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.schedules.spec import ScheduleSpec
from tests.tiny import unet_of

CONFIG = UNetConfig(8, 1, (3,), widths=(8, 16), blocks=1, attention=(1,))
CARD = Card(
    name="tiny", title="Tiny", classes=["a", "b", "ç"], network=CONFIG, schedule=ScheduleSpec("cosine", 50),
    data="none", licence="none", command="none", images_seen=12, seconds=3.5, figures={"loss": 0.5},
)  # fmt: skip


@torch.no_grad()
def network(seed: int = 0) -> UNet:
    """Random weights everywhere, the layers that begin at zero among them."""
    torch.manual_seed(seed)
    generator, out = torch.Generator().manual_seed(seed), UNet(CONFIG).eval()
    for parameter in out.parameters():
        if not parameter.any():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return out


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "tiny.safetensors"
    save_model(path, network(), CARD)
    return path


def edit_card(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    card = path.with_suffix(".json")
    content = json.loads(card.read_text())
    edit(content)
    card.write_text(json.dumps(content))


def test_a_saved_network_loads_as_it_was(saved: Path) -> None:
    model, original = load_model(str(saved)), network()
    assert dataclasses.replace(model.card, sha256="") == CARD
    assert model.card.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert model.image_shape == (1, 8, 8) and model.card.training_schedule().T == 50
    loaded = unet_of(model)
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    for (name, a), b in zip(loaded.state_dict().items(), original.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=2**-11, atol=2**-25, msg=name)  # half of float16's last digit
    x, log_snr, label = torch.randn(2, 1, 8, 8), torch.tensor([0.5, -3.0]), torch.tensor([0, 3])
    torch.testing.assert_close(loaded(x, log_snr, label), original(x, log_snr, label), rtol=0.01, atol=0.01)


def test_saving_leaves_the_network_in_full_precision(tmp_path: Path) -> None:
    original, before = network(), network().state_dict()
    save_model(tmp_path / "tiny.safetensors", original, CARD)
    assert all(torch.equal(value, before[name]) for name, value in original.state_dict().items())


def test_models_are_found_by_name_and_by_path(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusion.networks.model.MODELS", saved.parent)
    assert load_model("tiny").card == load_model(str(saved)).card
    (saved.parent / "cardless.safetensors").write_bytes(b"")
    assert model.available(saved.parent) == ["tiny"]


@pytest.mark.parametrize("name", ["absent", "absent.safetensors", "tiny.json", ""])
def test_a_model_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"no model '{name}'; the shipped ones are"):
        load_model(name)


@pytest.mark.parametrize("position", [0, 8, -1])
def test_weights_other_than_the_card_s_are_refused(saved: Path, position: int) -> None:
    data = bytearray(saved.read_bytes())
    data[position] ^= 1
    saved.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"tiny.safetensors is not the file its card describes"):
        load_model(str(saved))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"null", b"3", b"[]", b"{}", b'"network"', b'{"network": []}', b"\xff\xfe"]
)
def test_a_damaged_card_is_refused(saved: Path, text: bytes) -> None:
    saved.with_suffix(".json").write_bytes(text)
    with pytest.raises(CheckpointError, match=r"card tiny.json cannot be read"):
        load_model(str(saved))


@pytest.mark.parametrize(
    "edit",
    [
        lambda card: card.pop("network"),
        lambda card: card.pop("title"),
        lambda card: card.update(colour="red"),
        lambda card: card["network"].pop("channels"),
        lambda card: card["network"].update(depth=3),
    ],
)
def test_a_card_with_fields_missing_or_unknown_is_refused(saved: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    edit_card(saved, edit)
    with pytest.raises(CheckpointError, match=r"card tiny.json cannot be read"):
        read_card(saved)


def test_a_card_of_when_there_were_only_classes_is_read(saved: Path) -> None:
    before = read_card(saved)
    edit_card(saved, lambda card: card["network"].update(num_classes=card["network"].pop("conditions")[0]))
    edit_card(saved, lambda card: card.pop("conditions"))
    assert read_card(saved) == before and load_model(str(saved)).card.network == CONFIG


def test_the_names_of_several_conditions_are_kept(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, conditions=(2, 1))
    names = {"thing": ["fox", "pizza"], "hand": ["mine"]}
    card = dataclasses.replace(CARD, classes=[], conditions=names, network=config)
    save_model(tmp_path / "tiny.safetensors", UNet(config), card)
    loaded = load_model(str(tmp_path / "tiny.safetensors")).card
    assert loaded.conditions == names and loaded.network.conditions == (2, 1)


def test_a_missing_card_is_refused(saved: Path) -> None:
    saved.with_suffix(".json").unlink()
    with pytest.raises(CheckpointError, match=r"card tiny.json cannot be read"):
        load_model(str(saved))


@pytest.mark.parametrize("change", [{"widths": [8, 24]}, {"blocks": 2}, {"conditions": [4]}, {"channels": 3}])
def test_weights_of_another_architecture_are_refused(saved: Path, change: dict[str, Any]) -> None:
    edit_card(saved, lambda card: card["network"].update(change))
    with pytest.raises(CheckpointError, match=r"tiny.safetensors does not fit the architecture in its card"):
        load_model(str(saved))


def test_weights_that_are_none_are_refused_even_with_their_hash(saved: Path) -> None:
    saved.write_bytes(b"not safetensors")
    edit_card(saved, lambda card: card.update(sha256=hashlib.sha256(b"not safetensors").hexdigest()))
    with pytest.raises(CheckpointError, match=r"does not fit"):
        load_model(str(saved))


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_model_that_was_there(
    saved: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any) -> None:
        raise OSError("No space left on device")

    before, listing = load_model(str(saved)), sorted(saved.parent.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fails)
        with pytest.raises(OSError, match=r"No space left"):
            save_model(saved, network(seed=1), CARD)
    after = load_model(str(saved))
    assert after.card == before.card and sorted(saved.parent.iterdir()) == listing
    old: dict[str, Tensor] = unet_of(before).state_dict()
    assert all(torch.equal(value, old[name]) for name, value in unet_of(after).state_dict().items())


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"a long content")
    write_atomically(path, b"short")
    assert path.read_bytes() == b"short" and list(tmp_path.iterdir()) == [path]
