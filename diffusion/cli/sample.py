"""`python -m diffusion sample`: from a network, or a file that says how its images were drawn, to images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion.cli.options import (
    BATCH,
    DATA_HELP,
    SCHEDULE_OPTIONS,
    CommandError,
    Commands,
    add_betas,
    add_model_options,
    add_precision,
    add_schedule_options,
    check_file,
    check_place,
    check_seed,
    check_unused,
    device_of,
    note,
    option_of,
    processes_of,
    schedule_of,
)
from diffusion.sampling.clips import CLIPS
from diffusion.sampling.steps import SPACINGS, count_steps, resampled
from diffusion.sampling.updates import SAMPLERS, make_update, option_parameters, samplers_with
from diffusion.schedules.families import Parameter

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    import torch

    from diffusion.denoiser import Denoiser
    from diffusion.networks.card import Card
    from diffusion.sampling.recipe import Recipe

# At the command line some options of samplers have another name, and some values a word.
NAMES = {"v": "variance"}
WORDS = {"v": {"beta": 1.0, "posterior": 0.0}}
# Of `sample`, for what is not given: whether an option was given matters where it would do nothing.
DEFAULTS: dict[str, Any] = {
    "count": 16, "seed": 0, "sampler": "ddim", "clip": "static", "guidance": 1.0, "jump": 10, "repeats": 10,
    "precision": "float32", "size": 32,
}  # fmt: skip


def _defaults() -> dict[str, Any]:
    """``DEFAULTS``, and those of the options of all samplers."""
    options = option_parameters().items()
    return DEFAULTS | {NAMES.get(option, option): parameter.default for option, parameter in options}


def run_sample(args: argparse.Namespace) -> None:
    if args.out is None and not args.python:
        raise CommandError("Say where to write the images: --out FILE.")
    suffix = "" if args.out is None else args.out.suffix.lower()
    if args.out is not None:
        if suffix not in (".png", ".npz", ".csv"):
            raise CommandError(f"--out must end in .png, .npz or, for points, .csv, not "
                               f"{args.out.suffix or args.out.name!r}.")  # fmt: skip
        check_place(args.out)
    if args.frames and suffix != ".npz":
        raise CommandError("Frames need an --out that ends in .npz.")
    if args.like is not None:
        check_file(args.like)
        check_unused(args, "--like has all that decides which images are drawn; leave {} out.", *_defaults(), "model",
                     "examples", "steps", "spacing", "label", "image", "at", "mask", "betas",
                     *SCHEDULE_OPTIONS)  # fmt: skip

    from diffusion.files import write_atomically
    from diffusion.images import encode, grid, to_bytes, to_pil
    from diffusion.sampling import archive, snippet
    from diffusion.sampling import recipe as recipes

    recipe = _recipe(args) if args.like is None else archive.read(args.like)
    if args.compile and recipe.examples is not None:
        raise CommandError("There is no network to compile for --examples; leave --compile out.")
    if args.frames and len(recipe.seeds) > recipe.batch:
        raise CommandError(f"Frames are kept of at most {recipe.batch} images.")
    if args.python:
        file = args.like or args.out or "images.npz"
        sys.stdout.write(snippet.snippet(recipe, "cpu" if args.device == "auto" else args.device, str(file)))
    if args.out is None:
        return
    device = device_of(args.device)
    processes = processes_of(args)
    device = processes.device if args.device == "auto" else device
    model = recipes.load_model_of(recipe, device, compiled=args.compile)
    denoiser, shape = recipes.denoiser_of(recipe, model, device)
    if suffix != ".npz" and model is not None and model.card.kind == "points":
        _draw_points(args, recipe, denoiser, shape, device)
        return
    if suffix == ".csv":
        raise CommandError("A table is for points, and these are images; give an --out that ends in .png or .npz.")
    if suffix == ".png" and shape[0] not in (1, 3):
        raise CommandError(f"Images of {shape[0]} channels are no pictures; give an --out that ends in .npz.")
    frames = None
    if args.frames:
        frames = archive.Frames(count_steps(recipe.steps), len(recipe.seeds), shape)
        for step in recipes.run(recipe, denoiser, shape, device):
            frames.add(step)
        made = to_bytes(step.x_s)
    else:
        made = recipes.draw(recipe, denoiser, shape, device, processes=processes, progress=True)
    if processes.is_main_process:
        if suffix == ".png":
            write_atomically(args.out, encode(to_pil(grid(made)), "PNG"))
        else:
            archive.save(args.out, recipe, made, frames)
    processes.destroy_process_group()


def _draw_points(args: argparse.Namespace, recipe: Recipe, denoiser: Denoiser, shape: tuple[int, int, int],
                 device: torch.device) -> None:  # fmt: skip
    """Points of the plane are no pixels: their numbers are kept as they are, in a table, or drawn."""
    from diffusion.files import write_atomically
    from diffusion.images import encode
    from diffusion.plane import plane_picture, points_csv
    from diffusion.sampling.recipe import run

    for step in run(recipe, denoiser, shape, device):
        points = step.x_s
    points = points.cpu()
    png = args.out.suffix.lower() == ".png"
    content = encode(plane_picture(points), "PNG") if png else points_csv(points, recipe.labels)
    write_atomically(args.out, content)


def _recipe(args: argparse.Namespace) -> Recipe:
    """What the options of ``sample`` describe."""
    from diffusion.images import picture_for
    from diffusion.networks.model import find_model, read_card
    from diffusion.sampling.noise import noised
    from diffusion.sampling.recipe import Recipe, known_part
    from diffusion.sampling.wishes import remark_on_student, steps_asked

    _check_together(args)
    options = _sampler_options(args)
    repeated = (args.jump, args.repeats) != (None, None)
    card = None if args.model is None else read_card(find_model(args.model))
    if card is not None and card.kind == "points":
        args.clip = args.clip or "none"  # they may lie anywhere
    for option, value in _defaults().items():
        if getattr(args, option) is None:
            setattr(args, option, value)
    check_seed(args.seed, args.count)
    schedule = schedule_of(args, args.schedule)
    steps, spacing = steps_asked(card.levels if card else (), schedule, args.steps, args.spacing, args.at)
    if repeated and args.jump >= len(steps):
        raise CommandError("--jump must be smaller than --steps, or nothing is repeated.")
    _check_pictures(args)
    seeds = range(args.seed, args.seed + args.count)
    shape, drawn_from = _of_examples(args) if card is None else _of_network(args, card)
    start = known = None
    if args.image is not None and args.at is not None:
        start = noised(picture_for(args.image, shape)[None], schedule, args.at, seeds)
    elif args.image is not None:
        known = known_part(args.image, args.mask, shape)
        steps = resampled(steps, args.jump, args.repeats)
    recipe = Recipe(
        steps, seeds, args.sampler, options, guidance=args.guidance, clip=args.clip, start=start, known=known,
        spacing=spacing, schedule=schedule, precision=args.precision, batch=BATCH, **drawn_from,
    )  # fmt: skip
    if card is not None:
        note(remark_on_student(card, schedule, recipe))
    return recipe


def _check_together(args: argparse.Namespace) -> None:
    """Refuses options that do nothing, or nothing together."""
    if (args.model is None) == (args.examples is None):
        raise CommandError("Say what to draw from: --model NAME or --examples DATA.")
    if (args.image is None) != (args.at is None and args.mask is None) or None not in (args.at, args.mask):
        raise CommandError("--image needs --at T, to noise it to, or --mask FILE, of what to keep; and those need it.")
    if args.examples is None:
        check_unused(args, "A network has a size of its own; leave {} out.", "size")
    else:
        check_unused(args, "The exact denoiser computes in float32; leave {} out.", "precision")
    if args.mask is None:
        check_unused(args, "Nothing is repeated without --mask; leave {} out.", "jump", "repeats")


def _sampler_options(args: argparse.Namespace) -> dict[str, float]:
    """The options of the sampler, as they are given or its defaults."""
    name = args.sampler or DEFAULTS["sampler"]
    options: dict[str, float] = {}
    make_update(name)  # refuses what is not there
    for option in option_parameters():
        given = NAMES.get(option, option)
        if option not in SAMPLERS[name].parameters:
            check_unused(args, f"{{}} does nothing with {SAMPLERS[name].title}; leave it out.", given)
            continue
        value, parameter = getattr(args, given), SAMPLERS[name].parameters[option]
        options[option] = parameter.default if value is None else _number_of(option, value, parameter)
    make_update(name, **options)  # refuses what is out of range
    return options


def _number_of(option: str, value: str | float, parameter: Parameter) -> float:
    """The value of an option, which may be a word."""
    words = WORDS.get(option, {})
    try:
        return words[str(value)] if str(value) in words else float(value)
    except ValueError:
        raise CommandError(f"{option_of(NAMES.get(option, option))} must be {', '.join(words)} or a number between "
                           f"{parameter.minimum:g} and {parameter.maximum:g}, not {value!r}.") from None  # fmt: skip


def _check_pictures(args: argparse.Namespace) -> None:
    from diffusion.images import ImageError, open_image

    for path in (args.image, args.mask):
        if path is not None:
            check_file(path)
            try:
                open_image(path)
            except ImageError as error:  # of two files it should say which
                raise CommandError(f"{path}: {error}") from error


def _of_examples(args: argparse.Namespace) -> tuple[tuple[int, int, int], dict[str, Any]]:
    """The shape of the images, and what a recipe says of images that are asked for eps."""
    from diffusion.data.folders import load_data, split_of_examples

    if args.label is not None or args.guidance != 1:
        raise CommandError("Examples know no classes: leave --label and --guidance out.")
    examples = load_data(args.examples, split_of_examples(args.examples), args.size).images
    return (examples.shape[1], examples.shape[2], examples.shape[3]), {"examples": examples}


def _of_network(args: argparse.Namespace, card: Card) -> tuple[tuple[int, int, int], dict[str, Any]]:
    """The shape of the images, and what a recipe says of a network that is asked for eps, and of what it is told."""
    from diffusion.sampling.wishes import labels_asked

    labels = labels_asked(card, args.label or (), args.count)
    if labels is None and args.guidance != 1:
        raise CommandError(f"{card.name} has no classes to guide to; leave --guidance out.")
    return card.network.image_shape, {"model": args.model, "sha256": card.sha256, "labels": labels}


def add_sample(commands: Commands) -> None:
    command = commands.add_parser("sample", help="draw images from a network, with seeds seed, seed + 1, ...")
    add = command.add_argument
    add_model_options(command, required=False)
    defaults = _defaults()

    def choose(name: str, about: str, **options: Any) -> None:
        default = defaults[name.removeprefix("--").replace("-", "_")]
        add(name, help=f"{about} (default: {default})", **options)

    choose("--seed", "of the first image", type=int)
    add("--examples", metavar="DATA", help="draw with the exact denoiser of these images instead of a "
                        "network: " + DATA_HELP)  # fmt: skip
    choose("--size", "side of the examples", type=int)
    add("--out", type=Path, help=".png: a grid; .npz: arrays images and labels, and what drew them; "
                        "of points .png: the plane; .csv: a table")  # fmt: skip
    add("--frames", action="store_true", help="keep x_t and the predicted x_0 of the steps in the .npz")
    add("--like", type=Path, metavar="FILE", help=".npz whose images to draw again; beside its options "
                        "only --device, --compile, --frames, --out and --python are taken")  # fmt: skip
    add("--python", action="store_true", help="print Python that draws the same images")
    add("--label", action="append", help="what to draw: a class, by name or index (default: all in turn); of a "
        "network of several conditions values by name, 'fox, openmoji', said as concept=fox where another condition "
        "has that name too, 'fox, style=all in turn' for all of one, '' for none (default: values of the first, "
        "evenly spread); may be given several times, for samples that take them in turn")  # fmt: skip
    choose("--count", "number of images", type=int)
    choose("--sampler", _either(SAMPLERS))
    add("--steps", type=int, help="steps to take, at most T (default: 50, or those that a student was taught)")
    add("--spacing", help=f"{_either(SPACINGS)} (default: trailing)")
    for option, parameter in option_parameters().items():
        about = f"of {_either(samplers_with(option))}: {parameter.about}"
        words = f"; or {_either(WORDS[option])}" if option in WORDS else ""
        choose(option_of(NAMES.get(option, option)), about + words, type=str if words else float, metavar="X")
    choose("--clip", "how the predicted x_0 is kept in [-1, 1]; points are not", choices=tuple(CLIPS))
    choose("--guidance", "1 is plain", type=float)
    add("--image", type=Path, help="picture to begin with: give --at or --mask too")
    add("--at", type=int, metavar="T", help="step to noise the picture to, and to begin at (SDEdit)")
    add("--mask", type=Path, help="picture that is light where --image is kept (RePaint)")
    choose("--jump", "with --mask: steps that are gone back at a time", type=int)
    choose("--repeats", "with --mask: how often each step is taken", type=int)
    add_precision(command, "what the network computes in")
    add("--compile", action="store_true",
                        help="compile the network first: takes a minute or more, may round differently")  # fmt: skip
    add_schedule_options(command, "--schedule")
    add_betas(command)
    command.set_defaults(run_command=run_sample)


def _either(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
