"""Any folder of images: `train/<class>/…` and `test/<class>/…`, files at any depth below their class.

A part takes the classes in turns, the first file of every class, the second of every class, …, so that a beginning of the test
set, of which AutoAttack takes one, holds all classes alike.
"""

from collections.abc import Iterable
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pag.base.errors import InputError
from pag.base.files import in_home
from pag.data.datasets import Dataset, LabelledImages
from pag.data.originals.image_files import image_files, read_images
from pag.data.originals.original import Original, Part, Selection

__all__ = ["folder_classes", "open_folder"]

Files = tuple[list[Path], NDArray[np.int64]]
LISTED = 5  # names that an error message lists


def open_folder(data_root: Path, selection: Selection, *, root: str, image_size: int, grayscale: bool) -> Original:
    """The images of a folder, converted and resized as `read_image` says.

    Args:
        data_root: where a relative `root` is looked up.
        selection: what is drawn of it.
        root: the folder with `train` and `test`.
        image_size: height and width of all images.
        grayscale: whether images have one channel, or three.

    Raises:
        InputError: the folder is not laid out so, training and test set do not have the same classes, these are fewer than two, or
            a name is not UTF-8.
    """
    base = data_root / in_home(Path(root))
    classes = folder_classes(base)
    _require_text(base / "train" / name for name in classes)
    parts = {part: _selected(base / part, classes, part, selection) for part in ("train", "test")}
    size = image_size**2 * (1 if grayscale else 3)
    read = partial(_read, base.name, parts["train"], parts["test"], classes, image_size, grayscale)
    files = tuple(path for paths, _ in parts.values() for path in paths)
    _require_text(files)
    return Original(read, size * len(files), files=files)


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _require_text(paths: Iterable[Path]) -> None:
    """Names go into files and figures; Linux takes any bytes for one."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise InputError(f"{str(path)!r} has a name that is not UTF-8; rename it.") from None


def folder_classes(base: Path) -> list[str]:
    """The names of the classes, sorted.

    Raises:
        InputError: there is no `train` or `test`, they do not have the same classes, or these are fewer than two.
    """
    for part in ("train", "test"):
        if not (base / part).is_dir():
            what = f"{base / part} is no folder; split by hand what is in it" if base.is_dir() else "it is no folder"
            raise InputError(f"{base} must hold train/<class>/… and test/<class>/… with images; {what}.")
    train, test = (
        {path.name for path in (base / part).iterdir() if path.is_dir() and not path.name.startswith(".")}
        for part in ("train", "test")
    )
    if train != test or not train:
        alone = "; ".join(
            f"only {part} has {', '.join(map(_printable, sorted(names)[:LISTED]))}"
            for part, names in (("train", train - test), ("test", test - train))
            if names
        )
        raise InputError(f"{base}: train and test must have the same classes ({alone or 'they have none'}).")
    if len(train) < 2:
        raise InputError(f"{base} has a single class, {train.pop()}, and a classifier needs at least two.")
    return sorted(train)


def _selected(part_folder: Path, classes: list[str], part: Part, selection: Selection) -> Files:
    """The files of a part that are taken, with their labels, the classes in turns."""
    found = [image_files(part_folder / name) for name in classes]
    for name, files in zip(classes, found, strict=True):
        if not files:
            raise InputError(f"{part_folder / name} holds no image.")
    paths = [path for files in found for path in files]
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in found])
    taken: list[list[Path]] = [[] for _ in classes]
    for row in selection.rows(part, labels):
        taken[labels[row]].append(paths[row])
    turns = [(path, c) for turn in zip_longest(*taken) for c, path in enumerate(turn) if path is not None]
    return [path for path, _ in turns], np.array([c for _, c in turns], dtype=np.int64)


def _read(name: str, train: Files, test: Files, classes: list[str], image_size: int, grayscale: bool) -> Dataset:
    train_set, test_set = (
        LabelledImages(read_images(paths, image_size, grayscale=grayscale, description=f"{name} {part}"), labels)
        for part, (paths, labels) in (("train", train), ("test", test))
    )
    source = f"the images of a folder ({name}), at {image_size} × {image_size}"
    return Dataset(name, train_set, test_set, tuple(classes), source)
