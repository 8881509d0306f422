"""Requests that no control of the page makes: every event and every server function is asked for what it must not do.

The handlers are found on the page itself, so that a new one is asked too.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from gradio.routes import App
from gradio.state_holder import SessionState
from PIL import Image

from diffusion.networks.denoiser import NetworkDenoiser
from ui import files, runs
from ui.asked import BROKEN
from ui.demo import build_demo
from ui.guard import LabBlocks, Site, guarded
from ui.view import View

pytestmark = pytest.mark.slow

META = {"_type": "gradio.FileData"}
MINE, OTHER = "mine", "other"  # cookies


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(scope="module")
def demo(loop: asyncio.AbstractEventLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabBlocks]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("files")))

        async def build() -> LabBlocks:
            return build_demo()  # Gradio makes loops of its own where none runs, and never closes them

        yield loop.run_until_complete(build())


@pytest.fixture(autouse=True)
def quick_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What networks say has no part in this, and takes long."""
    monkeypatch.setattr(NetworkDenoiser, "__call__", lambda self, x_t, alpha_bar, label=None: x_t)


@pytest.fixture(scope="module")
def client(loop: asyncio.AbstractEventLoop, demo: LabBlocks) -> TestClient:
    async def make() -> App:
        return App.create_app(demo, app_kwargs=guarded(Site()))

    return TestClient(loop.run_until_complete(make()), base_url="http://127.0.0.1:7860", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def secrets(demo: LabBlocks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pictures that this visitor must not see: one anywhere on the server, an upload of another browser."""
    outside = tmp_path_factory.mktemp("server") / "secret.png"
    upload = files._folder() / ("0" * 8) / "other.png"
    upload.parent.mkdir()
    for path in (outside, upload):
        Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
    files.mark_upload(str(upload), OTHER)
    return {"outside": str(outside), "other": str(upload)}


opened: list[str] = []
listening = False


def note_open(event: str, arguments: tuple[Any, ...]) -> None:
    if listening and event == "open":
        opened.append(str(arguments[0]))


sys.addaudithook(note_open)


@pytest.fixture
def no_secret_is_opened(secrets: dict[str, str]) -> Iterator[None]:
    global listening
    opened.clear()
    listening = True
    yield
    listening = False
    assert not set(opened) & {*secrets.values(), "/etc/passwd", "../app.py"}


# Values of every kind; some of them are right somewhere.
WILD: list[Any] = [
    None, True, -1, 1.5, 10**400, float("nan"), float("inf"), "", "x" * 5000, "9" * 5000, [], [[None]], {}, "a\0b",
    {"mask": "2" * 1024}, {"t": 10**9, "sample": -1}, {"family": "linear"}, {"family": [], "T": {}, "params": []},
    {"family": "drawn", "T": 10, "params": {}, "points": [["a"]]},
    {"family": "drawn", "T": 10, "params": {}, "points": [[0, 5], [1e-320, 4], [1, -5]]},
    {"family": "given", "T": 10, "params": {}, "betas": "AAAA"},
]  # fmt: skip


def files_of_others(secrets: dict[str, str]) -> list[Any]:
    """Files that this visitor may not have opened, in every way to say it."""
    paths = [*secrets.values(), "file:///etc/passwd", "http://127.0.0.1:1/a.png", "/etc/passwd", "../app.py", "a\0b"]
    values = [*paths, {"path": None}, {"path": [1]}, *({"path": path} for path in paths)]
    return [*values, *([{"path": path, "meta": META}] for path in paths)]


def request_of(cookie: str) -> gr.Request:
    """A request of the browser that has this cookie."""
    headers = [(b"cookie", f"{files.COOKIE}={cookie}".encode())]
    return gr.Request(Request({"type": "http", "headers": headers, "query_string": b""}), session_hash=cookie)


def call(loop: asyncio.AbstractEventLoop, demo: LabBlocks, fn: Any, inputs: list[Any], state: SessionState) -> str:
    """What an event answers with: "" for values, else the sentence."""
    try:
        loop.run_until_complete(demo.process_api(fn, inputs, state, request=request_of(MINE)))
    except gr.Error as error:
        return str(error.message)
    return ""


def first_values(fn: Any) -> list[Any]:
    """The values that a handler's inputs have when the page opens."""
    return [None if block.stateful else getattr(block, "value", None) for block in fn.inputs]


def test_wild_values_of_events_are_refused_in_a_sentence(
    loop: asyncio.AbstractEventLoop,
    demo: LabBlocks,
    secrets: dict[str, str],
    no_secret_is_opened: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    handlers = [fn for fn in demo.fns.values() if fn.fn is not None and fn.inputs]
    assert len(handlers) > 15
    state = SessionState(demo)
    for fn in handlers:
        usual = first_values(fn)
        places = [place for place, block in enumerate(fn.inputs) if not block.stateful]
        asked = [(place, value) for place in places for value in WILD]
        asked += [(places[0], value) for value in files_of_others(secrets)] if places else []
        for place in places:
            if isinstance(fn.inputs[place], gr.Image | gr.File):
                asked += [(place, value) for value in files_of_others(secrets)]
        for place, value in asked:
            said = call(loop, demo, fn, [*usual[:place], value, *usual[place + 1 :]], state)
            where = f"{fn.api_name}, input {place}: {value!r:.80}"
            assert said != BROKEN and "Traceback" not in capfd.readouterr().err, where
        for inputs in ([], [None], [*usual, None]):
            assert call(loop, demo, fn, inputs, state) != BROKEN


def server_functions(demo: LabBlocks) -> list[tuple[int, str]]:
    return [
        (view._id, fn.__name__) for view in demo.blocks.values() if isinstance(view, View) for fn in view.server_fns
    ]


def test_wild_values_of_server_functions_are_refused_in_a_sentence(
    demo: LabBlocks, client: TestClient, secrets: dict[str, str], no_secret_is_opened: None
) -> None:
    found = server_functions(demo)
    assert len(found) >= 11
    values = [*WILD, *files_of_others(secrets)]
    within: dict[str, Any] = {"form": "png", "format": "gif", "index": 1, "counts": [1] * 256, "alpha_bar_t": 0.5,
                              "edges": [0, 1], "references": {}}  # fmt: skip
    names = ("settings", "network", "file", "curve", "snr_db")
    for component, name in found:
        for data in [*values, *(within | dict.fromkeys(names, value) for value in values)]:
            body = {"data": data, "component_id": component, "fn_name": name, "session_hash": "mine"}
            answer = client.post(
                "/gradio_api/component_server", content=json.dumps(body), headers={"content-type": "application/json"}
            )
            assert answer.status_code in (200, 400), (name, data, answer.text)
            if answer.status_code == 400:
                assert answer.json()["detail"].endswith("."), (name, data, answer.text)


@pytest.mark.parametrize("place", ["elsewhere", "usual"])
def test_nothing_of_a_run_is_served(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Neither where an operator keeps runs, nor inside the project, whose own assets are served."""
    monkeypatch.delenv(runs.PLACE, raising=False)
    folder = tmp_path if place == "elsewhere" else runs.runs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as run:
        path = Path(run, runs.DATA)
        path.write_bytes(b"a visitor's images")
        for asked in (path.as_posix(), os.path.relpath(path)):
            answer = client.get(f"/gradio_api/file={asked}")
            assert answer.status_code in (403, 404) and b"visitor" not in answer.content
