"""Benchmarks: that they run, and that both sides do the same work. What they measure is for an idle machine."""

import json

import pytest

from benchmarks import sampling

pytestmark = pytest.mark.slow


def test_both_loops_draw_the_same_images(capsys: pytest.CaptureFixture[str]) -> None:
    sampling.main(["--model", "digits", "--count", "2", "--steps", "3", "--repeats", "1"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["max_abs_difference"] <= 2
    assert result["precision_difference"]["rms"] < 2
    assert {"ratio_to_diffusers", "loop_overhead", "preview_overhead"} <= result.keys()
