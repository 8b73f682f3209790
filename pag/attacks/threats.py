"""Threat models `Δ = {δ : ‖δ‖ ≤ ε}`: balls of the L2 and the L∞ norm around each example (section 2.1).

Besides sizes a norm knows how to draw from its ball, its steepest direction `argmax_{‖d‖ ≤ 1} ⟨g, d⟩`, the dual norm, which is
that maximum, its projection `Proj_ε` (eq. 1), and what it wants of a target gradient. Norms differ by these methods; new ones
enter `NORMS`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.base.vocabulary import NormName

__all__ = ["L2", "NORMS", "Linf", "Norm", "Threat"]

_TINY = 1e-12  # under the root, where its derivative would be infinite


def _draw_like(x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, torch.device]:
    """An empty tensor like `x` where the generator draws (the CPU by default), and the device of `x`."""
    device = torch.device("cpu") if generator is None else generator.device
    return torch.empty(x.shape, dtype=x.dtype, device=device), x.device


def _per_example(values: Tensor, like: Tensor) -> Tensor:
    """`(B,)` values with the trailing axes of `like`, `(B, *)`, all of length 1."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


class Norm(ABC):
    """A norm over all axes but the first; every method takes and gives a batch `(B, *)`."""

    @abstractmethod
    def size(self, delta: Tensor) -> Tensor:
        """The norm of each example, `(B,)`."""

    @abstractmethod
    def random_start(self, x: Tensor, eps: float, generator: torch.Generator | None) -> Tensor:
        """Perturbations like `x`, uniform in the ball of radius `eps`, drawn on the generator's device."""

    @abstractmethod
    def steepest(self, gradient: Tensor) -> Tensor:
        """The step of norm 1 (0 where the gradient is 0) along which the loss grows fastest."""

    @abstractmethod
    def dual_size(self, gradient: Tensor) -> Tensor:
        """`max_{‖d‖ ≤ 1} ⟨gradient, d⟩` of each example, `(B,)`; its derivatives are finite everywhere."""

    @abstractmethod
    def emphasised(self, gradient: Tensor) -> Tensor:
        """A target gradient as a network that is to be robust in this norm should have it."""

    @abstractmethod
    def project(self, delta: Tensor, eps: float) -> Tensor:
        """The point of the ball of radius `eps` that is nearest to `delta` in the Euclidean sense."""


class L2(Norm):
    """The Euclidean norm."""

    def size(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).square().sum(dim=1).sqrt()

    def random_start(self, x: Tensor, eps: float, generator: torch.Generator | None) -> Tensor:
        empty, device = _draw_like(x, generator)
        direction = self.steepest(empty.normal_(generator=generator))
        radius = torch.rand(len(x), generator=generator, dtype=x.dtype, device=empty.device)
        dimensions = max(x[:1].numel(), 1)
        return (eps * _per_example(radius ** (1 / dimensions), x) * direction).to(device)

    def steepest(self, gradient: Tensor) -> Tensor:
        # Scaled by the largest entry first: the squares of a confident classifier's gradients underflow in float32.
        largest = _per_example(gradient.flatten(1).abs().amax(dim=1), gradient)
        scaled = gradient / torch.where(largest > 0, largest, 1)
        return scaled / _per_example(self.size(scaled).clamp_min(1), gradient)

    def dual_size(self, gradient: Tensor) -> Tensor:
        return gradient.flatten(1).square().sum(dim=1).clamp_min(_TINY**2).sqrt()

    def emphasised(self, gradient: Tensor) -> Tensor:
        return gradient

    def project(self, delta: Tensor, eps: float) -> Tensor:
        size = _per_example(self.size(delta), delta)
        return torch.where(size > eps, delta * (eps / size.clamp_min(eps)), delta)


class Linf(Norm):
    """The largest absolute entry."""

    def size(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).abs().amax(dim=1)

    def random_start(self, x: Tensor, eps: float, generator: torch.Generator | None) -> Tensor:
        empty, device = _draw_like(x, generator)
        return empty.uniform_(-eps, eps, generator=generator).to(device)

    def steepest(self, gradient: Tensor) -> Tensor:
        return gradient.sign()

    def dual_size(self, gradient: Tensor) -> Tensor:
        return gradient.flatten(1).abs().sum(dim=1)

    def emphasised(self, gradient: Tensor) -> Tensor:
        """Its large entries alone, nearly: what an L∞ attack gains is the L1 norm, which for the same effect is small if few pixels
        matter."""
        return gradient * gradient.abs()

    def project(self, delta: Tensor, eps: float) -> Tensor:
        return delta.clamp(-eps, eps)


NORMS: Mapping[NormName, Norm] = {"l2": L2(), "linf": Linf()}


@dataclass(frozen=True)
class Threat:
    """The perturbations that an attacker may use: a norm and a radius, e.g. `Threat("linf", 8 / 255)` (section 2.1).

    Attributes:
        norm: a key of `NORMS`.
        eps: ε > 0, in the units of the input (pixels are in [0, 1]).

    Raises:
        InputError: the norm is unknown, or ε is not a positive, finite number.
    """

    norm: NormName
    eps: float

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise InputError(f"Unknown norm {self.norm!r}; known are {', '.join(NORMS)}.")
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise InputError(f"The radius eps of a threat must be positive and finite, not {self.eps}.")

    def size(self, delta: Tensor) -> Tensor:
        """The norm of each perturbation of `delta`, `(B, *)`; shape `(B,)`."""
        return NORMS[self.norm].size(delta)

    def random_start(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Perturbations of `x`, `(B, *)`, uniform in the ball. Without a generator, torch's global CPU stream draws."""
        return NORMS[self.norm].random_start(x, self.eps, generator)

    def steepest(self, gradient: Tensor) -> Tensor:
        """The unit step along which a loss with this `gradient`, `(B, *)`, grows fastest; 0 where the gradient is 0."""
        return NORMS[self.norm].steepest(gradient)

    def dual_size(self, gradient: Tensor) -> Tensor:
        """How much a loss with this `gradient`, `(B, *)`, grows along that step; shape `(B,)`."""
        return NORMS[self.norm].dual_size(gradient)

    def emphasised(self, gradient: Tensor) -> Tensor:
        """Target gradients `(B, *)` as a network that is to be robust in this norm should have them."""
        return NORMS[self.norm].emphasised(gradient)

    def project(self, delta: Tensor) -> Tensor:
        """`Proj_ε` of eq. (1) on each perturbation of `delta`, `(B, *)`."""
        return NORMS[self.norm].project(delta, self.eps)
