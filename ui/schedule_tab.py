"""The schedule tab: how do schedules differ? The page's own beside those that are pinned, all of it in the browser."""

from __future__ import annotations

from ui.figures import schedule_figure
from ui.page import Page
from ui.view import PLOTLY, View, served


def schedule_tab(page: Page) -> None:
    """Build the tab."""
    View(
        "schedule",
        elem_id="lab-schedule",
        wide=schedule_figure(),
        narrow=schedule_figure(across=1),
        plotly=served(PLOTLY),
    )
