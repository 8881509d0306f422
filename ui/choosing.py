"""Controls of a sampler that more than one tab has: its options, and words about what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gradio as gr

from diffusion.sampling.choices import Choice
from diffusion.sampling.clips import CLIPS, Clip
from diffusion.sampling.steps import SPACINGS, Spacing
from diffusion.sampling.updates import SAMPLERS, option_parameters, samplers_with

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
LATEX: list[dict[str, str | bool]] = [{"left": "$", "right": "$", "display": False}]
SLIDER_STEPS = 20  # of the range of an option


def sampler_titles() -> list[tuple[str, str]]:
    """What a list of samplers offers: (title, name)."""
    return [(about.title, name) for name, about in SAMPLERS.items()]


def about_choice(choice: Choice) -> str:
    """A sampler, a spacing or a way to clip in Markdown: its advice, formula and source."""
    lines = "\n\n".join(f"${line}$" for line in choice.formula.split(r",\;"))
    return "\n\n".join(filter(None, (choice.advice, lines, choice.source)))


def about_sampler(name: str) -> gr.Markdown:
    """Words about a sampler, below what chooses it."""
    return gr.Markdown(about_choice(SAMPLERS[name]), latex_delimiters=LATEX, elem_classes="lab-note lab-about")


def describe_spacing(name: Spacing) -> str:
    """The handler of a list of spacings."""
    return about_choice(SPACINGS[name])


def describe_clip(name: Clip) -> str:
    """The handler of a list of ways to clip."""
    return about_choice(CLIPS[name])


def explained(
    label: str, choices: Mapping[Any, Choice], value: str, describe: Callable[[Any], str]
) -> gr.Dropdown:  # fmt: skip
    """A list to choose from, with words about the choice below it."""
    chooser = gr.Dropdown([(about.title, name) for name, about in choices.items()], value=value, label=label)
    words = gr.Markdown(describe(value), latex_delimiters=LATEX, elem_classes="lab-note lab-about")
    chooser.change(describe, chooser, words, **QUIET)
    return chooser


def option_sliders(sampler: str) -> dict[str, gr.Slider]:
    """A slider for each option of any sampler, by name; in sight are those of the one that is chosen at first."""
    return {
        name: gr.Slider(
            parameter.minimum, parameter.maximum, parameter.default,
            step=(parameter.maximum - parameter.minimum) / SLIDER_STEPS, label=parameter.symbol,
            info=parameter.about, visible=sampler in samplers_with(name),
        )
        for name, parameter in option_parameters().items()
    }  # fmt: skip


def options_in_sight(samplers: Iterable[str]) -> list[Any]:
    """Of each of ``option_parameters``, that it is seen where one of the samplers has it."""
    known = {option for name in samplers for option in SAMPLERS[name].parameters}
    return [gr.update(visible=name in known) for name in option_parameters()]
