"""A network keeps every core busy, and a page on the same machine should still follow the hand.

Sampling is done by threads that step back whenever the page has something to do.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from ui.models import AT_ONCE

NICENESS = 19
Item = TypeVar("Item")


def in_background(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made by a thread of low priority.

    A network keeps every core busy. That way the handlers of the page, and a browser on the same machine, come first:
    who drags a slider waits less for those who sample.
    """
    while True:
        made = _workers().submit(next, items, None).result()
        if made is None:
            return
        yield made


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "sampling", _step_back)


def _step_back() -> None:
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
