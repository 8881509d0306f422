"""What a visitor should know of a network before trusting it, from its card: a line, a table, and what was measured."""

from __future__ import annotations

from typing import Any

from diffusion.networks.model import Model, count_parameters
from diffusion.sampling.steps import SPACINGS
from diffusion.sampling.updates import SAMPLERS, title_of

COLOURS = {1: "grey", 3: "RGB"}
COLUMNS = (
    "Right class: how often a classifier finds the class that was asked for. Fréchet: the distance of its features to "
    "those of training images, less is better (and that of as many real images). Nearest: the median distance to the "
    "most similar training image, in grey levels; too near: samples that are nearer than 99 % of real images, which "
    "would be copies."
)


def describe_model(model: Model) -> str:
    """The network in a line of Markdown."""
    card = model.card
    return f"**{card.title}** · {card.told()}, {card.images_seen:,} images seen · {card.data}"


def card_table(model: Model) -> str:
    """The network's card as a table in Markdown."""
    card, network = model.card, model.card.network
    parameters = count_parameters(model)
    channels, height, width = model.image_shape
    rows = {
        "network": network.describe(parameters),
        "images": f"{width} x {height}, {COLOURS.get(channels, f'{channels} channels')}",
        "classes": ", ".join(card.classes) or card.told(),
        "schedule in training": f"{card.schedule.family}, T = {card.schedule.T}",
        "data": card.data,
        "licence": card.licence,
        "trained with": f"`{card.command}`",
        "images seen": f"{card.images_seen:,} in {card.seconds / 60:.0f} minutes",
        "SHA-256 of the weights": f"`{card.sha256}`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"| | |\n|---|---|\n{table}\n\n{quality(card.figures)}"


def quality(figures: dict[str, Any]) -> str:
    """What was measured of a network, in Markdown; nothing if nothing was."""
    if not figures:
        return ""
    text = (
        f"**{figures['bits_per_dim']:.3f} ± {figures['standard_error']:.3f} bits/dim** "
        f"on {figures['images']:,} held-out images: L<sub>T</sub> {figures['L_T']:.1g}, "
        f"L<sub>1</sub> to L<sub>T−1</sub> {figures['L_mid']:.3f}, L<sub>0</sub> {figures['L_0']:.3f}."
    )
    if "runs" in figures:
        held = figures["held_out"]
        head = ["sampler", "steps", "images", "right class", "Fréchet (real)", "nearest", "too near"]
        rows = [
            [_way(run), run["steps"], f"{run['images']:,}", f"{run['accuracy']:.1%}",
             f"{run['frechet']:#.3g} ({run['frechet_held_out']:#.3g})", f"{run['nearest_median']:.1f}",
             f"{run['copied']:.1%}"]
            for run in figures["runs"]
        ]  # fmt: skip
        rows.append(["real images", "", f"{held['images']:,}", f"{held['accuracy']:.1%}", "",
                     f"{held['nearest_median']:.1f}", "1.0%"])  # fmt: skip
        lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
        table = "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)
        text += f"\n\n{table}\n\n{COLUMNS}"
    return f"{text}\n\nMeasured with `{figures['command']}`"


def _way(run: dict[str, Any]) -> str:
    """The sampler, its options and the spacing of the steps, where they are not the usual ones."""
    title = title_of(run["sampler"], {name: run[name] for name in SAMPLERS[run["sampler"]].parameters if name in run})
    spacing = run.get("spacing", "trailing")
    return title if spacing == "trailing" else f"{title}, {SPACINGS[spacing].title}"
