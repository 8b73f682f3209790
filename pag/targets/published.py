"""Target gradients that others published: the tensor `(N, 1 + C, ch, H, W)` of the paper's authors, slot 0 the image itself.

Its rows are matched with those of an image store by what is in the images, so that neither another order nor a larger set matters.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.data.image_store import Split

__all__ = ["PublishedTargets", "read_published_targets"]

BLOCK = 256  # rows that are read at a time: the file may be larger than the memory


@dataclass(frozen=True)
class PublishedTargets:
    """A published tensor, mapped from its file.

    Attributes:
        path: of the file.
        tensor: `(N, 1 + C, ch, H, W)`, floating: slot 0 the image in [-1, 1] or [0, 1], slot 1 + c the gradient towards class c.
        labels: `(N,)` int64.
    """

    path: Path
    tensor: Tensor
    labels: Tensor

    @property
    def num_classes(self) -> int:
        """C."""
        return int(self.tensor.shape[1]) - 1

    def check_matches(self, num_classes: int, image_shape: tuple[int, int, int]) -> None:
        """Raises InputError, with both shapes, where the gradients do not belong to such images and classes."""
        here, wanted = tuple(self.tensor.shape[1:]), (1 + num_classes, *image_shape)
        if here != wanted:
            raise InputError(f"{self.path} holds rows of (1 + C, ch, H, W) = {here}, and the images need {wanted}.")

    def rows_of(self, images: Split) -> Tensor:
        """For each of our images the published row of the same image and label, `(N,)`; rows that are the same are used in turn.

        Raises:
            InputError: some images are not there; the sentence says how many.
        """
        rows: dict[tuple[bytes, int], list[int]] = defaultdict(list)
        for row, (image, label) in enumerate(zip(self._images(), self.labels.tolist(), strict=True)):
            rows[_digest(image), label].append(row)
        found, missing = [], 0
        for image, label in zip(images.images, images.labels.tolist(), strict=True):
            same = rows.get((_digest(image), label))
            missing += not same
            found.append(same.pop(0) if same else -1)
        if missing:
            raise InputError(
                f"{self.path} lacks {missing} of the {len(found)} training images, or has them with other labels."
            )
        return torch.tensor(found)

    def gradients(self, rows: Tensor) -> Tensor:
        """The gradients of published rows, `(B, C, ch, H, W)` float32."""
        return self.tensor[rows, 1:].float()

    def _images(self) -> Iterator[Tensor]:
        """The images as uint8, row by row; a negative pixel means that they are in [-1, 1]."""
        blocks = range(0, len(self.tensor), BLOCK)
        smallest = min(float(self.tensor[start : start + BLOCK, 0].min()) for start in blocks)
        for start in blocks:
            x = self.tensor[start : start + BLOCK, 0].float()
            x = (x + 1) / 2 if smallest < 0 else x
            yield from (255 * x).round().clamp(0, 255).to(torch.uint8)


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.contiguous().numpy().tobytes()).digest()


def read_published_targets(path: Path, labels: Path) -> PublishedTargets:
    """Opens a published tensor and its labels, files as `torch.save` writes them; nothing in them is run.

    Raises:
        InputError: a file is missing, damaged, or does not hold such tensors; the sentence names it.
    """
    tensor, classes = _read(path), _read(labels)
    if tensor.ndim != 5 or tensor.shape[1] < 3 or len(tensor) == 0 or not tensor.is_floating_point():
        raise InputError(f"{path} must hold a floating tensor (N, 1 + C, ch, H, W), not {_told(tensor)}.")
    if classes.shape != tensor.shape[:1] or classes.is_floating_point():
        raise InputError(f"{labels} must hold one whole number for each of {len(tensor)} rows, not {_told(classes)}.")
    return PublishedTargets(path, tensor, classes.long())


def _told(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _read(path: Path) -> Tensor:
    try:
        value = _load(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except Exception:
        raise InputError(f"{path} is damaged, or holds no tensor that torch.save wrote.") from None
    if not isinstance(value, Tensor):
        raise InputError(f"{path} holds {type(value).__name__}, not a tensor.")
    return value


def _load(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # torch's format before 1.6 cannot be mapped
        return torch.load(path, map_location="cpu", weights_only=True)
