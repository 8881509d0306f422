"""How many steps are enough? Class found and Fréchet distance by calls of the network, as ``evaluate`` found them.

All that was measured is sent with the page, so that the picture follows the controls at once; no network is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gradio as gr
from gradio.events import Dependency

from diffusion.evaluation.quality import MOST_CALLS, Quality, calls_by_steps, quality_path, read_quality
from diffusion.networks.card import Card
from diffusion.networks.model import find_model
from diffusion.sampling.updates import SAMPLERS
from ui.cost import seconds_a_call
from ui.figures import quality_figure
from ui.models import AT_TIMING, card_of, networks, opened
from ui.sampling import Controls
from ui.view import PLOTLY, View, call_module, served


def shown_quality(card: Card, found: Quality | None) -> dict[str, Any]:
    """What the view shows of a network: {"columns", "calls": by sampler in 1, 2, ... steps, "note", "command"}, or of
    one that was not measured ``missing``.
    """
    if found is None:
        return missing(card)
    right, spread = 100 * found.held_out_accuracy, 100 * found.accuracy_spread
    columns: dict[str, list[float]] = {
        "calls_real": [1, MOST_CALLS],
        "accuracy_real": [right] * 2,
        "accuracy_low": [right - spread] * 2,
        "accuracy_high": [min(right + spread, 100)] * 2,
        "frechet_real": [found.held_out_frechet] * 2,
        "frechet_low": [found.held_out_frechet - found.frechet_spread] * 2,
        "frechet_high": [found.held_out_frechet + found.frechet_spread] * 2,
    }
    for name in SAMPLERS:
        points = sorted((point for point in found.points if point.sampler == name), key=lambda point: point.calls)
        columns[f"calls_{name}"] = [point.calls for point in points]
        columns[f"accuracy_{name}"] = [100 * point.accuracy for point in points]
        columns[f"frechet_{name}"] = [point.frechet for point in points]
    schedule = card.training_schedule()
    return {
        "columns": columns,
        "calls": {name: calls_by_steps(name, schedule) for name in SAMPLERS},
        "note": f"Each point: {found.images} images of the same seeds and classes in {found.precision}, under the "
        "schedule of training, in steps even in t, with guidance 1 and each sampler's usual options; other choices "
        "move the lines. Fréchet distance: of a classifier's features from those of the training images. The dashed "
        f"line is that of as many held-out images{spread_of(found)}.",
        "command": found.command,
    }


def spread_of(found: Quality) -> str:
    """What the band says, where there is one."""
    if found.held_out_sets < 2:
        return ""
    return f", the mean over {found.held_out_sets} sets of them, the band its standard deviation: so much is chance"


def missing(card: Card) -> dict[str, str]:
    """Why nothing is shown of a network, {"missing"}, and the command that measures it, {"command"}."""
    command = f"python -m diffusion evaluate --model {card.name} --data DATA"
    if card.levels:
        why = f"A student draws in its own {len(card.levels)} steps; what it draws in them is measured by"
    elif not card.classes:
        why = "This is measured of networks of classes alone; of this one, what it draws in 50 steps, by"
    else:
        why, command = (
            "This was not measured of these weights. It takes about half an hour, by",
            f"{command} --by-steps 500",
        )
    return {"missing": why, "command": command}


def shown_networks() -> dict[str, dict[str, Any]]:
    """``shown_quality`` of every network, by name."""
    shown = {}
    for name in networks():
        path, card = find_model(opened().get(name, name)), card_of(name)
        shown[name] = shown_quality(card, read_quality(quality_path(path), card.sha256))
    return shown


def time_calls(network: str, count: float) -> dict[str, Any]:
    """What a call takes here for so many images, for the view. The first to ask has the network timed."""
    if network not in networks():
        return gr.skip()
    return {"network": network, "images": int(count), "ms_a_call": 1000 * seconds_a_call(network, int(count))}


def build_enough() -> View:
    """The picture under its title, to be folded away."""
    titles = {name: sampler.title for name, sampler in SAMPLERS.items()}
    usual = Controls()
    with gr.Accordion("How many steps are enough?", open=True, elem_id="lab-enough-fold"):
        return View(
            "enough", elem_id="lab-enough", networks=shown_networks(), samplers=titles,
            usual={"network": usual.network, "sampler": usual.sampler, "steps": usual.steps},
            wide=quality_figure(titles), narrow=quality_figure(titles, across=1), plotly=served(PLOTLY),
        )  # fmt: skip


def follow_controls(view: View, control: Mapping[str, Any], opened: Dependency, timed: Iterable[Dependency]) -> None:
    """The mark follows what is chosen, in the browser, and the time of a call what was timed.

    Args:
        opened: the event after which a link has chosen.
        timed: those after which the network is timed, or may be: a page that is only opened asks none.
    """
    names = ("network", "sampler", "steps")
    chosen, told = [control[name] for name in names], call_module("enough", "follow", *names)
    gr.on([component.change for component in chosen], None, chosen, None, js=told)
    opened.then(None, chosen, None, js=told)
    for event in timed:
        event.then(
            time_calls, [control["network"], control["count"]], view, trigger_mode="always_last",
            show_progress="hidden", api_visibility="private", **AT_TIMING,
        )  # fmt: skip
