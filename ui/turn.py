"""``python -m ui.turn FOLDER``: the process of a run, which waits for its turn and then becomes the run's command.

It leaves the server's session at once, so that it lives when that ends, and takes only Python's own library until its
turn: who waits costs next to nothing. Runs wait for each other by themselves, with no server: each until none that was
asked for earlier is alive, and then for a lock that the kernel takes back from a process however it ends.

In the folder of a run lie run.json, with its "command", and process.json, {"pid", "start", "asked", "began"}: which
process it is, when it was asked for, in nanoseconds, and when its turn came, in seconds; null before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RUN, PROCESS, OUTPUT, LOCK = "run.json", "process.json", "output.txt", ".turn"
WAIT = 0.5  # seconds between two looks at the others
NICENESS = 10  # so that the page, and a browser on the same machine, come first


def process_start(pid: int) -> str:
    """When a process began, as its system tells it; "" for one that has ended. A number that is used again is told
    apart by it.
    """
    try:
        # After the name, which may have spaces and brackets in it; the third is the state, the 22nd the start.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    asked = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    state, _, start = subprocess.run(asked, capture_output=True, text=True).stdout.strip().partition(" ")
    return "" if state.startswith("Z") else start.strip()


def read_process(folder: Path) -> dict[str, Any] | None:
    """What process.json says; None if there is none that can be read."""
    try:
        said = json.loads((folder / PROCESS).read_text())
        return said if isinstance(said, dict) and {"pid", "start", "asked", "began"} <= said.keys() else None
    except (OSError, ValueError):
        return None


def living(folder: Path) -> dict[str, Any] | None:
    """The process of a run, if it is alive."""
    said = read_process(folder)
    return said if said and said["start"] and process_start(said["pid"]) == said["start"] else None


def ahead(folder: Path) -> int:
    """How many of the other runs that are alive were asked for before this one."""
    mine = read_process(folder)
    if mine is None:
        return 0
    others = (other for other in folder.parent.iterdir() if other != folder)
    theirs = [(said["asked"], other.name) for other in others if (said := living(other))]
    return sum(each < (mine["asked"], folder.name) for each in theirs)


def write_process(folder: Path, said: dict[str, Any]) -> None:
    part = folder / f".{PROCESS}.part"
    part.write_text(json.dumps(said))
    os.replace(part, folder / PROCESS)


def take_turn(folder: Path) -> None:
    """Wait, and become the command. Does not return."""
    import fcntl

    with (folder / OUTPUT).open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.nice(NICENESS)
    while ahead(folder):
        time.sleep(WAIT)
    lock = os.open(folder.parent / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)  # it is held until the command has ended
    said = read_process(folder)
    assert said is not None
    write_process(folder, said | {"began": time.time()})
    command = json.loads((folder / RUN).read_text())["command"]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    os.chdir(folder)  # the card tells the command, and nobody the folders of this machine
    # A bar for people, ten times a second, would fill the disk.
    os.execve(sys.executable, [sys.executable, *command], os.environ | {"PYTHONPATH": paths, "TQDM_MININTERVAL": "10"})


def part_from_server() -> None:
    folder = Path(sys.argv[1])
    written, write = os.pipe()
    if os.fork():
        os.close(write)
        os.read(written, 1)  # nobody finds a run that says nothing of its process
        return
    os.close(written)
    try:
        said = {"pid": os.getpid(), "start": process_start(os.getpid()), "asked": time.time_ns(), "began": None}
        write_process(folder, said)
    finally:
        os.close(write)
    take_turn(folder)


if __name__ == "__main__":
    part_from_server()
