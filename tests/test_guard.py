"""Who may ask the server, how much, and for which files."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from gradio.context import LocalContext
from gradio.routes import App
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ui import files, guard
from ui.demo import build_demo
from ui.guard import Guard, Site
from ui.job import IDLE, run_job
from ui.models import StopFlag


async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    if body == b"fail":
        raise KeyError("a part of Gradio")
    return JSONResponse({"taken": len(body)})


def client_of(site: Site, base: str = "http://127.0.0.1:7860") -> TestClient:
    routes = [Route("/{path:path}", echo, methods=["GET", "POST"])]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, site=site)])
    return TestClient(app, base_url=base, raise_server_exceptions=False)


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://127.0.0.1:7861"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1.evil.example:7860"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 200),
    ],
)
def test_only_the_page_itself_may_change_something(headers: dict[str, str], status: int) -> None:
    answer = client_of(Site()).post("/gradio_api/component_server", content=b"{}", headers=JSON | headers)
    assert answer.status_code == status
    assert status == 200 or answer.json()["detail"].endswith(".")


@pytest.mark.parametrize(
    ("site", "name", "status"),
    [
        (Site(), "127.0.0.1:7860", 200),
        (Site(), "localhost", 200),
        (Site(), "lab.localhost:7860", 200),
        (Site(), "[::1]:7860", 200),
        (Site(), "evil.example:7860", 403),
        (Site(), "[", 403),
        (Site(names=("lab.example",)), "lab.example", 200),
        (Site(names=("lab.example",)), "evil.example", 403),
        (Site("0.0.0.0"), "classroom.local:7860", 200),
        (Site("0.0.0.0", ("lab.example",)), "evil.example", 403),
        (Site("0.0.0.0", ("lab.example",)), "localhost:7860", 200),
    ],
)
def test_a_name_that_was_made_to_lead_here_is_not_the_page(site: Site, name: str, status: int) -> None:
    assert client_of(site).get("/", headers={"host": name}).status_code == status


def test_behind_a_proxy_the_page_has_the_proxy_s_name() -> None:
    client, headers = client_of(Site(names=("lab.example",))), JSON | {"origin": "https://lab.example"}
    assert client.post("/", content=b"{}", headers=headers).status_code == 200
    forwarded = JSON | {"origin": "https://other.example", "x-forwarded-host": "other.example"}
    assert client_of(Site("0.0.0.0")).post("/", content=b"{}", headers=forwarded).status_code == 200


def test_bodies_are_bounded_also_where_their_length_is_not_said() -> None:
    client = client_of(Site())

    def pieces() -> Iterator[bytes]:
        for _ in range(9):
            yield bytes(2**20)

    assert client.post("/x", content=bytes(2**20), headers=JSON).json() == {"taken": 2**20}
    said = client.post("/x", content=b"{}", headers=JSON | {"content-length": str(2**40)})
    assert (said.status_code, said.headers["connection"]) == (413, "close")
    assert client.post("/x", content=b"{}", headers=JSON | {"content-length": "9" * 5000}).status_code == 413
    answer = client.post("/x", content=pieces(), headers=JSON)
    assert answer.status_code == 413 and answer.json()["detail"] == "This is more than 8 MB at once; send less."
    for path in ("/gradio_api/upload", "/gradio_api/upload/"):
        assert guard.most_bytes_of(path) == guard.MOST_UPLOADED


@pytest.mark.parametrize("path", ["file=https://example.com/a.png", "file=HTTP://10.0.0.1/", "file=file:///etc/passwd",
                                  "proxy=https://example.com", "process_recording", "vibe-edit/"])  # fmt: skip
def test_the_server_fetches_nothing_for_anyone(path: str) -> None:
    assert client_of(Site()).get(f"/gradio_api/{path}").status_code == 403


def test_what_gradio_stumbles_over_is_answered_in_a_sentence() -> None:
    answer = client_of(Site()).post("/x", content=b"fail", headers=JSON)
    assert answer.status_code == 400 and answer.json()["detail"].endswith("cannot be understood.")


def test_the_page_may_load_nothing_from_outside_and_be_framed_by_nobody() -> None:
    headers = client_of(Site()).get("/").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'self'"
    assert not [
        source for sources in policy.values() for source in sources.split() if "http" in source or "*" in source
    ]
    assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("SAMEORIGIN", "nosniff")
    framed = client_of(Site(frames=("https://school.example",))).get("/").headers
    assert framed["content-security-policy"].endswith("frame-ancestors 'self' https://school.example")
    assert "x-frame-options" not in framed


def test_a_browser_gets_one_cookie_that_scripts_cannot_read() -> None:
    client = client_of(Site())
    cookie = client.get("/").headers["set-cookie"]
    assert cookie.startswith(f"{files.COOKIE}=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert "set-cookie" not in client.get("/").headers


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


class Asking:
    """The browser that a handler answers."""

    def __init__(self, cookie: str) -> None:
        self.request = type("Request", (), {"cookies": {files.COOKIE: cookie}})()

    def __enter__(self) -> None:
        self.token = LocalContext.request.set(gr.Request(self.request))

    def __exit__(self, *_: Any) -> None:
        LocalContext.request.reset(self.token)


def test_upload_belongs_to_the_browser_that_sent_it(folder: Path) -> None:
    loop = asyncio.new_event_loop()

    async def make() -> App:
        demo = build_demo()
        demo.max_file_size = 2**20  # set by launch()
        return App.create_app(demo, app_kwargs=guard.guarded(Site()))

    mine = TestClient(loop.run_until_complete(make()), base_url="http://127.0.0.1:7860")
    loop.close()
    mine.get("/gradio_api/startup-events")
    name = "é" * 60 + ".png"
    (path,) = mine.post("/gradio_api/upload", files={"files": (name, io.BytesIO(b"picture"))}).json()
    assert files.may_open(path, mine.cookies[files.COOKIE])
    assert not files.may_open(path, "another") and not files.may_open(path, "")
    assert not files.may_open(str(Path(path).parent), mine.cookies[files.COOKIE])


def test_bundled_pictures_are_for_everybody_in_any_copy(folder: Path) -> None:
    sample = files.sample_pictures()[0]
    copy = folder / "cache" / sample.name
    copy.parent.mkdir()
    copy.write_bytes(sample.read_bytes())
    assert files.may_open(str(sample), "anyone") and files.may_open(str(copy), "anyone")
    copy.write_bytes(b"other")
    assert not files.may_open(str(copy), "anyone")


def test_what_was_made_is_found_again_by_the_same_browser_alone(folder: Path) -> None:
    with Asking("one"):
        path = files.made_path("../../a name/with:odd\0 parts.frames")
        path.write_bytes(b"x")
        assert path.is_relative_to(folder / "made") and path.name == "a-name-with-odd-parts.frames"
        assert files.find_made(str(path), ".frames") == path
        for other in (str(path) + "\0", str(folder / "upload.frames"), "/etc/passwd", "", str(path.parent)):
            assert files.find_made(other, ".frames") is None
        assert files.find_made(str(path), ".npz") is None
        (folder / "made" / "link.frames").symlink_to("/etc/passwd")
        assert files.find_made(str(folder / "made" / "link.frames"), ".frames") is None
    with Asking("two"):
        assert files.find_made(str(path), ".frames") is None
    uploaded = folder / "made" / path.parent.name / "x.frames"
    assert not files.may_open(str(uploaded), "one")


def test_old_files_go_and_the_oldest_where_there_are_too_many(folder: Path) -> None:
    now = time.time()
    for age, name in ((100, "new"), (2000, "used"), (90_000, "old")):
        path = folder / name / f"{name}.bin"
        path.parent.mkdir()
        path.write_bytes(bytes(1000))
        for changed in (path, path.parent):
            os.utime(changed, (now - age, now - age))
    files.sweep(folder)
    assert {path.name for path in folder.rglob("*.bin")} == {"new.bin", "used.bin"}
    files.sweep(folder, keep_bytes=1500)
    assert {path.name for path in folder.rglob("*.bin")} == {"new.bin"}
    os.utime(folder / "old", (now - 1000, now - 1000))  # it was changed just now
    files.sweep(folder)
    assert {path.name for path in folder.iterdir()} == {"new", "used"}


def test_folders_of_processes_that_were_killed_are_removed_once_they_are_old(tmp_path: Path) -> None:
    gone, lately, running = (
        tmp_path / f"ddpm-lab-{n}" for n in (f"{2**22 + 1}-a", f"{2**22 + 1}-b", f"{os.getpid()}-c")
    )
    for path in (gone, lately, running):
        path.mkdir()
    for path in (gone, running):
        os.utime(path, (0, 0))
    made = files.make_folder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([lately, running, made])


def test_buttons_come_back_whatever_happens(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> Iterator[tuple[tuple[Any, ...], bool]]:
        yield ("preview",), False
        raise ZeroDivisionError("a fault of ours")

    *_, last = run_job(StopFlag(up=True), work(), lambda error, shown: (shown, str(error)))
    assert last == (
        ("preview",), "Something went wrong on the server; its log says what. Nothing on the page is lost.", *IDLE
    )  # fmt: skip
    assert "ZeroDivisionError: a fault of ours" in capsys.readouterr().err
