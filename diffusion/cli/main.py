"""`python -m diffusion ...`: the library from a terminal."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion.schedules.exchange import read_betas, to_diffusers
from diffusion.schedules.schedule import (
    FAMILIES,
    T_MAX,
    Schedule,
    beta_for_terminal_snr,
    last_beta,
    make_schedule,
    to_zero_terminal_snr,
)

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    import torch
    from accelerate import PartialState

    from diffusion.data.sets import ImageSet
    from diffusion.networks.checkpoint import Card
    from diffusion.sampling.recipe import Precision, Recipe
    from diffusion.sampling.updates import Spacing

BATCH = 64
# What `evaluate` draws: fewer images where one takes longer.
DRAWINGS = [
    f"{sampler}:{steps}:{count}"
    for steps, count in ((10, 1000), (20, 1000), (50, 1000), (100, 1000), (1000, 200))
    for sampler in (
        "ddim", "ddpm", *(("dpmpp",) if steps <= 50 else ()),
        *(("dpmpp:eta=1", "dpmpp:spacing=log_snr", "dpmpp:eta=1:spacing=log_snr", "unipc") if steps <= 20 else ()),
    )
]  # fmt: skip


# Every parameter of every family, and what it does.
PARAMETERS = {name: p.about for family in FAMILIES.values() for name, p in family.parameters.items()}
SCHEDULE_OPTIONS = ("schedule", "family", "T", *PARAMETERS, "terminal_snr", "keep_shape_of", "zero_terminal_snr")
# Of `sample`, for what is not given: whether an option was given matters where it would do nothing.
DEFAULTS: dict[str, Any] = {
    "count": 16, "seed": 0, "sampler": "ddim", "steps": 50, "spacing": "trailing", "variance": "beta", "eta": 0.0,
    "clip": "static", "guidance": 1.0, "jump": 10, "repeats": 10, "precision": "float32", "size": 32,
}  # fmt: skip
# What numbers the options take, of any command that has them; more is refused by what they are for.
RANGES: dict[str, tuple[float, float]] = {
    "count": (1, 1_000_000), "guidance": (-1000, 1000), "size": (1, 1024), "jump": (1, T_MAX),
    "repeats": (1, 1000), "levels": (2, 100_000), "noises": (1, 10_000), "draws": (1, 100_000), "image_size": (1, 1024),
    "terminal_snr": (-1000, 1000), "images": (1, 10**12),
}  # fmt: skip


LONGEST = 500  # of a message: what it quotes may be longer


class CommandError(ValueError):
    """A command that cannot be carried out, said in one sentence."""


def _train(args: argparse.Namespace) -> None:
    from dataclasses import fields, replace

    import torch
    from accelerate import Accelerator

    from diffusion.data.folders import load_data
    from diffusion.device import best_precision
    from diffusion.networks.checkpoint import Card, load_model
    from diffusion.networks.unet import UNet, grow
    from diffusion.training.train import RECIPES, TrainConfig, asked, begin_labels, train

    name = (args.data if args.data in RECIPES else "emoji") if args.config is None else args.config
    if name not in RECIPES:
        raise CommandError(f"There is no configuration {name!r}; choose one of {', '.join(RECIPES)}.")
    recipe = RECIPES[name]

    def given(kind: type[Any]) -> dict[str, Any]:
        values = {field.name: getattr(args, field.name, None) for field in fields(kind)}
        return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if v is not None}

    if args.drop_label is not None and len(args.drop_label) == 1:
        (args.drop_label,) = args.drop_label
    config = replace(recipe.train, **given(TrainConfig))
    schedule = {"family": recipe.schedule["family"] if args.schedule is None else args.schedule, "T": _T(args)}
    schedule |= _schedule_settings(args, schedule["family"])
    make_schedule(**schedule)  # refuses what cannot be, before the data are read
    conditional = bool(recipe.network.conditions)
    if not conditional:
        _check_unused(args, f"The network of --config {name} has no classes; leave {{}} out.", "drop_label")
    if not args.name or Path(args.name).name != args.name or len(args.name) > 100:
        raise CommandError(f"--name is what the files of the network are called, and cannot be {args.name!r}.")
    if args.run.exists() and not args.run.is_dir():
        raise CommandError(f"{args.run} is a file; --run names a folder.")
    start = None if args.init is None else load_model(args.init)
    usual = start.card.network if start is not None and args.config is None else recipe.network
    network = replace(usual, **given(type(usual)))  # refuses what cannot be
    size = network.image_size
    data = load_data(args.data, "train", size)
    if args.hold_out is not None:
        whole = len(data)
        data = data.without(load_data(args.hold_out, "test", size, data.images.shape[1]))
        print(f"{whole - len(data)} of the {whole} images are among those that --hold-out leaves out.")
        if not len(data):
            raise CommandError(f"All images of {args.data} are among those that --hold-out leaves out.")
    counts = (data.labels.reshape(len(data), -1).amax(0) + 1).tolist() if conditional else []
    conditions = {name: list(values[:n]) for n, (name, values) in zip(counts, data.conditions.items(), strict=False)}
    classes = list(data.classes or map(str, range(counts[0]))) if counts and not conditions else []
    network = replace(network, channels=data.images.shape[1],
                      conditions=tuple(counts) if conditions or not counts else (len(classes),))  # fmt: skip
    grown, same = None, False
    torch.manual_seed(config.seed)
    if start is not None:
        before, before_conditions = start.card.classes, start.card.conditions
        if not data.classes and len(classes) == len(before) and not conditions:
            classes = before  # they have no names of their own
        same = classes == before and conditions == before_conditions
        if not same:
            theirs, ours = (
                ", ".join(names) or "none" for names in (classes or conditions, before or before_conditions)
            )
            print(f"The classes of {args.data} ({theirs}) are not those of {start.card.name} ({ours}): what depends on "
                  "them begins anew, the rest is kept.")  # fmt: skip
        try:
            grown = grow(start.denoiser.network, network, same_classes=same)
        except ValueError as error:
            raise CommandError(f"{args.init} is a network of another architecture; give the options it was made with. "
                               f"{error}") from error  # fmt: skip
    commands = [start.card.command, _command(args)] if start else [_command(args)]
    card = Card(
        name=args.name, title=args.title or args.name, classes=classes, network=network, schedule=schedule,
        data=args.about_data, licence=args.licence, command=" && ".join(commands),
        images_seen=start.card.images_seen if start else 0, seconds=start.card.seconds if start else 0.0,
        conditions=conditions,
    )  # fmt: skip
    processes = _processes(args)
    precision = best_precision(processes.device) if args.precision == "auto" else args.precision
    accelerator = Accelerator(cpu=args.device == "cpu", mixed_precision=precision)
    shown = None
    if conditions:
        grown = UNet(network) if grown is None else grown
        if not same:
            begin_labels(grown, data)
        shown = asked(data, load_data(args.data, "pairs", size), args.run / "samples")
    weights = train(data, network, config, args.run, card, accelerator, grown, shown)
    if processes.is_main_process:
        print(weights)
    accelerator.end_training()


def _sample(args: argparse.Namespace) -> None:
    if args.out is None and not args.python:
        raise CommandError("Say where to write the images: --out FILE.")
    suffix = "" if args.out is None else args.out.suffix.lower()
    if args.out is not None:
        if suffix not in (".png", ".npz"):
            raise CommandError(f"--out must end in .png or .npz, not {args.out.suffix or args.out.name!r}.")
        _check_place(args.out)
    if args.frames and suffix != ".npz":
        raise CommandError("Frames need an --out that ends in .npz.")
    if args.like is not None:
        _check_file(args.like)
        _check_unused(args, "--like has all that decides which images are drawn; leave {} out.", *DEFAULTS, "model",
                      "examples", "label", "image", "at", "mask", "betas", *SCHEDULE_OPTIONS)  # fmt: skip

    from diffusion.images import encode, grid, to_bytes, to_pil
    from diffusion.networks.checkpoint import write_atomically
    from diffusion.sampling import recipe as recipes
    from diffusion.sampling.updates import calls

    recipe = _recipe(args) if args.like is None else recipes.read(args.like)
    if args.compile and recipe.examples is not None:
        raise CommandError("There is no network to compile for --examples; leave --compile out.")
    if args.frames and len(recipe.seeds) > recipe.batch:
        raise CommandError(f"Frames are kept of at most {recipe.batch} images.")
    if args.python:
        file = args.like or args.out or "images.npz"
        sys.stdout.write(recipes.snippet(recipe, "cpu" if args.device == "auto" else args.device, str(file)))
    if args.out is None:
        return
    device = _device(args.device)
    processes = _processes(args)
    device = processes.device if args.device == "auto" else device
    model = recipes.load_model_of(recipe, device, compiled=args.compile)
    denoiser, shape = recipes.denoiser_of(recipe, model, device)
    if suffix == ".png" and shape[0] not in (1, 3):
        raise CommandError(f"Images of {shape[0]} channels are no pictures; give an --out that ends in .npz.")
    frames = None
    if args.frames:
        frames = recipes.Frames(calls(recipe.steps), len(recipe.seeds), shape)
        for step in recipes.run(recipe, denoiser, shape, device):
            frames.add(step)
        made = to_bytes(step.x_s)
    else:
        made = recipes.draw(recipe, denoiser, shape, device, processes=processes, progress=True)
    if processes.is_main_process:
        if suffix == ".png":
            write_atomically(args.out, encode(to_pil(grid(made)), "PNG"))
        else:
            recipes.save(args.out, recipe, made, frames)
    processes.destroy_process_group()


def _recipe(args: argparse.Namespace) -> Recipe:
    """What the options of ``sample`` describe."""
    from diffusion.data.folders import load_data
    from diffusion.images import ImageError, open_image, picture_for
    from diffusion.networks.checkpoint import find_model, read_card
    from diffusion.sampling.recipe import Recipe, known_part
    from diffusion.sampling.updates import SAMPLERS, make_update, noised, resampled, timesteps

    if (args.model is None) == (args.examples is None):
        raise CommandError("Say what to draw from: --model NAME or --examples DATA.")
    if (args.image is None) != (args.at is None and args.mask is None) or None not in (args.at, args.mask):
        raise CommandError("--image needs --at T, to noise it to, or --mask FILE, of what to keep; and those need it.")
    if args.examples is None:
        _check_unused(args, "A network has a size of its own; leave {} out.", "size")
    else:
        _check_unused(args, "The exact denoiser computes in float32; leave {} out.", "precision")
    if args.mask is None:
        _check_unused(args, "Nothing is repeated without --mask; leave {} out.", "jump", "repeats")
    elif (args.jump, args.repeats) != (None, None) and (args.jump or DEFAULTS["jump"]) >= (
        args.steps or DEFAULTS["steps"]
    ):
        raise CommandError("--jump must be smaller than --steps, or nothing is repeated.")
    name = args.sampler or DEFAULTS["sampler"]
    options: dict[str, float] = {}
    make_update(name)  # refuses what is not there
    for option, parameter in (("variance", "v"), ("eta", "eta")):
        if parameter in SAMPLERS[name].parameters:
            value = getattr(args, option) if getattr(args, option) is not None else DEFAULTS[option]
            options[parameter] = _share(value) if option == "variance" else value
        else:
            _check_unused(args, f"{{}} does nothing with {SAMPLERS[name].title}; leave it out.", option)
    make_update(name, **options)  # refuses what is out of range
    for option, value in DEFAULTS.items():
        if getattr(args, option) is None:
            setattr(args, option, value)
    _check_seed(args.seed, args.count)
    schedule = _schedule_of(args, args.schedule)
    steps = timesteps(schedule, args.steps, args.spacing, args.at)
    for path in (args.image, args.mask):
        if path is not None:
            _check_file(path)
            try:
                open_image(path)
            except ImageError as error:  # of two files it should say which
                raise CommandError(f"{path}: {error}") from error
    seeds = range(args.seed, args.seed + args.count)
    examples, labels, sha256 = None, None, ""
    if args.examples is not None:
        if args.label is not None or args.guidance != 1:
            raise CommandError("Examples know no classes: leave --label and --guidance out.")
        split = "test" if args.examples == "digits" else "train"  # those that come with the project are held-out ones
        examples = load_data(args.examples, split, args.size).images
        shape = (examples.shape[1], examples.shape[2], examples.shape[3])
    else:
        card = read_card(find_model(args.model))
        sha256 = card.sha256
        chosen = card.labels(args.count, _class(args.label, card))
        labels = chosen.tolist() if card.classes else None
        if labels is None and args.guidance != 1:
            raise CommandError(f"{card.name} has no classes to guide to; leave --guidance out.")
        shape = (card.network.channels, card.network.image_size, card.network.image_size)
    start = known = None
    if args.image is not None and args.at is not None:
        start = noised(picture_for(args.image, shape)[None], schedule, args.at, seeds)
    elif args.image is not None:
        known = known_part(args.image, args.mask, shape)
        steps = resampled(steps, args.jump, args.repeats)
    return Recipe(
        schedule, steps, seeds, args.model or "", sha256, precision=args.precision, examples=examples, labels=labels,
        guidance=args.guidance, sampler=args.sampler, options=options, spacing=args.spacing, clip=args.clip,
        start=start, known=known, batch=BATCH,
    )  # fmt: skip


def _share(text: str) -> float:
    """The v of beta^v beta~^(1-v)."""
    names = {"beta": 1.0, "posterior": 0.0}
    try:
        return names[text] if text in names else float(text)
    except ValueError:
        raise CommandError(f"--variance must be beta, posterior or a number between 0 and 1, not {text!r}.") from None


def _evaluate(args: argparse.Namespace) -> None:
    runs = [_drawing(text) for text in args.runs]
    _check_seed(args.seed, max([count for _, _, count, *_ in runs], default=1))
    if not runs:
        _check_unused(args, "--runs draws nothing; leave {} out.", "precision")
    _check_places(args.out)
    precision: Precision = args.precision or "float32"

    from dataclasses import replace

    from diffusion.data.folders import load_data
    from diffusion.evaluation.classifier import load_classifier
    from diffusion.evaluation.evaluate import Run, evaluate_likelihood, evaluate_samples
    from diffusion.networks.checkpoint import load_model, save_card, write_atomically
    from diffusion.sampling.recipe import PRECISIONS
    from diffusion.sampling.updates import make_update, timesteps

    for name, _, _, options, _ in runs:
        make_update(name, **options)  # refuses what is not there
    model = load_model(args.model, _device(args.device))
    network = model.card.network
    for _, steps, _, _, spacing in runs:
        timesteps(model.card.training_schedule(), steps, spacing)  # refuses too many
    train = load_data(args.data, "train", network.image_size, network.channels)
    test = args.data if args.test is None else args.test
    held_out = load_data(test, "test", network.image_size, network.channels)
    for source, data in ((args.data, train), (test, held_out)):
        _check_labels(source, data, model.card)
    if args.test is None:
        held_out = held_out.without(train)  # data sets have duplicates
    else:
        train = train.without(held_out)  # as --hold-out did in training
    result: dict[str, Any] = {"model": model.card.name, "sha256": model.card.sha256, "command": _command(args)}
    result |= evaluate_likelihood(model, held_out, draws=args.draws, seed=args.seed, batch=BATCH)
    if runs:
        classifier, judge = load_classifier(args.classifier or model.card.name)
        result["precision"] = precision
        plain = precision == "float32"
        drawing = model if plain else load_model(args.model, model.device, PRECISIONS[precision])
        result |= evaluate_samples(
            drawing, classifier, train, held_out, [Run(*run) for run in runs], seed=args.seed, batch=BATCH
        )
        result["classifier"] = {"name": judge.name, "sha256": judge.sha256, "accuracy": judge.test_accuracy}
    if args.card:
        save_card(args.model, replace(model.card, figures=result))
    if args.out is not None:
        write_atomically(args.out, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result))


def _drawing(text: str) -> tuple[str, int, int, dict[str, float], Spacing]:
    """SAMPLER:STEPS:COUNT, with OPTION=X or spacing=NAME in between: what ``evaluate.Run`` is made of."""
    try:
        sampler, *options, steps, count = text.split(":")
        given = dict(option.split("=") for option in options)
        spacing: Any = given.pop("spacing", "trailing")
        if not sampler or not all(number.isdecimal() and int(number) > 0 for number in (steps, count)):
            raise ValueError
        high = RANGES["count"][1]
        if not 2 <= int(count) <= high:
            raise CommandError(f"{text!r} draws {count} images, but 2 to {high:,} can be measured.")
        return sampler, int(steps), int(count), {name: float(value) for name, value in given.items()}, spacing
    except CommandError:
        raise
    except ValueError:
        raise CommandError(f"{text!r} is not SAMPLER:STEPS:COUNT or SAMPLER:OPTION=X:STEPS:COUNT, as in ddim:50:1000 "
                           "or dpmpp:eta=1:spacing=log_snr:20:1000.") from None  # fmt: skip


def _classifier(args: argparse.Namespace) -> None:
    _check_place(args.out)
    if args.out.suffix != ".safetensors":
        raise CommandError(f"--out must end in .safetensors, not {args.out.suffix or args.out.name!r}.")
    _check_seed(args.seed, 1)
    if args.image_size % 2:
        raise CommandError(f"--image-size must be even, not {args.image_size}.")
    if args.images < BATCH:
        raise CommandError(f"--images must be at least {BATCH}, a step's, not {args.images}.")

    from diffusion.data.folders import load_data
    from diffusion.evaluation.classifier import ClassifierConfig, ClassifierTraining, make_classifier

    train = load_data(args.data, "train", args.image_size)
    channels = train.images.shape[1]
    test = load_data(args.data, "test", args.image_size, channels)
    classes = 1 + max(int(data.labels.max()) for data in (train, test))
    card = make_classifier(
        args.out, train, test, ClassifierConfig(channels, classes),
        ClassifierTraining(images=args.images, mirror=args.mirror, seed=args.seed), about_data=args.about_data,
        command=_command(args),
    )  # fmt: skip
    print(json.dumps({"test_accuracy": card.test_accuracy, "test_images": card.test_images}))


def _class(wanted: str | None, card: Card) -> int | None:
    """The index of the class that is wanted by name or index; None for all in turn."""
    names = card.classes
    if wanted is None:
        return None
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    if names:
        raise CommandError(f"There is no class {wanted!r}; {card.name} knows {', '.join(names)}.")
    raise CommandError(f"{card.name} has no classes; leave --label out.")


def _schedule(args: argparse.Namespace) -> None:
    if args.csv is None and args.diffusers is None:
        raise CommandError("Say what to write: --csv FILE, --diffusers FILE or both.")
    if args.csv == args.diffusers:
        raise CommandError("--csv and --diffusers cannot both be written to the same place.")
    _check_places(*(Path(path) for path in (args.csv, args.diffusers) if path not in (None, "-")))
    schedule = _schedule_of(args, args.family)

    from diffusion.losses.likelihood import schedule_csv
    from diffusion.networks.checkpoint import write_atomically

    texts = {args.csv: schedule_csv(schedule), args.diffusers: json.dumps(to_diffusers(schedule), indent=1) + "\n"}
    for path, text in texts.items():
        if path == "-":
            sys.stdout.write(text)
        elif path is not None:
            write_atomically(Path(path), text.encode())


def _loss(args: argparse.Namespace) -> None:
    _check_places(args.out, args.csv)
    _check_seed(args.seed, 1)

    from tqdm import tqdm

    from diffusion.data.folders import BUNDLED, load_data
    from diffusion.images import to_unit
    from diffusion.losses.measure import measure_errors, measuring_levels
    from diffusion.losses.rate import loss_csv
    from diffusion.losses.reference import measure_references, other_images
    from diffusion.networks.checkpoint import load_model, write_atomically

    model = load_model(args.model, _device(args.device))
    images = args.images if args.images is not None else (model.card.name if model.card.name in BUNDLED else "digits")
    data = load_data(images, "test", model.card.network.image_size)
    if data.images.shape[1] != model.card.network.channels:
        wanted, found = model.card.network.channels, data.images.shape[1]
        raise CommandError(f"{images} has images of {found} channels, but {args.model} takes {wanted}.")
    if args.count > len(data):
        raise CommandError(f"{images} has {len(data)} images, fewer than the {args.count} asked for.")
    _check_labels(images, data, model.card)
    classes = len(model.card.classes)
    chosen = data.spread(args.count)
    others = other_images(images, chosen)
    levels = measuring_levels(model.card.training_schedule(), args.levels, args.seed)
    curves = measure_errors(
        model.denoiser, to_unit(chosen.images), levels, labels=chosen.labels if classes else None, noises=args.noises,
        seed=args.seed, batch=BATCH, device=model.device,
    )  # fmt: skip
    *_, curve = tqdm(curves, total=args.levels, unit=" levels")
    references = dict(measure_references(
        chosen, others, levels, classes=classes > 0, noises=args.noises, seed=args.seed,
    ))  # fmt: skip
    content = {
        "model": model.card.name, "sha256": model.card.sha256, "images": images, "count": args.count,
        "noises": args.noises, "others": len(others), "seed": args.seed, "curve": curve.to_json(),
        "references": {name: reference.to_json() for name, reference in references.items()},
    }  # fmt: skip
    write_atomically(args.out, (json.dumps(content) + "\n").encode())
    if args.csv is not None:
        write_atomically(args.csv, loss_csv(curve, model.card.training_schedule(), references).encode())


def _command(args: argparse.Namespace) -> str:
    """The command that was given, for the card or the figures it made."""
    return "python -m diffusion " + shlex.join(args.arguments)


def _check_labels(source: str, data: ImageSet, card: Card) -> None:
    """Labels that a network does not have would fail deep inside it, or be taken for other classes."""
    if not card.classes:
        return
    if data.classes and list(data.classes) != card.classes:
        theirs, ours = ", ".join(data.classes), ", ".join(card.classes)
        raise CommandError(f"The classes of {source} ({theirs}) are not those of {card.name} ({ours}).")
    if not 0 <= int(data.labels.min()) <= int(data.labels.max()) < len(card.classes):
        raise CommandError(f"{source} has labels outside 0 ... {len(card.classes) - 1}, the classes of {card.name}.")


def _check_place(path: Path) -> None:
    """Whether a file can be written there: before the work, not after it."""
    if not path.parent.is_dir():
        raise CommandError(f"There is no folder {path.parent} to write {path.name} in.")
    if path.is_dir():
        raise CommandError(f"{path} is a folder; give the name of a file to write.")
    if not os.access(path.parent, os.W_OK):
        raise CommandError(f"Nothing can be written in the folder {path.parent}.")


def _check_places(*paths: Path | None) -> None:
    """``_check_place`` of those that are given; no two are the same, or one would be lost."""
    given = [path for path in paths if path is not None]
    for path in given:
        _check_place(path)
    if len({path.resolve() for path in given}) < len(given):
        raise CommandError(f"Two files cannot both be written to {given[0]}.")


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise CommandError(f"{path} is a folder, not a file.")
    if not path.exists():
        raise CommandError(f"There is no file {path}.")


def _check_unused(args: argparse.Namespace, message: str, *names: str) -> None:
    """Refuses options that were given and would do nothing; {} in the message becomes their names."""
    values = {name: getattr(args, name, None) for name in names}
    given = [_option(name) for name, value in values.items() if value is not None and value is not False]
    if given:
        raise CommandError(message.format(" and ".join(given)))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuses numbers outside ``RANGES``."""
    for name, (low, high) in RANGES.items():
        value = getattr(args, name, None)
        if not isinstance(value, int | float):  # not given; or data, which loss calls --images
            continue
        if not math.isfinite(value):
            raise CommandError(f"{_option(name)} must be a finite number, not {value}.")
        if not low <= value <= high:
            most = f"at least {low:,}" if value < low else f"at most {high:,}"
            raise CommandError(f"{_option(name)} must be {most}, not {value}.")


def _check_seed(seed: int, count: int) -> None:
    if not 0 <= seed <= 2**63 - count:
        raise CommandError(f"--seed must be a whole number from 0 to 2^63 - {count}, not {seed}.")


def _processes(args: argparse.Namespace) -> PartialState:
    """All processes that ``accelerate launch`` started; this one alone without it."""
    from accelerate import PartialState

    return PartialState(cpu=args.device == "cpu")


def _device(name: str) -> torch.device:
    import torch

    from diffusion.device import best_device

    if name == "auto":
        return best_device()
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable[name]:
        raise CommandError(f"This machine has no {name} device that PyTorch can use.")
    return torch.device(name)


def _schedule_of(args: argparse.Namespace, family: str | None) -> Schedule:
    """The schedule that the options describe; those left out take the family's defaults."""
    if args.betas is None:
        family = "linear" if family is None else family
        return make_schedule(family, _T(args), **_schedule_settings(args, family))
    others = (name for name in SCHEDULE_OPTIONS if name != "zero_terminal_snr")
    _check_unused(args, "--betas has all there is to a schedule; leave its other options out: {}.", *others)
    _check_file(args.betas)
    schedule = read_betas(args.betas.read_bytes())
    return to_zero_terminal_snr(schedule) if args.zero_terminal_snr else schedule


def _T(args: argparse.Namespace) -> int:
    return 1000 if args.T is None else int(args.T)


def _schedule_settings(args: argparse.Namespace, family: str) -> dict[str, Any]:
    """What was given for ``make_schedule`` besides the family and T."""
    given = {name: getattr(args, name) for name in (*PARAMETERS, "keep_shape_of") if getattr(args, name) is not None}
    solved = last_beta(family) if family in FAMILIES else None
    if family in FAMILIES and solved is None:
        _check_unused(args, f"The {family} schedule is a function of t/T and keeps its shape in any case; leave {{}} "
                            "out.", "keep_shape_of")  # fmt: skip
    if args.terminal_snr is not None:
        _check_unused(args, "--terminal-snr says what is left at T; leave {} out.", *filter(None, [solved]),
                      "zero_terminal_snr")  # fmt: skip
        given |= beta_for_terminal_snr(family, _T(args), args.terminal_snr, **given)
    if args.zero_terminal_snr:
        given["zero_terminal_snr"] = True
    return given


def _add_schedule_options(command: argparse.ArgumentParser, name: str, default: str = "linear") -> None:
    command.add_argument(name, metavar="FAMILY", help=f"{', '.join(FAMILIES)} (default: {default})")
    command.add_argument("--T", type=int, help="number of steps (default: 1000)")
    for parameter, about in PARAMETERS.items():
        holders = [family for family in FAMILIES if parameter in FAMILIES[family].parameters]
        command.add_argument(f"--{parameter.replace('_', '-')}", type=float, metavar="X",
                             help=f"{about} ({', '.join(holders)})")  # fmt: skip
    command.add_argument("--terminal-snr", type=float, metavar="DB",
                         help="the SNR wanted at T in decibel; solved for the last beta")  # fmt: skip
    command.add_argument("--keep-shape-of", type=int, metavar="N", help="the betas are meant for N steps: "
                         "scale them by N / T")  # fmt: skip
    command.add_argument("--zero-terminal-snr", action="store_true", help="leave nothing of the image at T")


def _add_model_options(command: argparse.ArgumentParser, required: bool = True) -> None:
    command.add_argument("--model", required=required, help="name of a shipped network, or path of a .safetensors")
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")


def _add_seed(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")


def _add_betas(command: argparse.ArgumentParser) -> None:
    command.add_argument("--betas", type=Path, metavar="FILE", help="CSV of beta or alpha_bar, or diffusers' "
                         "scheduler_config.json, instead of a family")  # fmt: skip


def _add_precision(command: argparse.ArgumentParser, about: str) -> None:
    command.add_argument("--precision", choices=("float32", "bfloat16"), help=f"{about} (default: float32)")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m diffusion", description=__doc__)
    commands = top.add_subparsers(required=True)

    train = commands.add_parser("train", help="train a network; run again to go on with a stopped run")
    data_help = "digits, emoji, an .npz with x_train, y_train (or images, labels), or a folder or zip of images"
    train.add_argument("--data", required=True, help=data_help)
    train.add_argument("--hold-out", metavar="DATA", help="data whose test images are left out of --data")
    train.add_argument("--run", type=Path, required=True, help="folder for checkpoints, samples and the log")
    train.add_argument("--name", required=True, help="name of the network")
    train.add_argument("--config", help="digits, emoji, or cifar10, the paper's: sets all that follows "
                                        "(default: that of --data if there is one, else emoji)")  # fmt: skip
    train.add_argument("--init", metavar="MODEL", help="begin with the weights of a network, by name or path; "
                       "it may have fewer --blocks, no --modulate and other classes, and "
                       "without --config gives the architecture")  # fmt: skip
    train.add_argument("--title", default="", help="for the card (default: the name)")
    train.add_argument("--about-data", default="", help="where the data is from, for the card")
    train.add_argument("--licence", default="", help="licence of the data, for the card")
    train.add_argument("--image-size", type=int)
    train.add_argument("--widths", type=int, nargs="+", metavar="N", help="channels at each level")
    train.add_argument("--blocks", type=int, help="residual blocks a level")
    train.add_argument("--modulate", action=argparse.BooleanOptionalAction,
                       help="noise level and class scale the features too")  # fmt: skip
    train.add_argument("--prediction", choices=("eps", "v", "x0"), help="what the network predicts")
    train.add_argument("--dropout", type=float)
    train.add_argument("--images", type=int, help="images seen in all")
    train.add_argument("--batch", type=int, help="images a step, over all processes")
    train.add_argument("--lr", type=float, help="peak learning rate")
    train.add_argument("--warmup", type=int, help="steps until the peak")
    train.add_argument("--decay", choices=("cosine", "constant"), help="of the learning rate")
    train.add_argument("--weight-decay", type=float)
    train.add_argument("--drop-label", type=float, nargs="+", metavar="SHARE", help="share shown with the empty "
                       "class; of several conditions, without each: one number for all or one for each")  # fmt: skip
    train.add_argument("--drop-all", type=float, metavar="SHARE", help="share shown without any condition, besides")
    train.add_argument("--table-lr", type=float, metavar="X",
                       help="learning rate of what is learnt of each class, relative to the rest")  # fmt: skip
    train.add_argument("--flip", action=argparse.BooleanOptionalAction, help="mirror half of the images")
    train.add_argument("--ema", type=float, help="decay of the averaged weights")
    train.add_argument("--clip", type=float, help="largest gradient norm")
    train.add_argument("--t", choices=("stratified", "uniform", "importance"), help="how steps are drawn")
    train.add_argument("--weighting", choices=("simple", "min-snr"), help="of the squared error")
    train.add_argument("--target", choices=("sample", "mean"), help="the image that was noised, or the mean of "
                       "all that it can have been: less noise in the gradient")  # fmt: skip
    train.add_argument("--seed", type=int)
    train.add_argument("--save-every", type=float, help="seconds between checkpoints")
    train.add_argument("--log-every", type=int, help="steps a row of log.csv")
    train.add_argument("--preview-every", type=int, help="images between two grids of samples")
    train.add_argument("--precision", choices=("auto", "no", "bf16", "fp16"), default="auto",
                       help="auto: what the device is fast at (default: %(default)s)")  # fmt: skip
    train.add_argument("--device", choices=("auto", "cpu"), default="auto")
    _add_schedule_options(train, "--schedule", "as --config says")
    train.set_defaults(run_command=_train)

    sample = commands.add_parser("sample", help="draw images from a network, with seeds seed, seed + 1, ...")
    _add_model_options(sample, required=False)

    def choose(name: str, about: str, **options: Any) -> None:
        default = DEFAULTS[name.removeprefix("--")]
        sample.add_argument(name, help=f"{about} (default: {default})", **options)

    choose("--seed", "of the first image", type=int)
    sample.add_argument("--examples", metavar="DATA", help="draw with the exact denoiser of these images instead of a "
                        "network: " + data_help)  # fmt: skip
    choose("--size", "side of the examples", type=int)
    sample.add_argument("--out", type=Path, help=".png: a grid; .npz: arrays images and labels, and what drew them")
    sample.add_argument("--frames", action="store_true", help="keep x_t and the predicted x_0 of the steps in the .npz")
    sample.add_argument("--like", type=Path, metavar="FILE", help=".npz whose images to draw again; beside its options "
                        "only --device, --compile, --frames, --out and --python are taken")  # fmt: skip
    sample.add_argument("--python", action="store_true", help="print Python that draws the same images")
    sample.add_argument("--label", help="class, by name or index (default: all in turn)")
    choose("--count", "number of images", type=int)
    choose("--sampler", "ddpm, ddim, dpmpp or unipc")
    choose("--steps", "steps to take, at most T", type=int)
    choose("--spacing", "trailing, linspace, leading, quadratic, log_snr or karras")
    choose("--variance", "noise that a ddpm step adds: beta, posterior, or a number between 0 (posterior) and 1 (beta)")
    choose("--eta", "noise of ddim and dpmpp: 0 is none, 1 the posterior variance", type=float)
    choose("--clip", "how the predicted x_0 is kept in [-1, 1]", choices=("static", "dynamic", "none"))
    choose("--guidance", "1 is plain", type=float)
    sample.add_argument("--image", type=Path, help="picture to begin with: give --at or --mask too")
    sample.add_argument("--at", type=int, metavar="T", help="step to noise the picture to, and to begin at (SDEdit)")
    sample.add_argument("--mask", type=Path, help="picture that is light where --image is kept (RePaint)")
    choose("--jump", "with --mask: steps that are gone back at a time", type=int)
    choose("--repeats", "with --mask: how often each step is taken", type=int)
    _add_precision(sample, "what the network computes in")
    sample.add_argument("--compile", action="store_true",
                        help="compile the network first: takes a minute or more, may round differently")  # fmt: skip
    _add_schedule_options(sample, "--schedule")
    _add_betas(sample)
    sample.set_defaults(run_command=_sample)

    schedule = commands.add_parser(
        "schedule", help="write a schedule, as CSV with a row for each t = 1 ... T or for diffusers"
    )
    _add_schedule_options(schedule, "--family")
    _add_betas(schedule)
    schedule.add_argument("--csv", metavar="FILE", help="where to write a table; - for the terminal")
    schedule.add_argument("--diffusers", metavar="FILE", help="where to write a DDPMScheduler's configuration, JSON")
    schedule.set_defaults(run_command=_schedule)

    loss = commands.add_parser(
        "loss", help="measure a network's error on images, by noise level, beside that of a perfect memory of them"
    )
    _add_model_options(loss)
    _add_seed(loss)
    loss.add_argument("--images", metavar="DATA", help=data_help + " (default: the bundled images of its kind)")
    loss.add_argument("--levels", type=int, default=100, help="noise levels, even in log-SNR (default: %(default)s)")
    loss.add_argument("--count", type=int, default=64, help="number of images (default: %(default)s)")
    loss.add_argument("--noises", type=int, default=1, help="draws of noise for each image (default: %(default)s)")
    loss.add_argument("--out", type=Path, required=True, help="where to write the JSON")
    loss.add_argument("--csv", type=Path, help="where to write losses, rate and distortion by step, under the schedule "
                                               "of training")  # fmt: skip
    loss.set_defaults(run_command=_loss)

    evaluate = commands.add_parser(
        "evaluate", help="measure a network: bits/dim, and what it draws; JSON on the last line"
    )
    _add_model_options(evaluate)
    _add_seed(evaluate)
    evaluate.add_argument("--data", required=True, help=data_help + "; its test images are the held-out ones")
    evaluate.add_argument("--test", metavar="DATA", help="other data with the held-out images, left out of --data")
    evaluate.add_argument("--draws", type=int, default=10, help="steps drawn for each image (default: %(default)s)")
    evaluate.add_argument("--runs", nargs="*", metavar="SAMPLER:STEPS:COUNT", default=DRAWINGS,
                          help="what to draw, with options as in dpmpp:eta=1:spacing=log_snr:20:1000; none for "
                          "bits/dim alone (default: all of 10 ... 1000 steps)")  # fmt: skip
    _add_precision(evaluate, "what the network draws in; bits/dim are float32's")
    evaluate.add_argument("--classifier", help="that judges, by name or path (default: the one named like the model)")
    evaluate.add_argument("--out", type=Path, help=".json to write as well")
    evaluate.add_argument("--card", action="store_true", help="write the figures into the network's card as well")
    evaluate.set_defaults(run_command=_evaluate)

    classifier = commands.add_parser("classifier", help="train a classifier for evaluate to judge with")
    classifier.add_argument("--data", required=True, help=data_help + ", with test images")
    classifier.add_argument("--out", type=Path, required=True, help="NAME.safetensors to write, with its card")
    classifier.add_argument("--image-size", type=int, default=32, help="(default: %(default)s)")
    classifier.add_argument("--images", type=int, default=200_000, help="images seen in all (default: %(default)s)")
    classifier.add_argument("--mirror", action="store_true", help="mirror half of the images")
    classifier.add_argument("--about-data", default="", help="where the data is from, for the card")
    _add_seed(classifier)
    classifier.set_defaults(run_command=_classifier)
    return top


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    args.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _check_numbers(args)
        args.run_command(args)
    except (ValueError, OSError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.strerror and error.filename:  # without its number
            text = f"{error.strerror}: {error.filename}"
        print(f"error: {text if len(text) <= LONGEST else text[:LONGEST] + '…'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0
