"""The data sets of the paper (section 5.2, appendices E and G.2), and folders of images, read from their original files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pag.base.errors import InputError
from pag.data.originals.digits import open_digits
from pag.data.originals.folder import open_folder
from pag.data.originals.original import Original, Selection
from pag.data.originals.published import open_cifar10, open_cifar100, open_stl10
from pag.data.originals.tiny_imagenet import open_tiny_imagenet

__all__ = ["Original", "Selection", "open_original"]

_SOURCES: Mapping[str, Callable[..., Original]] = {
    "digits": open_digits,
    "cifar10": open_cifar10,
    "cifar100": open_cifar100,
    "stl10": open_stl10,
    "tiny_imagenet": open_tiny_imagenet,
    "folder": open_folder,
}


def open_original(source: str, data_root: Path, selection: Selection, **options: Any) -> Original:  # noqa: ANN401
    """Looks a data set up, without reading its images yet.

    Args:
        source: a key of the registry.
        data_root: the folder in which original files lie, and to which they are downloaded where they are missing.
        selection: what is drawn of it.
        options: of the source: `test_fraction` of the digits; `root`, `image_size` and `grayscale` of a folder.

    Raises:
        InputError: the source is unknown, or its folder is not laid out as it must be.
    """
    if source not in _SOURCES:
        raise InputError(f"Unknown data set {source!r}; known are {', '.join(_SOURCES)}.")
    return _SOURCES[source](data_root, selection, **options)
