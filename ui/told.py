"""What the samples shall show, on the page: a class, or a value of each of several conditions, from lists to choose of.

The lists are those of the network's card. Where bundled pictures show what a condition means, and nothing else differs
in them, they stand for its values: one thing in all styles. What is chosen goes on as a label, see ``labels_asked``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from diffusion.data.folders import BUNDLED, load_data
from diffusion.data.sets import DataError, ImageSet
from diffusion.sampling.wishes import ANY, IN_TURN, values_asked
from ui.models import EXACT, SIDE, Source, find_source
from ui.seen import image_button
from ui.view import View

SHOWN = "shown"  # the split of bundled images that were seen in training and are there to be looked at


class ToldView(View):
    """The lists. Its value, ``told_value``, goes to the browser; a handler gets the label that was chosen."""

    def __init__(self, network: str, **props: Any) -> None:
        super().__init__("told", value=told_value(network), elem_id="lab-told", **props)

    def preprocess(self, payload: Any) -> Any:
        """What is no value of ours is passed on, and refused where labels are read."""
        return payload["label"] if isinstance(payload, dict) and "label" in payload else payload


def told_value(network: str, label: str = IN_TURN) -> dict[str, Any]:
    """What the view shows of a network: no lists, where it can be told nothing.

    Raises:
        SamplingError: a label that says something that the network does not know.
    """
    value: dict[str, Any] = {"network": network, "label": label, "lists": [], "follows": {}, "chosen": {},
                             "words": {"turn": IN_TURN, "any": ANY}}  # fmt: skip
    source = None if network.startswith(EXACT) else find_source(network)
    if source is None or source.model is None or not source.is_told:
        return value
    card = source.model.card
    names, pictures = card.conditions or {"class": card.classes}, pictures_of(source)
    choices = [IN_TURN, ANY] if card.conditions else [IN_TURN]
    lists: list[dict[str, Any]] = [
        {"name": name, "values": values, "choices": choices, "pictures": pictures.get(name, [])}
        for name, values in names.items()
    ]
    # Those that are seldom in turn begin with what leaves them out.
    for each in lists[1:]:
        each["choices"] = choices[::-1]
    return value | {"lists": lists, "follows": card.follows, "chosen": values_asked(card, label)}


def pictures_of(source: Source) -> dict[str, list[str]]:
    """Of each condition whose values bundled images show in all else alike: such a picture of each, as data URIs."""
    shown = shown_images(source.kind)
    if shown is None or source.model is None:
        return {}
    found = {}
    for k, (name, values) in enumerate(shown.conditions.items()):
        alike = _alike(shown, k)
        if alike is not None and values == tuple(source.model.card.conditions.get(name, ())):
            found[name] = [image_button(image, "")["picture"] for image in alike.images]
    return found


def _alike(shown: ImageSet, k: int) -> ImageSet | None:
    """One image of each value of condition ``k``, in order, that differ in nothing else; None if there are none."""
    others = torch.arange(shown.labels.shape[1]) != k
    count = len([*shown.conditions.values()][k])
    for rest in shown.labels[:, others].unique(dim=0):
        same = shown[(shown.labels[:, others] == rest).all(1).nonzero()[:, 0]]
        if same.labels[:, k].sort().values.tolist() == list(range(count)):
            return same[same.labels[:, k].argsort()]
    return None


@cache
def shown_images(kind: str) -> ImageSet | None:
    """The bundled images of a kind that are there to be looked at; None if there are none."""
    if kind not in BUNDLED:
        return None
    try:
        return load_data(kind, SHOWN, SIDE)
    except DataError:
        return None
