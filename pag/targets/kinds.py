"""The kinds of target stores: a store says of which kind it is, and is opened accordingly."""

from pathlib import Path

import torch

from pag.base.errors import InputError
from pag.data.zarr_store import ReadOnlyStore
from pag.targets.gradient_store import Gradients
from pag.targets.heuristic_store import Nearest, Neighbors, Representatives
from pag.targets.store import Origin, TargetStore

__all__ = ["open_targets"]

_CPU = torch.device("cpu")


def open_targets(path: Path, preload: bool | None = None, device: torch.device = _CPU) -> TargetStore:
    """Opens a target store of any kind.

    Args:
        path: of the store.
        preload: whether gradients are read into memory whole, or batch by batch; None: whole where they fit. What is
            gathered is the same.
        device: where to hold them then, if they fit there.

    Raises:
        InputError: there is no such store, it is unfinished, or its arrays do not fit each other.
    """
    store = ReadOnlyStore(path)
    opened: TargetStore
    match store.attribute("kind"):
        case "representatives":
            opened = Representatives(store)
        case "nearest":
            opened = Nearest(store)
        case "neighbors":
            opened = Neighbors(store)
        case "gradients":
            opened = Gradients(store, preload, device)
        case _:
            raise InputError(f"{path} is no target store; run the stage that writes it.")
    opened.origin = _origin(store)
    return opened


def _origin(store: ReadOnlyStore) -> Origin | None:
    if not store.has_attribute("images"):
        return None
    match store.text("split"):
        case "train" | "test" as split:
            return Origin(store.text("images"), split)
        case other:
            raise store.damaged(f"holds targets at {other!r} images, not at train or test images")
