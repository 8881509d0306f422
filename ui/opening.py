"""What a visitor finds before anything was pressed: a finished run, what branches from it, what a network sees.

A page that asks a network because it was opened keeps everybody waiting who only wants to look. So this was computed
once (``python -m ui.make_opening``) and lies in assets/opening, a file a network, and is only read here. It belongs to
the weights that it was computed with, whose SHA-256 it names.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from diffusion.files import ASSETS, write_atomically
from ui.models import shared_model

FOLDER = ASSETS / "opening"


@dataclass(frozen=True)
class Opening:
    """What is kept of a network.

    Args:
        sha256: of its weights.
        seen: what it sees in the first of its bundled images, see ``predictions_by_level``.
        run: the value of the reverse view, but for its file; None of a network that the page does not open with.
        frames: that file; empty where there is no run.
        branches: the value of the view of what branches from the run.
        composed: what it draws of the first pair that it has not seen, see ``draw_pair``; None of one that knows none.
    """

    sha256: str
    seen: dict[str, Any]
    run: dict[str, Any] | None = None
    frames: bytes = b""
    branches: dict[str, Any] | None = None
    composed: dict[str, Any] | None = None


def opening_path(network: str) -> Path:
    return FOLDER / f"{network}.npz"


def save_opening(network: str, opening: Opening) -> None:
    """Write the file of a network."""
    said = json.dumps({name: value for name, value in asdict(opening).items() if name != "frames"})
    parts = {"said": said.encode(), "frames": opening.frames}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{k: np.frombuffer(part, np.uint8) for k, part in parts.items()})
    FOLDER.mkdir(exist_ok=True)
    write_atomically(opening_path(network), buffer.getvalue())


def read_opening(network: str) -> Opening | None:
    """What is kept of a network; None if nothing is."""
    path = opening_path(network)
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        return Opening(**json.loads(arrays["said"].tobytes()), frames=arrays["frames"].tobytes())


@cache
def opening_of(network: str) -> Opening | None:
    """What is kept of a shipped network; None if nothing is.

    Raises:
        RuntimeError: it was computed with other weights.
    """
    opening = read_opening(network)
    if opening is not None and opening.sha256 != shared_model(network).card.sha256:
        raise RuntimeError(f"{opening_path(network)} is not of these weights: run python -m ui.make_opening.")
    return opening
