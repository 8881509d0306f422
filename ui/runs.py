"""Training runs as the page sees them: each is a process of its own, which the page starts, and then only looks at.

What a run is stands in its folder, RUNS/ID: the command line that trains (run.json), its images (data.npz) and all that
``python -m diffusion train`` writes. Whether it waits, runs, rests or failed is read from there and from the system's
list of processes, every time: a server that was started anew finds all runs as they are. The ID cannot be guessed, and
who has it, mostly in a link, has the run.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffusion.data.sets import ImageSet
from diffusion.files import write_atomically
from diffusion.networks.checkpoint import CheckpointError
from diffusion.networks.model import read_card
from ui.asked import AskedError
from ui.turn import OUTPUT, ROOT, RUN, ahead, living, read_process

PLACE = "DDPM_LAB_RUNS"  # in the environment: the folder of all runs
ID = re.compile(r"[A-Za-z0-9_-]{22}")
NAME = "network"  # what the files of the network are called in every run
DATA, PAUSED, KEPT = "data.npz", "paused", "kept"
NOTHING = {"small": (24, 48, 64), "middle": (48, 96, 192)}  # networks to begin from nothing: channels by level
TOLD = 4000  # last characters of the output that are looked at

State = Literal["waiting", "starting", "running", "stopping", "paused", "over", "failed"]


@dataclass(frozen=True)
class RunBounds:
    """What visitors may have of the machine; for two cores and 4 GB.

    Args:
        images: of a run.
        unpacked: bytes of the images of a zip.
        minutes: until a run rests by itself; whoever wants can let it go on, behind those who wait.
        runs: in all, and of those ``alive`` at once, waiting or running.
        disk: bytes of all of them, and ``free`` that are left on the disk.
        seconds: after the last sign of life, until a run is removed that nobody keeps.
    """

    images: int = 5000
    unpacked: int = 1 << 30
    minutes: int = 60
    runs: int = 12
    alive: int = 6
    disk: int = 6 << 30
    free: int = 1 << 30
    seconds: float = 24 * 3600.0


BOUNDS = RunBounds()


@dataclass(frozen=True)
class RunWish:
    """What a run is to be.

    Args:
        begin: a shipped network by name, or a size of ``NOTHING``.
        mirror: show every image mirrored half of the time.
        minutes: until it rests.
        lr: learning rate; 0 for the usual one of ``begin``.
        t: how steps are drawn.
        about, licence: of the images, for the card.
    """

    begin: str = "emoji"
    mirror: bool = False
    minutes: int = 30
    batch: int = 16
    lr: float = 0.0
    ema: float = 0.995
    t: str = "stratified"
    seed: int = 0
    title: str = ""
    about: str = ""
    licence: str = ""


@dataclass(frozen=True)
class RunStatus:
    """How a run stands.

    Args:
        ahead: of one that waits: how many others come first.
        sentence: about it, for people.
        left: seconds until it rests, while it runs.
        go: which time it is that it was started; the log may begin anew with another.
    """

    state: State
    sentence: str
    ahead: int = 0
    left: float | None = None
    go: int = 0

    @property
    def alive(self) -> bool:
        return self.state in ("waiting", "starting", "running", "stopping")


def can_train() -> bool:
    """Whether this system has what a run needs: processes that part from their parents, and locks."""
    return os.name == "posix"


def runs_folder() -> Path:
    """Where all runs are."""
    return Path(os.environ.get(PLACE) or ROOT / "runs" / "page").absolute()


def find_run(run: str) -> Path:
    """The folder of a run.

    Raises:
        AskedError: there is none of this name.
    """
    folder = runs_folder() / run
    if not ID.fullmatch(run) or not (folder / RUN).is_file():
        raise AskedError("This run is not here: it may have been removed, as runs are a day after their end.")
    return folder


def all_runs() -> Iterator[Path]:
    """The folders of all runs."""
    place = runs_folder()
    return (path for path in (place.iterdir() if place.is_dir() else ()) if ID.fullmatch(path.name))


def begin_run(data: ImageSet, held_out: ImageSet | None, wish: RunWish, bounds: RunBounds = BOUNDS) -> str:
    """Write down a run and start its process; returns its ID.

    Raises:
        AskedError: more than the bounds allow, or no room for it.
    """
    make_room(bounds)
    run = secrets.token_urlsafe(16)
    folder = runs_folder() / run
    try:
        folder.mkdir(mode=0o700, parents=True)
        write_data(folder / DATA, data, held_out)
        said = {"command": ["-m", "diffusion", *command_of_run(wish, bool(data.classes))], "wish": asdict(wish),
                "made": time.time(), "images": len(data), "shape": list(data.images.shape[1:]),
                "held_out": 0 if held_out is None else len(held_out)}  # fmt: skip
        write_atomically(folder / RUN, json.dumps(said, indent=1).encode())
        start_process(folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise AskedError(f"The run cannot be written down here: {error.strerror}.") from error
    return run


def write_data(path: Path, data: ImageSet, held_out: ImageSet | None = None) -> None:
    """Images as an .npz that ``load_data`` reads."""
    arrays: dict[str, Any] = {"x_train": data.images.movedim(1, -1).numpy(), "y_train": data.labels.numpy()}
    if held_out is not None:
        arrays |= {"x_test": held_out.images.movedim(1, -1).numpy(), "y_test": held_out.labels.numpy()}
    if data.classes:
        arrays["classes"] = np.array(data.classes)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def command_of_run(wish: RunWish, classes: bool) -> list[str]:
    """The arguments of ``python -m diffusion`` for a run, in its own folder."""
    begin = ["--config", "emoji", "--widths", *map(str, NOTHING[wish.begin])] if wish.begin in NOTHING else [
        "--init", wish.begin]  # fmt: skip
    usual = 2e-3 if wish.begin == "small" else 1e-3 if wish.begin in NOTHING else 4e-4
    return [
        "train", "--data", DATA, "--run", ".", "--name", NAME, f"--title={wish.title}", f"--about-data={wish.about}",
        f"--licence={wish.licence}", *begin, "--images", str(10**9 // wish.batch * wish.batch),
        "--batch", str(wish.batch), "--lr", f"{wish.lr or usual:g}", "--warmup", "20", "--decay", "constant",
        "--ema", f"{wish.ema:g}", "--t", wish.t, "--flip" if wish.mirror else "--no-flip", "--seed", str(wish.seed),
        *(["--drop-label", "0.1"] if classes else []), "--save-every", "60", "--log-every", "5",
        "--preview-every", "1000000000000", "--preview-seconds", "12", "--preview-count", "16",
        "--preview-steps", "10", "--stop-after", str(60 * wish.minutes),
    ]  # fmt: skip


def start_process(folder: Path) -> None:
    """Start the process of a run, which is no child of the server.

    Raises:
        AskedError: it could not be started.
    """
    (folder / PAUSED).unlink(missing_ok=True)
    begun = subprocess.run([sys.executable, "-m", "ui.turn", str(folder)], cwd=ROOT, start_new_session=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=60)  # fmt: skip
    if begun.returncode or read_process(folder) is None:
        raise AskedError("The run could not be started on this machine.")


def go_on(run: str, bounds: RunBounds = BOUNDS) -> None:
    """Let a run that rests go on, behind all that wait.

    Raises:
        AskedError: there is none of this name, or too many are alive.
    """
    folder = find_run(run)
    if living(folder):
        return
    if sum(living(other) is not None for other in all_runs()) >= bounds.alive:
        raise AskedError(f"{bounds.alive} runs are waiting already; try again when one has ended.")
    if shutil.disk_usage(folder).free < bounds.free:
        raise AskedError("The disk of this machine is nearly full; remove a run first.")
    start_process(folder)


def pause_run(run: str) -> None:
    """Ask a run to end behind the step in hand; what it has learnt is saved."""
    folder = find_run(run)
    (folder / PAUSED).touch()
    if process := living(folder):
        _send(process, signal.SIGTERM)


def remove_run(run: str) -> None:
    """End a run and delete all of it."""
    folder = find_run(run)
    deadline = time.monotonic() + 10
    while (process := living(folder)) and time.monotonic() < deadline:
        _send(process, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def _send(process: dict[str, Any], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(process["pid"], number)


def keep_run(run: str, kept: bool) -> None:
    """Keep a run from being removed after a day, or no longer."""
    mark = find_run(run) / KEPT
    if kept:
        mark.touch()
    else:
        mark.unlink(missing_ok=True)


def status_of(folder: Path) -> RunStatus:
    """How a run stands, read from its folder and the list of processes."""
    said, process = read_run(folder), living(folder)
    minutes, last = said["wish"]["minutes"], read_process(folder)
    go = last["asked"] if last else 0
    if process:
        if (folder / PAUSED).exists():
            return RunStatus("stopping", "Saving what it has learnt …", go=go)
        if process["began"] is None:
            before = ahead(folder)
            others = "another run" if before == 1 else f"{before} other runs"
            sentence = f"Waiting for {others} to end." if before else "Its turn is next."
            return RunStatus("waiting", sentence, before, go=go)
        left = max(0.0, process["began"] + 60 * minutes - time.time())
        if not (folder / "log.csv").is_file():
            return RunStatus("starting", "Starting: PyTorch is loading …", left=left, go=go)
        return RunStatus("running", "Training.", left=left, go=go)
    words = output_of(folder)
    if (folder / PAUSED).exists():
        return RunStatus("paused", "Paused; it goes on where it was.", go=go)
    if any(line.startswith("Stopped at step") for line in words):
        again = f"Its {minutes} minutes are over; Go on gives it as many again."
        return RunStatus("over", again, go=go)
    errors = [line.removeprefix("error: ") for line in words if line.startswith("error: ")]
    # Whoever looks is told what happened, and not where on this machine.
    why = errors[-1].replace(str(folder), "").rstrip(".") if errors else "its process was ended from outside"
    rest = "Go on continues from what it last saved." if (folder / "state.pt").exists() else "Go on begins again."
    return RunStatus("failed", f"It ended: {why}. {rest}", go=go)


def read_run(folder: Path) -> dict[str, Any]:
    """What run.json says."""
    said: dict[str, Any] = json.loads((folder / RUN).read_text())
    return said


def output_of(folder: Path) -> list[str]:
    """The last lines that the process of a run has written."""
    try:
        with (folder / OUTPUT).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TOLD))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in re.split(r"[\r\n]+", text) if line]


def rows_of_log(folder: Path, after: int = 0) -> list[dict[str, float]]:
    """The rows of log.csv, as far as they are whole, of more than ``after`` images."""
    try:
        lines = (folder / "log.csv").read_text().splitlines(keepends=True)
    except OSError:
        return []
    rows = csv.DictReader(line for line in lines if line.endswith("\n"))
    found = [{name: float(value) for name, value in row.items()} for row in rows]
    return [row for row in found if row["images"] > after]


def weights_of(run: str) -> Path:
    """The averaged weights of a run.

    Raises:
        AskedError: there is no such run, or it has saved none yet.
    """
    path = find_run(run) / f"{NAME}.safetensors"
    try:
        read_card(path)
    except CheckpointError:
        raise AskedError("This run has saved no network yet; it does after a minute, and when it is paused.") from None
    return path


def bytes_of(folder: Path) -> int:
    """Bytes of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def last_sign(folder: Path) -> float:
    """When something last happened in a run, in seconds."""
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def sweep_runs(bounds: RunBounds = BOUNDS) -> None:
    """Remove the runs that have shown no sign of life for longer than they are kept."""
    for folder in all_runs():
        try:
            old = time.time() - last_sign(folder) > bounds.seconds
        except FileNotFoundError:  # somebody else removed it
            continue
        if old and not (folder / KEPT).exists() and not living(folder):
            shutil.rmtree(folder, ignore_errors=True)


def make_room(bounds: RunBounds) -> None:
    """Remove old runs until there is room for one more.

    Raises:
        AskedError: there is none.
    """
    sweep_runs(bounds)
    alive = [folder for folder in all_runs() if living(folder)]
    if len(alive) >= bounds.alive:
        raise AskedError(f"{len(alive)} runs are waiting already; try again when one has ended.")
    place = runs_folder()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)

    def full() -> str:
        there = [*all_runs()]
        if len(there) >= bounds.runs:
            return f"There are {len(there)} runs already, and nobody wants to part with one"
        if sum(map(bytes_of, there)) > bounds.disk or shutil.disk_usage(place).free < bounds.free:
            return "The disk of this machine has no room for another run"
        return ""

    resting = [folder for folder in all_runs() if folder not in alive and not (folder / KEPT).exists()]
    # One that was only paused an hour ago is still somebody's.
    old = sorted((last_sign(folder), folder) for folder in resting)
    for sign, folder in old:
        if full() and time.time() - sign > 3600:
            shutil.rmtree(folder, ignore_errors=True)
    if why := full():
        raise AskedError(f"{why}; try again later.")
