"""What a classifier's training minimises: cross-entropy (eq. 2), adversarial training (eq. 3), TRADES, and on top of any of
them gradient alignment (eqs. 4 and 5; section 6).

    L_total(x, y) = L_CE(f_θ(x), y) + λ Σ_c L_cos(∇_x f_θ(x)_c, g(x, c)),      L_cos(v, u) = 1 − cos(v, u)

An objective is a callable `(network, batch, generator) → {"loss": …, further parts to log: …}`, scalars averaged over the batch.
How a `Network` computes its passes (`pag.training.network`), and of which larger batch this one is a part, is not its concern.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from pag.alignment.gradients import cosine
from pag.attacks.pgd import PGD
from pag.base.vocabulary import ClassesScale, GradientOf

__all__ = [
    "AdversarialTraining",
    "Alignment",
    "BaseObjective",
    "Batch",
    "CrossEntropy",
    "Network",
    "Objective",
    "Ramp",
    "Trades",
    "draw_classes",
]


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        x: inputs `(B, *)`.
        labels: `(B,)` int64.
        classes: `(B, k)` int64, the classes whose gradients are aligned; without targets, None.
        targets: `(B, k, *)` target gradients g(x, c) of those classes; or None.
        progress: the fraction of the run's steps that lie behind this one, in [0, 1).
    """

    x: Tensor
    labels: Tensor
    classes: Tensor | None = None
    targets: Tensor | None = None
    progress: float = 0.0


class Network(Protocol):
    """A classifier as a loss sees it: passes whose results carry a graph to its weights, and attacks on it."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """Logits `(B, C)` of inputs `(B, *)`."""

    def input_gradients(self, x: Tensor, classes: Tensor, of: GradientOf) -> tuple[Tensor, Tensor]:
        """Gradients `(B, k, *)` of the outputs of classes `(B, k)` (`pag.alignment.gradients`), and the logits `(B, C)`."""

    def perturbed(self, attack: PGD, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Adversarial examples `(B, *)` without a graph; the attack sees evaluation mode."""


Objective = Callable[[Network, Batch, torch.Generator], Mapping[str, Tensor]]


def draw_classes(batch_size: int, num_classes: int, k: int, generator: torch.Generator, shared: bool = False) -> Tensor:
    """k of the C classes, uniformly without replacement, shape `(B, k)`; k ≥ C means all, in order.

    `shared` is one draw for the whole batch: the subset "randomly selected in each training iteration" of the paper's CIFAR-100
    (section 5.2). Without it each image has a draw of its own, as in the authors' code: the same expectation, less noise.
    """
    if k >= num_classes:
        return torch.arange(num_classes).expand(batch_size, num_classes)
    if shared:
        return torch.randperm(num_classes, generator=generator)[:k].expand(batch_size, k)
    return torch.rand(batch_size, num_classes, generator=generator).argsort(dim=1)[:, :k]


class BaseObjective(ABC):
    """An objective that alignment can be added to: where it needs the logits f_θ(x), it takes those that alignment has anyway."""

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return self.parts(network, batch, generator, lambda: network(batch.x))

    @abstractmethod
    def parts(
        self, network: Network, batch: Batch, generator: torch.Generator, logits: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        """The loss and its parts; `logits` gives f_θ(x) of the batch, `(B, C)`."""


class CrossEntropy(BaseObjective):
    """Standard ("vanilla") training, eq. (2)."""

    def parts(
        self, network: Network, batch: Batch, generator: torch.Generator, logits: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        loss = functional.cross_entropy(logits(), batch.labels)
        return {"loss": loss, "cross_entropy": loss}


@dataclass(frozen=True)
class AdversarialTraining(BaseObjective):
    """Adversarial training, eq. (3): cross-entropy at the points that `attack` finds (appendix G.2: PGD of 7 steps of 1.5 ε/7).

    The attack sees the network in evaluation mode, as in the implementation that the paper follows (Zhang et al., 2019).
    """

    attack: PGD

    def parts(
        self, network: Network, batch: Batch, generator: torch.Generator, logits: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        x_adv = network.perturbed(self.attack, batch.x, batch.labels, generator)
        loss = functional.cross_entropy(network(x_adv), batch.labels)
        return {"loss": loss, "cross_entropy": loss}


@dataclass(frozen=True)
class Trades(BaseObjective):
    """TRADES (Zhang et al., 2019; appendix G.3): `L_CE(f_θ(x), y) + β KL(f_θ(x) ‖ f_θ(x_adv))`, with gradients through both.

    Attributes:
        attack: finds x_adv, in evaluation mode like the original: by 10 steps of 0.007 that ascend the divergence.
        beta: β ≥ 0, 6 in the original; what 1/λ is there.

    Both terms share one pass of x. The original has one for each, so that batch norm's running statistics are updated three times a
    step there, by x, x_adv and x again, and here twice, by x and x_adv; losses and their gradients are the same but for dropout.
    """

    attack: PGD
    beta: float

    def parts(
        self, network: Network, batch: Batch, generator: torch.Generator, logits: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        x_adv = network.perturbed(self.attack, batch.x, batch.labels, generator)
        natural = logits()
        cross_entropy = functional.cross_entropy(natural, batch.labels)
        log_p, log_q = (functional.log_softmax(z, dim=1) for z in (natural, network(x_adv)))
        kl = functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
        return {"loss": cross_entropy + self.beta * kl, "cross_entropy": cross_entropy, "kl": kl}


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
