"""People ask a network in words, and know little of what it was taught: what it is asked is made of both.

``labels_asked`` turns names into labels, ``in_words`` labels into names. ``steps_asked`` finds the steps that a student
was taught, on any schedule, and ``remark_on_student`` says when it is asked for others.
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
MOST_LETTERS = 200  # of a wish
IN_TURN, ANY = "all in turn", "any"  # of a condition, in place of one of its values


def labels_asked(card: Card, wishes: Sequence[str], count: int) -> list[Any] | None:
    """The labels of ``count`` samples, as a ``SamplingPlan`` takes them; None for a network that is told nothing.

    Args:
        wishes: what the samples shall show, in turn. For a network of classes each is one, by name or index. For one of
            several conditions it is names of values with commas between them, in any order: "fox, openmoji". A name
            that is one of several conditions' says which: "kind=cat-face, style=noto"; so can an index, "kind=3".
            Conditions that are not named are left out, all of them by "". Capitals, spaces and hyphens do not matter.
            "style=all in turn" takes the values of a condition in turn, evenly spread; of the first only those that go
            with what is said of one that follows from it, as the concepts of a kind. "style=any" leaves it out.
            Without wishes, or with "all in turn" alone, all classes come in turn, or values of the first condition,
            with nothing said of the others: not every value goes with every other.

    Raises:
        SamplingError: something that the network does not know, or that cannot be together.
    """
    too_long = next((wish for wish in wishes if len(wish) > MOST_LETTERS), None)
    if too_long is not None:
        raise SamplingError("label", f"{too_long[:20]!r} … is no name; a label has at most {MOST_LETTERS} letters.")
    if list(wishes) == [IN_TURN]:
        wishes = ()
    if card.conditions:
        asked = [_values(card, wish) for wish in wishes or (IN_TURN,)]
        each = -(-count // len(asked))
        turns = [[_spread(some, each) for some in row] for row in asked]
        return [[some[i // len(asked)] for some in turns[i % len(asked)]] for i in range(count)]
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


def in_words(card: Card, label: int | Sequence[int]) -> str:
    """The values that a label names, for people."""
    said = said_of(card, label)
    return ", ".join(said.values()) or f"{next(iter(card.conditions), 'class')}={ANY}"


def said_of(card: Card, label: int | Sequence[int]) -> dict[str, str]:
    """The values that a label names, by condition; "class" is that of a network of classes."""
    names = card.conditions or {"class": card.classes}
    row = [label] if isinstance(label, int) else label
    return {name: values[i] for (name, values), i in zip(names.items(), row, strict=True) if i < len(values)}


def values_asked(card: Card, wish: str) -> dict[str, str]:
    """What a wish says of each condition by name, or of the "class": a value, ``IN_TURN`` or ``ANY``.

    Raises:
        SamplingError: as ``labels_asked``.
    """
    labels_asked(card, [wish], 1)
    if not card.conditions:
        return {"class": wish if wish == IN_TURN else in_words(card, _class(card, wish))}
    said, words = _named(card, wish), {}
    for name, values in card.conditions.items():
        (index, *more) = said.get(name, [len(values)])
        words[name] = IN_TURN if more else ANY if index == len(values) else values[index]
    return words


def _values(card: Card, wish: str) -> list[Sequence[int]]:
    """Of each condition the values that are taken in turn, mostly one: its size where it is left out."""
    row, sizes = _named(card, wish), card.network.conditions
    return _agreed(card, {name: row.get(name, [size]) for name, size in zip(card.conditions, sizes, strict=True)})


def _named(card: Card, wish: str) -> dict[str, Sequence[int]]:
    """The same of the conditions that a wish names."""
    if wish == IN_TURN:
        wish = f"{next(iter(card.conditions))}={IN_TURN}"
    row: dict[str, Sequence[int]] = {}
    for part in filter(None, map(str.strip, wish.split(","))):
        condition, values = _value(card, part)
        if condition in row:
            raise SamplingError("label", f"{wish!r} names two values of {condition}: ask for one at a time.")
        row[condition] = values
    return row


def _agreed(card: Card, row: dict[str, Sequence[int]]) -> list[Sequence[int]]:
    """What is said of each condition, held against what follows from the first.

    Raises:
        SamplingError: a value that does not go with that of the first, or both in turn.
    """
    first, size = next(iter(row)), card.network.conditions[0]
    for name, goes_with in card.follows.items():
        names, said = card.conditions[name], row[name]
        if row[first] == [size] or said == [len(names)]:
            continue
        if len(said) > 1:
            raise SamplingError("label", f"The {name} follows from the {first}: leave one of the two out.")
        row[first] = [value for value in row[first] if goes_with[value] == said[0]] or row[first]
        (value, *_), kind = row[first], names[said[0]]
        if goes_with[value] != said[0]:
            raise SamplingError("label", f"{card.conditions[first][value]} is {names[goes_with[value]]}, not {kind}: "
                                         f"leave the {name} out.")  # fmt: skip
    return [*row.values()]


def _spread(values: Sequence[int], count: int) -> list[int]:
    """So many of the values in turn, evenly spread; again from the first where there are fewer."""
    shown = min(count, len(values))
    return [values[i % shown * len(values) // shown] for i in range(count)]


def _value(card: Card, part: str) -> tuple[str, Sequence[int]]:
    """The condition that NAME or CONDITION=NAME is of, and its values that are taken in turn, mostly one."""
    condition, equals, name = (text.strip() for text in part.rpartition("="))
    if equals and condition not in card.conditions:
        raise SamplingError("label", f"{card.name} has no condition {condition!r}; it is told "
                                     f"{', '.join(card.conditions)}.")  # fmt: skip
    if equals:
        names = card.conditions[condition]
        index = _index(names, name)
        if index is None and name in (IN_TURN, ANY):
            return condition, range(len(names)) if name == IN_TURN else [len(names)]
        if index is None:
            raise SamplingError(
                "label", f"There is no {condition} {name!r}; {_nearest(card.conditions[condition], name)}."
            )
        return condition, [index]
    found = {title: _index(values, name, by_number=False) for title, values in card.conditions.items()}
    places = [title for title, index in found.items() if index is not None]
    if len(places) > 1:
        ways = " or ".join(f"{title}={name}" for title in places)
        raise SamplingError("label", f"{name!r} can be {' or '.join(places)}: say {ways}.")
    index = found[places[0]] if places else None
    if index is None:
        every = [value for values in card.conditions.values() for value in values]
        raise SamplingError("label", f"{card.name} knows no {name!r}; {_nearest(every, name)}.")
    return places[0], [index]


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
