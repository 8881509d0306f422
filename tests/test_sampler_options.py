"""An option of a sampler is named in one place, the table of samplers: everything else follows from it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from diffusion.cli.main import main
from diffusion.sampling import archive
from diffusion.sampling.updates import DDIM, SAMPLERS, Sampler, option_parameters, samplers_with
from diffusion.schedules.families import Parameter
from ui import api, link, sampling
from ui.demo import build_demo
from ui.models import find_source
from ui.sidebar import default_settings

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Toy(DDIM):
    """DDIM with one option that no other sampler has."""

    pull: float = 2.0


@pytest.fixture(scope="module", autouse=True)
def toy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            SAMPLERS, "toy", Sampler("Toy", "x", "", "Use it.", Toy, {"pull": Parameter("p", 1, 5, 2, "how hard")})
        )
        yield


@pytest.fixture(scope="module")
def demo() -> gr.Blocks:
    async def build() -> gr.Blocks:
        return build_demo()  # Gradio makes loops of its own where none runs, and never closes them

    return asyncio.run(build())


def test_samplers_that_share_the_name_of_an_option_share_what_it_means() -> None:
    for sampler in SAMPLERS.values():
        for name, parameter in sampler.parameters.items():
            assert parameter == option_parameters()[name]
    assert list(option_parameters()) == ["v", "eta", "pull"]
    assert samplers_with("eta") == ["ddim", "dpmpp"] and samplers_with("pull") == ["toy"]


def test_page_has_a_slider_for_it_and_the_link_keeps_it(demo: gr.Blocks) -> None:
    sliders = [block for block in demo.blocks.values() if isinstance(block, gr.Slider) and block.label == "p"]
    assert len(sliders) == 2  # of Reverse and of Plane
    for slider in sliders:
        assert (slider.minimum, slider.maximum, slider.value, slider.info) == (1, 5, 2, "how hard")
        assert not slider.visible  # until its sampler is chosen
    kept = re.findall(r"\b(\w*pull):", " ".join(fn.js for fn in demo.fns.values() if isinstance(fn.js, str)))
    assert kept == ["pull", "plane_pull"]


def test_chosen_value_comes_from_page_and_link_into_the_run() -> None:
    controls = link.controls_from_link({"sampler": "toy", "pull": "3.5", "eta": "0.5"})
    assert (controls.sampler, controls.options) == ("toy", {"pull": 3.5, "eta": 0.5})
    assert sampling.controls_of([*sampling.values_of(controls).values()]).options == {"v": 1, "eta": 0.5, "pull": 3.5}
    recipe = sampling.read_recipe(find_source("digits"), default_settings(), controls)
    assert recipe.options == {"pull": 3.5}
    for wild in ("0.9", "5.1", "nan", "hard", ""):
        assert link.controls_from_link({"pull": wild}) == sampling.Controls()


def test_endpoint_takes_it_by_name(demo: gr.Blocks) -> None:
    parameters = demo.get_api_info()["named_endpoints"]["/generate"]["parameters"]
    by_name = {parameter["parameter_name"]: parameter for parameter in parameters}
    assert by_name["sampler"]["type"] == {"enum": list(SAMPLERS)}
    names = list(by_name)
    assert names[names.index("guidance") + 1 : names.index("spacing")] == ["v", "eta", "pull"]
    asked: dict[str, Any] = {"count": 1, "steps": 1}
    for options, expected in (({"pull": 4.0}, {"pull": 4.0}), ({}, {"pull": 2})):
        _, file = api.generate_endpoint()(**asked, sampler="toy", **options)
        assert archive.read(Path(file["path"])).options == expected
    assert 'pull: of "toy": how hard; from 1 to 5' in str(api.generate_endpoint().__doc__)


def test_command_line_takes_it(tmp_path: Path) -> None:
    for options, expected in ((["--pull", "4"], {"pull": 4}), ([], {"pull": 2})):
        out = tmp_path / "toy.npz"
        main(["sample", "--model", "digits", "--count", "1", "--steps", "1", "--sampler", "toy", "--out", str(out),
              *options])  # fmt: skip
        assert archive.read(out).options == expected
    assert main(["sample", "--model", "digits", "--sampler", "ddim", "--pull", "4", "--out", str(tmp_path / "n.npz")])
