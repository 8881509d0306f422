"""What crosses to the browser once, when the page is loaded: what both languages have to agree on.

Numbers and colours that Python and JavaScript both need are said in Python, and handed over here;
assets/js/constants.js reads them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

from diffusion.data.points import MOST_POINTS
from diffusion.schedules.families import T_MAX, T_MIN
from diffusion.schedules.given import POINT_LOG_SNR, POINTS_MAX
from ui.frames import GAP
from ui.guard import MOST_UPLOADED
from ui.link import link_table
from ui.picture import EPS_UNIT
from ui.plane import MIXED
from ui.sidebar import CSV_BYTES, MOST_PINS
from ui.theme import COLOURS


def constants(tabs: Iterable[str]) -> dict[str, Any]:
    """What the browser knows as ``constants()``; ``tabs``: the ids of all tabs.

    link: what a link may hold, see ``LinkField``.
    limits: of T, of the points of a drawn schedule and their log SNR, of pinned schedules, of bytes, of points
        of the plane, and of those that their density and field are made from.
    units: eps travels as whole numbers of so many to one, and samples lie so many pixels apart.
    colours: those of figures, and what the style sheet calls them, which has them for dark pages too.
    """
    return {
        "link": {name: field.to_json() for name, field in link_table(tabs).items()},
        "limits": {
            "T": [T_MIN, T_MAX], "points": POINTS_MAX, "log_snr": POINT_LOG_SNR, "pins": MOST_PINS,
            "csv": CSV_BYTES, "upload": MOST_UPLOADED, "plane": MOST_POINTS, "mixed": MIXED,
        },
        "units": {"eps": EPS_UNIT, "gap": GAP},
        "colours": {colour: name for name, colour in COLOURS.items()},
    }  # fmt: skip


def constants_in_head(tabs: Iterable[str]) -> str:
    """The constants as an element of the page's head."""
    return f'<meta name="lab-constants" content="{html.escape(json.dumps(constants(tabs)))}">'
