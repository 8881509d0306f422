"""What stands between the network and the page: who may ask, how much, and for which files.

``Guard`` sees every request before Gradio does. A page of another site cannot use a visitor's own server: requests that
change something must come from the page itself, and under a name that the server is known by. Bodies are bounded before
they are received. Each browser gets a cookie, by which it finds its own files again (see ``ui.files``).

``LabBlocks`` sees every event of the page, whichever way it came in, before its handler: files that the visitor did not
upload, and values of other types than the handler's, are refused in a sentence.
"""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import gradio as gr
from gradio.utils import get_upload_folder
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.asked import BROKEN, REFUSALS, REFUSED, AskedError, all_parts, is_finite, log, read_arguments
from ui.files import COOKIE, SWEEP_SECONDS, cookie_of, mark_upload, may_open, sweep
from ui.runs import sweep_runs

MOST_UPLOADED = 512 << 20  # bytes of all files of one upload
MOST_ASKED = 8 << 20  # bytes of any other request: a schedule of 4,000 betas and a measured loss take some 100,000
SAFE = ("GET", "HEAD", "OPTIONS")  # methods that change nothing
# Routes of Gradio that fetch other sites, or run programs on files, for anyone; the page has no use for them.
CLOSED = re.compile(r"/gradio_api/(file=\s*[a-z][a-z0-9+.-]*:/|proxy=|process_recording|vibe-|undo-vibe-)", re.I)
# Gradio itself needs eval and inline scripts; what is left is that nothing comes from, or goes, anywhere else.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {frames}"
)


@dataclass(frozen=True)
class Site:
    """Where the page is served.

    Args:
        host: the address that is listened at.
        names: further names of the server, as visitors write them, for example behind a proxy.
        frames: sites that may show the page in a frame, as in https://school.example.
    """

    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()

    def is_called(self, name: str) -> bool:
        """Whether a visitor may call the server by this name.

        Where only this machine can reach it, its own names are all there are: a site whose name was made to lead here
        is not the page. Where others can, they may know it by any name, unless the names are given.
        """
        if name in self.names or _is_local(name):
            return True
        return not self.names and not _is_local(self.host)

    def policy(self) -> str:
        return POLICY.format(frames=" ".join(["'self'", *self.frames]))


def _is_local(name: str) -> bool:
    """Whether a name means this machine alone."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _host_name(netloc: str) -> str:
    """The name in HOST:PORT, without the brackets of IPv6; "" if there is none."""
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


class Guard:
    """Refuses requests that are not the page's own, or too large, before Gradio sees them."""

    def __init__(self, app: ASGIApp, site: Site = Site()) -> None:
        self.app, self.site = app, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        reply = _Reply(send, self.site, path, cookie_of(HTTPConnection(scope)), fresh=scope["method"] == "GET")
        refused = self._refuse(scope["method"], path, headers)
        if refused is not None:
            status, sentence = refused
            # What is still to come of the request is not received.
            await JSONResponse({"detail": sentence, "error": sentence}, status, {"Connection": "close"})(
                scope, receive, reply
            )
            return
        body = _Body(receive, most_bytes_of(path))
        try:
            await self.app(scope, body, reply)
        except TooLargeError as error:
            if not reply.begun:
                await JSONResponse({"detail": str(error), "error": str(error)}, 413)(scope, receive, reply)
        except ClientDisconnect:
            pass
        except Exception as error:
            # Handlers answer for themselves: what comes through to here is a request that Gradio stumbled over.
            if reply.begun:
                raise
            log.warning("%s %.200s: %.200r", scope["method"], path, error)
            sentence = f"{REFUSED}it cannot be understood."
            await JSONResponse({"detail": sentence, "error": sentence}, 400)(scope, receive, reply)

    def _refuse(self, method: str, path: str, headers: Headers) -> tuple[int, str] | None:
        """Status and sentence, or None for a request that may pass."""
        host = headers.get("host", "")
        if not self.site.is_called(_host_name(host)):
            return 403, f"This server is not called {_host_name(host)!r}; start it with --name to let it be."
        if CLOSED.match(path) or (method not in SAFE and path.startswith("/gradio_api/file")):
            return 403, "There is nothing here for anyone to fetch."
        if method in SAFE:
            return None
        if not self._is_from_page(host, headers):
            return 403, "This request comes from another site than the page."
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/json", "multipart/form-data") and headers.get("content-length") != "0":
            return 415, "A request is JSON, or a form with files."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > most_bytes_of(path):
            return 413, str(TooLargeError(most_bytes_of(path)))
        return None

    def _is_from_page(self, host: str, headers: Headers) -> bool:
        """Whether a request comes from the page, or from a program that is no browser."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        try:
            netloc = urlsplit(origin).netloc
        except ValueError:
            return False
        known = {host, headers.get("x-forwarded-host", host)}
        return netloc != "" and (netloc in known or _host_name(netloc) in self.site.names)


def most_bytes_of(path: str) -> int:
    """How many bytes a request to a path may have."""
    return MOST_UPLOADED if path.rstrip("/") == "/gradio_api/upload" else MOST_ASKED


class TooLargeError(Exception):
    """A body that is larger than its path allows."""

    def __init__(self, most: int) -> None:
        super().__init__(f"This is more than {most >> 20} MB at once; send less.")


@dataclass
class _Body:
    """The body of a request, counted as it comes: not all say beforehand how long it is."""

    receive: Receive
    most: int
    taken: int = 0

    async def __call__(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.request":
            self.taken += len(message.get("body", b""))
            if self.taken > self.most:
                raise TooLargeError(self.most)
        return message


@dataclass
class _Reply:
    """An answer on its way out: gets its headers, a cookie if there is none, and files that it names get an owner."""

    send: Send
    site: Site
    path: str
    cookie: str
    fresh: bool
    begun: bool = False
    uploaded: bytes = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = self.site.policy()
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"
            if not self.site.frames:
                headers["X-Frame-Options"] = "SAMEORIGIN"
            if self.fresh and not self.cookie:
                headers.append("Set-Cookie", f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; SameSite=Lax")
        elif message["type"] == "http.response.body" and self.path.rstrip("/") == "/gradio_api/upload":
            self.uploaded += message.get("body", b"")
            if not message.get("more_body"):
                await anyio.to_thread.run_sync(self._mark)
        await self.send(message)

    def _mark(self) -> None:
        try:
            paths = json.loads(self.uploaded)
        except ValueError:
            return  # a refusal
        if isinstance(paths, list):
            for path in paths:
                mark_upload(str(path), self.cookie)


class LabBlocks(gr.Blocks):
    """gr.Blocks whose handlers get only what their annotations say, and only files that the visitor may use."""

    def get_block_name(self) -> str:
        return "blocks"

    async def process_api(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        if kwargs.get("iterator") is None:
            await anyio.to_thread.run_sync(refuse_files, inputs, cookie_of(kwargs.get("request")))
        try:
            return await super().process_api(block_fn, inputs, *args, **kwargs)
        except gr.Error:
            raise
        except REFUSALS as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            if block_fn.fn.__module__.startswith("gradio."):  # that of its list of examples
                raise _not_understood(block_fn, error) from error
            traceback.print_exc()
            raise gr.Error(BROKEN, print_exception=False) from error

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        try:
            if len(inputs) != len(block_fn.inputs):
                raise AskedError(f"{REFUSED}it has {len(inputs)} values, and {len(block_fn.inputs)} are needed.")
            if not is_finite(inputs):
                raise AskedError(f"{REFUSED}it has a number that is none.")
            values = await super().preprocess_data(block_fn, inputs, *args, **kwargs)
            return read_arguments(block_fn.fn, values) if block_fn.fn else values
        except AskedError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:  # Gradio's own components say it in many ways
            raise _not_understood(block_fn, error) from error


def _not_understood(block_fn: Any, error: Exception) -> gr.Error:
    """What is said where Gradio stumbled over a request before a handler of ours saw it."""
    log.warning("%s: %.200r", block_fn.api_name, error)
    return gr.Error(f"{REFUSED}it cannot be understood.", print_exception=False)


def refuse_files(value: Any, cookie: str) -> None:
    """Let no file through that this visitor has not uploaded, and that is none of the bundled pictures.

    Raises:
        gr.Error: such a file, anywhere inside a value.
    """
    for part in all_parts(value):
        path = part.get("path") if isinstance(part, dict) else None  # what Gradio would take for a file
        if path is not None and (not isinstance(path, str) or not may_open(path, cookie)):
            raise gr.Error("This file was not uploaded here, or is no longer kept; choose it again.",
                           print_exception=False)  # fmt: skip


@asynccontextmanager
async def delete_old_files(_app: Any) -> AsyncIterator[None]:
    """While the server runs: files that nobody will ask for any more are deleted."""

    async def keep_sweeping() -> None:
        while True:
            await anyio.sleep(SWEEP_SECONDS)
            await anyio.to_thread.run_sync(sweep, Path(get_upload_folder()))
            await anyio.to_thread.run_sync(sweep_runs)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_sweeping)
        yield
        tasks.cancel_scope.cancel()


def guarded(site: Site) -> dict[str, Any]:
    """``app_kwargs`` of launch()."""
    return {"middleware": [Middleware(Guard, site=site)], "lifespan": delete_old_files}
