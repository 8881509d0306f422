"""Whoever made images on the page or by a command may want to go on from them in Python: their recipe as such code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from diffusion.sampling.recipe import Recipe
from diffusion.sampling.steps import timesteps
from diffusion.schedules.spec import ScheduleSpec


def snippet(recipe: Recipe, device: torch.device | str = "cpu", file: str = "trajectory.npz") -> str:
    """Python that draws the same ``images`` (N, H, W, C) uint8 with this package.

    Args:
        file: what ``save`` wrote; read for arrays and long lists, if there are any.
    """
    device, settings, steps = str(device), ScheduleSpec.of(recipe.schedule).to_json(), _steps(recipe)
    imports, lines = {("diffusion.sampling.plan", "SamplingPlan")}, []
    if recipe.examples is not None:
        imports |= {("diffusion.denoiser", "ExactDenoiser"), ("diffusion.images", "to_unit")}
        lines += [f"examples = to_unit(torch.from_numpy(file['examples'])).to({device!r})",
                  "denoiser, shape = ExactDenoiser(examples), tuple(examples.shape[1:])"]  # fmt: skip
    else:
        imports.add(("diffusion.networks.model", "load_model"))
        precision = "" if recipe.precision == "float32" else f", torch.{recipe.precision}"
        lines += [f"model = load_model({recipe.model!r}, {device!r}{precision})",
                  "denoiser, shape = model.denoiser, model.image_shape"]  # fmt: skip
    if "betas" in settings:
        imports.add(("diffusion.schedules.given", "schedule_of_betas"))
        lines.append("schedule = schedule_of_betas(recipe['schedule']['betas'])")
    else:
        imports.add(("diffusion.schedules.families", "make_schedule"))
        lines.append(f"schedule = make_schedule({_call(settings.pop('family'), settings)})")
    if steps.startswith("timesteps"):
        imports.add(("diffusion.sampling.steps", "timesteps"))
    if recipe.known is not None:
        imports.add(("diffusion.sampling.plan", "Known"))
    lines.append(f"steps = {steps}")
    lines.append("plan = SamplingPlan(\n" + "".join(f"    {argument},\n" for argument in _arguments(recipe)) + ")")
    call = f"denoiser, schedule, plan, shape, {device!r}"
    if len(recipe.seeds) <= recipe.batch:
        imports |= {("diffusion.images", "to_bytes"), ("diffusion.sampling.loop", "sample")}
        lines += [f"for step in sample({call}):", "    print(step.t)", "images = to_bytes(step.x_s)"]
    else:
        imports.add(("diffusion.sampling.generate", "generate"))
        lines.append(f"images = generate({call}, batch={recipe.batch})")
    return _with_imports(lines, imports, file)


def points_snippet(
    recipe: Recipe, pattern: tuple[str, int, int] | None, file: str, used: int | None = None, weights: str = ""
) -> str:
    """Python that draws the same samples of points of the plane, ``samples`` (N, 2), with their exact denoiser, or by
    the network in ``weights``.

    Args:
        recipe: without a network.
        pattern: its name, how many points of it and the seed; None where they are in ``file``, a CSV.
        used: of the points so many, evenly chosen; None for all.
        weights: the file of a network; "" for none.
    """
    imports = {
        ("diffusion.sampling.loop", "sample"), ("diffusion.sampling.plan", "SamplingPlan"),
        ("diffusion.schedules.spec", "ScheduleSpec"),
    }  # fmt: skip
    if weights:
        imports.add(("diffusion.networks.model", "load_model"))
    else:
        imports |= {("diffusion.mixture", "Mixture"), ("diffusion.mixture", "MixtureDenoiser")}
    lines: list[str] = []
    found = "MixtureDenoiser(Mixture(points), labels)"
    if weights:
        found, used = f"load_model({weights!r}).denoiser", None
    elif pattern is None:
        imports.add(("diffusion.data.points", "as_points"))
        lines = [f"points, labels = as_points(np.loadtxt({file!r}, delimiter=',', skiprows=1)[:, :2]), None"]
    else:
        name, count, seed = pattern
        imports.add(("diffusion.data.points", "patterns"))
        lines = [f"points, labels = patterns()[{name!r}].draw({count}, {seed})"]
    if used is not None:
        lines += [f"used = np.arange({used}) * len(points) // {used}",
                  "points, labels = points[used], None if labels is None else labels[used]"]  # fmt: skip
    steps = _steps(recipe)
    if steps.startswith("timesteps"):
        imports.add(("diffusion.sampling.steps", "timesteps"))
    elif steps.startswith("recipe"):
        steps = repr(list(recipe.steps))
    lines += [
        f"denoiser = {found}",
        f"schedule = ScheduleSpec.from_json({ScheduleSpec.of(recipe.schedule).to_json()!r}).make()",
        f"steps = {steps}",
        "plan = SamplingPlan(\n" + "".join(f"    {argument},\n" for argument in _arguments(recipe)) + ")",
        "for step in sample(denoiser, schedule, plan, (2, 1, 1)):",
        "    print(step.t)",
        "samples = step.x_s.flatten(1)",
    ]
    return _with_imports(lines, imports, file)


def _arguments(recipe: Recipe) -> list[str]:
    """Those of the plan, in Python."""
    seeds = list(recipe.seeds)
    in_turn = seeds == list(range(seeds[0], seeds[0] + len(seeds)))
    arguments = [f"steps, {f'range({seeds[0]}, {seeds[-1] + 1})' if in_turn else seeds}, {recipe.sampler!r}, "
                 f"{dict(recipe.options)!r}, clip={recipe.clip!r}"]  # fmt: skip
    if recipe.labels is not None:
        arguments.append(f"labels={list(recipe.labels)}")
    if recipe.guidance != 1:
        arguments.append(f"guidance={recipe.guidance!r}")
    if recipe.start is not None:
        arguments.append("start=torch.from_numpy(file['start'])")
    if recipe.known is not None:
        arguments.append("known=Known(torch.from_numpy(file['known']), torch.from_numpy(file['mask']))")
    return arguments


def _with_imports(lines: list[str], imports: set[tuple[str, str]], file: str) -> str:
    """The whole script: what it imports, the file it reads if it does, and the lines."""
    text = "\n".join(lines)
    if "recipe[" in text:
        lines = ["recipe = json.loads(str(file['recipe']))", *lines]
    if "recipe[" in text or "file[" in text:
        lines = [f"file = np.load({file!r})", *lines]
    text = "\n".join(lines)
    packages = {"json.": "import json", "np.": "import numpy as np", "torch.": "import torch"}
    head = [line for name, line in packages.items() if name in text]
    modules = [
        f"from {module} import {', '.join(sorted(name for place, name in imports if place == module))}"
        for module in sorted({module for module, _ in imports})
    ]
    return "\n".join([*head, *([""] if head else []), *modules, "", text]) + "\n"


def _call(first: str, options: Mapping[str, Any]) -> str:
    return ", ".join([repr(first), *(f"{name}={value!r}" for name, value in options.items())])


def _steps(recipe: Recipe) -> str:
    """The steps in Python: how they were made, or a list, or where a list is that would be too long."""
    steps = list(recipe.steps)
    if recipe.spacing is not None:
        for start in (None, steps[0]):
            count, most = len(steps), start or recipe.schedule.T
            if count <= most and timesteps(recipe.schedule, count, recipe.spacing, start) == steps:
                return f"timesteps(schedule, {count}, {recipe.spacing!r}{'' if start is None else f', start={start}'})"
    return repr(steps) if len(steps) <= 50 else "recipe['steps']"
