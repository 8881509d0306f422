"""The running page as other programs see it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import httpx
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from diffusion.images import to_bytes, to_unit
from diffusion.process import q_sample
from diffusion.sampling.archive import read
from diffusion.sampling.recipe import denoiser_of, draw, load_model_of
from diffusion.sampling.updates import SAMPLERS
from diffusion.schedules.families import make_schedule
from ui import api, sidebar, weighing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def client(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(server, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
    yield client
    client.close()


def test_only_what_is_meant_for_others_has_a_name(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/generate", "/noise", "/schedule", "/loss"}
    assert all(endpoint["description"] for endpoint in endpoints.values())
    assert get_args(get_type_hints(api.generate_endpoint())["sampler"]) == tuple(SAMPLERS)


def test_images_come_with_what_draws_them_again(client: Client) -> None:
    picture, file = client.predict(label="7", count=3, steps=4, seed=5, api_name="/generate")
    with np.load(file) as content:
        images = content["images"]
    assert images.shape == (3, 32, 32, 1)
    with Image.open(picture) as grid:
        assert np.array_equal(np.asarray(grid)[:32, :32], images[0, ..., 0])
    recipe = read(Path(file))
    assert list(recipe.labels or ()) == [7, 7, 7] and list(recipe.seeds) == [5, 6, 7]
    model = load_model_of(recipe, "cpu")
    denoiser, shape = denoiser_of(recipe, model)
    # With other threads sums may round otherwise.
    assert np.abs(draw(recipe, denoiser, shape, "cpu").astype(int) - images).mean() < 1


def test_schedule_is_that_of_the_library(client: Client) -> None:
    answer = client.predict("cosine", 50, {"s": 0.01}, api_name="/schedule")
    schedule = make_schedule("cosine", 50, s=0.01)
    assert answer["alpha_bar"] == schedule.alpha_bar.tolist()
    assert answer["snr_db"][0] is None and answer["snr_db"][1:] == schedule.snr_db[1:].tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [({"steps": 0}, "between 1 and T = 1000"), ({"count": 65}, "between 1 and 64"), ({"network": "cats"}, "no network"),
     ({"label": "eleven"}, "no class 'eleven'"), ({"family": "round"}, "round"), ({"sampler": "euler"}, "no sampler"),
     ({"clip": "off"}, "no clip 'off'"), ({"sampler": "unipc", "eta": 1.0}, "no option"), ({"count": 1.5}, "count"),
     ({"network": ["emoji"]}, "network: input should be a valid string"), ({"count": "3"}, "count"),
     ({"network": "exact-digits", "guidance": 2.0}, "no classes"), ({"count": 64, "steps": 4000}, "too much"),
     ({"parameters": {"beta_end": None}}, "parameters.beta_end"), ({"seed": 10**30}, "seed must be")],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(client: Client, change: dict[str, object], words: str) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(**change, api_name="/generate")


def test_picture_is_noised_as_the_closed_form_says(client: Client, tmp_path: Path) -> None:
    x_0 = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (40, 1, 3))
    Image.fromarray(x_0).save(tmp_path / "ramp.png")
    file, numbers = client.predict(handle_file(tmp_path / "ramp.png"), t=200, seed=3, api_name="/noise")
    schedule = make_schedule("linear", 1000)
    eps = torch.randn(3, 40, 64, generator=torch.Generator().manual_seed(3))
    x_t = q_sample(to_unit(torch.from_numpy(x_0.transpose(2, 0, 1).copy())), float(schedule.alpha_bar[200]), eps)
    with Image.open(file) as picture:
        assert np.array_equal(np.asarray(picture), to_bytes(x_t))
    assert numbers["alpha_bar"] == schedule.alpha_bar[200] and numbers["t"] == 200
    assert numbers["std"] == pytest.approx(x_t.std(correction=0).item(), rel=1e-5)


def test_bound_by_step_adds_up_to_what_the_loss_tab_shows(client: Client) -> None:
    found = client.predict(network="digits", variance="posterior", api_name="/loss")
    assert found["t"] == list(range(1, 1001)) and found["L"][0] == pytest.approx(found["L_0"], rel=1e-6)
    assert sum(found["L"][1:]) == pytest.approx(found["L_mid"], rel=1e-4)
    assert found["total"] == pytest.approx(found["L_T"] + found["L_mid"] + found["L_0"])
    before: Any = weighing.measured_before("digits")
    shown = weighing.weigh(before | {"settings": sidebar.default_settings()})
    assert found["total"] == pytest.approx(shown["ledger"]["posterior"]["total"])


def test_other_files_of_the_server_are_not_noised(client: Client) -> None:
    for path in ("/etc/hostname", str(Path(__file__).resolve()), "http://127.0.0.1:1/a.png", "file:///etc/hostname"):
        with pytest.raises(AppError, match="not uploaded here"):
            client.predict({"path": path}, api_name="/noise")


def test_what_the_documents_ask_is_answered(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.effect_noise((40, 30), 60).convert("RGB").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "gradio_client" in block]
    names: dict[str, Any] = {}
    exec(block.replace("http://127.0.0.1:7860", server.rstrip("/")), names)
    names["client"].close()
    assert len(names["alpha_bar"]) == len(names["L"]) + 1 == 1001 and names["numbers"]["t"] == 300


def test_images_that_nobody_waits_for_are_not_drawn(server: str, client: Client) -> None:
    long = ["digits", "all in turn", 64, "ddim", 1000, 0, 1.0, None, None, "trailing", "static", "linear", 1000, None]
    event = httpx.post(f"{server}gradio_api/call/generate", json={"data": long}).json()["event_id"]
    with contextlib.suppress(httpx.ReadTimeout):  # asks for the answer, and goes
        httpx.get(f"{server}gradio_api/call/generate/{event}", timeout=1)
    client.predict(count=1, steps=2, api_name="/generate")  # one at a time: else this would take minutes
