"""The folder that a classifier is kept in: `model.safetensors` and `config.json`, enough to rebuild it."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pag.architectures import build
from pag.errors import InputError
from pag.files import read_json, write_json

__all__ = ["load_checkpoint", "load_classifier", "save_classifier"]


def save_classifier(folder: Path, model: nn.Module, config: Mapping[str, Any]) -> None:
    """Writes `model.safetensors` and `config.json` into an existing folder.

    Args:
        folder: where to.
        model: the trained classifier.
        config: `architecture` (options of `pag.architectures.build`), `image_shape`, `num_classes`, and what else describes it.
    """
    save_file(
        {name: value.contiguous().cpu() for name, value in model.state_dict().items()}, folder / "model.safetensors"
    )
    write_json(folder / "config.json", config)


def load_classifier(folder: Path | str) -> nn.Module:
    """Reads a classifier folder: an `nn.Module` on pixels in [0, 1], in evaluation mode, as attack libraries take it.

    Raises:
        InputError: a file is missing, damaged, or of another architecture.
    """
    folder = Path(folder)
    config = read_json(folder / "config.json")
    weights = folder / "model.safetensors"
    try:
        shape = tuple(config["image_shape"])
        model = build(image_shape=shape, num_classes=config["num_classes"], **config["architecture"])
        model.load_state_dict(load_file(weights))
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(f"{weights} does not hold the classifier of config.json: {told}") from None
    return model.eval()


def load_checkpoint(path: Path, model: nn.Module) -> None:
    """Copies weights from anywhere into a classifier.

    Args:
        path: a state dict as safetensors, or as `torch.save` writes it; names may have `DataParallel`'s prefix `module.`.
        model: of the architecture that the weights are of.

    Raises:
        InputError: the file is missing, no state dict, or of another architecture.
    """
    state = {name.removeprefix("module."): value for name, value in _state_dict(path).items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(f"{path} does not fit the architecture: {told}") from None


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError) as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read as weights: {told}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds something else than a state dict of tensors.")
    return state
