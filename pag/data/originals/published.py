"""CIFAR-10, CIFAR-100 and STL-10 by torchvision's classes: downloaded where they are missing, verified by their checksums.

Of STL-10 only the labelled parts are read, 5,000 training and 8,000 test images of 96 × 96 pixels.
"""

import http.client
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pag.data.datasets import Dataset
from pag.data.originals.original import Original, Selection
from pag.data.originals.unavailable import unavailable

__all__ = ["open_cifar10", "open_cifar100", "open_stl10"]


@dataclass(frozen=True)
class _Published:
    """Facts on a published data set.

    Attributes:
        name: of torchvision's class.
        folder: of its unpacked files, in the data root.
        archive: the file that is downloaded into the data root.
        source: where it comes from.
        archive_bytes, unpacked_bytes: of the archive and of the files in it.
        image_bytes: of the labelled images.
    """

    name: str
    folder: str
    archive: str
    source: str
    archive_bytes: int
    unpacked_bytes: int
    image_bytes: int

    def missing_bytes(self, data_root: Path) -> int:
        if (data_root / self.folder).is_dir():
            return 0
        return self.unpacked_bytes + (0 if (data_root / self.archive).is_file() else self.archive_bytes)


_CIFAR10 = _Published(
    "CIFAR10", "cifar-10-batches-py", "cifar-10-python.tar.gz", "CIFAR-10 (Krizhevsky, 2009)",
    170_498_071, 186_214_000, 60_000 * 32 * 32 * 3,
)  # fmt: skip
_CIFAR100 = _Published(
    "CIFAR100", "cifar-100-python", "cifar-100-python.tar.gz", "CIFAR-100 (Krizhevsky, 2009), fine labels",
    169_001_437, 186_302_000, 60_000 * 32 * 32 * 3,
)  # fmt: skip
_STL10 = _Published(
    "STL10", "stl10_binary", "stl10_binary.tar.gz", "STL-10 (Coates et al., 2011), the labelled parts",
    2_640_397_119, 113_000 * 96 * 96 * 3, 13_000 * 96 * 96 * 3,
)  # fmt: skip


def open_cifar10(data_root: Path, selection: Selection) -> Original:
    """CIFAR-10: 50,000 training and 10,000 test images of 32 × 32 pixels, 10 classes."""
    return _original(_CIFAR10, data_root, selection)


def open_cifar100(data_root: Path, selection: Selection) -> Original:
    """CIFAR-100: 50,000 training and 10,000 test images of 32 × 32 pixels, 100 classes."""
    return _original(_CIFAR100, data_root, selection)


def open_stl10(data_root: Path, selection: Selection) -> Original:
    """STL-10: 5,000 training and 8,000 test images of 96 × 96 pixels, 10 classes."""
    return _original(_STL10, data_root, selection)


def _original(published: _Published, data_root: Path, selection: Selection) -> Original:
    read = partial(_read, published, data_root, selection)
    return Original(read, published.image_bytes, published.missing_bytes(data_root))


def _read(published: _Published, data_root: Path, selection: Selection) -> Dataset:
    try:
        train, test = (_part(published, data_root, train) for train in (True, False))
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise unavailable(published.source, data_root, published.folder, published.archive, error) from None
    return Dataset(
        published.name.lower(),
        selection.take("train", *_arrays(train)),
        selection.take("test", *_arrays(test)),
        tuple(train.classes),
        published.source,
    )


def _part(published: _Published, data_root: Path, train: bool) -> Any:  # noqa: ANN401
    """torchvision's data set of one part.

    The batches of CIFAR are pickles. That is the data set's official format; torchvision opens none before its checksum agrees.
    """
    from torchvision import datasets  # takes two seconds

    if published is _STL10:
        # Without the 2.8 GB of unlabelled images among the files whose checksums are verified.
        labelled = type("LabelledSTL10", (datasets.STL10,), {"train_list": datasets.STL10.train_list[:2]})
        return labelled(data_root, split="train" if train else "test", download=True)
    return getattr(datasets, published.name)(data_root, train=train, download=True)


def _arrays(part: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:  # noqa: ANN401
    """Images `(N, H, W, ch)` and labels `(N,)` of a part; STL-10's come with the channels first."""
    if hasattr(part, "targets"):
        return np.ascontiguousarray(part.data), np.array(part.targets, dtype=np.int64)
    return np.ascontiguousarray(part.data.transpose(0, 2, 3, 1)), part.labels.astype(np.int64)
