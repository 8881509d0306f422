"""What a link may hold: one table, which the page and the server read alike."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from diffusion.sampling.updates import DDIM, SAMPLERS, Sampler
from diffusion.schedules.families import FAMILIES, Parameter
from ui import link, sampling
from ui.demo import TABS, build_demo
from ui.forward_tab import open_forward_tab
from ui.plane import PlaneWish
from ui.sidebar import default_settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
NODE = Path(sys.executable).parent / "node"
TABLE = link.link_table(tab.id for tab in TABS)
# Texts of every kind; each is right somewhere.
TEXTS = [
    "", " ", "0", "1", " 1 ", "01", "1.", ".5", "0.5", "-1", "+2", "1e2", "1E-2", "1e999", "9" * 400, "2.5e3", "0x10",
    "1_000", "٣", "nan", "NaN", "inf", "Infinity", "true", "many", "null", "[]", "[[0, 5], [1, -5]]", "[NaN]", "{}",
    "[1", "[" * 3000, json.dumps([0] * 7), json.dumps([0] * 65), "1 2 3", "1  2 3 ", "1 2", "1 2 300", "1 2 x",
    "1 2.5 3", "forward", "Forward", "simple posterior", "simple cubic", "chain", "u", "log_snr", "snr", "cosine",
    "drawn", "given", "rate", "error", "emoji", "exact-own", "Flags", "x" * 101, "dpmpp", "karras", "dynamic", "64",
    "run-" + "a-_9" * 5 + "zZ", "run-" + "a" * 23, "run-" + "a" * 21 + "\n",
    "65", "4000", "4001", "cat", "../secret", "toString", str(2**53 - 1), str(2**53),
]  # fmt: skip
SCRIPT = """
let sent = "";
for await (const part of process.stdin) sent += part;
const link = await import("ADDRESS");
console.log(JSON.stringify((CODE)(link, ...JSON.parse(sent))));
"""


def in_browser(code: str, *values: Any) -> Any:
    """What the browser's language makes of values; ``code``: a function of assets/js/address.js and of them."""
    script = SCRIPT.replace("ADDRESS", (ROOT / "assets/js/address.js").as_uri()).replace("CODE", code)
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", script],
        input=json.dumps(values), capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def as_json(table: dict[str, link.LinkField]) -> dict[str, Any]:
    return {name: field.to_json() for name, field in table.items()}


def test_both_languages_read_the_same() -> None:
    found = in_browser(
        """(link, table, texts) => Object.keys(table).map((name) => {
            const read = (said) => link.readIn(new Map(said), name, table);
            return [name, texts.map((text) => read([[name, text]])), read([])];
        })""",
        as_json(TABLE),
        TEXTS,
    )
    assert len(found) == len(TABLE) > 35
    for name, values, without in found:
        for text, value in zip(TEXTS, values, strict=True):
            here = TABLE[name].read(text)
            assert here == value and isinstance(here, bool) == isinstance(value, bool), (name, text)
        assert TABLE[name].read(None) == without


def example(field: link.LinkField) -> Any:
    """A value that a link may hold."""
    match field.kind:
        case "choice":
            return field.choices[-1]
        case "network":
            return "run-" + "aZ_9-" * 4 + "bc"
        case "words":
            return [*field.choices[-1:]]
        case "whole" | "number":
            return field.high or 5
        case kind:
            return {"flag": True, "text": "Flags & more"[: field.most], "list": [[0, 5]], "wholes": [1, 2, 0]}[kind]


def test_what_the_browser_puts_in_is_read_again_here() -> None:
    values = {name: example(field) for name, field in TABLE.items()}
    said = in_browser(
        """(link, table, values) => {
            const said = link.readAddress("unknown=kept");
            link.putIn(said, values, table);
            return Object.fromEntries(link.readAddress(link.writeAddress(said)));
        }""",
        as_json(TABLE),
        values,
    )
    assert said.pop("unknown") == "kept"
    for name, value in values.items():
        assert TABLE[name].read(said.get(name)) == value, name
        assert (name in said) == (value != TABLE[name].default), name


@pytest.mark.parametrize("name", TABLE)
def test_wild_values_leave_what_holds_without(name: str) -> None:
    field = TABLE[name]
    wild = {
        "choice": ["", "cubic", "T ", "nan", "toString"],
        "network": ["", "run-", "run-../../../../../secret", "run-" + "é" * 22, "run-" + "a" * 22 + " "],
        "whole": ["", "nan", "inf", "1e999", "1.5", "-1", "many", "0x10", "1_0", "٣", "9" * 5000, str(2**53)],
        "number": ["", "nan", "inf", "1e999", "many", "0x10", "1_0", "٣", "9" * 5000],
        "flag": ["", "0", "true", "2"],
        "text": ["", "x" * 100_000],
        "words": [],
        "wholes": ["", "1", "1 2", "1 2 3 4", "-1 0 0", "1e9 0 0", "1.5 0 0", "a b c"],
        "list": ["", "7", "{}", "[", "[NaN]", "[" * 100_000, json.dumps([0] * 100)],
    }[field.kind]
    if field.kind in ("whole", "number"):
        wild += [] if field.low is None else [str(field.low - 1), str(field.low - 1e-9)]
        wild += [] if field.high is None else [str(2 * field.high + 1)]
    for text in wild:
        assert field.read(text) == field.default, text
    if field.kind == "words":
        assert field.read("cubic toString") == []


def test_names_of_views_and_of_the_schedule_are_in_the_table() -> None:
    code = (ROOT / "assets/js/link.js").read_text(encoding="utf-8")
    (values,) = re.findall(r"@typedef \{object\} LinkValues\n(.*?)\*/", code, re.DOTALL)
    names = re.findall(r"@property \{.*\} (\w+)\n", values)  # to which tsc holds what views put in, and read
    assert len(names) > 10 and set(names) <= set(TABLE)
    families = {
        name: {"parameters": {key: {"default": p.default} for key, p in family.parameters.items()}}
        for name, family in FAMILIES.items()
    }
    usual = default_settings()
    kinds: list[dict[str, Any]] = [
        {"family": name, "params": {key: p.default for key, p in family.parameters.items()}, "keep_shape_of": 500}
        for name, family in FAMILIES.items()
    ]
    kinds.append({"family": "drawn", "params": {}, "points": [[0, 5], [1, -5]], "zero_terminal_snr": True})
    kinds.append({"family": "given", "params": {}, "betas": "AAAA", "T": 3})
    for settings in (usual | kind for kind in kinds):
        again = in_browser(
            """(link, table, families, settings, usual) => {
                const said = link.readAddress("");
                link.putIn(said, link.scheduleValues(settings, families), table);
                return link.settingsIn(link.readAddress(link.writeAddress(said)), families, usual, table);
            }""",
            as_json(TABLE),
            families,
            settings,
            usual,
        )
        assert again == settings


def test_a_name_that_is_not_in_the_table_cannot_be_put_into_a_link() -> None:
    with pytest.raises(ValueError, match="cannot hold sead"):
        link.keep_in_link("seed", "sead")


@pytest.mark.parametrize("name", ["t", "steps", "beta_end", "network"])
def test_two_things_cannot_have_the_same_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Sampler("Toy", "", "", "", DDIM, {name: Parameter(name, 0, 1, 0, "what is there already")})
    monkeypatch.setitem(SAMPLERS, "toy", toy)
    with pytest.raises(ValueError, match=f"two things called {name}"):
        link.link_table()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({}, sampling.Controls()),
        ({"network": "emoji", "class": "Flags", "images": "64", "guidance": "2.5"},
         sampling.Controls("emoji", "Flags", 64, guidance=2.5)),
        ({"sampler": "ddpm", "v": "0.25", "steps": "7", "seed": "12", "spacing": "karras", "clip": "none"},
         sampling.Controls(sampler="ddpm", steps=7, seed="12", spacing="karras", clip="none", options={"v": 0.25})),
        ({"network": "exact-digits", "guidance": "3", "class": "4"}, sampling.Controls("exact-digits")),
        ({"network": "exact-own", "eta": "1"}, sampling.Controls("exact-own", options={"eta": 1})),
        ({"network": "emoji-sets", "class": "concept=fox, style=openmoji", "guidance": "2"},
         sampling.Controls("emoji-sets", "concept=fox, style=openmoji", guidance=2)),
        ({"network": "emoji-sets", "class": "fox, cat-face"}, sampling.Controls("emoji-sets")),  # a fox is none
        ({"network": "emoji-sets", "class": "Flags"}, sampling.Controls("emoji-sets")),
    ],
)  # fmt: skip
def test_links_of_before_read_as_they_did(text: dict[str, str], expected: sampling.Controls) -> None:
    rest = {"tab": "Reverse", "T": "500", "axis": "u", "unknown": "1", "picture": "coffee", "noise": "7"}
    assert link.controls_from_link(text | rest) == expected
    value, _, seed = open_forward_tab(text | rest)
    assert (value["picture"], value["seed"], seed) == ("coffee", 7, 7)


def test_page_keeps_all_of_its_controls() -> None:
    async def build() -> gr.Blocks:
        return build_demo()  # Gradio makes loops of its own where none runs, and never closes them

    listeners = [fn for fn in asyncio.run(build()).fns.values() if isinstance(fn.js, str) and "putInLink" in fn.js]
    assert len(listeners) == 2  # of Reverse and of Plane
    kept = [name for name in link.controls_in_link() if name != "class"]  # which its own view keeps: told.js
    names = [re.findall(r"(\w+): values\[\d+\]", str(listener.js)) for listener in listeners]
    assert names == [kept, list(link.plane_controls_in_link())]
    assert set(link.controls_in_link().values()) == set(sampling.control_names()) - {"own", "keep_all"}
    assert set(link.plane_controls_in_link().values()) == set(sampling.control_names(PlaneWish))
