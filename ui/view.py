"""Most of the page is drawn in the browser by modules of assets/js: a ``View`` is the element that one of them fills.

The rest is the JavaScript that a Gradio event runs, for what the server need not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import plotly

from ui.asked import checked
from ui.files import ASSETS

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def served(path: Path) -> str:
    """The address of a file that Gradio serves as it is, relative to the page."""
    return f"gradio_api/file={quote(path.resolve().as_posix(), safe='/:')}"


# ``js=`` of a load event with one input: what the page's link says, {name: text}, in its place.
FROM_LINK = "() => [Object.fromEntries(new URLSearchParams(location.hash.slice(1)))]"


def call_module(module: str, function: str, *names: str) -> str:
    """``js=`` of a listener without ``fn``: calls FUNCTION of assets/js/MODULE.js with its inputs, {name: value}.

    With ``assign`` of store.js all views know the inputs; see also ``keep_in_link`` of ui/link.py.
    """
    pairs = ", ".join(f"{name}: values[{i}]" for i, name in enumerate(names))
    return f"(...values) => {{ {_imported(module)}.then(m => m.{function}({{{pairs}}})) }}"


def asked_by(module: str, function: str) -> str:
    """``js=`` of a listener with ``fn``: its first input is what FUNCTION of assets/js/MODULE.js gives."""
    return f"(_, ...others) => {_imported(module)}.then(m => [m.{function}(), ...others])"


def _imported(module: str) -> str:
    return f"import(new URL('{served(ASSETS / 'js' / f'{module}.js')}', document.baseURI).href)"


class View(gr.HTML):
    """An element that ``assets/js/MODULE.js`` fills: its ``mount(element, {props, watch, trigger, server})`` is called
    once, and gets later values through ``watch``. With ``trigger("input")`` it calls what listens to its ``input``. Its
    ``server_functions`` take one value each, of the type that they say.

    The template is static on purpose: with placeholders, Gradio would rebuild what the module drew.
    """

    def __init__(
        self,
        module: str,
        *,
        value: Mapping[str, Any] | None = None,
        elem_id: str,
        server_functions: list[Callable[..., Any]] | None = None,
        **props: Any,
    ) -> None:
        super().__init__(
            value=value,
            elem_id=elem_id,
            html_template='<div class="lab-view"></div>',
            js_on_load=(
                f"{_imported(module)}.then(m => m.mount("
                "element.querySelector('.lab-view'), "
                "{props, watch, trigger, server: typeof server === 'undefined' ? null : server}))"
            ),
            apply_default_css=False,
            server_functions=[checked(function) for function in server_functions or ()],
            **props,
        )

    def get_block_name(self) -> str:
        return "html"

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}
