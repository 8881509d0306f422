"""What the documents say can be done is done."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
from PIL import Image

from diffusion.cli.main import parser

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
COMMANDS = [
    (path.name, line.partition("-m diffusion ")[2])
    for path, text in TEXTS.items()
    for line in text.replace("\\\n", " ").splitlines()
    if line.startswith("    ") and "-m diffusion " in line and "accelerate" not in line
]
BLOCKS = [
    (path.name, block) for path, text in TEXTS.items() for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
]


def test_readme_is_read_in_three_minutes() -> None:
    assert len(TEXTS[ROOT / "README.md"].split()) <= 700


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXTS[path]):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize(("name", "line"), COMMANDS, ids=[f"{name}-{line[:40]}" for name, line in COMMANDS])
def test_command_is_one_of_ours(name: str, line: str) -> None:
    parser().parse_args(shlex.split(line, comments=True))


def test_there_is_something_to_try() -> None:
    assert len(COMMANDS) > 12 and len(BLOCKS) >= 3


def test_python_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for name, block in BLOCKS:
        if "gradio_client" not in block:  # tests/browser/test_api.py asks a page that is served
            exec(compile(block, name, "exec"), names)  # later blocks go on from earlier ones
    assert (tmp_path / "digits.png").is_file()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("forming", ["forming.gif"]), ("noising", [str(ROOT / "assets/samples/cat.jpg"), "noising.png"]), ("bound", [])],
)
def test_example_is_short_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str]
) -> None:
    path = ROOT / "examples" / f"{name}.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 20
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(path), *arguments])
    runpy.run_path(str(path))
    for file in arguments[-1:]:
        with Image.open(tmp_path / file) as picture:
            assert picture.width > 256


def test_every_example_is_run() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == {"forming", "noising", "bound"}
