"""The store of generated images: labelled images that a diffusion model drew, which training may mix with those of a data set.

They are a training set's without a test set; row i is generated image i. What they were made from is kept with them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from pag.base.errors import InputError
from pag.data.image_store import ImageStore, Split
from pag.data.zarr_store import ReadOnlyStore, write_array

__all__ = ["GeneratedImages", "write_generated"]


def write_generated(
    path: Path,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    num_classes: int,
    trained_on: str,
    diffusion: str,
) -> None:
    """Writes generated images.

    Args:
        path: where to; must not exist.
        images: `(M, H, W, ch)`.
        labels: `(M,)` in 0 … C − 1.
        num_classes: C.
        trained_on: checksum of the image store whose training images the diffusion model has learnt.
        diffusion: SHA-256 of the diffusion model's weights.
    """
    digest = hashlib.sha256(trained_on.encode())
    digest.update(np.ascontiguousarray(images))
    digest.update(np.ascontiguousarray(labels))
    origin = {"trained_on": trained_on, "diffusion": diffusion, "checksum": digest.hexdigest()}
    group = zarr.create_group(path, attributes={"num_classes": num_classes, **origin})
    write_array(group, "images", images)
    write_array(group, "labels", labels)


@dataclass(frozen=True)
class GeneratedImages:
    """What `write_generated` wrote.

    Attributes:
        path: of the store.
        split: the images, with rows 0 … M − 1.
        num_classes: C.
        trained_on: checksum of the image store that they were made from.
        checksum: SHA-256 of that checksum, the images and the labels: what their targets know them by.
    """

    path: Path
    split: Split
    num_classes: int
    trained_on: str
    checksum: str

    @classmethod
    def read(cls, path: Path) -> "GeneratedImages":
        """Reads a store whole.

        Raises:
            InputError: it is missing, unfinished or damaged.
        """
        store = ReadOnlyStore(path)
        images, labels = store.read("images", "uint8", 4), store.read("labels", "int64", 1)
        num_classes = store.attribute("num_classes")
        if not isinstance(num_classes, int) or 0 in images.shape or labels.shape != images.shape[:1]:
            raise store.damaged(f"has images of shape {images.shape} and labels of shape {labels.shape}")
        if not np.isin(labels, np.arange(num_classes)).all():
            raise store.damaged(f"has labels outside 0 … {num_classes - 1}")
        x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        split = Split(x, torch.from_numpy(labels), torch.arange(len(labels)))
        return cls(path, split, num_classes, store.text("trained_on"), store.text("checksum"))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(ch, H, W)`."""
        channels, height, width = self.split.images.shape[1:]
        return channels, height, width

    def check_matches(self, images: ImageStore) -> None:
        """Raises InputError where they are not of such images, or were made from other ones."""
        here = (self.num_classes, *self.image_shape)
        wanted = (images.num_classes, *images.image_shape)
        if here != wanted:
            raise InputError(f"{self.path} holds images of (C, ch, H, W) = {here}, and {images.path} of {wanted}.")
        if self.trained_on != images.checksum:
            raise InputError(
                f"{self.path} was made from other images than {images.path} holds; run the stage that writes it again."
            )
