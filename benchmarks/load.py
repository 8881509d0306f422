"""What a computation does beside others, and what it takes the more of it there is."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

CALLS = 4  # of each at a time


def print_result(result: dict[str, Any]) -> None:
    """For people, a line each, and on the last line all of it as JSON."""
    for name, value in result.items():
        print(f"{name:28s} {value}")
    print(json.dumps(result))


@contextmanager
def neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """A process that wants a core for as long as this lasts, as a browser does."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            time.sleep(0.2)  # until it is at it
            yield process
        finally:
            process.kill()


def milliseconds_a_call(run: Callable[[], Any], calls: int = CALLS) -> float:
    """Of so many calls, one after the other."""
    started = time.perf_counter()
    for _ in range(calls):
        run()
    return 1000 * (time.perf_counter() - started) / calls


def beside_a_neighbour(run: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Milliseconds of a call on idle cores and beside a busy process, in turns; medians, and their ratio."""
    run()
    idle, busy = [], []
    for _ in range(repeats):
        idle.append(milliseconds_a_call(run))
        with neighbour():
            busy.append(milliseconds_a_call(run))
    return _compared("idle", statistics.median(idle), "busy", statistics.median(busy))


def two_at_once(run: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Milliseconds of a call alone, and of one of two threads that both call; medians, and their ratio."""
    run()
    alone, together = [], []
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: run(), range(2)))
        for _ in range(repeats):
            alone.append(milliseconds_a_call(run))
            started = time.perf_counter()
            list(threads.map(lambda _: milliseconds_a_call(run), range(2)))
            together.append(1000 * (time.perf_counter() - started) / CALLS)
    return _compared("alone", statistics.median(alone), "two", statistics.median(together))


def _compared(first: str, a: float, second: str, b: float) -> dict[str, float]:
    return {first: round(a, 2), second: round(b, 2), "ratio": round(b / a, 2)}
