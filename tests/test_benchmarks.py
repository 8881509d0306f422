"""Benchmarks: that they run, and that both sides do the same work. What they measure is for an idle machine."""

import json
import math
import time

import pytest
import torch
from torch import Tensor

from benchmarks import equal, gpu, sampling
from benchmarks.load import neighbour
from benchmarks.loops import recipe_for
from diffusion.networks.model import load_model
from diffusion.sampling.recipe import Recipe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers"),  # of NumPy, in its schedulers
]

TINY = ["--model", "digits", "--count", "2", "--steps", "3", "--repeats", "1", "--most", "4"]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "STEPS", (2, 4))
    monkeypatch.setattr(equal, "TRIED", (2, 3, 8))
    monkeypatch.setattr(equal, "REFERENCE", 20)
    monkeypatch.setattr(equal, "QUALITY_OF", 8)


def test_both_loops_draw_the_same_images(capsys: pytest.CaptureFixture[str]) -> None:
    sampling.main(TINY)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["max_abs_difference"] <= 2
    assert result["precision_difference"]["rms"] < 2
    assert {"ratio_to_diffusers", "loop_overhead", "preview_overhead"} <= result.keys()
    assert all(result[name]["ratio"] > 0 for name in ("busy_neighbour", "two_samplings"))
    both = result["equal_quality"]
    assert both["ours"]["steps"] <= 8 and both["theirs"]["steps"] <= 8 and both["ratio"] > 0
    assert list(result["by_images"]) == ["1", "4"] and list(result["by_steps"]) == ["2", "4"]


def test_the_best_way_is_the_quickest_that_is_near_enough() -> None:
    model = load_model("digits")
    recipe = recipe_for("digits", model.card, 2, 3, "float32")
    asked: dict[str, list[int]] = {"near": [], "far": [], "never": []}

    def way(name: str, off_by_steps: dict[int, float]) -> equal.Way:
        def draw(recipe: Recipe, steps: int) -> Tensor:
            asked[name].append(steps)
            time.sleep(0.001 * steps)
            return torch.full((2, 1, 4, 4), off_by_steps[steps] / 127.5)

        return equal.Way(name, draw, torch.zeros(2, 1, 4, 4))

    ways = [way("far", {2: 9, 3: 7, 8: 5}), way("never", {2: 9, 3: 9, 8: 9}), way("near", {2: 9, 3: 4, 8: 1})]
    best = equal.quickest(ways, recipe, recipe, 5.0001, 1)
    assert (best["name"], best["steps"]) == ("near", 3)
    assert asked == {"far": [2, 3, 8, 8], "never": [2, 3, 8], "near": [2, 3, 3]}  # once more for the time
    assert equal.quickest(ways[1:2], recipe, recipe, 5.0, 1) == {"name": "none", "steps": None, "ms": math.inf}


def test_what_a_processor_lacks_is_left_out_with_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "best_precision", lambda device: "no")
    sampling.main(TINY)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["autocast_difference"] == sampling.NO_BFLOAT16
    assert not any("bfloat16" in way for way in result["ms_a_call"])


def test_a_busy_process_is_there_while_it_is_wanted_and_then_gone() -> None:
    with neighbour() as process:
        assert process.poll() is None
    assert process.poll() is not None


def test_more_images_take_more_memory_and_less_time_each() -> None:
    found = sampling.grown("digits", [1, 64], [2])
    assert found["images"][64]["peak_mb"] > found["images"][1]["peak_mb"] + 20
    assert found["images"][64]["ms_an_image"] < found["images"][1]["ms_an_image"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_benchmark_says_so_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main([])
    assert capsys.readouterr().out == gpu.NO_GPU + "\n"


def test_the_gpu_s_benchmark_runs_on_the_processor_too(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--device", "cpu", "--model", "digits", "--count", "2", "--steps", "3", "--repeats", "1", "--most", "4"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["difference_from_cpu"]["largest"] == 0 and result["difference_of_diffusers"]["largest"] <= 1
    assert set(result["ms_a_step"]) == {"theirs", "ours"} and list(result["by_images"]) == ["1", "4"]
