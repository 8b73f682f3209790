"""Projected gradient descent (Madry et al., 2018), eq. (1): repeat `δ ← Proj_ε(δ + α · step(∇_δ L_CE(f_θ(x + δ), y)))`.

`step` is the steepest direction of the norm: the sign of the gradient for L∞, the normalised gradient for L2. A
targeted attack descends the loss of the wanted class instead of ascending that of the true one. TRADES (Zhang et al., 2019)
ascends `KL(f_θ(x) ‖ f_θ(x + δ))` instead of the cross-entropy: it asks for no label.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pag.attacks.margins import margins
from pag.attacks.threats import Threat
from pag.base.errors import InputError

__all__ = ["PGD", "Loss", "step_size"]

Loss = Literal["cross_entropy", "margin", "kl"]


@dataclass(frozen=True)
class PGD:
    """An attack by a fixed number of steps of a fixed size.

    The paper's are: 7 steps of 1.5 ε/7 in adversarial training (appendix G.2); 10 L2 steps of 2 with ε = 15 on the toy
    (G.1); targeted L2 attacks of large ε, which show what a classifier takes a class to look like (figures 1, 2, 9); and
    in TRADES (G.3) 10 L∞ steps of 0.007 on the divergence with ε = 0.031, from a start of 0.001 · N(0, 1).

    Attributes:
        threat: the ball that the perturbation stays in.
        steps: how many, at least 1.
        step_size: α > 0, in the norm of the threat.
        random_start: whether to start uniformly in the ball (or as `start_std` says), or at the example itself.
        bounds: smallest and largest value of an input; None where inputs are not bounded (the toy's points of R²).
        targeted: whether `labels` are the classes wanted instead of the true ones.
        loss: what is ascended: the cross-entropy (eq. 2), or the margin by which the best other logit exceeds the label's. The
            gradient of the cross-entropy vanishes in float32 where a network is very sure, which passes for robustness. Or
            `"kl"`, the divergence of the prediction from that at the example itself, whatever the labels.
        start_std: of a random start that is normal around the example, projected to the ball; None: a uniform one.

    Raises:
        InputError: a number is out of its range, or the divergence is given a target or no random start.
    """

    threat: Threat
    steps: int
    step_size: float
    random_start: bool
    bounds: tuple[float, float] | None = (0.0, 1.0)
    targeted: bool = False
    loss: Loss = "cross_entropy"
    start_std: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"PGD needs at least one step, not {self.steps}.")
        if not (math.isfinite(self.step_size) and self.step_size > 0):
            raise InputError(f"The step size of PGD must be positive and finite, not {self.step_size}.")
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise InputError(f"The bounds of PGD must grow, not {self.bounds}.")
        if self.start_std is not None and not (math.isfinite(self.start_std) and self.start_std > 0):
            raise InputError(f"The spread of PGD's normal start must be positive and finite, not {self.start_std}.")
        if self.loss == "kl" and (self.targeted or not self.random_start):
            # At the example itself the divergence has its minimum, 0, and so no gradient to follow.
            raise InputError("PGD on the divergence needs a random start, and knows no targets.")

    def __call__(
        self,
        model: nn.Module,
        x: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        """Attacks each example.

        The model runs in the mode (training or evaluation) that the caller has set, and is left in it: in training mode
        batch norm would mix the examples and move its running statistics. Parameters receive no gradients.

        Args:
            model: `(B, *)` to logits `(B, C)`.
            x: examples `(B, *)`, inside the bounds.
            labels: `(B,)` int64, the true classes, or for a targeted attack the wanted ones.
            generator: draws the random start.
            start: that start, `(B, *)`, where it is drawn already (`draw_start`).

        Returns:
            Detached adversarial examples `(B, *)`: in the ball around `x` and inside the bounds.
        """
        x = x.detach()
        x_adv = x
        if self.random_start:
            x_adv = self._nearest_allowed(x, self.draw_start(x, generator) if start is None else start)
        ascent = -self.step_size if self.targeted else self.step_size
        loss = _LOSSES[self.loss]
        reference = loss.reference(model, x, labels)
        for _ in range(self.steps):
            step = ascent * self.threat.steepest(_loss_gradient(model, x_adv, reference, loss.of_logits))
            x_adv = self._nearest_allowed(x, x_adv + step - x)
        return x_adv

    @property
    def forwards(self) -> int:
        """The work for one example, in forward passes of it: a step is one with a backward pass to the input; the divergence needs
        the prediction at the example itself, too.
        """
        return 2 * self.steps + (self.loss == "kl")

    def draw_start(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The random start of examples like `x`, `(B, *)`, as a perturbation: only the shape, type and device of `x` count."""
        if self.start_std is None:
            return self.threat.random_start(x, generator)
        device = torch.device("cpu") if generator is None else generator.device
        return self.start_std * torch.randn(x.shape, generator=generator, dtype=x.dtype, device=device).to(x.device)

    def _nearest_allowed(self, x: Tensor, delta: Tensor) -> Tensor:
        """`x + Proj_ε(δ)`, clamped; as `x` is inside the bounds, the clamp does not leave the ball."""
        x_adv = x + self.threat.project(delta)
        return x_adv if self.bounds is None else x_adv.clamp(*self.bounds)


def step_size(relative_step: float, eps: float, steps: int) -> float:
    """α of a relative step: in units of ε / steps, so that 1 reaches the ball's surface from its centre."""
    return relative_step * eps / steps


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels, reduction="sum")


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    return margins(logits, labels).sum()


def _kl(logits: Tensor, log_probabilities: Tensor) -> Tensor:
    return functional.kl_div(functional.log_softmax(logits, dim=1), log_probabilities, reduction="sum", log_target=True)


def _labels(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    return labels


@torch.no_grad()
def _prediction(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    return functional.log_softmax(model(x), dim=1)


@dataclass(frozen=True)
class _Loss:
    """What an attack ascends, as the sum over the batch.

    Attributes:
        of_logits: of the logits `(B, C)` at the perturbed examples and of a reference that stays as it is.
        reference: that reference, of the model, the examples and their labels: the labels themselves or log p(·|x), `(B, C)`.
    """

    of_logits: Callable[[Tensor, Tensor], Tensor]
    reference: Callable[[nn.Module, Tensor, Tensor], Tensor]


_LOSSES: Mapping[Loss, _Loss] = {
    "cross_entropy": _Loss(_cross_entropy, _labels),
    "margin": _Loss(_margin, _labels),
    "kl": _Loss(_kl, _prediction),
}


def _loss_gradient(
    model: nn.Module, x: Tensor, reference: Tensor, of_logits: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The gradient of each example's loss with respect to that example, `(B, *)`."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(of_logits(model(x), reference), x)[0]
