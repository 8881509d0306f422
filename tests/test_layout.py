"""Dependencies point one way: the mathematics knows no user interface, and figures know no gradio."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.stem for path in (ROOT / "diffusion").glob("[!_]*.py"))
# What each module of the core may take from its neighbours; the others may take anything but the command line.
MAY_IMPORT = {
    "checks": set(),
    "schedule": {"checks"},
    "unet": {"checks"},
    "images": set(),
    "animation": {"images"},
    "data": {"checks"},
    "device": set(),
    "process": set(),
    "fast": {"unet"},
    "denoiser": {"process", "unet", "fast", "images"},
    "sampler": {"checks", "process", "denoiser", "schedule"},
    "likelihood": {"process", "denoiser", "schedule"},
    "weights": {"likelihood", "schedule", "unet"},
    "measure": {"process", "denoiser", "likelihood", "schedule"},
    "rate": {"likelihood", "measure", "schedule", "weights"},
    "exchange": {"checks", "schedule"},
    "checkpoint": {"denoiser", "fast", "schedule", "unet"},
}


def imported(path: Path) -> set[str]:
    """Full names of all that a file imports, at its head or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively, which this test does not follow"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def test_importing_all_of_diffusion_loads_no_user_interface() -> None:
    code = f"import importlib, sys\nfor name in {MODULES}: importlib.import_module('diffusion.' + name)\n"
    code += "print(sorted({'gradio', 'plotly', 'ui', 'diffusers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "diffusion").glob("*.py")), ids=lambda path: path.name)
def test_no_module_of_diffusion_imports_a_user_interface_anywhere(path: Path) -> None:
    assert not packages(path) & {"gradio", "plotly", "ui", "app"}


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_what_lies_below_them(module: str) -> None:
    names = imported(ROOT / "diffusion" / f"{module}.py")
    inner = {name.split(".")[1] for name in names if name.startswith("diffusion.")}
    assert "cli" not in inner
    assert inner <= MAY_IMPORT.get(module, inner)


@pytest.mark.parametrize("path", sorted((ROOT / "ui").glob("figures.py")), ids=lambda path: path.name)
def test_figures_import_no_gradio(path: Path) -> None:
    assert "gradio" not in packages(path)
