"""What both languages have to agree on is said once, and the style sheet says the same."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from diffusion.schedules.families import T_MAX, T_MIN
from ui import theme, wire
from ui.demo import TABS, launch_options
from ui.picture import EPS_UNIT
from ui.sidebar import MOST_PINS

ASSETS = Path(__file__).parent.parent / "assets"
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in (ASSETS / "js").glob("*.js")}


def style(selector: str) -> dict[str, str]:
    """The variables that the style sheet gives to the whole page."""
    sheet = (ASSETS / "css" / "lab.css").read_text(encoding="utf-8")
    (block,) = re.findall(rf"^{re.escape(selector)} \{{\n(.*?)^\}}", sheet, re.DOTALL | re.MULTILINE)[:1]
    return dict(re.findall(r"(--[\w-]+): (#\w+);", block))


class Head(HTMLParser):
    content = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("name") == "lab-constants":
            self.content = str(given["content"])


def test_page_is_given_the_constants() -> None:
    head = Head()
    head.feed(launch_options()["head"])
    found = json.loads(head.content)
    assert found == json.loads(json.dumps(wire.constants(tab.id for tab in TABS)))
    assert found["limits"]["T"] == [T_MIN, T_MAX] and found["units"]["eps"] == EPS_UNIT
    assert found["link"]["tab"]["choices"] == [tab.id for tab in TABS]


def test_browser_asks_for_no_constant_that_there_is_not() -> None:
    known = wire.constants(())
    asked = {name for code in SCRIPTS.values() for name in re.findall(r"constants\(\)\.(\w+\.\w+|\w+)", code)}
    assert len(asked) > 6
    for name in asked:
        group, _, key = name.partition(".")
        assert group in known and (not key or key in known[group]), name


def test_colours_are_those_of_the_style_sheet() -> None:
    light, dark = style(":root"), style(".dark")
    for name, colour in theme.COLOURS.items():
        assert light[name] == colour.lower() and name in dark
    made = theme.theme()
    assert (made.body_background_fill, made.body_background_fill_dark) == (light["--lab-page"], dark["--lab-page"])
    assert made.block_background_fill_dark == dark["--lab-panel"]
    assert (made.slider_color, made.slider_color_dark) == (light["--lab-schedule"], dark["--lab-schedule"])
    for sheet in (light, dark):
        assert len([name for name in sheet if name.startswith("--pin-")]) == MOST_PINS


def test_no_colour_of_figures_is_written_again() -> None:
    for name, code in SCRIPTS.items():
        assert not [colour for colour in theme.COLOURS.values() if colour.lower() in code.lower()], name
