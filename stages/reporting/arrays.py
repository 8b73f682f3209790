"""Arrays between stages: files of safetensors, read with what is expected of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pag.base.errors import InputError

__all__ = ["read_arrays", "read_shown"]


def read_arrays(path: Path, axes: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file.

    Args:
        path: of the file.
        axes: the names of the arrays that must be there, with their numbers of axes.

    Raises:
        InputError: it is missing or damaged, lacks one of them, or holds what is no finite number.
    """
    try:
        arrays: dict[str, NDArray[Any]] = load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the stage that makes it.") from None
    except (SafetensorError, KeyError) as error:  # of a type of numbers that NumPy does not have
        raise InputError(f"{path} is damaged ({error}).") from None
    for name, count in axes.items():
        if name not in arrays or arrays[name].ndim != count or arrays[name].size == 0:
            raise InputError(f"{path} has no array {name!r} with {count} axes; run the stage that makes it again.")
        if not np.isfinite(arrays[name]).all():
            raise InputError(f"{path} has values of {name!r} that are not finite; run the stage that makes it again.")
    return arrays


def read_shown(path: Path, axes: Mapping[str, int], num_classes: int) -> dict[str, NDArray[Any]]:
    """Arrays with one entry of `images` and `labels` an image that is drawn; as `read_arrays`.

    Raises:
        InputError: as `read_arrays`, or a label has no class, or the first two have not the same length.
    """
    arrays = read_arrays(path, {"images": 4, "labels": 1, **axes})
    labels = arrays["labels"]
    if len(labels) != len(arrays["images"]) or not np.isin(labels, np.arange(num_classes)).all():
        raise InputError(
            f"{path} has not one label in 0 … {num_classes - 1} for each image; run the stage that makes it again."
        )
    return arrays
