"""Tiny ImageNet (Le & Yang, 2015; appendix E): 100,000 training images of 64 × 64 pixels in 200 classes; its own layout:

tiny-imagenet-200/wnids.txt, words.txt                            the classes, and the words for them
tiny-imagenet-200/train/<wnid>/images/*.JPEG                      some of them grey
tiny-imagenet-200/val/images/*.JPEG, val/val_annotations.txt      the test set: the images in `test` have no labels
"""

import http.client
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from pag.base.errors import InputError
from pag.base.files import replace
from pag.data.datasets import Dataset, LabelledImages
from pag.data.originals.image_files import image_files, read_images
from pag.data.originals.original import Original, Part, Selection
from pag.data.originals.unavailable import unavailable

__all__ = ["open_tiny_imagenet"]

SOURCE = "Tiny ImageNet (Le & Yang, 2015)"
FOLDER, ARCHIVE = "tiny-imagenet-200", "tiny-imagenet-200.zip"
URL, MD5 = f"http://cs231n.stanford.edu/{ARCHIVE}", "90528d7ca1a48142e341f4ef8d21d0de"
ARCHIVE_BYTES, UNPACKED_BYTES = 248_100_043, 500_000_000  # 120,000 files of one block at least
SIDE, CLASSES, TRAIN, TEST = 64, 200, 100_000, 10_000


def open_tiny_imagenet(data_root: Path, selection: Selection) -> Original:
    """Tiny ImageNet; labels count the lines of `wnids.txt`, names are the first of a class's words."""
    train = TRAIN if selection.train is None else CLASSES * selection.train
    test = TEST if selection.test is None else CLASSES * selection.test
    read = partial(_read, data_root, selection)
    return Original(read, (train + test) * SIDE * SIDE * 3, _missing_bytes(data_root))


def _missing_bytes(data_root: Path) -> int:
    if (data_root / FOLDER).is_dir():
        return 0
    return UNPACKED_BYTES + (0 if (data_root / ARCHIVE).is_file() else ARCHIVE_BYTES)


def _read(data_root: Path, selection: Selection) -> Dataset:
    base = data_root / FOLDER
    if not base.is_dir():
        try:
            _download(data_root)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            raise unavailable(SOURCE, data_root, FOLDER, ARCHIVE, error) from None
    wnids = _lines(base / "wnids.txt")
    words = dict(line.split("\t", 1) for line in _lines(base / "words.txt") if "\t" in line)
    names = tuple(words.get(wnid, wnid).split(",")[0] for wnid in wnids)
    train, test = _train_files(base, wnids), _test_files(base, wnids)
    return Dataset("tiny_imagenet", _part("train", *train, selection), _part("test", *test, selection), names, SOURCE)


def _part(part: Part, paths: list[Path], labels: NDArray[np.int64], selection: Selection) -> LabelledImages:
    rows = selection.rows(part, labels)
    taken, description = [paths[row] for row in rows], f"Tiny ImageNet {part}"
    return LabelledImages(read_images(taken, SIDE, grayscale=False, description=description), labels[rows])


def _download(data_root: Path) -> None:
    """Fetches the archive, unless it is there, and unpacks it beside its place: a folder that is there is whole."""
    from torchvision.datasets.utils import download_url, extract_archive  # takes two seconds

    download_url(URL, data_root, ARCHIVE, MD5)
    with TemporaryDirectory(dir=data_root, prefix=".unpacked-") as unpacked:
        extract_archive(data_root / ARCHIVE, unpacked)
        replace(Path(unpacked) / FOLDER, data_root / FOLDER)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read; unpack {ARCHIVE} again.") from None


def _train_files(base: Path, wnids: list[str]) -> tuple[list[Path], NDArray[np.int64]]:
    """Class by class."""
    members = [image_files(base / "train" / wnid / "images") for wnid in wnids]
    for wnid, files in zip(wnids, members, strict=True):
        if not files:
            raise InputError(f"{base / 'train' / wnid / 'images'} holds no image; unpack {ARCHIVE} again.")
    labels = np.repeat(np.arange(len(wnids)), [len(files) for files in members])
    return [path for files in members for path in files], labels


def _test_files(base: Path, wnids: list[str]) -> tuple[list[Path], NDArray[np.int64]]:
    """In the order of `val_annotations.txt`, which mixes the classes; a line is file name, wnid and a box, tabs between."""
    annotations = base / "val" / "val_annotations.txt"
    rows = [line.split("\t") for line in _lines(annotations)]
    known = {wnid: c for c, wnid in enumerate(wnids)}
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or row[1] not in known:
            raise InputError(f"{annotations}, line {number}, names no class of wnids.txt; unpack {ARCHIVE} again.")
    paths = [base / "val" / "images" / row[0] for row in rows]
    return paths, np.array([known[row[1]] for row in rows], dtype=np.int64)
