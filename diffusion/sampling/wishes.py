"""People ask a network in words, and know little of what it was taught: what it is asked is made of both.

``labels_asked`` turns names into labels. ``steps_asked`` finds the steps that a student was taught, on any schedule,
and ``remark_on_student`` says when it is asked for others.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from diffusion.networks.card import Card
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import Spacing, steps_at, timesteps
from diffusion.schedules.schedule import Schedule

USUAL_STEPS = 50
MOST_NAMED, NEAREST = 20, 3  # of the names there are, in a message


def labels_asked(card: Card, wishes: Sequence[str], count: int) -> list[Any] | None:
    """The labels of ``count`` samples, as a ``SamplingPlan`` takes them; None for a network that is told nothing.

    Args:
        wishes: what the samples shall show, in turn. For a network of classes each is one, by name or index. For one of
            several conditions it is names of values with commas between them, in any order: "fox, openmoji". A name
            that is one of several conditions' says which: "kind=cat-face, style=noto"; so can an index, "kind=3".
            Conditions that are not named are left out, all of them by "". Capitals, spaces and hyphens do not matter.
            Without wishes all classes come in turn, or values of the first condition, evenly spread, with nothing said
            of the others: not every value goes with every other.

    Raises:
        SamplingError: something that the network does not know.
    """
    if card.conditions:
        sizes = card.network.conditions
        rows = [_values(card, wish) for wish in wishes]
        if not wishes:
            shown = min(count, sizes[0])
            rows = [[i * sizes[0] // shown, *sizes[1:]] for i in range(shown)]
        return [rows[i % len(rows)] for i in range(count)]
    if wishes and not card.classes:
        raise SamplingError("label", f"{card.name} has no classes; leave the label out.")
    chosen = [_class(card, wish) for wish in wishes] or list(range(len(card.classes)))
    return [chosen[i % len(chosen)] for i in range(count)] if chosen else None


def _class(card: Card, wish: str) -> int:
    """A class by name or index."""
    names = card.classes
    index = len(names) if wish == "" else _index(names, wish)
    if index is None:
        known = f"{card.name} knows {', '.join(names)}" if len(names) <= MOST_NAMED else _nearest(names, wish)
        raise SamplingError("label", f"There is no class {wish!r}; {known}.")
    return index


def _values(card: Card, wish: str) -> list[int]:
    """A value of each condition, or its size, which leaves it out."""
    row: dict[str, int] = {}
    for part in filter(None, map(str.strip, wish.split(","))):
        condition, index = _value(card, part)
        if condition in row:
            raise SamplingError("label", f"{wish!r} names two values of {condition}: ask for one at a time.")
        row[condition] = index
    return [row.get(name, size) for name, size in zip(card.conditions, card.network.conditions, strict=True)]


def _value(card: Card, part: str) -> tuple[str, int]:
    """The condition that NAME or CONDITION=NAME is of, and the index of its value."""
    condition, equals, name = (text.strip() for text in part.rpartition("="))
    if equals and condition not in card.conditions:
        raise SamplingError("label", f"{card.name} has no condition {condition!r}; it is told "
                                     f"{', '.join(card.conditions)}.")  # fmt: skip
    if equals:
        index = _index(card.conditions[condition], name)
        if index is None:
            raise SamplingError(
                "label", f"There is no {condition} {name!r}; {_nearest(card.conditions[condition], name)}."
            )
        return condition, index
    found = {title: _index(values, name, by_number=False) for title, values in card.conditions.items()}
    places = [title for title, index in found.items() if index is not None]
    if len(places) > 1:
        ways = " or ".join(f"{title}={name}" for title in places)
        raise SamplingError("label", f"{name!r} can be {' or '.join(places)}: say {ways}.")
    index = found[places[0]] if places else None
    if index is None:
        every = [value for values in card.conditions.values() for value in values]
        raise SamplingError("label", f"{card.name} knows no {name!r}; {_nearest(every, name)}.")
    return places[0], index


def _index(names: Sequence[str], wanted: str, *, by_number: bool = True) -> int | None:
    """Where a name is: as it is written, or but for capitals, spaces and hyphens, or by its number."""
    if wanted in names:
        return names.index(wanted)
    plain = [_plain(name) for name in names]
    if plain.count(_plain(wanted)) == 1:
        return plain.index(_plain(wanted))
    if by_number and wanted.isdecimal() and len(wanted) < 10 and int(wanted) < len(names):
        return int(wanted)
    return None


def _plain(name: str) -> str:
    """A name without what does not matter: capitals, and what stands between its words."""
    return re.sub(r"(?<=\w)[-_\s]+(?=\w)", " ", name.replace("_", " ").casefold()).strip()


def _nearest(names: Sequence[str], wanted: str) -> str:
    """Which names there are that look like it."""
    by_plain = {_plain(name): name for name in names}
    inside = sorted((name for name in by_plain if _plain(wanted) and _plain(wanted) in name), key=len)
    alike = difflib.get_close_matches(_plain(wanted), by_plain, NEAREST, cutoff=0.5)
    found = [by_plain[name] for name in dict.fromkeys([*inside, *alike])][:NEAREST]
    if not found and len(names) > MOST_NAMED:
        return f"none of the {len(names):,} names there are is like it"
    *others, last = found or names
    return f"there is {', '.join(others)} or {last}" if others else f"there is {last}"


def steps_asked(
    levels: Sequence[float],
    schedule: Schedule,
    count: int | None = None,
    spacing: Spacing | None = None,
    start: int | None = None,
) -> tuple[list[int], Spacing | None]:
    """The steps of a schedule to draw by, and what spaced them, where it was a spacing.

    A student takes its own, unless it is asked for another number of them or to space them; any other denoiser 50,
    even in t.

    Args:
        levels: of the student's card; none for what is no student.
        start: as of ``timesteps``.

    Raises:
        SamplingError: as ``timesteps``, or fewer steps than the student takes.
    """
    if levels and spacing is None and count in (None, len(levels)):
        return steps_at(schedule, levels, start), None
    spacing = "trailing" if spacing is None else spacing
    count = (len(levels) or USUAL_STEPS) if count is None else count
    return timesteps(schedule, count, spacing, start), spacing


def remark_on_student(card: Card, schedule: Schedule, plan: SamplingPlan) -> str:
    """A sentence for whoever has a student do what it was not taught; "" if it was, or is no student."""
    if not card.levels or len(card.levels) > schedule.T:
        return ""
    own = steps_at(schedule, card.levels)
    plain = plan.sampler == "ddim" and not plan.options.get("eta")
    ways = {*pairwise([*own, 0])}
    if plain and all(way in ways for way in pairwise([*plan.steps, 0]) if way[1] < way[0]):
        return ""
    count = f"the {len(own)} steps at t = {', '.join(map(str, own))}" if len(own) > 1 else f"one step, at t = {own[0]}"
    return f"{card.title} is a student and was taught {count}, by DDIM: drawn in another way its images are worse."
