"""Threads that wait: what each way into the project tells the library that PyTorch's threads are made with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
OURS = "1000"  # how often threads look before they sleep
# Ways in, each ended as soon as the library has been loaded and has said what it was told.
PAGE = ["app.py", "--port", "0"]
SAMPLE = ["-m", "diffusion", "sample", "--model", "digits", "--count", "1", "--steps", "1", "--out", "{folder}/a.png"]
TRAIN = ["-m", "diffusion", "train", "--data", "digits", "--run", "{folder}", "--name", "a", "--images", "2",
         "--batch", "2"]  # fmt: skip
LAUNCH = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no", *TRAIN]  # fmt: skip
WAYS = {
    "page": PAGE, "sample": SAMPLE, "train": TRAIN, "launch": LAUNCH,
    "benchmark": ["-m", "benchmarks.sampling", "--help"], "library": ["-c", "import diffusion.networks.model"],
    "torch first": ["-c", "import torch, diffusion.networks.model"],
}  # fmt: skip


def told(way: list[str], folder: Path, **more: str) -> list[str]:
    """What each process of a way says of waiting: the policy as PyTorch's library knows it, in GNU's as a count."""
    known = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY"}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", "GRADIO_ANALYTICS_ENABLED": "False"} | more
    command = [sys.executable, *(part.format(folder=folder) for part in way)]
    wanted, found = 2 if "accelerate.commands.launch" in way else 1, []
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "GOMP_SPINCOUNT" in line:
                found.append(line.split("'")[1])
            if len(found) == wanted:
                break
        process.terminate()
        process.stderr.read()
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another library, which says it otherwise")
@pytest.mark.parametrize("way", WAYS)
def test_threads_sleep_while_they_wait_however_one_comes_in(way: str, tmp_path: Path) -> None:
    *_, ours = told(WAYS[way], tmp_path)
    if way == "torch first":
        assert ours != OURS  # too late, and nothing breaks
    else:
        assert ours == OURS


@pytest.mark.skipif(sys.platform != "linux", reason="as above")
@pytest.mark.parametrize(
    ("name", "value", "count"), [("OMP_WAIT_POLICY", "active", None), ("GOMP_SPINCOUNT", "777", "777")]
)
def test_who_has_said_how_threads_wait_keeps_it(name: str, value: str, count: str | None, tmp_path: Path) -> None:
    (found,) = told(WAYS["library"], tmp_path, **{name: value})
    assert found == count if count else found != OURS


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_LIBRARY", None])
def test_the_variable_is_set_where_nobody_has_set_any(name: str | None) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "KMP_"))}
    code = "import diffusion, os; print(os.environ.get('OMP_WAIT_POLICY'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
                          env=environment | ({} if name is None else {name: "active"}))  # fmt: skip
    assert done.stdout.strip() == {"OMP_WAIT_POLICY": "active", "KMP_LIBRARY": "None"}.get(str(name), "passive")


def test_nothing_else_happens_when_the_library_is_imported() -> None:
    code = "import sys; before = set(sys.modules); import diffusion; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['diffusion']"
