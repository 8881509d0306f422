"""What a browser or another program asks, checked before anything is done with it.

The page sends only what its controls allow, but anyone can send anything. What a handler or a server function takes is
said by its annotations; ``View`` and ``LabBlocks`` hold every request against them, so a new one cannot be forgotten.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import gradio as gr
from fastapi import HTTPException
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from diffusion.data.sets import DataError
from diffusion.images import ImageError
from diffusion.losses.curve import CurveError
from diffusion.sampling.choices import SamplingError
from diffusion.schedules.schedule import ScheduleError

REFUSED = "This request cannot be answered: "
BROKEN = "Something went wrong on the server; its log says what. Nothing on the page is lost."
log = logging.getLogger("ddpm-lab")


MAX_SEED = 2**53 - 1  # what a browser can say exactly


class AskedError(ValueError):
    """A request that cannot be answered, said in one sentence."""


# Sentences for whoever asked.
REFUSALS = (AskedError, CurveError, DataError, ImageError, SamplingError, ScheduleError)


def read_whole(text: str, most: int = MAX_SEED) -> int:
    """A whole number from 0 to ``most``, as people write it.

    Raises:
        ValueError: anything else, however long.
    """
    text = text.strip()
    # Python itself refuses to read more than 4,300 digits.
    if not text.isdecimal() or len(text.lstrip("0")) > len(str(most)) or int(text[-len(str(most)) :]) > most:
        raise ValueError(f"not a whole number from 0 to {most}")
    return int(text[-len(str(most)) :])


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A server function that takes only what its annotation says. Whatever is refused is answered with status 400 and
    a sentence, ``{"detail": ...}``; what fails all the same with status 500, and is told in the log.
    """

    @functools.wraps(function)
    def answer(asked: Any) -> Any:
        try:
            (value,) = read_arguments(function, [asked])
            return function(value)
        except REFUSALS as error:
            raise HTTPException(400, str(error)) from None
        except Exception:
            traceback.print_exc()
            raise HTTPException(500, BROKEN) from None

    return answer


def read_arguments(function: Callable[..., Any], values: Sequence[Any]) -> list[Any]:
    """The values for the first parameters of a function, as its annotations say: the same, without unknown keys.

    Numbers are finite, and no other type is taken for the one that is wanted. What has no annotation, and what a
    parameter of our own kind holds (a ``State``), is passed on.

    Raises:
        AskedError: anything else.
    """
    kinds = _kinds(function)
    read = []
    for place, value in enumerate(values):
        name, kind = kinds[place] if place < len(kinds) else ("", None)
        if not is_finite(value):
            raise AskedError(f"{REFUSED}{name or 'it'} has a number that is none.")
        if kind is not None:
            try:
                value = kind.validate_python(value, strict=True)
            except ValidationError as error:
                problem = error.errors(include_url=False)[0]
                where = ".".join(map(str, (name, *problem["loc"])))
                raise AskedError(f"{REFUSED}{where}: {problem['msg'].lower()}.") from None
        read.append(value)
    return read


@cache
def _kinds(function: Callable[..., Any]) -> list[tuple[str, TypeAdapter[Any] | None]]:
    """Name and type of each parameter that is filled from a request."""
    hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    kinds: list[tuple[str, TypeAdapter[Any] | None]] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints.get(name, Any)
        if kind is gr.Request:
            continue
        plain = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if get_origin(kind) is Literal:
            kind = str  # the library knows the choices, and names them when it refuses another
        if kind is int:
            kind = Annotated[int, BeforeValidator(_whole)]
        kinds.append((name, TypeAdapter(kind) if plain and _is_json(kind) else None))
    return kinds


def _whole(value: Any) -> Any:
    """3.0 as 3: in JSON they are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_json(kind: Any) -> bool:
    """Whether a type is made of what JSON can say, and not of objects that only the server makes."""
    if kind is Any or kind is None or kind is type(None) or get_origin(kind) is Literal:
        return True
    if args := get_args(kind):
        # Of Annotated only the first is a type.
        return _is_json(args[0]) if hasattr(kind, "__metadata__") else all(map(_is_json, args))
    return isinstance(kind, type) and (kind in (str, int, float, bool, list, dict) or hasattr(kind, "__total__"))


def is_finite(value: Any) -> bool:
    """Whether all numbers in a value of JSON are finite."""
    return all(math.isfinite(item) for item in all_parts(value) if isinstance(item, float))


def all_parts(value: Any) -> Iterator[Any]:
    """A value of JSON and everything inside of it, however deep."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
