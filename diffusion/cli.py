"""`python -m diffusion ...`: the library from a terminal."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion.exchange import read_betas, to_diffusers
from diffusion.schedule import FAMILIES, Schedule, beta_for_terminal_snr, make_schedule, to_zero_terminal_snr

if TYPE_CHECKING:  # torch takes seconds to import: only the commands that compute do
    import torch
    from accelerate import PartialState

    from diffusion.checkpoint import Card
    from diffusion.data import ImageSet
    from diffusion.recipe import Recipe
    from diffusion.sampler import Spacing

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


class CommandError(ValueError):
    """A command that cannot be carried out, said in one sentence."""


def _train(args: argparse.Namespace) -> None:
    from dataclasses import fields, replace

    import torch
    from accelerate import Accelerator

    from diffusion.checkpoint import Card, load_model
    from diffusion.device import best_precision
    from diffusion.folders import load_data
    from diffusion.train import RECIPES, TrainConfig, asked, begin_labels, train
    from diffusion.unet import UNet, grow

    name = args.config or (args.data if args.data in RECIPES else "emoji")
    if name not in RECIPES:
        raise CommandError(f"There is no configuration {name!r}; choose one of {', '.join(RECIPES)}.")
    recipe = RECIPES[name]

    def given(kind: type[Any]) -> dict[str, Any]:
        values = {field.name: getattr(args, field.name, None) for field in fields(kind)}
        return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if v is not None}

    if args.drop_label is not None and len(args.drop_label) == 1:
        (args.drop_label,) = args.drop_label
    config = replace(recipe.train, **given(TrainConfig))
    schedule = {"family": args.schedule or recipe.schedule["family"], "T": args.T}
    schedule |= _schedule_settings(args, schedule["family"])
    make_schedule(**schedule)  # refuses what cannot be, before the data are read
    size = args.image_size or recipe.network.image_size
    data = load_data(args.data, "train", size)
    if args.hold_out is not None:
        data = data.without(load_data(args.hold_out, "test", size, data.images.shape[1]))
    counts = (data.labels.reshape(len(data), -1).amax(0) + 1).tolist() if recipe.network.conditions else []
    conditions = {name: list(values[:n]) for n, (name, values) in zip(counts, data.conditions.items(), strict=False)}
    classes = list(data.classes or map(str, range(counts[0]))) if counts and not conditions else []
    network = replace(
        recipe.network, **given(type(recipe.network)), channels=data.images.shape[1],
        conditions=tuple(counts) if conditions or not counts else (len(classes),),
    )  # fmt: skip
    start = None if args.init is None else load_model(args.init)
    grown = None
    torch.manual_seed(config.seed)
    if start is not None:
        if not conditions:  # those of a network that had others begin anew
            _check_labels(args.data, data, start.card)
        try:
            grown = grow(start.denoiser.network, network)
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
        if start is None or start.card.network.conditions != network.conditions:
            begin_labels(grown, data)
        shown = asked(data, load_data(args.data, "pairs", size), args.run / "samples")
    weights = train(data, network, config, args.run, card, accelerator, grown, shown)
    if processes.is_main_process:
        print(weights)
    accelerator.end_training()


def _sample(args: argparse.Namespace) -> None:
    if args.out is None and not args.python:
        raise CommandError("Say where to write the images: --out FILE.")
    if args.out is not None:
        if args.out.suffix not in (".png", ".npz"):
            raise CommandError(f"--out must end in .png or .npz, not {args.out.suffix or args.out.name!r}.")
        _check_folder(args.out)
    if args.frames and (args.out is None or args.out.suffix != ".npz"):
        raise CommandError("Frames need an --out that ends in .npz.")

    from diffusion import recipe as recipes
    from diffusion.checkpoint import write_atomically
    from diffusion.images import encode, grid, to_bytes, to_pil
    from diffusion.sampler import calls

    recipe = recipes.read(args.like) if args.like else _recipe(args)
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
    frames = None
    if args.frames:
        frames = recipes.Frames(calls(recipe.steps), len(recipe.seeds), shape)
        for step in recipes.run(recipe, denoiser, shape, device):
            frames.add(step)
        made = to_bytes(step.x_s)
    else:
        made = recipes.draw(recipe, denoiser, shape, device, processes=processes, progress=True)
    if processes.is_main_process:
        if args.out.suffix == ".png":
            write_atomically(args.out, encode(to_pil(grid(made)), "PNG"))
        else:
            recipes.save(args.out, recipe, made, frames)
    processes.destroy_process_group()


def _recipe(args: argparse.Namespace) -> Recipe:
    """What the options of ``sample`` describe."""
    _check_count(args.count)
    _check_seed(args.seed, args.count)
    if not math.isfinite(args.guidance):
        raise CommandError(f"--guidance must be a finite number, not {args.guidance}.")
    if (args.model is None) == (args.examples is None):
        raise CommandError("Say what to draw from: --model NAME or --examples DATA.")
    if (args.image is None) != (args.at is None and args.mask is None) or (args.at and args.mask):
        raise CommandError("--image needs --at T, to noise it to, or --mask FILE, of what to keep; and those need it.")
    schedule = _schedule_of(args, args.schedule)

    from diffusion.checkpoint import find_model, read_card
    from diffusion.folders import load_data
    from diffusion.images import picture_for
    from diffusion.recipe import Recipe
    from diffusion.sampler import SAMPLERS, Known, make_update, noised, resampled, timesteps

    steps = timesteps(schedule, args.steps, args.spacing, args.at)
    known_options = SAMPLERS[args.sampler].parameters if args.sampler in SAMPLERS else {}
    given = {"v": _share(args.variance), "eta": args.eta}
    options = {name: value for name, value in given.items() if name in known_options}
    make_update(args.sampler, **options)  # refuses what is not there, and what is out of range
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
        shape = (card.network.channels, card.network.image_size, card.network.image_size)
    start = known = None
    if args.image is not None:
        image = picture_for(args.image, shape)[None]
        if args.at is not None:
            start = noised(image, schedule, args.at, seeds)
        else:
            known = Known(image, (picture_for(args.mask, (1, *shape[1:])) > 0).float()[None])
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
    if args.draws < 1:
        raise CommandError(f"--draws must be at least 1, not {args.draws}.")
    if args.out is not None:
        _check_folder(args.out)

    from dataclasses import replace

    from diffusion.checkpoint import load_model, save_card, write_atomically
    from diffusion.classifier import load_classifier
    from diffusion.evaluate import Run, evaluate_likelihood, evaluate_samples
    from diffusion.folders import load_data
    from diffusion.recipe import PRECISIONS
    from diffusion.sampler import make_update, timesteps

    for name, _, _, options, _ in runs:
        make_update(name, **options)  # refuses what is not there
    model = load_model(args.model, _device(args.device))
    network = model.card.network
    for _, steps, _, _, spacing in runs:
        timesteps(model.card.training_schedule(), steps, spacing)  # refuses too many
    train = load_data(args.data, "train", network.image_size, network.channels)
    held_out = load_data(args.test or args.data, "test", network.image_size, network.channels)
    for source, data in ((args.data, train), (args.test or args.data, held_out)):
        _check_labels(source, data, model.card)
    if args.test is None:
        held_out = held_out.without(train)  # data sets have duplicates
    else:
        train = train.without(held_out)  # as --hold-out did in training
    result: dict[str, Any] = {"model": model.card.name, "sha256": model.card.sha256, "command": _command(args)}
    result |= evaluate_likelihood(model, held_out, draws=args.draws, seed=args.seed, batch=BATCH)
    if runs:
        classifier, judge = load_classifier(args.classifier or model.card.name)
        result["precision"] = args.precision
        plain = args.precision == "float32"
        drawing = model if plain else load_model(args.model, model.device, PRECISIONS[args.precision])
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
        return sampler, int(steps), int(count), {name: float(value) for name, value in given.items()}, spacing
    except ValueError:
        raise CommandError(f"{text!r} is not SAMPLER:STEPS:COUNT or SAMPLER:OPTION=X:STEPS:COUNT, as in ddim:50:1000 "
                           "or dpmpp:eta=1:spacing=log_snr:20:1000.") from None  # fmt: skip


def _classifier(args: argparse.Namespace) -> None:
    _check_folder(args.out)

    from diffusion.classifier import ClassifierConfig, ClassifierTraining, make_classifier
    from diffusion.folders import load_data

    train = load_data(args.data, "train", args.image_size)
    channels = train.images.shape[1]
    test = load_data(args.data, "test", args.image_size, channels)
    card = make_classifier(
        args.out, train, test, ClassifierConfig(channels, int(train.labels.max()) + 1),
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
    for path in (args.csv, args.diffusers):
        if path not in (None, "-"):
            _check_folder(Path(path))
    schedule = _schedule_of(args, args.family)

    from diffusion.checkpoint import write_atomically
    from diffusion.likelihood import schedule_csv

    texts = {args.csv: schedule_csv(schedule), args.diffusers: json.dumps(to_diffusers(schedule), indent=1) + "\n"}
    for path, text in texts.items():
        if path == "-":
            sys.stdout.write(text)
        elif path is not None:
            write_atomically(Path(path), text.encode())


def _loss(args: argparse.Namespace) -> None:
    for path in (args.out, args.csv):
        if path is not None:
            _check_folder(path)
    _check_count(args.count)
    _check_seed(args.seed, 1)
    if args.levels < 2:
        raise CommandError(f"--levels must be at least 2, not {args.levels}.")
    if args.noises < 1:
        raise CommandError(f"--noises must be at least 1, not {args.noises}.")

    from tqdm import tqdm

    from diffusion.checkpoint import load_model, write_atomically
    from diffusion.folders import BUNDLED, load_data
    from diffusion.images import to_unit
    from diffusion.measure import measure_errors, measuring_levels
    from diffusion.rate import loss_csv
    from diffusion.reference import measure_references, other_images

    model = load_model(args.model, _device(args.device))
    images = args.images or (model.card.name if model.card.name in BUNDLED else "digits")
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


def _check_folder(path: Path) -> None:
    """Before the work, not after it."""
    if not path.parent.is_dir():
        raise CommandError(f"There is no folder {path.parent} to write {path.name} in.")


def _check_count(count: int) -> None:
    if count < 1:
        raise CommandError(f"--count must be at least 1, not {count}.")


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


def _schedule_of(args: argparse.Namespace, family: str) -> Schedule:
    """The schedule that the options describe; those left out take the family's defaults."""
    if args.betas is None:
        return make_schedule(family, args.T, **_schedule_settings(args, family))
    if _schedule_settings(args, family).keys() - {"zero_terminal_snr"}:
        raise CommandError("--betas has all there is to a schedule; leave its other options out.")
    schedule = read_betas(args.betas.read_bytes())
    return to_zero_terminal_snr(schedule) if args.zero_terminal_snr else schedule


def _schedule_settings(args: argparse.Namespace, family: str) -> dict[str, Any]:
    """What was given for ``make_schedule`` besides the family and T."""
    given = {name: getattr(args, name) for name in (*_parameters(), "keep_shape_of") if getattr(args, name) is not None}
    if args.zero_terminal_snr:
        given["zero_terminal_snr"] = True
    if args.terminal_snr is not None:
        given |= beta_for_terminal_snr(family, args.T, args.terminal_snr, **given)
    return given


def _parameters() -> dict[str, str]:
    """Every parameter of every family, and what it does."""
    return {name: p.about for family in FAMILIES.values() for name, p in family.parameters.items()}


def _add_schedule_options(command: argparse.ArgumentParser, name: str, default: str | None = "linear") -> None:
    about = f"{', '.join(FAMILIES)} (default: {default or 'as --config says'})"
    command.add_argument(name, default=default, metavar="FAMILY", help=about)
    command.add_argument("--T", type=int, default=1000, help="number of steps (default: %(default)s)")
    for parameter, about in _parameters().items():
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
    command.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")


def _add_precision(command: argparse.ArgumentParser, about: str) -> None:
    command.add_argument("--precision", choices=("float32", "bfloat16"), default="float32",
                         help=f"{about} (default: %(default)s)")  # fmt: skip


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m diffusion", description=__doc__)
    commands = top.add_subparsers(required=True)

    train = commands.add_parser("train", help="train a network; run again to go on with a stopped run")
    data_help = "digits, emoji, an .npz with x_train, y_train (uint8), or a folder or zip of images"
    train.add_argument("--data", required=True, help=data_help)
    train.add_argument("--hold-out", metavar="DATA", help="data whose test images are left out of --data")
    train.add_argument("--run", type=Path, required=True, help="folder for checkpoints, samples and the log")
    train.add_argument("--name", required=True, help="name of the network")
    train.add_argument("--config", help="digits, emoji, or cifar10, the paper's: sets all that follows "
                                        "(default: that of --data if there is one, else emoji)")  # fmt: skip
    train.add_argument("--init", metavar="MODEL", help="begin with the weights of a network, by name or path; "
                       "it may have fewer --blocks and no --modulate")  # fmt: skip
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
    _add_schedule_options(train, "--schedule", default=None)
    train.set_defaults(run_command=_train)

    sample = commands.add_parser("sample", help="draw images from a network, with seeds seed, seed + 1, ...")
    _add_model_options(sample, required=False)
    sample.add_argument("--examples", metavar="DATA", help="draw with the exact denoiser of these images instead of a "
                        "network: " + data_help)  # fmt: skip
    sample.add_argument("--size", type=int, default=32, help="side of the examples (default: %(default)s)")
    sample.add_argument("--out", type=Path, help=".png: a grid; .npz: arrays images and labels, and what drew them")
    sample.add_argument("--frames", action="store_true", help="keep x_t and the predicted x_0 of the steps in the .npz")
    sample.add_argument("--like", type=Path, metavar="FILE", help=".npz whose images to draw again; its options count, "
                        "and of those given here only --device, --frames, --out and --python")  # fmt: skip
    sample.add_argument("--python", action="store_true", help="print Python that draws the same images")
    sample.add_argument("--label", help="class, by name or index (default: all in turn)")
    sample.add_argument("--count", type=int, default=16, help="number of images (default: %(default)s)")
    sample.add_argument("--sampler", default="ddim", help="ddpm, ddim, dpmpp or unipc (default: %(default)s)")
    sample.add_argument("--steps", type=int, default=50, help="steps to take, at most T (default: %(default)s)")
    sample.add_argument("--spacing", default="trailing", help="trailing, linspace, leading, quadratic or log_snr "
                        "(default: %(default)s)")  # fmt: skip
    sample.add_argument("--variance", default="beta", help="noise that a ddpm step adds: beta, posterior, or a number "
                        "between 0 (posterior) and 1 (beta) (default: %(default)s)")  # fmt: skip
    sample.add_argument("--eta", type=float, default=0.0, help="noise of ddim and dpmpp: 0 is none, 1 the posterior "
                        "variance (default: %(default)s)")  # fmt: skip
    sample.add_argument("--clip", choices=("static", "dynamic", "none"), default="static",
                        help="how the predicted x_0 is kept in [-1, 1] (default: %(default)s)")  # fmt: skip
    sample.add_argument("--guidance", type=float, default=1.0, help="1 is plain (default: %(default)s)")
    sample.add_argument("--image", type=Path, help="picture to begin with: give --at or --mask too")
    sample.add_argument("--at", type=int, metavar="T", help="step to noise the picture to, and to begin at (SDEdit)")
    sample.add_argument("--mask", type=Path, help="picture that is light where --image is kept (RePaint)")
    sample.add_argument("--jump", type=int, default=10, help="with --mask: steps that are gone back at a time "
                        "(default: %(default)s)")  # fmt: skip
    sample.add_argument("--repeats", type=int, default=10, help="with --mask: how often each step is taken "
                        "(default: %(default)s)")  # fmt: skip
    _add_precision(sample, "what the network computes in")
    sample.add_argument("--compile", action="store_true",
                        help="compile the network first: takes a minute or more, may round differently")  # fmt: skip
    _add_schedule_options(sample, "--schedule")
    sample.add_argument("--betas", type=Path, metavar="FILE", help="CSV of betas, instead of a family")
    sample.set_defaults(run_command=_sample)

    schedule = commands.add_parser(
        "schedule", help="write a schedule, as CSV with a row for each t = 1 ... T or for diffusers"
    )
    _add_schedule_options(schedule, "--family")
    schedule.add_argument("--betas", type=Path, metavar="FILE", help="CSV of betas, instead of a family")
    schedule.add_argument("--csv", metavar="FILE", help="where to write a table; - for the terminal")
    schedule.add_argument("--diffusers", metavar="FILE", help="where to write a DDPMScheduler's configuration, JSON")
    schedule.set_defaults(run_command=_schedule)

    loss = commands.add_parser(
        "loss", help="measure a network's error on images, by noise level, beside that of a perfect memory of them"
    )
    _add_model_options(loss)
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
    classifier.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    classifier.set_defaults(run_command=_classifier)
    return top


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    args.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        args.run_command(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
