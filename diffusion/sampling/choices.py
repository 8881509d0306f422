"""A setting that comes from a person, a link or a file may be none of those there are.

It is refused by one kind of error that names the setting, and a choice says of itself what it is and when to use it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from diffusion.checks import shown


class SamplingError(ValueError):
    """A request that cannot be sampled; ``field`` names the setting to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def check_choice(field: str, value: Any, known: Collection[str]) -> None:
    """Raises SamplingError: ``value`` is none of the names that are known; ``field`` is what they name."""
    if not isinstance(value, str) or value not in known:
        raise SamplingError(field, f"There is no {field} {shown(value)}; choose one of {', '.join(known)}.")


@dataclass(frozen=True)
class Choice:
    """A choice, for people: its name, its formula (KaTeX), where it is from, and when to use it."""

    title: str
    formula: str
    source: str
    advice: str
