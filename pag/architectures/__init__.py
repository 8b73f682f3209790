"""Classifiers `f_θ: [0, 1]^(ch × H × W) → R^C`, by the name of their family.

Every network stands inside a `Classifier`, which normalises: everything outside sees pixels in [0, 1], and the network itself
has the state-dict names of its public checkpoints.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pag.architectures.mlp_mixer import MLPMixer
from pag.architectures.resnet import ResNet
from pag.architectures.vgg import VGG
from pag.architectures.vit import ViT
from pag.architectures.wide_resnet import WideResNet
from pag.errors import InputError

__all__ = ["FAMILIES", "Classifier", "build"]

FAMILIES: Mapping[str, Callable[..., nn.Module]] = {
    "resnet": ResNet,
    "vit": ViT,
    "vgg": VGG,
    "mlp_mixer": MLPMixer,
    "wide_resnet": WideResNet,
}


class Classifier(nn.Module):
    """A network behind its normalisation, `x ↦ network((x − mean) / std)`.

    Args:
        network: takes normalised images `(B, ch, H, W)`.
        channels: ch.
        mean, std: of the normalisation, of every channel alike.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, channels: int, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((channels, 1, 1), mean))
        self.register_buffer("std", torch.full((channels, 1, 1), std))
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of pixels `(B, ch, H, W)` in [0, 1]."""
        return self.network((x - self.mean) / self.std)  # type: ignore[no-any-return]


def build(
    family: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    normalization: Mapping[str, float],
    **options: Any,  # noqa: ANN401
) -> Classifier:
    """Makes an untrained classifier.

    Args:
        family: a key of `FAMILIES`.
        image_shape: `(ch, H, W)`.
        num_classes: C.
        normalization: `{"mean": …, "std": …}`; the paper's networks take 0.5 and 0.5, those of TRADES 0 and 1.
        options: the family's own numbers (widths, depths, …).

    Raises:
        InputError: the family is unknown, or does not fit the images.
    """
    if family not in FAMILIES:
        raise InputError(f"Unknown architecture family {family!r}; known are {', '.join(FAMILIES)}.")
    network = FAMILIES[family](image_shape=image_shape, num_classes=num_classes, **options)
    return Classifier(network, image_shape[0], **normalization)
