"""Classifiers `f_θ: [0, 1]^(ch × H × W) → R^C`, by the name of their family.

Normalisation is a buffer inside each model: everything outside sees pixels in [0, 1].
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from pag.architectures.resnet import ResNet
from pag.errors import InputError

__all__ = ["FAMILIES", "build"]

FAMILIES: Mapping[str, Callable[..., nn.Module]] = {"resnet": ResNet}


def build(family: str, image_shape: tuple[int, int, int], num_classes: int, **options: Any) -> nn.Module:  # noqa: ANN401
    """Makes an untrained classifier.

    Args:
        family: a key of `FAMILIES`.
        image_shape: `(ch, H, W)`.
        num_classes: C.
        options: the family's own numbers (widths, depths, …).

    Raises:
        InputError: the family is unknown.
    """
    if family not in FAMILIES:
        raise InputError(f"Unknown architecture family {family!r}; known are {', '.join(FAMILIES)}.")
    return FAMILIES[family](image_shape=image_shape, num_classes=num_classes, **options)
