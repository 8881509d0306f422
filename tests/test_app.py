"""How the page is served: what the options do, and that nothing of its visitors is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import app
from ui import demo


def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *options: str, ends: BaseException | None = None) -> Any:
    """What launch() is told, while it runs."""
    told: dict[str, Any] = {}

    class Served:
        def __init__(self, training: bool) -> None:
            assert training

        def launch(self, **given: Any) -> None:
            told.update(given)
            folder = Path(os.environ["GRADIO_TEMP_DIR"])
            assert folder.parent == tmp_path and folder.stat().st_mode & 0o077 == 0  # for nobody else on the machine
            (folder / "upload.png").write_bytes(b"a visitor's")
            if ends is not None:
                raise ends

    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, str(tmp_path))  # and back again
    monkeypatch.setattr(demo, "build_demo", Served)
    monkeypatch.setattr("sys.argv", ["app.py", *options])
    before = signal.getsignal(signal.SIGTERM)
    try:
        app.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    return told


def test_page_behind_a_proxy_is_told_where_it_is_and_what_it_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = serve(monkeypatch, tmp_path, "--root-path", "/lab", "--name", "lab.example", "--frame", "https://a.example")
    assert (told["root_path"], told["server_name"], told["server_port"]) == ("/lab", "127.0.0.1", 7860)
    (middleware,) = told["app_kwargs"]["middleware"]
    site = middleware.kwargs["site"]
    assert site.is_called("lab.example") and not site.is_called("evil.example")
    assert site.policy().endswith("frame-ancestors 'self' https://a.example")
    assert serve(monkeypatch, tmp_path)["root_path"] is None  # as the environment says


@pytest.mark.parametrize("ends", [None, SystemExit(0), RuntimeError("a fault")])
def test_files_of_visitors_go_with_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: BaseException | None
) -> None:
    with contextlib.suppress(SystemExit, RuntimeError):
        serve(monkeypatch, tmp_path, ends=ends)
    assert list(tmp_path.iterdir()) == []
