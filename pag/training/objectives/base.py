"""What objectives share: the batch and the network that they see, what alignment is added to, and the cross-entropy (eq. 2)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from pag.attacks.pgd import PGD
from pag.base.vocabulary import GradientOf

__all__ = ["BaseObjective", "Batch", "CrossEntropy", "Network", "Objective", "StoredTargets"]


@dataclass(frozen=True)
class StoredTargets:
    """The target gradients of a batch's images, for an objective that chooses the classes itself, by what the network predicts.

    Attributes:
        classes: `(B, m)` int64, those that each image has targets of.
        classes_per_step: k, how many to align.
        gather: of classes `(B, k)` among them the targets g(x, c), `(B, k, *)`; they are read when it is called.
    """

    classes: Tensor
    classes_per_step: int
    gather: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        x: inputs `(B, *)`.
        labels: `(B,)` int64.
        classes: `(B, k)` int64, the classes whose gradients are aligned; without targets, None.
        targets: `(B, k, *)` target gradients g(x, c) of those classes; or None.
        progress: the fraction of the run's steps that lie behind this one, in [0, 1).
        stored: what targets there are, in place of classes and their targets that are drawn beforehand; or None.
    """

    x: Tensor
    labels: Tensor
    classes: Tensor | None = None
    targets: Tensor | None = None
    progress: float = 0.0
    stored: StoredTargets | None = None


class Network(Protocol):
    """A classifier as a loss sees it: passes whose results carry a graph to its weights, and attacks on it."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """Logits `(B, C)` of inputs `(B, *)`."""

    def input_gradients(self, x: Tensor, classes: Tensor, of: GradientOf) -> tuple[Tensor, Tensor]:
        """Gradients `(B, k, *)` of the outputs of classes `(B, k)` (`pag.alignment.gradients`), and the logits `(B, C)`."""

    def margin_gradients(
        self, x: Tensor, labels: Tensor, noise: Tensor, temperature: float, k: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients `(B, k, *)` of the margins to k drawn rivals (`pag.alignment.rivals`), the logits, and the rivals `(B, k)`."""

    def predicted(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` in evaluation mode, without a graph."""

    def drawn(self, draw: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The rows of these examples `(b, *)` of what `draw` makes for examples like them, the whole batch of all ranks."""

    def perturbed(self, attack: PGD, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Adversarial examples `(B, *)` without a graph; the attack sees evaluation mode."""


Objective = Callable[[Network, Batch, torch.Generator], Mapping[str, Tensor]]


class BaseObjective(ABC):
    """An objective that alignment can be added to: where it needs the logits f_θ(x), it takes those that alignment has anyway."""

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return self.parts(network, batch, generator, lambda: network(batch.x))

    @abstractmethod
    def parts(
        self, network: Network, batch: Batch, generator: torch.Generator, logits: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        """The loss and its parts; `logits` gives f_θ(x) of the batch, `(B, C)`."""

    @abstractmethod
    def forwards(self, shares_logits: bool = False) -> int:
        """The work of a step for one image, in forward passes of it: a backward pass to inputs or weights is one, to both two.

        Args:
            shares_logits: whether the pass of x, forward and backward, is there already, for alignment.
        """

    def forwards_per_step(self, k: int) -> int:
        """`forwards` alone; no class is aligned, k = 0."""
        return self.forwards()


class CrossEntropy(BaseObjective):
    """Standard ("vanilla") training, eq. (2)."""

    def parts(
        self, network: Network, batch: Batch, generator: torch.Generator, logits: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        loss = functional.cross_entropy(logits(), batch.labels)
        return {"loss": loss, "cross_entropy": loss}

    def forwards(self, shares_logits: bool = False) -> int:
        return 0 if shares_logits else 3
