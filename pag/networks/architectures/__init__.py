"""Classifiers `f_θ: [0, 1]^(ch × H × W) → R^C`, by the name of their family (`pag.networks.families`).

A built-in family is a module here, whose `__all__` names its class; any other is `package.module:Class`. Every network stands in a
`Classifier`, which normalises: everything outside sees pixels in [0, 1], and the network itself has the state-dict names of its
public checkpoints.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pag.base.errors import InputError
from pag.networks.families import family_class

__all__ = ["Classifier", "build"]

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
        family: a built-in family, `resnet`, or a class of one's own, `package.module:Class`, whose module is imported.
        image_shape: `(ch, H, W)`.
        num_classes: C.
        normalization: `{"mean": …, "std": …}`, of `Classifier`; the paper's networks take 0.5 and 0.5, those of TRADES 0 and 1.
        options: the family's own (widths, depths, …).

    Raises:
        InputError: the family cannot be found, is no `torch.nn.Module`, has other options, or does not fit the images.
    """
    make = family_class(family)
    try:
        network = make(image_shape=image_shape, num_classes=num_classes, **options)
    except TypeError as error:
        raise InputError(f"The architecture family {family!r} does not take its options ({error}).") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"The architecture family {family!r} is no torch.nn.Module.")
    return Classifier(network, image_shape[0], **normalization)
