"""Classifiers `f_θ: [0, 1]^(ch × H × W) → R^C`, by the name of their family.

A built-in family is a module here, whose `__all__` names its class; any other is `package.module:Class`. Every network stands in a
`Classifier`, which normalises: everything outside sees pixels in [0, 1], and the network itself has the state-dict names of its
public checkpoints.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from pag.base.errors import InputError

__all__ = ["Classifier", "build", "family_module"]

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


def family_module(family: str) -> str:
    """The dotted name of the module that a family's class is in.

    Raises:
        InputError: the name is neither that of a built-in family nor `package.module:Class`.
    """
    module, colon, _ = family.partition(":")
    if colon:
        return module
    if not re.fullmatch(r"[a-z0-9_]+", family) or find_spec(f"{__name__}.{family}") is None:
        raise InputError(f"Unknown architecture family {family!r}; one of your own is package.module:Class.")
    return f"{__name__}.{family}"


def _network_class(family: str) -> Callable[..., nn.Module]:
    """A family's class. Its module is imported, which runs what is installed; nothing of a file of weights is."""
    name = family_module(family)
    try:
        module = import_module(name)
    except ImportError as error:
        raise InputError(f"The module {name} of the family {family!r} cannot be imported ({error}).") from None
    _, colon, own = family.partition(":")
    network = getattr(module, own if colon else module.__all__[0], None)
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise InputError(f"The module {name} has no torch.nn.Module {own!r}.")
    return network


def build(
    family: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    normalization: Mapping[str, float | Sequence[float]] = HALF,
    **options: Any,  # noqa: ANN401
) -> Classifier:
    """Makes an untrained classifier.

    Args:
        family: a built-in family, `resnet`, or a class of one's own, `package.module:Class`.
        image_shape: `(ch, H, W)`.
        num_classes: C.
        normalization: `{"mean": …, "std": …}`, of `Classifier`; the paper's networks take 0.5 and 0.5, those of TRADES 0 and 1.
        options: the family's own numbers (widths, depths, …).

    Raises:
        InputError: the family is unknown, has no such options, or does not fit the images.
    """
    network_class = _network_class(family)
    try:
        network = network_class(image_shape=image_shape, num_classes=num_classes, **options)
    except TypeError as error:
        raise InputError(f"The family {family!r} does not take these options ({error}).") from None
    return Classifier(network, image_shape[0], **normalization)
