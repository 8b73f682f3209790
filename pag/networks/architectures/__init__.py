"""Classifiers `f_θ: [0, 1]^(ch × H × W) → R^C`, by the name of their family.

Every network stands inside a `Classifier`, which normalises: everything outside sees pixels in [0, 1], and the network itself
has the state-dict names of its public checkpoints.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pag.base.errors import InputError
from pag.networks.architectures.mlp_mixer import MLPMixer
from pag.networks.architectures.resnet import ResNet
from pag.networks.architectures.vgg import VGG
from pag.networks.architectures.vit import ViT
from pag.networks.architectures.wide_resnet import WideResNet

__all__ = ["FAMILIES", "Classifier", "build"]

FAMILIES: Mapping[str, Callable[..., nn.Module]] = {
    "resnet": ResNet,
    "vit": ViT,
    "vgg": VGG,
    "mlp_mixer": MLPMixer,
    "wide_resnet": WideResNet,
}
HALF: Mapping[str, float] = {"mean": 0.5, "std": 0.5}  # what the paper's networks take: pixels in [-1, 1]


class Classifier(nn.Module):
    """A network behind its normalisation, `x ↦ network((x − mean) / std)`.

    Args:
        network: takes normalised images `(B, ch, H, W)`.
        channels: ch.
        mean, std: of the normalisation; one number for all channels, or one for each.

    Raises:
        InputError: there are more or fewer numbers than channels, or a std is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, channels: int, mean: float | Sequence[float], std: float | Sequence[float]
    ) -> None:
        super().__init__()
        self.register_buffer("mean", _per_channel("mean", mean, channels))
        self.register_buffer("std", _per_channel("std", std, channels))
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of pixels `(B, ch, H, W)` in [0, 1]."""
        return self.network((x - self.mean) / self.std)  # type: ignore[no-any-return]


def _per_channel(name: str, value: float | Sequence[float], channels: int) -> Tensor:
    values = [float(v) for v in (value if isinstance(value, Sequence) else [value])]
    if len(values) not in (1, channels):
        raise InputError(f"normalization.{name} has {len(values)} numbers for images of {channels} channels.")
    if name == "std" and min(values) <= 0:
        raise InputError(f"normalization.std must be positive, not {min(values):g}.")
    return torch.tensor(values).repeat(channels // len(values)).reshape(channels, 1, 1)


def build(
    family: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    normalization: Mapping[str, float | Sequence[float]] = HALF,
    **options: Any,  # noqa: ANN401
) -> Classifier:
    """Makes an untrained classifier.

    Args:
        family: a key of `FAMILIES`.
        image_shape: `(ch, H, W)`.
        num_classes: C.
        normalization: `{"mean": …, "std": …}`, of `Classifier`; the paper's networks take 0.5 and 0.5, those of TRADES 0 and 1.
        options: the family's own numbers (widths, depths, …).

    Raises:
        InputError: the family is unknown, or does not fit the images.
    """
    if family not in FAMILIES:
        raise InputError(f"Unknown architecture family {family!r}; known are {', '.join(FAMILIES)}.")
    network = FAMILIES[family](image_shape=image_shape, num_classes=num_classes, **options)
    return Classifier(network, image_shape[0], **normalization)
