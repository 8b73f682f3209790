"""The image store: one Zarr group with the training set (and which of its rows are for validation) and the test set."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from pag.data.datasets import Dataset
from pag.data.zarr_store import ReadOnlyStore, write_array

__all__ = ["ImageStore", "Split", "pixels", "write_images"]


@dataclass(frozen=True)
class Split:
    """A part of a data set.

    Attributes:
        images: `(N, ch, H, W)` uint8.
        labels: `(N,)` int64.
        rows: `(N,)` int64, the images' numbers in the whole training (or test) set, by which target stores know them.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor

    def followed_by(self, other: "Split") -> "Split":
        """Both parts as one, this one first."""
        return Split(
            torch.cat([self.images, other.images]),
            torch.cat([self.labels, other.labels]),
            torch.cat([self.rows, other.rows]),
        )

    def first_of_classes(self, count: int) -> Tensor:
        """Positions of the first image of each of the first `count` classes that occur, `(count,)` int64."""
        return torch.stack([(self.labels == c).nonzero()[0, 0] for c in self.labels.unique()[:count]])


def pixels(images: Tensor) -> Tensor:
    """uint8 images as float32 pixels in [0, 1]."""
    return images.to(torch.float32) / 255


def write_images(path: Path, dataset: Dataset, validation: NDArray[np.bool_]) -> None:
    """Writes a data set as an image store.

    Args:
        path: where to; must not exist.
        dataset: what to write.
        validation: `(N,)` bool, the rows of the training set that are for validation.
    """
    group = zarr.create_group(path)
    digest = hashlib.sha256()
    for name, part in (("train", dataset.train), ("test", dataset.test)):
        write_array(group, f"{name}/images", part.images)
        write_array(group, f"{name}/labels", part.labels)
        digest.update(np.ascontiguousarray(part.images))
        digest.update(np.ascontiguousarray(part.labels))
    write_array(group, "train/validation", validation)
    attributes = {"class_names": list(dataset.class_names), "source": dataset.source, "checksum": digest.hexdigest()}
    group.attrs.update(attributes)


class ImageStore:
    """Reads an image store, one split at a time: reading one never touches the arrays of another.

    Attributes:
        path: of the store.
        class_names: of its C classes.
        checksum: SHA-256 of all images and labels: what targets and classifiers know the data set by.
        num_training: N, the images of the training set, those for validation among them.
        image_shape: `(ch, H, W)`.
    """

    def __init__(self, store: ReadOnlyStore) -> None:
        self.path = store.path
        self.class_names: tuple[str, ...] = tuple(store.attribute("class_names"))
        self.checksum = store.text("checksum")
        self.num_training, height, width, channels = store.array("train/images", "uint8", 4).shape
        self.image_shape: tuple[int, int, int] = (channels, height, width)
        self._store = store

    @classmethod
    def open(cls, path: Path) -> "ImageStore":
        """Opens the store and looks at its metadata; arrays are read only where they have no digests, and then all are.

        Raises:
            InputError: it is missing, lacks an attribute, or its arrays do not have the shapes and types of images, labels
                and a mask.
        """
        store = ReadOnlyStore(path)
        names = store.attribute("class_names")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise store.damaged("must have the names of its classes in the attribute 'class_names'")
        train, test = (_image_shape(store, part) for part in ("train", "test"))
        if train != test:
            raise store.damaged(f"has training images of shape {train} and test images of shape {test}")
        if store.array("train/validation", "bool", 1).shape != store.array("train/labels", "int64", 1).shape:
            raise store.damaged("must have one entry of train/validation a training image")
        opened = cls(store)
        if not store.has_digest("train/images"):
            opened._verify_as_a_whole()
        return opened

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    def split(self, name: Literal["train", "validation", "test"]) -> Split:
        """The images and labels of one part; `train` is without the validation rows."""
        if name == "test":
            return self._read("test", None)
        mask = self._store.read("train/validation", "bool", 1)
        return self._read("train", mask if name == "validation" else ~mask)

    def all_training(self) -> Split:
        """The training set with its validation rows, in order: what target stores have a row for."""
        return self._read("train", None)

    def _verify_as_a_whole(self) -> None:
        digest = hashlib.sha256()
        for part in ("train", "test"):
            digest.update(self._store.read(f"{part}/images", "uint8", 4))
            digest.update(self._store.read(f"{part}/labels", "int64", 1))
        if digest.hexdigest() != self.checksum:
            raise self._store.damaged("has other images or labels than its checksum is of")

    def _read(self, part: str, mask: NDArray[np.bool_] | None) -> Split:
        images, labels = self._store.read(f"{part}/images", "uint8", 4), self._store.read(f"{part}/labels", "int64", 1)
        if not np.isin(labels, np.arange(self.num_classes)).all():
            raise self._store.damaged(
                f"has {part}/labels outside 0 … {self.num_classes - 1}, the classes that it has names for"
            )
        rows = np.arange(len(labels)) if mask is None else np.flatnonzero(mask)
        return Split(
            torch.from_numpy(np.ascontiguousarray(images[rows].transpose(0, 3, 1, 2))),
            torch.from_numpy(labels[rows]),
            torch.from_numpy(rows),
        )


def _image_shape(store: ReadOnlyStore, part: str) -> tuple[int, ...]:
    images, labels = store.array(f"{part}/images", "uint8", 4), store.array(f"{part}/labels", "int64", 1)
    if 0 in images.shape or min(images.shape) < 0:
        raise store.damaged(f"has {part}/images of shape {images.shape}")
    if labels.shape != images.shape[:1]:
        raise store.damaged(f"must have one entry of {part}/labels an image, not {labels.shape} for {images.shape}")
    return images.shape[1:]
