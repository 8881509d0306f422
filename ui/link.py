"""What a link of the page may hold, said once: its names, what kind of value each has, and what it is without a link.

A link is text after the #, NAME=VALUE&..., that anyone may have written. ``link_table`` says what of it is meant: what
is out of type or range is as if it were not there. The browser gets the table (see wire.py), reads and writes by it
(assets/js/address.js), and can put no name into a link that is not in it; ``read_link`` reads the same here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from diffusion.data.points import MOST_POINTS, patterns
from diffusion.losses.weightings import WEIGHTINGS
from diffusion.sampling.clips import CLIPS
from diffusion.sampling.steps import SPACINGS
from diffusion.sampling.updates import SAMPLERS, option_parameters
from diffusion.sampling.wishes import MOST_LETTERS
from diffusion.schedules.families import FAMILIES, T_MAX
from diffusion.schedules.given import POINTS_MAX
from diffusion.schedules.schedule import EXPONENTS
from diffusion.schedules.spec import DRAWN, GIVEN
from ui.asked import MAX_SEED, AskedError
from ui.files import sample_pictures
from ui.models import OWN, RUN, Source, find_source, sources
from ui.picture import SIDE
from ui.plane import DENOISERS, MOST_DRAWN, MOST_GUIDED, TOLD, PlaneWish
from ui.runs import ID
from ui.sampling import MOST_GUIDANCE, MOST_IMAGES, Controls, can_be_told, values_of
from ui.sidebar import MOST_PINS
from ui.view import call_module

Kind = Literal["choice", "network", "whole", "number", "flag", "text", "words", "wholes", "list"]
# As people and browsers write them: nothing that only Python or only JavaScript reads.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True)
class LinkField:
    """A name of a link, and what may stand behind it.

    Args:
        kind: "choice": one of the ``choices``. "network": one of them too, or that of a run on the page. "whole" and
            "number": from ``low`` to ``high``, where they are given. "flag": 1, if it is set. "text": not empty, and no
            longer than ``most``. "words": those of the ``choices`` that are in it, with spaces between them. "wholes":
            ``most`` numbers from ``low`` to ``high``, with spaces between them. "list": JSON of at most ``most``
            things.
        default: what holds where a link says nothing of it; it is not put into links.
    """

    kind: Kind
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    most: int | None = None

    def read(self, text: str | None) -> Any:
        """What the text of a link says; the default, if there is none, or none that can be."""
        value = None if text is None else READERS[self.kind](self, text)
        return self.default if value is None else value

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _choice(field: LinkField, text: str) -> str | None:
    return text if text in field.choices else None


def _network(field: LinkField, text: str) -> str | None:
    run = text.startswith(RUN) and ID.fullmatch(text.removeprefix(RUN))
    return text if run or text in field.choices else None


def _number(field: LinkField, text: str) -> float | None:
    value = float(text) if NUMBER.fullmatch(text.strip()) else math.nan
    low, high = -math.inf if field.low is None else field.low, math.inf if field.high is None else field.high
    return value if math.isfinite(value) and low <= value <= high else None


def _whole(field: LinkField, text: str) -> int | None:
    value = _number(field, text)
    return None if value is None or not value.is_integer() or abs(value) > MAX_SEED else int(value)


def _flag(_: LinkField, text: str) -> bool | None:
    return True if text == "1" else None


def _text(field: LinkField, text: str) -> str | None:
    return text if text and (field.most is None or len(text) <= field.most) else None


def _words(field: LinkField, text: str) -> list[str]:
    return [word for word in text.split() if word in field.choices]


def _wholes(field: LinkField, text: str) -> list[int] | None:
    values = [_whole(field, word) for word in text.split()]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) == field.most else None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _list(field: LinkField, text: str) -> list[Any] | None:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) and (field.most is None or len(value) <= field.most) else None


READERS: dict[Kind, Callable[[LinkField, str], Any]] = {
    "choice": _choice, "network": _network, "whole": _whole, "number": _number, "flag": _flag, "text": _text,
    "words": _words, "wholes": _wholes, "list": _list,
}  # fmt: skip

# Of the Plane tab: points drawn by hand, as text of so many characters at most, and what is shown of them.
SKETCH, MOST_SKETCH = "sketch", 1600
LAYERS = (
    "data", "noised", "density", "eps", "score", "samples", "paths", "margins", "learned", "difference", "made",
    "step",
)  # fmt: skip

# What a link puts before the names of the controls of a run there.
PLANE = "plane_"

# What of the controls of the Reverse tab a link calls by another name than ``control_names``.
OTHER_NAMES = {"class": "label", "images": "count"}


def link_table(tabs: Iterable[str] = ()) -> dict[str, LinkField]:
    """All that a link may hold, by name; ``tabs``: the ids of the tabs that it may open.

    Raises:
        ValueError: two things of the same name.
    """
    page = {
        "tab": LinkField("choice", choices=tuple(tabs)),
        "t": LinkField("whole", low=0, high=T_MAX),
        "axis": LinkField("choice", "t", ("t", "u", "log_snr")),
        "match": LinkField("choice", "t", ("t", "snr")),  # what pictures of compared schedules have in common
        "pins": LinkField("list", [], most=MOST_PINS),
    }
    pictures = tuple(path.stem for path in sample_pictures())
    forward = {
        "picture": LinkField("choice", pictures[0], pictures),
        "noise": LinkField("whole", 0, low=0, high=MAX_SEED),
        "open": LinkField("words", [], ("chain", "posterior", "saving")),
        "walk": LinkField("whole", 0, low=0, high=MAX_SEED),
        "pixel": LinkField("wholes", low=0, high=SIDE - 1, most=3),  # column, row and channel
    }
    loss = {
        "part": LinkField("choice", "curves", ("curves", "ledger", "rate")),
        "show": LinkField("choice", "error", ("error", "weight", "term", "share")),
        "sigma": LinkField("choice", "posterior", tuple(EXPONENTS)),
        "losses": LinkField("words", ["simple", "posterior"], tuple(WEIGHTINGS)),
    }
    plane = {
        "data": LinkField("choice", "moons", (*patterns(), SKETCH)),
        "data_count": LinkField("whole", 1000, low=1, high=MOST_POINTS),
        "data_seed": LinkField("whole", 0, low=0, high=MAX_SEED),
        "sketch": LinkField("text", most=MOST_SKETCH),
        "followed": LinkField("list", [], most=2),  # x and y of a point at t
        "back": LinkField("whole", 20, low=1, high=T_MAX),  # steps in all, of which one back is looked at
        "plane_sigma": LinkField("choice", "beta", tuple(EXPONENTS)),
        "layers": LinkField("words", ["data", "density", "samples", "paths"], LAYERS),
        "play": LinkField("words", [], ("on", "slow", "ddpm")),  # into noise, slow, with a way of DDPM
    }
    plane |= {PLANE + name: field for name, field in _plane_fields().items()}
    train = {"run": LinkField("text", most=22)}
    groups = page, train, _schedule_fields(), forward, _control_fields(), _option_fields(), loss, plane
    table: dict[str, LinkField] = {}
    for group in groups:
        if twice := table.keys() & group.keys():
            raise ValueError(f"A link cannot hold two things called {', '.join(sorted(twice))}.")
        table |= group
    return table


def _schedule_fields() -> dict[str, LinkField]:
    """Settings of a schedule. What it is refused for is said by the library, in a sentence: ranges are left to it."""
    parameters = {name: LinkField("number") for family in FAMILIES.values() for name in family.parameters}
    return {
        "family": LinkField("choice", choices=(*FAMILIES, DRAWN, GIVEN)),
        "T": LinkField("number"),
        "keep_shape_of": LinkField("number"),
        "zero_terminal_snr": LinkField("flag", False),
        "points": LinkField("list", most=4 * POINTS_MAX),
        "betas": LinkField("text", most=12 * T_MAX),
        **parameters,
    }


def _control_fields() -> dict[str, LinkField]:
    """The controls of the Reverse tab, beside the options of samplers."""
    fields: dict[str, dict[str, Any]] = {
        "network": {"kind": "network", "choices": tuple(name for _, name in sources())},
        "class": {"kind": "text", "most": MOST_LETTERS},
        "images": {"kind": "whole", "low": 1, "high": MOST_IMAGES},
        "guidance": {"kind": "number", "low": 0, "high": MOST_GUIDANCE},
        **_run_fields(),
    }
    usual = values_of(Controls())
    usual["seed"] = int(usual["seed"])
    return {name: LinkField(default=usual[OTHER_NAMES.get(name, name)], **field) for name, field in fields.items()}


def _run_fields() -> dict[str, dict[str, Any]]:
    """What any run is asked for, of images or of points."""
    return {
        "sampler": {"kind": "choice", "choices": tuple(SAMPLERS)},
        "steps": {"kind": "whole", "low": 1, "high": T_MAX},
        "seed": {"kind": "whole", "low": 0, "high": MAX_SEED},
        "spacing": {"kind": "choice", "choices": tuple(SPACINGS)},
        "clip": {"kind": "choice", "choices": tuple(CLIPS)},
    }


def _option_fields() -> dict[str, LinkField]:
    """Each option of a sampler, by its own name."""
    return {
        name: LinkField("number", parameter.default, low=parameter.minimum, high=parameter.maximum)
        for name, parameter in option_parameters().items()
    }


def _plane_fields() -> dict[str, LinkField]:
    """The controls of a run on the plane, by the names of ``control_names``."""
    fields: dict[str, dict[str, Any]] = {
        "denoiser": {"kind": "choice", "choices": tuple(DENOISERS)},
        "beside": {"kind": "choice", "choices": ("", *SAMPLERS)},
        "beside_denoiser": {"kind": "choice", "choices": tuple(DENOISERS)},
        "count": {"kind": "whole", "low": 1, "high": MOST_DRAWN},
        "told": {"kind": "choice", "choices": tuple(TOLD)},
        "guidance": {"kind": "number", "low": 0, "high": MOST_GUIDED},
        **_run_fields(),
    }
    usual = values_of(PlaneWish())
    usual["seed"] = int(usual["seed"])
    return {name: LinkField(default=usual[name], **fields[name]) for name in usual if name in fields} | _option_fields()


def plane_controls_in_link() -> dict[str, str]:
    """What of the controls of the plane a link holds, as ``controls_in_link``."""
    return {PLANE + name: name for name in _plane_fields()}


def controls_in_link() -> dict[str, str]:
    """What of the controls of the Reverse tab a link holds: its names, and those of ``control_names``."""
    return {name: OTHER_NAMES.get(name, name) for name in (*_control_fields(), *_option_fields())}


def read_link(link: Mapping[str, str]) -> dict[str, Any]:
    """The values of all names that a link may hold, but for the tab, which the browser opens."""
    return {name: field.read(link.get(name)) for name, field in link_table().items()}


def controls_from_link(link: Mapping[str, str]) -> Controls:
    """What a link says of the controls; what cannot be, also with the network that it names, stays as it is."""
    said, usual = read_link(link), Controls()
    chosen = _chosen(said, controls_in_link())
    source = _source_of_link(said)
    if source is None or not source.is_told:
        chosen |= {"label": usual.label, "guidance": usual.guidance}  # there is nothing to guide to
    elif not can_be_told(source, chosen["label"]):
        chosen["label"] = usual.label
    return Controls(**chosen)


def _source_of_link(said: dict[str, Any]) -> Source | None:
    """What samples are to be drawn from; the usual network, said too, in place of that of a run which is not here."""
    if said["network"] == OWN:
        return None
    try:
        return find_source(said["network"])
    except AskedError:
        said["network"] = Controls().network
        return find_source(said["network"])


def plane_wish_from_link(link: Mapping[str, str]) -> PlaneWish:
    """What a link says of a run on the plane."""
    return PlaneWish(**_chosen(read_link(link), plane_controls_in_link()))


def _chosen(said: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """What a link says of controls, by their names; those options that are not the usual ones."""
    chosen = {field: said[name] for name, field in names.items()}
    options = {name: chosen.pop(name) for name in option_parameters()}
    changed = {name: options[name] for name, known in option_parameters().items() if options[name] != known.default}
    return chosen | {"seed": str(chosen["seed"]), "options": changed}


def keep_in_link(*names: str) -> str:
    """``js=`` of a listener without ``fn``: the link keeps its inputs, one for each name.

    Raises:
        ValueError: a name that no link holds.
    """
    if unknown := set(names) - link_table().keys():
        raise ValueError(f"A link cannot hold {', '.join(sorted(unknown))}: see link_table.")
    return call_module("link", "putInLink", *names)
