"""Random crop and horizontal flip (appendix G.2): drawn per image, applied to it and to its target gradients alike."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Augmentation", "Views"]


@dataclass(frozen=True)
class Views:
    """One crop offset and one flip for each image of a batch.

    Attributes:
        rows, columns: `(B,)` offsets of the crop in the padded image, 0 … 2·padding.
        flipped: `(B,)` bool.
        padding: zeros on every side before the crop.
    """

    # Of pixels in [0, 1] zeros are black, as in the usual crop of an image before it is normalised, which is what the paper calls
    # standard and TRADES's code does. The authors' own code crops images that are normalised already: there the border is mid-grey.
    # For target gradients zero is the one choice: nothing is wanted of a pixel that is not there.

    rows: Tensor
    columns: Tensor
    flipped: Tensor
    padding: int

    def of(self, images: slice) -> "Views":
        """Those of a part of the batch."""
        return Views(self.rows[images], self.columns[images], self.flipped[images], self.padding)

    def __call__(self, x: Tensor) -> Tensor:
        """Applies each image's view to `x` of shape `(B, …, H, W)`: images, or their target gradients."""
        height, width = x.shape[-2:]
        i = self.rows[:, None] + torch.arange(height)
        j = self.columns[:, None] + torch.arange(width)
        j = torch.where(self.flipped[:, None], j.flip(1), j)
        flat = functional.pad(x.flatten(1, -3) if x.ndim > 3 else x[:, None], (self.padding,) * 4)
        image = torch.arange(len(x))[:, None, None]
        viewed = flat.permute(0, 2, 3, 1)[image, i[:, :, None], j[:, None, :]].permute(0, 3, 1, 2)
        return viewed.contiguous().reshape(x.shape)  # the network's weights alone say in which order activations lie


@dataclass(frozen=True)
class Augmentation:
    """How views are drawn: crops of the image padded by `crop_padding` zeros, and flips with probability 0.5."""

    crop_padding: int = 0
    flip: bool = False

    def draw(self, batch_size: int, generator: torch.Generator) -> Views | None:
        """Views for `batch_size` images, or None where nothing is augmented."""
        if not self.crop_padding and not self.flip:
            return None
        p = self.crop_padding
        rows, columns = torch.randint(0, 2 * p + 1, (2, batch_size), generator=generator)
        flipped = torch.rand(batch_size, generator=generator) < (0.5 if self.flip else 0.0)
        return Views(rows, columns, flipped, p)
