"""Makes emoji.npz from npm's `emoji-datasource-google` 16.0.0, the package's .tgz.

npm pack emoji-datasource-google@16.0.0
python assets/emoji/build.py emoji-datasource-google-16.0.0.tgz
"""

import argparse
import io
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 32
HELD_OUT = 0.1


def draw(png: bytes) -> np.ndarray:
    """An image on white at 32 x 32, (32, 32, 3) uint8."""
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return np.asarray(white.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("emoji.npz"))
    args = parser.parse_args()
    with tarfile.open(args.package) as package:
        files = {member.name: package.extractfile(member).read() for member in package
                 if member.name == "package/emoji.json" or "/img/google/64/" in member.name}  # fmt: skip
    emoji = [e for e in json.loads(files["package/emoji.json"]) if e["category"] != "Component"]
    emoji.sort(key=lambda e: e["sort_order"])
    classes = sorted({e["category"] for e in emoji})
    # A tenth of every class, by emoji: a hand and the same hand in another skin tone are on the same side.
    chance = np.random.Generator(np.random.PCG64(0))
    held_out: set[int] = set()
    for name in classes:
        members = [i for i, e in enumerate(emoji) if e["category"] == name]
        held_out |= set(chance.permutation(members)[: round(HELD_OUT * len(members))].tolist())
    arrays = {"classes": np.array(classes)}
    for split, inside in (("train", False), ("test", True)):
        rows = [
            (draw(files[f"package/img/google/64/{variation['image']}"]), classes.index(e["category"]), i)
            for i, e in enumerate(emoji) if (i in held_out) == inside
            for variation in (e, *e.get("skin_variations", {}).values()) if variation["has_img_google"]
        ]  # fmt: skip
        images, labels, groups = zip(*rows, strict=True)
        arrays[f"x_{split}"] = np.stack(images)
        arrays[f"y_{split}"] = np.array(labels, dtype=np.uint8)
        arrays[f"group_{split}"] = np.array(groups, dtype=np.uint16)
        print(f"{split}: {len(images)} images of {len(set(groups))} emoji; by class {np.bincount(labels).tolist()}")
    np.savez_compressed(args.out, **arrays)


if __name__ == "__main__":
    main()
