"""Runs as processes: they live without a server, wait for each other, are found again, and no other is touched."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffusion.data.folders import load_data
from diffusion.data.sets import ImageSet
from ui import runs, turn
from ui.asked import AskedError
from ui.runs import RunBounds, RunWish, status_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not runs.can_train(), reason="runs need forks and locks")]

# What stands for the trainer: says that it has begun, and ends when it is asked to.
STUB = """
import pathlib, signal, sys, time
def stop(*_):
    print("Stopped at step 3 of 9; the same command goes on from there.", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
with open("log.csv", "a") as log:
    log.write("step,images,loss,learning_rate,gradient_norm,seconds\\n5,80,0.5,0.1,1,2.0\\n10,160,0.25,0.1,1,4.0\\n15,2")
while not pathlib.Path("enough").exists():
    time.sleep(0.02)
stop()
"""


def images(count: int = 6, **said: Any) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, torch.zeros(count, dtype=torch.int64), **said)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for runs; whatever is still alive in it when the test ends is ended."""
    folder = tmp_path / "runs"
    monkeypatch.setenv(runs.PLACE, str(folder))
    yield folder
    for run in runs.all_runs():
        runs.remove_run(run.name)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says what runs in place of the trainer."""
    original = runs.start_process

    def be(code: str) -> None:
        def start(folder: Path) -> None:
            write_stub(folder, code)
            original(folder)

        monkeypatch.setattr(runs, "start_process", start)

    be(STUB)
    return be


def write_stub(folder: Path, code: str) -> None:
    said = json.loads((folder / turn.RUN).read_text()) if (folder / turn.RUN).exists() else {"wish": {"minutes": 30}}
    (folder / turn.RUN).write_text(json.dumps(said | {"command": ["-c", code]}))


def until(state: str, *folders: Path) -> None:
    deadline = time.monotonic() + 20
    while any(status_of(folder).state != state for folder in folders):
        assert time.monotonic() < deadline, [status_of(folder) for folder in folders]
        time.sleep(0.02)


def begin(**wish: Any) -> Path:
    return runs.find_run(runs.begin_run(images(), None, RunWish(**wish)))


def pid_of(folder: Path) -> int:
    said = turn.living(folder)
    assert said is not None
    return int(said["pid"])


@pytest.mark.usefixtures("stub")
def test_a_run_pauses_goes_on_and_is_removed() -> None:
    folder = begin()
    until("running", folder)
    assert os.getpriority(os.PRIO_PROCESS, pid_of(folder)) >= turn.NICENESS
    assert os.getsid(pid_of(folder)) != os.getsid(0)
    runs.pause_run(folder.name)
    until("paused", folder)
    runs.go_on(folder.name)
    until("running", folder)
    (folder / "enough").touch()
    until("over", folder)
    pid = turn.read_process(folder)
    runs.remove_run(folder.name)
    assert pid is not None and not folder.exists()
    with pytest.raises(AskedError, match="not here"):
        runs.find_run(folder.name)


def test_a_run_outlives_its_server_and_another_finds_it(place: Path) -> None:
    """A process begins a run and is killed; this one, which knows its name alone, pauses it."""
    folder = place / ("a" * 22)
    folder.mkdir(parents=True)
    write_stub(folder, STUB)
    start = f"runs.start_process(pathlib.Path({str(folder)!r}))"
    code = f"import os, pathlib; from ui import runs; {start}; os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code], cwd=turn.ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert runs.find_run("a" * 22) == folder
    until("running", folder)
    runs.pause_run(folder.name)
    until("paused", folder)


@pytest.mark.usefixtures("stub")
def test_runs_wait_for_each_other_in_the_order_in_which_they_were_asked_for() -> None:
    first, second, third = begin(), begin(), begin()
    until("running", first)
    assert [status_of(folder).ahead for folder in (first, second, third)] == [0, 1, 2]
    assert status_of(second).sentence == "Waiting for another run to end."
    runs.pause_run(second.name)
    until("paused", second)
    runs.go_on(second.name)  # behind the third
    assert [status_of(folder).ahead for folder in (second, third)] == [2, 1]
    os.kill(pid_of(first), signal.SIGKILL)  # who ends without a word is waited for no longer
    until("running", third)
    assert status_of(second).state == "waiting"
    (third / "enough").touch()
    until("running", second)


@pytest.mark.usefixtures("stub")
def test_a_run_that_was_killed_says_so_and_goes_on() -> None:
    folder = begin()
    until("running", folder)
    os.kill(pid_of(folder), signal.SIGKILL)
    until("failed", folder)
    assert status_of(folder).sentence == "It ended: its process was ended from outside. Go on begins again."
    (folder / "state.pt").touch()
    assert status_of(folder).sentence.endswith("Go on continues from what it last saved.")
    runs.go_on(folder.name)
    until("running", folder)


@pytest.mark.usefixtures("stub")
def test_a_number_that_another_process_got_is_not_taken_for_the_run() -> None:
    folder = begin()
    until("running", folder)
    runs.pause_run(folder.name)
    until("paused", folder)
    said = turn.read_process(folder)
    assert said is not None
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        turn.write_process(folder, said | {"pid": other.pid})
        assert turn.process_start(other.pid) and turn.living(folder) is None
        runs.pause_run(folder.name)
        runs.remove_run(folder.name)
        assert other.poll() is None
    finally:
        other.communicate(b"\n")


def test_a_process_that_has_ended_has_no_start() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 20
    while turn.process_start(ended.pid):  # nobody has asked how it ended yet: it is still in the list
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ended.wait()
    assert turn.process_start(ended.pid) == ""
    assert turn.process_start(os.getpid()) == turn.process_start(os.getpid()) != ""


def test_a_full_disk_is_said_in_a_sentence(stub: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    stub("import os, sys\nsys.exit('error: No space left on device: ' + os.getcwd() + '/state.pt')")
    folder = begin()
    until("failed", folder)
    assert status_of(folder).sentence == "It ended: No space left on device: /state.pt. Go on begins again."
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    with pytest.raises(AskedError, match="has no room for another run"):
        begin()
    with pytest.raises(AskedError, match="nearly full"):
        runs.go_on(folder.name)
    assert [*runs.all_runs()] == [folder]


def test_a_disk_that_fills_while_a_run_is_written_down_leaves_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "write_data", full)
    with pytest.raises(AskedError, match="cannot be written down here: No space left on device"):
        begin()
    assert not [*place.glob("[!.]*")]


@pytest.mark.parametrize("run", ["", ".", "..", "../runs", "a" * 21, "a" * 23, "a" * 21 + "/", "é" * 22, "\0" * 22])
def test_names_that_are_not_ours_find_nothing(place: Path, run: str) -> None:
    for folder in (place, place / "a" / "b"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / turn.RUN).write_text("{}")
    for ask in (runs.find_run, runs.pause_run, runs.remove_run, runs.go_on, runs.weights_of):
        with pytest.raises(AskedError, match="not here"):
            ask(run)
    assert (place / turn.RUN).exists()


@pytest.mark.usefixtures("stub")
def test_only_so_many_runs_are_had_and_old_ones_make_room() -> None:
    few = RunBounds(runs=2, alive=1)
    folder = begin()
    with pytest.raises(AskedError, match="1 runs are waiting already"):
        runs.begin_run(images(), None, RunWish(), few)
    runs.pause_run(folder.name)
    until("paused", folder)
    second = begin()
    runs.pause_run(second.name)
    until("paused", second)
    with pytest.raises(AskedError, match="There are 2 runs already"):
        runs.begin_run(images(), None, RunWish(), few)
    age(folder, 2 * 3600)
    third = runs.begin_run(images(), None, RunWish(), few)
    assert not folder.exists() and {path.name for path in runs.all_runs()} == {second.name, third}


@pytest.mark.usefixtures("stub")
def test_runs_are_removed_a_day_after_their_end_unless_they_are_kept() -> None:
    old, kept, new, alive = begin(), begin(), begin(), begin()
    for folder in (old, kept, new):
        runs.pause_run(folder.name)
    until("paused", old, kept, new)
    runs.keep_run(kept.name, True)
    for folder in (old, kept, alive):
        age(folder, 25 * 3600)
    runs.sweep_runs()
    assert {path.name for path in runs.all_runs()} == {kept.name, new.name, alive.name}
    runs.keep_run(kept.name, False)
    age(kept, 25 * 3600)
    runs.sweep_runs()
    assert not kept.exists()


def age(folder: Path, seconds: float) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, (time.time() - seconds,) * 2)


def test_the_log_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,images,loss,seconds\n5,80,0.5,2.0\n10,160,0.25,4.0\n15,24")
    assert [row["images"] for row in runs.rows_of_log(tmp_path)] == [80, 160]
    assert runs.rows_of_log(tmp_path, after=80) == [{"step": 10, "images": 160, "loss": 0.25, "seconds": 4.0}]
    assert runs.rows_of_log(tmp_path / "nothing") == []


def test_images_of_a_run_are_read_back(tmp_path: Path) -> None:
    data, held_out = images(5, classes=("a",)), images(3)
    runs.write_data(tmp_path / "data.npz", data, held_out)
    read = load_data(tmp_path / "data.npz", "train", 8)
    assert torch.equal(read.images, data.images) and read.classes == ("a",)
    assert torch.equal(load_data(tmp_path / "data.npz", "test", 8).images, held_out.images)


def test_the_command_line_goes_on_with_a_run_as_if_it_had_never_been_watched(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's own command, watched and stopped, and gone on with by hand, against one go with nobody looking."""
    from diffusion.cli.main import main
    from tests.tiny import save_tiny

    model = tmp_path / "tiny.safetensors"
    save_tiny(model, [])
    grey = ImageSet(images(6).images[:, :1], torch.zeros(6, dtype=torch.int64))
    states = []
    for watched in (True, False):
        folder = tmp_path / f"run-{watched}"
        folder.mkdir()
        runs.write_data(folder / runs.DATA, grey)
        monkeypatch.chdir(folder)
        command = runs.command_of_run(RunWish(begin=str(model), batch=4), classes=False)
        command = [*command, "--device", "cpu", "--preview-steps", "2"]
        unwatched = [*command, "--preview-seconds", "0", "--stop-after", "0"]
        if watched:
            assert main([*command, "--images", "20"]) == 0
            assert [*Path("samples").iterdir()]
        assert main([*unwatched, "--images", "40"]) == 0
        states.append(torch.load("state.pt", weights_only=True))
    assert states[0]["step"] == states[1]["step"] == 10
    for name in ("network", "average"):
        for key, value in states[0][name].items():
            assert torch.equal(value, states[1][name][key]), key
    assert np.array_equal(states[0]["history"][0], states[1]["history"][0])


def test_a_wish_is_a_command_that_the_trainer_takes() -> None:
    from diffusion.cli.main import parser

    for begin_with in ("emoji", *runs.NOTHING):
        wish = RunWish(begin=begin_with, title="--x", about="a b", licence="-c", mirror=True)
        args = parser().parse_args(runs.command_of_run(wish, classes=True))
        assert (args.title, args.about_data, args.licence, args.flip) == ("--x", "a b", "-c", True)
        assert args.stop_after == 60 * wish.minutes and args.images % args.batch == 0
        assert dataclasses.asdict(wish)["begin"] in (args.init, *runs.NOTHING)
