"""Networks of diffusers, opened through the path that a user takes, beside diffusers' own pipelines."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from PIL import Image

from diffusion.cli.main import main
from diffusion.images import ImageError
from diffusion.losses.weightings import loss_weight
from diffusion.networks.checkpoint import CheckpointError
from diffusion.networks.foreign import ForeignNetwork
from diffusion.networks.model import load_model, read_card
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.recipe import Recipe, denoiser_of
from diffusion.sampling.steps import timesteps
from diffusion.schedules.families import make_schedule
from ui import models, reverse_tab
from ui.cost import seconds_a_call
from ui.enough import shown_networks
from ui.link import read_link
from ui.sampling import Controls, read_recipe, run_for_view
from ui.sidebar import default_settings, trained_for

pytestmark = pytest.mark.slow

RESPONSE: Any = httpx.Response(404, request=httpx.Request("GET", "https://hub"))
SMALL: dict[str, Any] = {
    "sample_size": 16, "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 8,
}  # fmt: skip


def make_unet(**config: Any) -> UNet2DModel:
    """A small network of random weights that are large enough to say something."""
    torch.manual_seed(3)
    unet = UNet2DModel(**(SMALL | config)).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return unet


def save(folder: Path, scheduler: Any = None, **config: Any) -> UNet2DModel:
    """A pipeline's folder, as diffusers writes it."""
    unet = make_unet(**config)
    DDPMPipeline(unet, scheduler or DDPMScheduler()).save_pretrained(folder)
    return unet


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "rgb": ({}, {}),
    "grey": ({"in_channels": 1, "out_channels": 1}, {}),
    "v": ({}, {"prediction_type": "v_prediction"}),
    "x0": ({}, {"prediction_type": "sample"}),
    "cosine": ({}, {"beta_schedule": "squaredcos_cap_v2"}),
    "scaled": ({}, {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}),
    "few": ({}, {"num_train_timesteps": 40, "beta_end": 0.3}),
    "learned times": ({"time_embedding_type": "learned", "num_train_timesteps": 1000}, {}),
    "centred": ({"center_input_sample": True}, {}),
    "classes": ({"num_class_embeds": 4}, {}),
    "variance": ({"out_channels": 6}, {}),
}


def eps_of_theirs(
    unet: UNet2DModel, kind: str, x_t: torch.Tensor, step: int, alpha_bar: float, label: Any
) -> torch.Tensor:
    """The eps that follows from the answer of a network in diffusers."""
    with torch.inference_mode():
        out = unet(x_t, step, class_labels=label).sample[:, : x_t.shape[1]]
    a, b = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    x, out = x_t.double(), out.double()
    return out if kind == "epsilon" else (a * out + b * x if kind == "v_prediction" else (x - a * out) / b)


@pytest.mark.parametrize("name", CASES)
def test_on_its_own_schedule_a_network_answers_as_in_diffusers(name: str, tmp_path: Path) -> None:
    unet_config, settings = CASES[name]
    scheduler = DDPMScheduler(**settings)
    unet = save(tmp_path / "net", scheduler, **unet_config)
    model = load_model(str(tmp_path / "net"))
    T, schedule = scheduler.config.num_train_timesteps, model.card.training_schedule()
    np.testing.assert_allclose(schedule.alpha_bar[1:], scheduler.alphas_cumprod.numpy(), rtol=2e-4)
    x_t = torch.randn(3, *model.image_shape, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 3, 1]) if "num_class_embeds" in unet_config else None
    for t in (1, 2, T // 3, T - 1, T):
        alpha_bar = torch.full((3,), float(schedule.alpha_bar[t]), dtype=torch.float64)
        found = [model.denoiser(x_t, level, label) for level in (float(schedule.alpha_bar[t]), alpha_bar)]
        kind = scheduler.config.prediction_type
        expected = eps_of_theirs(unet, kind, x_t, t - 1, float(schedule.alpha_bar[t]), label)
        for eps in found:
            np.testing.assert_allclose(eps.double(), expected, atol=1e-4 * float(expected.abs().max()))


def test_it_is_asked_at_every_integer_of_its_own_schedule_and_in_proportion_between(tmp_path: Path) -> None:
    save(tmp_path / "net")
    model = load_model(str(tmp_path / "net"))
    network, schedule = model.denoiser.network, model.card.training_schedule()
    assert isinstance(network, ForeignNetwork)
    levels = torch.tensor(schedule.alpha_bar[1:]).logit()
    assert network.step(levels.float()).tolist() == list(range(1000))
    quarter = levels[10:900] + (levels[11:901] - levels[10:900]) / 4
    np.testing.assert_allclose(network.step(quarter.float()), np.arange(10, 900) + 0.25, atol=3e-3)
    assert network.step(torch.tensor([20.0, -20.0])).tolist() == [0, 999]


@pytest.mark.parametrize("name", ["rgb", "grey", "v", "x0", "cosine"])
def test_ddim_draws_what_the_pipeline_of_diffusers_draws(name: str, tmp_path: Path) -> None:
    unet_config, settings = CASES[name]
    scheduler = DDIMScheduler(**settings, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True)
    save(tmp_path / "net", scheduler, **unet_config)
    model = load_model(str(tmp_path / "net"))
    schedule = model.card.training_schedule()
    plan = SamplingPlan(timesteps(schedule, 10, "trailing"), range(2), "ddim", {"eta": 0.0}, clip="none")
    steps = list(sample(model.denoiser, schedule, plan, model.image_shape))
    pipeline = DDIMPipeline.from_pretrained(tmp_path / "net")
    pipeline.scheduler = scheduler
    pipeline.set_progress_bar_config(disable=True)
    noise = steps[0].x_t
    pipeline.unet.register_forward_pre_hook(noise_at_first(noise))
    theirs = pipeline(batch_size=2, num_inference_steps=10, output_type="np").images
    ours = (steps[-1].x_s / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def noise_at_first(noise: torch.Tensor) -> Callable[..., Any]:
    """A pipeline draws its own noise: its network is handed ours in place of the first."""
    first = [True]

    def hook(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        if first:
            first.clear()
            given[0].copy_(noise)  # also in the pipeline, which goes on from it
        return given

    return hook


def test_ddpm_draws_what_the_scheduler_of_diffusers_draws(tmp_path: Path) -> None:
    unet = save(tmp_path / "net")
    model = load_model(str(tmp_path / "net"))
    schedule, scheduler = model.card.training_schedule(), DDPMScheduler(clip_sample=True)
    plan = SamplingPlan(timesteps(schedule, 1000, "trailing"), range(2), "ddpm", {"v": 0.0}, clip="static")
    for step in sample(model.denoiser, schedule, plan, model.image_shape):
        if step.index not in (0, 1, 300, 700, 998):
            continue
        with torch.inference_mode():
            out = unet(step.x_t, step.t - 1).sample
        alpha_bar, before = scheduler.alphas_cumprod[step.t - 1], scheduler.alphas_cumprod[max(step.t - 2, 0)]
        x_0 = ((step.x_t - (1 - alpha_bar).sqrt() * out) / alpha_bar.sqrt()).clamp(-1, 1)
        beta = 1 - alpha_bar / before
        expected = before.sqrt() * beta / (1 - alpha_bar) * x_0
        expected += (alpha_bar / before).sqrt() * (1 - before) / (1 - alpha_bar) * step.x_t
        if step.z is not None:
            expected += (beta * (1 - before) / (1 - alpha_bar)).sqrt() * step.z
        np.testing.assert_allclose(step.x_s, expected, atol=1e-4)


def test_its_bound_is_that_of_improved_diffusion(tmp_path: Path) -> None:
    """Nichol & Dhariwal 2021: KL of the true posterior to the network's Gaussian of the same variance, in bits."""
    unet = save(tmp_path / "net", DDPMScheduler(num_train_timesteps=100, beta_end=0.1))
    model = load_model(str(tmp_path / "net"))
    schedule = model.card.training_schedule()
    weight = loss_weight(schedule, "posterior")
    generator = torch.Generator().manual_seed(0)
    for t in (2, 3, 50, 100):
        x_0 = 2 * torch.rand(2, 3, 16, 16, generator=generator).double() - 1
        eps = torch.randn(x_0.shape, generator=generator).double()
        abar, before, beta = schedule.alpha_bar[t], schedule.alpha_bar[t - 1], schedule.beta[t]
        x_t = abar**0.5 * x_0 + (1 - abar) ** 0.5 * eps
        found = model.denoiser(x_t.float(), float(abar)).double()
        ours = weight[t] * (eps - found).square().mean() / np.log(2)
        with torch.inference_mode():
            out = unet(x_t.float(), t - 1).sample.double()
        guess = x_t / abar**0.5 - (1 / abar - 1) ** 0.5 * out
        of_x_0, of_x_t = before**0.5 * beta / (1 - abar), (1 - before) * (1 - beta) ** 0.5 / (1 - abar)
        log_variance = np.log(beta * (1 - before) / (1 - abar))
        means = [of_x_0 * x + of_x_t * x_t for x in (x_0, guess)]
        kl = 0.5 * (means[0] - means[1]).square() * np.exp(-log_variance)
        assert float(ours) == pytest.approx(float(kl.mean() / np.log(2)), rel=1e-4)


@pytest.mark.parametrize("layout", ["pipeline", "flat", "zip", "zipped folder", "half", "old names"])
def test_it_is_found_wherever_diffusers_has_put_it(layout: str, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    unet = save(folder)
    given = folder
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    if layout == "flat":
        for path in (*(folder / "unet").iterdir(), *(folder / "scheduler").iterdir()):
            shutil.move(path, folder / path.name)
    elif layout in ("zip", "zipped folder"):
        given = tmp_path / "packed.zip"
        with zipfile.ZipFile(given, "w") as archive:
            for path in folder.rglob("*"):
                start = tmp_path if layout == "zipped folder" else folder
                archive.write(path, path.relative_to(start))
    elif layout == "half":
        half = {name: value.half() for name, value in safetensors.torch.load_file(weights).items()}
        weights.unlink()
        safetensors.torch.save_file(half, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    elif layout == "old names":
        new = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        pattern = re.compile(r"\.(to_q|to_k|to_v|to_out\.0)\.")
        named = {pattern.sub(lambda m: f".{new[m[1]]}.", name): value
                 for name, value in safetensors.torch.load_file(weights).items()}  # fmt: skip
        assert any(".query." in name for name in named)
        safetensors.torch.save_file(named, weights)
    before = sorted(tmp_path.rglob("*"))
    model = load_model(str(given))
    assert sorted(tmp_path.rglob("*")) == before
    x_t = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = unet(x_t, 499).sample
    found = model.denoiser(x_t, float(model.card.training_schedule().alpha_bar[500]))
    np.testing.assert_allclose(found, expected, atol=2e-2 if layout == "half" else 1e-5)


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in (content | changes).items() if v != "gone"}))


def spoil_nan(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    content = safetensors.torch.load_file(weights)
    content["conv_in.bias"][0] = torch.nan
    safetensors.torch.save_file(content, weights)


def cut_off(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda f: shutil.rmtree(f / "unet"), "has no config.json; to be opened is a UNet2DModel"),
    "no unet": (lambda f: (f / "unet" / "config.json").unlink(), "has no config.json"),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "has no scheduler_config.json"),
    "other class": (lambda f: edit(f / "unet/config.json", _class_name="UNet2DConditionModel"),
                    "a network of the class 'UNet2DConditionModel'"),
    "text to image": (lambda f: edit(f / "model_index.json", _class_name="StableDiffusionPipeline", vae=["a", "b"]),
                      "is a 'StableDiffusionPipeline', which is more than"),
    "two": (lambda f: shutil.copytree(f / "unet", f / "unet_ema"), "has 2 networks"),
    "pickle": (lambda f: (f / "unet/diffusion_pytorch_model.safetensors").rename(
        f / "unet/diffusion_pytorch_model.bin"), "is a pickle, which could run anything"),
    "no weights": (lambda f: (f / "unet/diffusion_pytorch_model.safetensors").unlink(), "it has no diffusion_pytorch"),
    "shapes": (lambda f: edit(f / "unet/config.json", block_out_channels=[8, 32]), "does not fit its configuration"),
    "nan": (spoil_nan, "has weights that are no numbers"),
    "cut off": (cut_off, "cannot be read; it may be cut off"),
    "not JSON": (lambda f: (f / "unet/config.json").write_text("{"), "config.json in net cannot be read"),
    "no object": (lambda f: (f / "unet/config.json").write_text("[1]"), "is no configuration"),
    "odd side": (lambda f: edit(f / "unet/config.json", sample_size=15), "a side must be a multiple of 2"),
    "no side": (lambda f: edit(f / "unet/config.json", sample_size=None), "does not say the size of its images"),
    "latents": (lambda f: edit(f / "unet/config.json", in_channels=4), "images of 4 channels"),
    "channels": (lambda f: edit(f / "unet/config.json", out_channels=5), "has 5 channels out and 3 in"),
    "fourier": (lambda f: edit(f / "unet/config.json", time_embedding_type="fourier"), "asked by 'fourier' features"),
    "predicts": (lambda f: edit(f / "scheduler/scheduler_config.json", prediction_type="flow"), "predicts 'flow'"),
    "betas": (lambda f: edit(f / "scheduler/scheduler_config.json", beta_end=7), "has no schedule that can be used"),
    "classes": (lambda f: edit(f / "unet/config.json", class_embed_type="timestep"), "is told classes by 'timestep'"),
    "many classes": (lambda f: edit(f / "unet/config.json", num_class_embeds=-4), "cannot know -4 classes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_such_network_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    save(folder)
    spoil, said = BAD[name]
    spoil(folder)
    with pytest.raises(CheckpointError, match=re.escape(said)) as caught:
        load_model(str(folder))
    assert str(caught.value).endswith(".") and str(tmp_path) not in str(caught.value)


def test_a_zip_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(CheckpointError, match="is not a zip file that can be read"):
        load_model(str(tmp_path / "net.zip"))


def test_a_zip_that_says_it_unpacks_to_more_than_there_is_memory_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "net")
    path = tmp_path / "net.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (tmp_path / "net").rglob("*"):
            archive.write(file, f"../../{file.relative_to(tmp_path / 'net')}")  # outside, where nothing is ever put
    assert load_model(str(path)).card.name == "net"
    monkeypatch.setattr("diffusion.networks.foreign.MOST_BYTES", 1000)
    with pytest.raises(CheckpointError, match="takes more than 1,000 bytes"):
        load_model(str(path))


def test_a_network_of_classes_has_to_be_told_one_and_knows_no_guidance(tmp_path: Path) -> None:
    save(tmp_path / "net", num_class_embeds=4)
    model = load_model(str(tmp_path / "net"))
    assert model.card.classes == ["0", "1", "2", "3"] and model.denoiser.empty == ()
    schedule = make_schedule("linear")
    usual: dict[str, Any] = {"steps": [1000, 500], "seeds": range(2), "schedule": schedule, "model": "net"}
    denoiser_of(Recipe(**usual, labels=[0, 3]), model)
    with pytest.raises(SamplingError, match="has to be told a class, 0 to 3"):
        denoiser_of(Recipe(**usual), model)
    with pytest.raises(SamplingError, match="was taught no empty class"):
        denoiser_of(Recipe(**usual, labels=[0, 3], guidance=2.0), model)


@pytest.mark.parametrize(("error", "said"), [
    (None, ""), (LocalEntryNotFoundError("no way"), "was not downloaded before, and the Hugging Face Hub cannot be"),
    (RepositoryNotFoundError("404", response=RESPONSE),
     "There is no network someone/net on the Hugging Face Hub that may be had"),
    (OSError("disk full\nand more"), "could not be downloaded: disk full"),
])  # fmt: skip
def test_the_hub_is_asked_for_what_is_named_as_there(
    error: Exception | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub itself cannot be had in a test: what it would have put on the disk is there."""
    save(tmp_path / "kept")
    asked = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if error is not None:
            raise error
        return str(tmp_path / "kept")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    if error is None:
        assert load_model("someone/net").card.kind == "diffusers"
    else:
        with pytest.raises(CheckpointError, match=said):
            load_model("someone/net")
    assert asked == [("someone/net", ["*.json", "*.safetensors"])]  # never a pickle
    # A path that is not there stays a path.
    for name in ("kept/nothing", str(tmp_path / "net"), "net", "someone/net.safetensors/more"):
        with pytest.raises(CheckpointError, match="There is no model"):
            load_model(name)
    assert len(asked) == 1


def test_a_folder_of_a_run_is_opened_by_its_path(tmp_path: Path) -> None:
    for ending in ("safetensors", "json"):
        shutil.copyfile(f"assets/models/digits.{ending}", tmp_path / f"digits.{ending}")
    assert load_model(str(tmp_path)).card.sha256 == load_model("digits").card.sha256
    for ending in ("safetensors", "json"):
        shutil.copyfile(f"assets/models/digits.{ending}", tmp_path / f"other.{ending}")
    with pytest.raises(CheckpointError, match="has 2 networks, digits and other; name one of the files"):
        load_model(str(tmp_path))


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Two networks that the page has besides, of the same name."""
    for folder in ("a", "b"):
        save(tmp_path / folder / "net", num_class_embeds=2)
    monkeypatch.setenv(models.ADDED, "")
    models.opened.cache_clear()
    models.add_networks([str(tmp_path / folder / "net") for folder in ("a", "b")])
    yield ["net", "net-2"]
    monkeypatch.undo()
    models.opened.cache_clear()


def test_the_page_offers_what_it_was_started_with(added: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert [name for _, name in models.choices()][-2:] == added
    assert models.relatives("net") == [] and "net" not in models.student_calls()
    for name in added:
        value, guidance, own, line, card = reverse_tab.choose_network(name)
        assert [each["values"] for each in value["lists"]] == [["0", "1"]]
        assert not guidance["visible"] and not own["visible"]
        assert line == "**net** · 2 classes" and "UNet2DModel of diffusers for 16 x 16 x 3" in card
        assert "trained with" not in card and "not said" not in card
        trained = trained_for(name)
        assert trained is not None and trained.schedule.family == "linear"
        assert shown_networks()[name]["missing"]
    monkeypatch.setattr("ui.cost.TIMED", 1)
    assert seconds_a_call("net-2", 3) > 0
    source = models.find_source("net-2")
    recipe = read_recipe(source, default_settings(), Controls(network="net-2", count=3, steps=2))
    *_, done = run_for_view(source, recipe, models.StopFlag())
    assert done["state"] == "done" and done["frames"][0]["numbers"]["expected_mean"] is None
    with pytest.raises(ImageError, match="no bundled pictures like those of net"):
        models.bundled_picture(source.kind)
    assert read_link({"network": "net-2"})["network"] == "net-2"


def test_offline_is_told_to_the_library_of_the_hub(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "diffusion", "sample", "--model", "someone/net", "--offline", "--out", "x.png"]
    done = subprocess.run(command, env=os.environ | {"HF_HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1 and "someone/net was not downloaded before" in done.stderr


def test_the_commands_take_such_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "net", num_class_embeds=3)
    net, out = str(tmp_path / "net"), tmp_path / "drawn"
    assert main(["sample", "--model", net, "--count", "3", "--steps", "2", "--out", f"{out}.npz"]) == 0
    assert main(["sample", "--like", f"{out}.npz", "--out", f"{out}.png"]) == 0
    with Image.open(f"{out}.png") as picture:
        assert picture.mode == "RGB"
    data = tmp_path / "pictures"
    data.mkdir()
    rng = np.random.default_rng(0)
    for kind in "012":
        (data / "test" / kind).mkdir(parents=True)
        for k in range(2):
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(data / "test" / kind / f"{k}.png")
    assert (
        main(["loss", "--model", net, "--images", str(data), "--count", "6", "--levels", "4", "--out", f"{out}.json"])
        == 0
    )
    assert read_card(Path(net)).kind == "diffusers"
    assert main(["distill", "--model", net, "--data", str(data), "--calls", "2", "--run", str(tmp_path / "run"),
                 "--name", "student"]) != 0  # fmt: skip
    assert "is no U-Net" in capsys.readouterr().err
