"""The running page as other programs see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from diffusion.sampling.archive import read
from diffusion.sampling.recipe import denoiser_of, draw, load_model_of
from diffusion.sampling.updates import SAMPLERS
from diffusion.schedules.families import make_schedule
from ui import api


@pytest.fixture(scope="module")
def client(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(server, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
    yield client
    client.close()


def test_only_what_is_meant_for_others_has_a_name(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/generate", "/noise", "/schedule", "/loss"}
    assert all(endpoint["description"] for endpoint in endpoints.values())
    assert get_args(get_type_hints(api.generate)["sampler"]) == tuple(SAMPLERS)


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
     ({"label": "eleven"}, "no class eleven"), ({"family": "round"}, "round"), ({"sampler": "euler"}, "no sampler")],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(client: Client, change: dict[str, object], words: str) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(**change, api_name="/generate")
