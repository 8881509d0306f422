"""Can a network draw a thing in a style in which it never saw it? A section of the reverse tab, of networks that know.

Some pairs of values were kept from training, a guitar by Noto, though both were seen with others. What is drawn of such
a pair stands beside the real picture and, of some, beside the same thing in the styles that training saw; and below it
is said how often judges find both, in the figures of the network's card. Drawn it is as those were measured.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import gradio as gr
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from diffusion.data.folders import load_data
from diffusion.data.sets import ImageSet
from diffusion.images import to_bytes
from diffusion.networks.card import Card
from diffusion.sampling import recipe as recipes
from diffusion.sampling.recipe import Recipe, denoiser_of
from diffusion.sampling.updates import SAMPLERS, title_of
from diffusion.sampling.wishes import labels_asked, said_of, steps_asked
from ui.asked import AskedError
from ui.background import in_background
from ui.job import Values, ended, run_job
from ui.models import AT_NETWORK, SIDE, Source, StopFlag, find_source, networks, stop
from ui.opening import opening_of
from ui.sampling import read_seed
from ui.seen import image_button
from ui.told import shown_images
from ui.view import View

DRAWN = 4  # samples of a pair
PREVIEW_SECONDS = 0.2
WORDS = (
    "Training has seen the thing in other hands, and other things in this hand, but never the two together. Does the "
    "network know the hand? Look for its outlines, its shading and its colours."
)
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class AskedPair(TypedDict):
    """One of the pairs of a network, by its place among them."""

    network: str
    pair: Annotated[int, Field(ge=0)]


@cache
def unseen_pairs(kind: str) -> ImageSet:
    """A picture of each pair that was kept from the training of the networks of a kind; bundled."""
    return load_data(kind, "pairs", SIDE)


def composes(network: str) -> bool:
    """Whether there are figures of pairs that a network has not seen, and their real pictures."""
    if network not in networks():  # a browser may ask for anything
        return False
    source = find_source(network)
    return source.model is not None and "pairs" in source.model.card.figures and shown_images(source.kind) is not None


def read_pair(asked: AskedPair) -> tuple[Source, Card, int]:
    """What is asked for, and its card.

    Raises:
        AskedError: no such pair.
    """
    network, pair = asked["network"], asked["pair"]
    if not composes(network) or not 0 <= pair < len(unseen_pairs(find_source(network).kind)):
        raise AskedError("There is no such pair; choose another.")
    source = find_source(network)
    assert source.model is not None
    return source, source.model.card, pair


def words_of_pair(card: Card, label: Tensor) -> dict[str, str]:
    """The two values by condition, first the thing."""
    said = said_of(card, label.tolist())
    return {name: said[name] for name in card.figures["pairs"]["asked"]}


def measured_run(card: Card) -> dict[str, Any]:
    """How the pairs are drawn: as in the last of the runs that the card has figures of."""
    run: dict[str, Any] = [run for run in card.figures["runs"] if "pairs" in run][-1]
    return run


def pair_recipe(source: Source, card: Card, pair: int, seed: int) -> Recipe:
    """So many samples of a pair, drawn as its figures were measured."""
    run, schedule = measured_run(card), card.training_schedule()
    said = words_of_pair(card, unseen_pairs(source.kind).labels[pair])
    wish = ", ".join(f"{name}={value}" for name, value in said.items())
    steps, spacing = steps_asked(card.levels, schedule, run["steps"], None if card.levels else run["spacing"])
    return Recipe(
        steps, range(seed, seed + DRAWN), run["sampler"],
        {name: run[name] for name in SAMPLERS[run["sampler"]].parameters if name in run},
        labels_asked(card, [wish], DRAWN), guidance=run["guidance"], spacing=spacing, schedule=schedule,
        model=source.name, sha256=card.sha256, precision=source.precision,
    )  # fmt: skip


def draw_pair(source: Source, card: Card, pair: int, seed: int, flag: StopFlag) -> Iterator[dict[str, Any]]:
    """Values for the view: while it is drawn ("live") the predicted x_0, at the end "done"."""
    recipe = pair_recipe(source, card, pair, seed)
    denoiser, shape = denoiser_of(recipe, source.model, source.device)
    started, shown, step = time.monotonic(), 0.0, None
    for step in in_background(recipes.run(recipe, denoiser, shape, source.device)):
        if flag.up:
            break
        now = time.monotonic()
        if now - shown > PREVIEW_SECONDS:
            shown = now
            yield _drawn(source.name, pair, "live", step.x_0, f"step {step.index + 1} of {len(recipe.steps)}")
    assert step is not None  # a plan has steps
    way = title_of(recipe.sampler, recipe.options)
    guided = f", guidance {recipe.guidance:g}" if recipe.guidance != 1 else ""
    stopped = "Stopped" if flag.up else f"Drawn in {time.monotonic() - started:.1f} s"
    status = f"{stopped}: {way}, {len(recipe.steps)} steps{guided}, seeds {seed} to {seed + DRAWN - 1}."
    yield _drawn(source.name, pair, "done", step.x_0 if flag.up else step.x_s, status)


def _drawn(network: str, pair: int, state: str, samples: Tensor, status: str) -> dict[str, Any]:
    images = to_bytes(samples.cpu())
    data = base64.b64encode(images.tobytes()).decode()
    return {"network": network, "pair": pair, "state": state, "shape": images.shape, "data": data, "status": status}


def press_compose(asked: AskedPair | None, seed: str, flag: StopFlag) -> Iterator[Values]:
    """The button's handler: (view, message, Draw, Stop)."""

    def work() -> Iterator[tuple[Values, bool]]:
        if asked is None:
            raise AskedError("Choose a pair first.")
        source, card, pair = read_pair(asked)
        yield (gr.skip(), ""), False
        for value in draw_pair(source, card, pair, read_seed(seed), flag):
            yield (value, ""), value["state"] == "done"

    yield from run_job(flag, work(), lambda error, shown: (ended(shown, state="done", status=""), str(error)))


def pictures_of_pair(asked: AskedPair) -> dict[str, Any]:
    """The real picture of a pair, {"picture", "name"}; the same thing as training saw it, as far as that is bundled;
    and what was drawn of the pair beforehand, or null.
    """
    source, card, pair = read_pair(asked)
    unseen, shown = unseen_pairs(source.kind), shown_images(source.kind)
    assert shown is not None
    thing, hand = words_of_pair(card, unseen.labels[pair])
    column, other = ([*card.conditions].index(name) for name in (thing, hand))
    same = shown[shown.labels[:, column] == unseen.labels[pair, column]]
    names = [*card.conditions[hand]]
    seen = [
        image_button(image, names[label])
        for image, label in zip(same.images, same.labels[:, other].tolist(), strict=True)
    ]
    opening = opening_of(source.name)
    before = opening.composed if opening is not None else None
    return {
        "real": image_button(unseen.images[pair], names[int(unseen.labels[pair, other])]),
        "seen": seen,
        "drawn": before if before is not None and before["pair"] == pair else None,
    }


def composing_value(network: str) -> dict[str, Any]:
    """What there is to choose from: all pairs in words, some of them by their pictures, and the figures of the card."""
    source = find_source(network)
    assert source.model is not None
    card, unseen, shown = source.model.card, unseen_pairs(source.kind), shown_images(source.kind)
    assert shown is not None
    pairs = [[*words_of_pair(card, label).values()] for label in unseen.labels]
    column = [*card.conditions].index(card.figures["pairs"]["asked"][0])
    things = set(shown.labels[:, column].tolist())
    offered = [i for i, thing in enumerate(unseen.labels[:, column].tolist()) if thing in things]
    return {
        "network": network, "pair": offered[0], "pairs": pairs, "figures": figures_of_pairs(card),
        "offered": [{"pair": i, **image_button(unseen.images[i], " by ".join(pairs[i]))} for i in offered],
    }  # fmt: skip


def figures_of_pairs(card: Card) -> dict[str, Any]:
    """How often each value of a pair is found: {"rows": [name, unseen, seen, real pictures of unseen], "about"}."""
    run, pairs = measured_run(card), card.figures["pairs"]
    rows = [
        [
            name,
            *(
                f"{100 * found[name]:.1f} %"
                for found in (run["pairs"]["unseen"], run["pairs"]["seen"], pairs["unseen"])
            ),
        ]
        for name in pairs["asked"]
    ]
    about = (
        f"Of {pairs['images']} unseen pairs, as many seen ones of the same things, and real pictures of the unseen, "
        "by classifiers that had no part in training. Sets of one maker are sometimes all but the same drawing: such "
        "a pair is easy."
    )
    return {"rows": rows, "about": about}


def show_composing(network: str) -> tuple[Any, Any]:
    """Another network: (the section, its view); the section is there for those that have such figures."""
    if not composes(network):
        return gr.update(visible=False), gr.skip()
    return gr.update(visible=True), composing_value(network)


@dataclass(frozen=True)
class Composing:
    """The section; at ``waiting`` Gradio says which place in the queue it has."""

    section: gr.Column
    view: View
    message: gr.Markdown
    waiting: gr.Markdown
    start: gr.Button
    halt: gr.Button


def build_composing() -> Composing:
    with gr.Column(visible=False) as section:
        gr.Markdown("### A thing in a hand that never drew it", elem_classes="lab-heading")
        with gr.Row():
            with gr.Column(scale=1, min_width=250):
                gr.Markdown(WORDS, elem_classes="lab-note")
                message = gr.Markdown(elem_classes="lab-message", elem_id="lab-compose-message")
                with gr.Row():
                    start = gr.Button("Draw it", elem_id="lab-compose", min_width=90)
                    halt = gr.Button("Stop", interactive=False, elem_id="lab-compose-stop", min_width=70)
                waiting = gr.Markdown("&nbsp;", elem_classes="lab-waiting")
            with gr.Column(scale=3, min_width=320):
                view = View("composing", elem_id="lab-composing", server_functions=[pictures_of_pair])
    return Composing(section, view, message, waiting, start, halt)


def composing_section(network: gr.Dropdown, seed: gr.Textbox) -> None:
    """Build the section, which follows the network that is chosen and draws from its seed on."""
    flag, parts = gr.State(StopFlag()), build_composing()
    network.change(show_composing, network, [parts.section, parts.view], trigger_mode="always_last", **QUIET)
    parts.start.click(
        press_compose, [parts.view, seed, flag], [parts.view, parts.message, parts.start, parts.halt],
        show_progress="minimal", show_progress_on=parts.waiting, api_visibility="private", **AT_NETWORK,
    )  # fmt: skip
    parts.halt.click(stop, flag, None, queue=False, **QUIET)
