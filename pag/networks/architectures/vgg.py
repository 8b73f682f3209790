"""VGG for small images (Simonyan and Zisserman, 2014) with 11, 13 or 16 layers, with or without batch norm: appendix C, table 5."""

import math
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from pag.base.errors import InputError

__all__ = ["VGG"]

# Convolutions of each of the five stages, by the number of layers; 3 linear layers follow.
STAGES: Mapping[int, Sequence[int]] = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
NORMS = ("none", "batch")
WIDTHS = (64, 128, 256, 512, 512)
HALVINGS = 2 ** len(WIDTHS)


class VGG(nn.Module):
    """Stages of 3×3 convolutions, each followed by a pooling, and three linear layers; for normalised images.

    Args:
        image_shape: `(ch, H, W)`, H and W at least 32 (32 × 32 in the paper).
        num_classes: C.
        depth: 11, 13 or 16.
        norm: `"none"` or `"batch"`.
        dropout: before the first two linear layers.

    Raises:
        InputError: the images are too small for five poolings, or the depth or the norm is another.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], num_classes: int, depth: int, norm: str, dropout: float = 0.5
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        if depth not in STAGES or norm not in NORMS:
            raise InputError(f"VGG has 11, 13 or 16 layers and norm none or batch, not {depth} layers and norm {norm}.")
        if min(height, width) < HALVINGS:
            raise InputError(f"VGG halves images five times: {height} × {width} pixels are fewer than 32 × 32.")
        self.features = nn.Sequential(*_features(channels, STAGES[depth], norm))
        features = WIDTHS[-1] * (height // HALVINGS) * (width // HALVINGS)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(features, 512), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(512, 512), nn.ReLU(),
            nn.Linear(512, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of normalised images `(B, ch, H, W)`."""
        return self.classifier(self.features(x).flatten(1))  # type: ignore[no-any-return]


def _features(channels: int, stages: Sequence[int], norm: str) -> Iterator[nn.Module]:
    for depth, width in zip(stages, WIDTHS, strict=True):
        for _ in range(depth):
            conv = nn.Conv2d(channels, width, 3, padding=1)
            nn.init.normal_(conv.weight, std=math.sqrt(2 / (9 * width)))
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            yield conv
            if norm == "batch":
                yield nn.BatchNorm2d(width)
            yield nn.ReLU()
            channels = width
        yield nn.MaxPool2d(2)
