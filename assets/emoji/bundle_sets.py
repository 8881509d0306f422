"""Makes the project's own copy of sets.npz, which build_sets.py makes whole: what was held out of training, and a few
pictures that are shown.

python assets/emoji/bundle_sets.py sets.npz --out assets/emoji/sets.npz

- *test*: every picture of the concepts that are held out.
- *pairs*: one picture of each pair of concept and style that is held out, that without a skin tone.
- *shown*: of training, one concept in all nine styles, and the concepts of some pairs in the styles that training saw.

There is no split to train with. The same sets.npz gives the same bytes.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

HANDS = "octopus"  # by which the styles are shown
# One pair of each style, of things known at a glance; what the network makes of them had no part in the choice.
PAIRS = {
    "openmoji": "automobile", "noto": "guitar", "twemoji": "dog-face", "fxemoji": "hamburger", "noto-v1": "tulip",
    "fluent-emoji-flat": "banana", "emojione": "police-car", "emojione-v1": "sunflower", "fluent-emoji": "pencil",
}  # fmt: skip
SPLITS = ("test", "pairs", "shown")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of every array in the file


def bundle(whole: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of the copy, as ``diffusion.data`` reads them."""
    concept, style, split = whole["concept"], whole["style"], list(map(str, whole["splits"]))
    plain = whole["tone"] == 0
    of_split = {name: whole["split"] == split.index(name) for name in ("train", "test", "pairs")}
    names, styles = list(map(str, whole["concepts"])), list(map(str, whole["styles"]))
    for hand, thing in PAIRS.items():
        if not (of_split["pairs"] & (concept == names.index(thing)) & (style == styles.index(hand))).any():
            raise ValueError(f"{thing} of {hand} is no pair that was held out.")
    shown = np.isin(concept, [names.index(name) for name in (HANDS, *PAIRS.values())])
    rows = [np.flatnonzero(of_split["test"]), np.flatnonzero(of_split["pairs"] & plain),
            np.flatnonzero(of_split["train"] & plain & shown)]  # fmt: skip
    kept = np.concatenate(rows)
    copy = {name: whole[name][kept] for name in ("images", "concept", "kind", "style", "group")}
    copy |= {name: whole[name] for name in ("conditions", "concepts", "kinds", "styles")}
    sizes = [len(part) for part in rows]
    return copy | {"split": np.repeat(np.arange(3, dtype=np.uint8), sizes), "splits": np.array(SPLITS)}


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz that is the same whenever it is written."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(entry, content.getvalue(), compresslevel=9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whole", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("sets.npz"))
    args = parser.parse_args()
    with np.load(args.whole) as whole:
        arrays = bundle({name: whole[name] for name in whole.files})
    write(args.out, arrays)
    counts = ", ".join(f"{np.sum(arrays['split'] == k)} {name}" for k, name in enumerate(SPLITS))
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {counts}")


if __name__ == "__main__":
    main()
