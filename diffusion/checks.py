"""What a setting is, whoever gave it: a person, a file, a link or another program."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, TypeGuard


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number by its type, Python's or NumPy's: neither 3.0, nor True, nor "3"."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number: neither nan, nor True, nor "3"."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def shown(value: Any, length: int = 40) -> str:
    """A value for a message: on one line, quoted if it is text, and cut where it is long."""
    try:
        if isinstance(value, Real) and not isinstance(value, bool):
            text = str(int(value)) if isinstance(value, Integral) else f"{float(value):g}"
        else:
            text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = "a number of very many digits"
    return text if len(text) <= length else f"{text[: length - 1]}…"
