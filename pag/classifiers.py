"""The folder that a classifier is kept in: `model.safetensors` and `config.json`, enough to rebuild it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from pag.architectures import build
from pag.errors import InputError
from pag.files import read_json, write_json

__all__ = ["load_classifier", "save_classifier"]


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
