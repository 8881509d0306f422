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
    seen = [f"{card.images_seen:,} images seen"] if card.images_seen else []
    return " · ".join([f"**{card.title}**", ", ".join([card.told(), *seen]), *filter(None, [card.data])])


def card_table(model: Model) -> str:
    """The network's card as a table in Markdown."""
    card, network = model.card, model.card.network
    parameters = count_parameters(model)
    channels, height, width = model.image_shape
    rows = {
        "network": network.describe(parameters),
        "images": f"{width} x {height}, {COLOURS.get(channels, f'{channels} channels')}",
        "is told" if card.conditions else "classes": ", ".join(card.classes) or card.told(),
        "schedule in training": f"{card.schedule.family}, T = {card.schedule.T}",
        "data": card.data,
        "licence": card.licence,
        "trained with": card.command and f"`{card.command}`",
        "images seen": f"{card.images_seen:,} in {card.seconds / 60:.0f} minutes" if card.images_seen else "",
        "SHA-256 of the weights": f"`{card.sha256}`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items() if value)
    return f"| | |\n|---|---|\n{table}\n\n{quality(card.figures)}"


def quality(figures: dict[str, Any]) -> str:
    """What was measured of a network, in Markdown; nothing if nothing was."""
    if not figures:
        return ""
    parts = (
        []
        if "bits_per_dim" not in figures
        else [  # a student has none
            f"**{figures['bits_per_dim']:.3f} ± {figures['standard_error']:.3f} bits/dim** "
            f"on {figures['images']:,} held-out images: L<sub>T</sub> {figures['L_T']:.1g}, "
            f"L<sub>1</sub> to L<sub>T−1</sub> {figures['L_mid']:.3f}, L<sub>0</sub> {figures['L_0']:.3f}."
        ]
    )
    if "runs" in figures:
        held = figures["held_out"]
        right = [f"right {name}" for name in _found(held)]
        head = ["sampler", "steps", "images", *right, "Fréchet (real)", "nearest", "too near"]
        rows = [
            [_way(run), run["steps"], f"{run['images']:,}", *_percent(_found(run)),
             f"{run['frechet']:#.3g} ({run['frechet_held_out']:#.3g})", f"{run['nearest_median']:.1f}",
             f"{run['copied']:.1%}"]
            for run in figures["runs"]
        ]  # fmt: skip
        rows.append(["real images", "", f"{held['images']:,}", *_percent(_found(held)), "",
                     f"{held['nearest_median']:.1f}", "1.0%"])  # fmt: skip
        lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
        table = "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)
        parts += [table, COLUMNS, *_pairs(figures)]
    return "\n\n".join([*parts, f"Measured with `{figures['command']}`"])


def _way(run: dict[str, Any]) -> str:
    """The sampler, its options, the spacing of the steps and the guidance, where they are not the usual ones."""
    title = title_of(run["sampler"], {name: run[name] for name in SAMPLERS[run["sampler"]].parameters if name in run})
    spacing = run.get("spacing", "trailing")
    title = title if spacing == "trailing" else f"{title}, {SPACINGS[spacing].title}"
    return title if run.get("guidance", 1) == 1 else f"{title}, guidance {run['guidance']:g}"


def _found(figures: dict[str, Any]) -> dict[str, float]:
    """Of a class, or of each of several conditions, how often it is found."""
    return figures.get("found") or {"class": figures["accuracy"]}


def _percent(shares: dict[str, float]) -> list[str]:
    return [f"{share:.1%}" for share in shares.values()]


def _pairs(figures: dict[str, Any]) -> list[str]:
    """How often pairs are found that training has not seen, in Markdown; nothing of a network that is told no pairs."""
    if "pairs" not in figures:
        return []
    pairs, names = figures["pairs"], " and ".join(figures["pairs"]["asked"])
    real = f"in their real pictures {', '.join(_percent(pairs['unseen']))}"
    drawn = []
    for run in figures["runs"]:
        unseen, seen = (", ".join(_percent(run["pairs"][which])) for which in ("unseen", "seen"))
        drawn.append(f"{_way(run)}, {run['steps']} step{'s' * (run['steps'] > 1)}: {unseen}, of seen pairs {seen}")
    return [
        f"Of {pairs['images']} pairs of {names} that training has not seen, each is found ({real}): {'; '.join(drawn)}."
    ]
