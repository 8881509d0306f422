"""Ctrl-C in the middle of a step would leave half of it: a run that is asked to stop ends behind the step in hand."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that fills when Ctrl-C or SIGTERM ask to stop, instead of an exception in the middle of a step.

    The second Ctrl-C is the exception again.
    """
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped(accelerator: Accelerator, asked: list[int]) -> bool:
    """Whether any process was asked to stop: all must leave after the same step, or the others would wait for it."""
    if accelerator.num_processes == 1:
        return bool(asked)
    return bool(accelerator.reduce(torch.tensor(float(bool(asked)), device=accelerator.device)).item())
