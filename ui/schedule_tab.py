"""The schedule tab: the page's schedule beside those that are pinned. All it does happens in the browser."""

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
