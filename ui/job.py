"""A long run on the page: one button begins it, another ends it, and whatever happens both come back."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from ui.asked import BROKEN, REFUSALS
from ui.models import StopFlag

# What becomes of the two buttons: (begin, stop).
IDLE = gr.update(interactive=True), gr.update(interactive=False)
BUSY = gr.update(interactive=False), gr.update(interactive=True)

Values = tuple[Any, ...]


def is_abandoned() -> bool:
    """Whether whoever asked for what is being computed has gone, so that nobody would fetch it.

    A generator is no longer asked to go on then, by Gradio; what computes its answer in one piece has to look.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = blocks._queue.event_ids_to_events.get(event_id) if blocks is not None and event_id is not None else None
    return event is not None and not event.alive


def others_wait() -> bool:
    """Whether others stand in the queue for what is being computed for this visitor."""
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = blocks._queue.event_ids_to_events.get(event_id) if blocks is not None and event_id is not None else None
    if blocks is None or event is None:
        return False
    waiting = blocks._queue.event_queue_per_concurrency_id.get(event.concurrency_id)
    return waiting is not None and len(waiting.queue) > 0


def run_job(
    flag: StopFlag, work: Iterable[tuple[Values, bool]], refuse: Callable[[Exception, Values | None], Values]
) -> Iterator[Values]:
    """The values for the page, each with those of the two buttons behind it.

    Args:
        flag: set by the stop button; ``work`` looks at it.
        work: yields (values, whether they are the last).
        refuse: what the page shows instead when ``work`` raises: (error, the last values before). The error's message
            is a sentence for the visitor.
    """
    flag.up = False
    shown: Values | None = None
    try:
        for shown, last in work:
            yield *shown, *(IDLE if last else BUSY)
    except REFUSALS as error:
        yield *refuse(error, shown), *IDLE
    except Exception:
        traceback.print_exc()
        yield *refuse(RuntimeError(BROKEN), shown), *IDLE


def ended(shown: Values | None, **end: Any) -> Any:
    """The view of a run that failed: as it was last, if it was there already, with ``end`` in it."""
    view = shown[0] if shown else None
    return view | end if isinstance(view, dict) and end.keys() <= view.keys() else gr.skip()
