"""The kinds of target stores: a store says of which kind it is, and is opened accordingly."""

from pathlib import Path

import torch

from pag.base.errors import InputError
from pag.data.zarr_store import ReadOnlyStore
from pag.targets.gradient_store import Gradients
from pag.targets.heuristic_store import Nearest, Representatives
from pag.targets.store import TargetStore

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
    match store.attribute("kind"):
        case "representatives":
            return Representatives(store)
        case "nearest":
            return Nearest(store)
        case "gradients":
            return Gradients(store, preload, device)
    raise InputError(f"{path} is no target store; run the stage that writes it.")
