"""Files that cross between the page and the server: whose they are, and how long they stay.

A visitor may use three kinds of file and no others: the pictures that come with the page, what was uploaded in the same
browser, and what a handler wrote for that browser. Paths in a request are only ever looked up among these, so a request
that names any other file is refused before the file is opened.

A browser is told apart by a random cookie (``ui.guard`` sets it). All files are in Gradio's own folder:

    HASH/NAME                 an upload; the empty file .NAME.OWNER beside it says that this browser sent it
    made/RANDOM.OWNER/NAME    made by a handler

where OWNER is a hash of the cookie, so that a name that was seen is of no use to another browser.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.utils import get_upload_folder

ASSETS = Path(__file__).parent.parent / "assets"
SAMPLES = ASSETS / "samples"
COOKIE = "ddpm-lab"
KEEP_SECONDS = 24 * 3600.0  # a visitor may come back to a page that was left open over night
KEEP_BYTES = 4 << 30  # of all files together; the oldest go first
SWEEP_SECONDS = 600.0


def sample_pictures() -> list[Path]:
    """The bundled pictures, the one shown first in front."""
    found = sorted(path for path in SAMPLES.glob("*") if path.suffix in {".jpg", ".png"})
    return sorted(found, key=lambda path: path.stem != "cat")


def sample_name(path: str | Path) -> str | None:
    """What a bundled picture is called, whichever copy of it this is; None for any other."""
    path = Path(path)
    same = (
        sample for sample in sample_pictures() if sample.name == path.name and filecmp.cmp(sample, path, shallow=False)
    )
    return next((sample.stem for sample in same), None)


def visitor_cookie() -> str:
    """The cookie of the browser whose request is being answered; "" where there is none."""
    return cookie_of(LocalContext.request.get(None))


def cookie_of(request: Any) -> str:
    """The cookie of a request, Gradio's or FastAPI's; "" for a program that keeps none."""
    return "" if request is None else str(request.cookies.get(COOKIE) or "")


def owner_of(cookie: str) -> str:
    """The name under which the files of a browser are kept."""
    return hashlib.sha256(cookie.encode()).hexdigest()[:16]


def made_path(name: str) -> Path:
    """Where to write a file of this name for the visitor; no other file is in its way.

    Characters that some system does not take in a file's name become "-".
    """
    folder = _made_folder() / f"{secrets.token_hex(12)}.{owner_of(visitor_cookie())}"
    folder.mkdir(parents=True)
    return folder / (re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip(".-") or "file")


def made_file(data: bytes, name: str) -> dict[str, Any]:
    """Keep bytes where the visitor's browser can fetch them by ``url``."""
    path = made_path(name)
    path.write_bytes(data)
    return for_browser(path)


def for_browser(path: Path) -> dict[str, Any]:
    """A file that was made, as part of a component's value: the browser gets its ``url``."""
    return gr.FileData(path=str(path)).model_dump()


def find_made(path: str, suffix: str, cookie: str | None = None) -> Path | None:
    """A file with this suffix that was made for a browser; None if ``path`` is any other, or is no longer kept.

    Args:
        cookie: of the browser; that of the visitor where it is left out.
    """
    if "\0" in path:
        return None
    found, owner = Path(path).resolve(), owner_of(visitor_cookie() if cookie is None else cookie)
    mine = found.parent.parent == _made_folder() and found.parent.suffix == f".{owner}"
    return found if mine and found.suffix == suffix and found.is_file() else None


def may_open(path: str, cookie: str) -> bool:
    """Whether this browser may have a picture opened by a handler: a bundled one, an upload of its own, or one in PNG
    that was made for it.
    """
    if "\0" in path:
        return False
    found = Path(path).resolve()
    if found in sample_pictures() or find_made(path, ".png", cookie):
        return True
    if not found.is_relative_to(_folder()) or not found.is_file():
        return False
    return _mark(found, cookie).exists() or sample_name(found) is not None


def mark_upload(path: str, cookie: str) -> None:
    """Remember that this browser has sent a file."""
    found = Path(path).resolve()
    if found.is_relative_to(_folder()):
        _mark(found, cookie).touch()


def _mark(path: Path, cookie: str) -> Path:
    # A hash of the name: with it in full, the mark's own name could become too long for the disk.
    name = hashlib.sha256(path.name.encode()).hexdigest()[:16]
    return path.with_name(f".{name}.{owner_of(cookie)}")


def _folder() -> Path:
    return Path(get_upload_folder()).resolve()


def _made_folder() -> Path:
    return _folder() / "made"


def sweep(folder: Path, keep_seconds: float = KEEP_SECONDS, keep_bytes: float = KEEP_BYTES) -> None:
    """Delete files that are older than ``keep_seconds``, and then the oldest until all fit into ``keep_bytes``."""
    now, found = time.time(), []
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if not path.is_dir():
            found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for modified, size, path in sorted(found):
        if now - modified > keep_seconds or total > keep_bytes:
            path.unlink(missing_ok=True)
            total -= size
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside first
        # A folder that is just being filled is not empty, or is not old.
        if path.is_dir() and now - path.stat().st_mtime > min(keep_seconds, SWEEP_SECONDS):
            try:
                path.rmdir()
            except OSError:
                continue


def make_folder(parent: Path) -> Path:
    """A folder of this process for its visitors' files; those that processes left behind when they were killed go."""
    for path in parent.glob("ddpm-lab-*-*"):
        process = path.name.split("-")[2]
        # Another container may share the folder, but not the numbers of its processes: what was used lately stays.
        if time.time() - path.stat().st_mtime > KEEP_SECONDS and process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)
    folder = parent / f"ddpm-lab-{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700, parents=True)
    return folder


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # there os.kill would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
