"""The page: a schedule in the sidebar, and the tabs of ``TABS`` that follow it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from diffusion.device import best_device, describe_device
from ui.api import add_endpoints
from ui.files import ASSETS, sample_pictures
from ui.forward_tab import forward_tab
from ui.guard import LabBlocks, Site, guarded
from ui.loss_tab import loss_tab
from ui.models import DEFAULT, MOST_WAITING
from ui.page import Page, Tab
from ui.plane_tab import plane_tab
from ui.reverse_tab import reverse_tab
from ui.runs import can_train
from ui.schedule_tab import schedule_tab
from ui.sidebar import sidebar_view
from ui.theme import theme
from ui.train_tab import train_tab
from ui.view import PLOTLY, View, served
from ui.wire import constants_in_head

# All there is to say of a tab; links name it by its id.
TABS = (
    Tab("forward", "Forward", forward_tab),
    Tab("schedule", "Schedule", schedule_tab),
    Tab("reverse", "Reverse", reverse_tab),
    Tab("loss", "Loss", loss_tab),
    Tab("plane", "Plane", plane_tab),
    Tab("train", "Train", train_tab),
)


def shown_tabs(training: bool = True) -> list[Tab]:
    """The tabs of the page; ``training``: whether visitors may have networks trained here."""
    return [tab for tab in TABS if tab.id != "train" or (training and can_train())]


def build_demo(training: bool = True) -> LabBlocks:
    """Assemble the page. Launch it with ``launch_options()``; ``training`` as of ``shown_tabs``, for both."""
    gr.set_static_paths([ASSETS, PLOTLY.parent])
    with LabBlocks(title="DDPM Lab", analytics_enabled=False) as demo:
        View("header", elem_id="lab-head", device=describe_device(best_device()))
        with gr.Sidebar(width=320, elem_id="lab-side"):
            sidebar = sidebar_view(DEFAULT)
        picture = gr.State(str(sample_pictures()[0]))
        with gr.Tabs(elem_id="lab-tabs") as tabs:
            page = Page(demo, sidebar, picture, tabs)
            for tab in shown_tabs(training):
                with gr.Tab(tab.title, id=tab.id):
                    tab.build(page)
        add_endpoints()
    # A request that goes past the queue would go past its limits too.
    demo.queue(max_size=MOST_WAITING, api_open=False)
    return demo


def launch_options(site: Site = Site(), training: bool = True) -> dict[str, Any]:
    """Everything launch() needs for a page that asks for nothing outside its own server, and serves no other page."""
    styles = ("vendor/katex/katex.min.css", "css/lab.css")
    head = "".join(f'<link rel="stylesheet" href="{served(ASSETS / style)}">' for style in styles)
    head += constants_in_head(tab.id for tab in shown_tabs(training))
    return {
        "theme": theme(),
        "head": head,
        "footer_links": [],
        "run_history": False,
        "share": False,
        "ssr_mode": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "max_file_size": "64mb",
        "favicon_path": ASSETS / "favicon.svg",
        "app_kwargs": guarded(site),
    }
