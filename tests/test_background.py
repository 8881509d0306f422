"""Work that steps back for the page."""

import os
import sys
import threading
from collections.abc import Iterator

import pytest

from ui.background import NICENESS, in_background


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_items_come_in_order_from_threads_of_low_priority() -> None:
    def items() -> Iterator[tuple[int, int]]:
        for i in range(5):
            yield i, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    made = list(in_background(items()))
    assert [i for i, _ in made] == [0, 1, 2, 3, 4]
    assert {priority for _, priority in made} == {max(here, NICENESS)}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == here


def test_what_fails_fails_where_it_was_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ArithmeticError("halfway")

    asked = in_background(items())
    assert next(asked) == 1
    with pytest.raises(ArithmeticError, match="halfway"):
        next(asked)
