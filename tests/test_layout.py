"""Dependencies point one way: the mathematics knows no user interface, and figures know no gradio."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Every module of the library, each after all that it may import: there is no circle.
ROWS = (
    "checks device files images animation",
    "schedules.schedule schedules.families schedules.given schedules.spec schedules.exchange schedules.review",
    "process chain denoiser mixture plane",
    "data.sets data.points data.folders data.draws",
    "networks.embeddings networks.network networks.unet networks.fast networks.points networks.kinds",
    "networks.denoiser networks.checkpoint networks.card networks.foreign networks.model",
    "sampling.choices sampling.steps sampling.clips sampling.noise sampling.updates sampling.terms sampling.plan",
    "sampling.loop sampling.generate sampling.statistics sampling.recipe sampling.whatif sampling.archive",
    "sampling.snippet sampling.wishes",
    "losses.weightings losses.likelihood losses.curve losses.measure losses.rate losses.reference",
    "losses.on_mixtures",
    "training.config training.presets training.history training.conditions training.batch training.errors",
    "training.teacher training.matching training.state training.preview training.stop training.train",
    "evaluation.distances evaluation.classifier evaluation.evaluate evaluation.conditions evaluation.quality",
    "evaluation.on_points",
    "cli.options cli.runs cli.train cli.distill cli.sample cli.schedule cli.loss cli.evaluate cli.classifier cli.main",
)
# Which packages a package may take from at all, besides the modules that are in none and its own.
PACKAGES: dict[str, set[str]] = {
    "": {"schedules"},
    "schedules": set(),
    "data": set(),
    "networks": {"schedules"},
    "sampling": {"schedules", "networks"},
    "losses": {"schedules", "data"},
    "training": {"schedules", "data", "networks", "sampling", "losses"},
    "evaluation": {"schedules", "data", "networks", "sampling", "losses"},
    "cli": {"schedules", "data", "networks", "sampling", "losses", "training", "evaluation"},
}
ORDER = [module for row in ROWS for module in row.split()]
# What the modules of the page may take from each other; those shared by all tabs take nothing from a tab.
TABS = {"schedule_tab", "forward_tab", "reverse_tab", "whatif_tab", "loss_tab", "plane_tab", "train_tab"}
MAY_TAKE_A_TAB = {
    "demo": TABS,
    "reverse_tab": {"whatif_tab"},  # which is drawn inside of it
}
UI_ROWS = (
    "theme figures files asked view page picture choosing sidebar",
    "turn runs models subjects card cost background job frames sampling learning plane_away plane opening seen told",
    "weighing drafts watching plane_walk whatif composing make_opening link wire",
    "enough lesson plane_enough plane_ledger schedule_tab forward_tab whatif_tab reverse_tab loss_tab plane_tab",
    "train_tab",
    "api guard demo",
)
UI = [module for row in UI_ROWS for module in row.split()]


def modules(folder: str) -> list[str]:
    """The names of all modules in a folder and its packages, with dots."""
    paths = (path.relative_to(ROOT / folder).with_suffix("") for path in (ROOT / folder).rglob("[!_]*.py"))
    return sorted(".".join(path.parts) for path in paths)


def package_of(module: str) -> str:
    return module.rpartition(".")[0]


def path_of(folder: str, module: str) -> Path:
    return (ROOT / folder).joinpath(*module.split(".")).with_suffix(".py")


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


def taken(folder: str, module: str) -> set[str]:
    """The modules of the same folder that a module imports."""
    names = {name.removeprefix(f"{folder}.") for name in imported(path_of(folder, module))}
    return {other for other in modules(folder) for name in names if f"{name}.".startswith(f"{other}.")}


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.slow
def test_importing_all_of_diffusion_loads_no_user_interface() -> None:
    code = f"import importlib, sys\nfor name in {modules('diffusion')}: importlib.import_module('diffusion.' + name)\n"
    code += "print(sorted({'gradio', 'plotly', 'ui', 'diffusers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "diffusion").rglob("*.py")), ids=lambda path: path.name)
def test_no_module_of_diffusion_imports_a_user_interface_anywhere(path: Path) -> None:
    assert not packages(path) & {"gradio", "plotly", "ui", "app"}


@pytest.mark.parametrize(("folder", "named"), [("diffusion", ORDER), ("ui", UI)])
def test_every_module_has_its_place(folder: str, named: list[str]) -> None:
    assert sorted(named) == modules(folder)
    assert max(Counter(named).values()) == 1


@pytest.mark.parametrize("module", ORDER)
def test_modules_import_only_what_lies_below_them(module: str) -> None:
    below = ORDER[: ORDER.index(module)]
    assert taken("diffusion", module) <= set(below)


@pytest.mark.parametrize("module", ORDER)
def test_packages_take_only_from_those_they_are_made_of(module: str) -> None:
    own, others = package_of(module), {package_of(other) for other in taken("diffusion", module)}
    assert others <= PACKAGES[own] | {own, ""}


@pytest.mark.slow
def test_a_schedule_is_written_without_torch() -> None:
    code = "import sys; from diffusion.cli.main import main; main(['schedule', '--csv', '-']); "
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


# What takes long to import and a page stands without; each is imported by what first needs it.
LATER = {"accelerate", "av", "diffusers", "matplotlib", "pillow_heif", "scipy", "sympy", "transformers"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import app; from ui.demo import build_demo, launch_options; build_demo(); launch_options()",
        "from diffusion.networks.model import load_model; import diffusion.sampling.recipe; load_model('digits')",
        "from diffusion.cli.main import main; main(['schedule', '--csv', '-'])",
    ],
)
def test_nothing_is_imported_long_before_it_is_needed(code: str) -> None:
    code += f"\nimport sys; print(sorted({LATER} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module", UI)
def test_what_tabs_share_takes_nothing_from_a_tab(module: str) -> None:
    assert taken("ui", module) & TABS <= MAY_TAKE_A_TAB.get(module, set())


def test_figures_import_no_gradio() -> None:
    assert "gradio" not in packages(ROOT / "ui" / "figures.py")


def public_names(path: Path) -> Iterator[str]:
    """The classes and functions of a module that others may use."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def test_no_two_modules_have_the_same_name_for_two_things() -> None:
    """But for endpoints, which are called as other programs know them."""
    paths = [path_of("diffusion", module) for module in ORDER] + [
        path_of("ui", module) for module in UI if module != "api"
    ]
    places: dict[str, list[str]] = {}
    for path in paths:
        for name in public_names(path):
            places.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


LONGEST, MOST_PARAMETERS = 80, 8  # lines of a function, and what it is given, besides itself


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_large(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    count = len([name for name in given if name.arg not in ("self", "cls")])
    lines = (function.end_lineno or 0) - function.lineno + 1
    return count > MOST_PARAMETERS or lines > LONGEST


def test_no_function_is_too_large_to_be_seen_whole() -> None:
    paths = [*(ROOT / "diffusion").rglob("*.py"), *(ROOT / "ui").glob("*.py")]
    found = {f"{path.relative_to(ROOT)} {f.name}" for path in paths for f in functions(path) if is_large(f)}
    assert not found, "divide it by what it does"
