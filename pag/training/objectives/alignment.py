"""Gradient alignment (eqs. 4 and 5), on top of any base objective (section 6).

L_total(x, y) = L_CE(f_θ(x), y) + λ Σ_c L_cos(∇_x f_θ(x)_c, g(x, c)),      L_cos(v, u) = 1 − cos(v, u)
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pag.alignment.gradients import cosine
from pag.base.vocabulary import ClassesScale, GradientOf
from pag.training.objectives.base import BaseObjective, Batch, CrossEntropy, Network

__all__ = ["Alignment", "Ramp", "draw_classes"]


def draw_classes(batch_size: int, num_classes: int, k: int, generator: torch.Generator, shared: bool = False) -> Tensor:
    """k of the C classes, uniformly without replacement, shape `(B, k)`; k ≥ C means all.

    Each image has them in an order of its own. A column's gradients come from one backward pass for the whole batch, and batch norm
    in training mode takes out of a backward pass what its images have in common: were a column one class for all images, that
    would be most of it. In the authors' repeated batch the classes are mixed, too.

    `shared` is one draw for the whole batch: the subset "randomly selected in each training iteration" of the paper's CIFAR-100
    (section 5.2). Without it each image has a draw of its own, as in the authors' code: the same expectation, less noise.
    """
    k = min(k, num_classes)
    subset = torch.randperm(num_classes, generator=generator)[:k] if shared else torch.arange(num_classes)
    order = torch.rand(batch_size, len(subset), generator=generator).argsort(dim=1)
    return subset[order[:, :k]]


@dataclass(frozen=True)
class Ramp:
    """The schedule of λ that the paper's ViT needs to stay stable: `factor` · λ in the first part of the run, λ afterwards.

    Attributes:
        until: the fraction of the run where λ takes its full value.
        factor: of λ before that; the authors' code has 2/3, for half of the run.
    """

    until: float
    factor: float

    def __call__(self, progress: float) -> float:
        """The factor of λ at a point of the run, a fraction in [0, 1)."""
        return self.factor if progress < self.until else 1.0


@dataclass(frozen=True)
class Alignment:
    """Eq. (4): a base objective plus λ times the sum over classes of 1 − cos(∇_x f_θ(x)_c, g(x, c)), at the natural x.

    One forward pass of the batch serves the gradients and whatever the base takes from f_θ(x).
    With k of C classes drawn per image, the sum over the k is scaled by C/k: its expectation is eq. (4)'s sum over all classes. Or
    it is taken as it is, "using a subset" of the classes (section 5.2): k/C of that, so that the same λ weighs less.

    Attributes:
        weight: λ ≥ 0.
        num_classes: C.
        of: the function whose gradient is aligned: `"log_softmax"`, what the score ∇ log p(y|x) is, or
            `"logit"`, eq. (4) as written.
        base: what alignment is added to: cross-entropy in eq. (4), adversarial training and TRADES in section 6.
        ramp: of λ over the run; None: λ throughout.
        classes_scale: of the sum over the drawn classes: `"expectation"` or `"drawn"`; the same where all are drawn.
    """

    weight: float
    num_classes: int
    of: GradientOf
    base: BaseObjective = field(default_factory=CrossEntropy)
    ramp: Ramp | None = None
    classes_scale: ClassesScale = "expectation"

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        assert batch.classes is not None
        assert batch.targets is not None
        gradients, logits = network.input_gradients(batch.x, batch.classes, self.of)
        cos = cosine(gradients, batch.targets).mean()
        parts = self.base.parts(network, batch, generator, lambda: logits)
        weight = self.weight if self.ramp is None else self.weight * self.ramp(batch.progress)
        count = self.num_classes if self.classes_scale == "expectation" else batch.classes.shape[1]
        loss = parts["loss"] + weight * count * (1 - cos)
        return {**{name: part.detach() for name, part in parts.items()}, "loss": loss, "cosine": cos.detach()}

    def forwards_per_step(self, k: int) -> int:
        """One forward pass, its backward pass of twice the work, and for each class one to the input and back through that."""
        return 3 + 3 * k + self.base.forwards(shares_logits=True)
