"""Target stores: where the target gradients g(x, c) of eq. (4) are kept, and how they are read, whatever their source.

No more is kept of them than is needed: `heuristic_store` keeps what they are computed from, `gradient_store` the
gradients themselves. `kinds` opens either.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pag.base.errors import InputError

__all__ = ["Origin", "TargetStore", "attributes_of"]


@dataclass(frozen=True)
class Origin:
    """What targets were made from, and at which images: attributes of their store.

    Attributes:
        images: checksum of the image store, or of the store of generated images.
        split: `train`, the training set with its validation rows, `test`, or `generated`.
    """

    images: str
    split: Literal["train", "test", "generated"]


def attributes_of(origin: Origin | None) -> dict[str, str]:
    """As attributes of a store; none where it is not known."""
    return {} if origin is None else asdict(origin)


class TargetStore(ABC):
    """Reads target gradients, whatever their source.

    Attributes:
        path: of the store.
        num_images: N, the rows that it has targets for; None where targets depend on no row.
        num_classes: C.
        classes_per_image: m, of how many classes an image has gradients.
        image_shape: `(ch, H, W)`.
        device: where what is gathered lies before; None: on the disk.
        origin: what it was made from; None: the store is from before they said it.
    """

    path: Path
    num_images: int | None
    num_classes: int
    classes_per_image: int
    image_shape: tuple[int, int, int]
    device: torch.device | None
    origin: Origin | None = None

    def stored_classes(self, rows: Tensor) -> Tensor:
        """The classes that images have gradients of, ascending: `(B, m)` int64 on the CPU, for rows `(B,)`."""
        return torch.arange(self.num_classes).expand(len(rows), -1)

    @abstractmethod
    def gather(self, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        """Target gradients of a batch.

        Args:
            rows: `(B,)` int64, the images' rows in the training set.
            classes: `(B, k)` int64.
            images: `(B, ch, H, W)` float32 in [0, 1].

        Returns:
            `g(x, c)`, `(B, k, ch, H, W)` float32 on the device of `images`.

        Raises:
            InputError: an image has no gradient of one of its classes, or the store is damaged.
        """

    def check_matches(
        self, num_images: int, num_classes: int, image_shape: tuple[int, int, int], origin: Origin | None = None
    ) -> None:
        """Raises InputError where the store does not belong to such images: with both shapes, or with what it was made from."""
        here = (num_images if self.num_images is None else self.num_images, self.num_classes, *self.image_shape)
        wanted = (num_images, num_classes, *image_shape)
        if here != wanted:
            raise InputError(f"{self.path} holds targets for (N, C, ch, H, W) = {here}, and the images need {wanted}.")
        if origin is None or self.origin in (None, origin):
            return
        assert self.origin is not None
        if self.origin.split != origin.split:
            raise InputError(
                f"{self.path} holds targets at {self.origin.split} images, and those at {origin.split} images are needed."
            )
        raise InputError(
            f"{self.path} was made from other images than there are now; run the stage that writes it again."
        )
