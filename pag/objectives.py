"""What a classifier's training minimises: cross-entropy (eq. 2), adversarial training (eq. 3), gradient alignment (eqs. 4 and 5).

    L_total(x, y) = L_CE(f_θ(x), y) + λ Σ_c L_cos(∇_x f_θ(x)_c, g(x, c)),      L_cos(v, u) = 1 − cos(v, u)

An objective is a callable `(model, batch, generator) → {"loss": …, further parts to log: …}`, scalars averaged over the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pag.alignment import GradientOf, cosine, input_gradients
from pag.attacks.pgd import PGD

__all__ = ["AdversarialTraining", "Alignment", "Batch", "CrossEntropy", "Objective", "draw_classes"]


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        x: inputs `(B, *)`.
        labels: `(B,)` int64.
        classes: `(B, k)` int64, the classes whose gradients are aligned; without targets, None.
        targets: `(B, k, *)` target gradients g(x, c) of those classes; or None.
    """

    x: Tensor
    labels: Tensor
    classes: Tensor | None = None
    targets: Tensor | None = None


Objective = Callable[[nn.Module, Batch, torch.Generator], Mapping[str, Tensor]]


def draw_classes(batch_size: int, num_classes: int, k: int, generator: torch.Generator) -> Tensor:
    """For each image k of the C classes, uniformly without replacement, shape `(B, k)`; k ≥ C means all, in order."""
    if k >= num_classes:
        return torch.arange(num_classes).expand(batch_size, num_classes)
    return torch.rand(batch_size, num_classes, generator=generator).argsort(dim=1)[:, :k]


class CrossEntropy:
    """Standard ("vanilla") training, eq. (2)."""

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        loss = functional.cross_entropy(model(batch.x), batch.labels)
        return {"loss": loss, "cross_entropy": loss}


@dataclass(frozen=True)
class AdversarialTraining:
    """Adversarial training, eq. (3): cross-entropy at the points that `attack` finds (appendix G.2: PGD of 7 steps of 1.5 ε/7).

    The attack sees the model in evaluation mode, as in the implementation that the paper follows (Zhang et al., 2019).
    """

    attack: PGD

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        training = model.training
        model.eval()
        x_adv = self.attack(model, batch.x, batch.labels, generator)
        model.train(training)
        loss = functional.cross_entropy(model(x_adv), batch.labels)
        return {"loss": loss, "cross_entropy": loss}


@dataclass(frozen=True)
class Alignment:
    """Eq. (4): cross-entropy plus λ times the sum over classes of 1 − cos(∇_x f_θ(x)_c, g(x, c)), from one forward pass.

    With k of C classes drawn per image, the sum over the k is scaled by C/k: its expectation is eq. (4)'s sum over all classes.

    Attributes:
        weight: λ ≥ 0.
        num_classes: C.
        of: the function whose gradient is aligned: `"log_softmax"`, what the score ∇ log p(y|x) is, or
            `"logit"`, eq. (4) as written.
    """

    weight: float
    num_classes: int
    of: GradientOf

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        assert batch.classes is not None
        assert batch.targets is not None
        gradients, logits = input_gradients(model, batch.x, batch.classes, self.of, create_graph=True)
        cos = cosine(gradients, batch.targets).mean()
        cross_entropy = functional.cross_entropy(logits, batch.labels)
        loss = cross_entropy + self.weight * self.num_classes * (1 - cos)
        return {"loss": loss, "cross_entropy": cross_entropy.detach(), "cosine": cos.detach()}
