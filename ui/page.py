"""Tabs are built one after another, each by a module of its own: what they are handed, and what is said of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import gradio as gr

from ui.view import View


@dataclass(frozen=True, eq=False)
class Page:
    """The page that is being built.

    Args:
        blocks: the whole of it.
        sidebar: holds the schedule's settings.
        picture: the path of the picture that is noised, which any tab may use.
        tabs: all of them, of which one is open.
        networks: what chooses the network of a tab, by its id; each tab that has one puts it here.
    """

    blocks: gr.Blocks
    sidebar: View
    picture: gr.State
    tabs: gr.Tabs
    networks: dict[str, gr.Dropdown] = field(default_factory=dict)


@dataclass(frozen=True)
class Tab:
    """A tab: its name in links, its name for people, and what fills it."""

    id: str
    title: str
    build: Callable[[Page], None]
