"""The aligned margin (not in the paper): robustness without an adversarial search, by target gradients and the margin's gradient.

With the margin `m_c = f_y − f_c`, the threat's norm p and budget ε, and q the norm dual to p, per image and step:

    c ~ softmax_{c≠y}(f(x) / T),   t ~ U[0, 1],   x' = clip(x + t ε u),   u = argmax_{‖d‖_p ≤ 1} ⟨g(x, c), d⟩           the path
    c' ~ softmax_{c'≠y}(f(x') / T)
    L = L_CE(f(x'), y) + λ C [1 − cos(−∇m_{c'}(x'), ĝ(x, c'))]                                                    the alignment
        + μ softplus(−m_{c'}(x') + (1 − t) ε ‖∇m_{c'}(x')‖_q)                                                        the margin

Where an adversarial attack follows the network's gradient, the path follows a stored target's. The last term is the logistic loss
of the margin that is left after what remains of the budget, to first order (as in large-margin training: Elsayed et al., 2018): a
regulariser of the network's own gradient. ĝ is g for L2, and g ⊙ |g| for L∞, where few pixels should matter (`Norm.emphasised`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pag.alignment.gradients import cosine
from pag.alignment.rivals import barred, gumbel, margins_over, rivals
from pag.attacks.threats import Threat
from pag.base.vocabulary import MarginPath
from pag.training.objectives.base import Batch, Network, StoredTargets

__all__ = ["AlignedMargin"]


@dataclass(frozen=True)
class AlignedMargin:
    """One forward pass for the class of the path, in evaluation mode and without a graph as an attack's; one at x' with one double
    backward pass for each c', which serves alignment and margin.

    With k classes c' an image, drawn without replacement, both terms are means over them, λ's times C.

    Attributes:
        threat: p and ε, the budget in training.
        weight: λ ≥ 0.
        num_classes: C.
        margin: μ ≥ 0, the weight of the margin term.
        path: where x' lies: along a target gradient (`stored`), along a direction that is uniform in the norm's unit sphere or its
            corners (`random`), or at x itself, t = 0 (`none`).
        temperature: T > 0.
    """

    threat: Threat
    weight: float
    num_classes: int
    margin: float = 1.0
    path: MarginPath = "stored"
    temperature: float = 2.0

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        assert batch.stored is not None
        x, t = self._moved(network, batch, batch.stored, generator)
        if not (self.weight or self.margin):
            loss = functional.cross_entropy(network(x), batch.labels)
            return {"loss": loss, "cross_entropy": loss}
        noise = self._noise(network, batch, batch.stored, generator)
        k = batch.stored.classes_per_step
        gradients, logits, classes = network.margin_gradients(x, batch.labels, noise, self.temperature, k)
        loss = cross_entropy = functional.cross_entropy(logits, batch.labels)
        parts = {"cross_entropy": cross_entropy.detach()}
        if self.weight:
            targets = batch.stored.gather(classes)
            cos = cosine(-gradients, self.threat.emphasised(targets.flatten(0, 1)).view_as(targets)).mean()
            loss, parts["cosine"] = loss + self.weight * self.num_classes * (1 - cos), cos.detach()
        if self.margin:
            margins = margins_over(logits, batch.labels, classes)
            margin = self._margin_loss(margins, gradients, (1 - t) * self.threat.eps)
            loss, parts["margin"] = loss + self.margin * margin, margin.detach()
        return {"loss": loss, **parts}

    def forwards_per_step(self, k: int) -> int:
        """As `BaseObjective.forwards_per_step`: one for the class of the path; then those of alignment, or of a plain step."""
        return (self.path == "stored") + (3 + 3 * k if self.weight or self.margin else 3)

    def _moved(
        self, network: Network, batch: Batch, stored: StoredTargets, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """x' `(B, *)` and how much of the budget it took, t `(B,)`."""
        x = batch.x
        if self.path == "none":
            return x, x.new_zeros(len(x))
        if self.path == "stored":
            noise = self._noise(network, batch, stored, generator)
            c = rivals(network.predicted(x), noise, self.temperature, 1)
            g = stored.gather(c).squeeze(1)
        else:
            g = network.drawn(lambda like: torch.randn(like.shape, generator=generator, dtype=like.dtype), x)
            g = g.to(x.device)
        t = network.drawn(lambda like: torch.rand(len(like), generator=generator, dtype=like.dtype), x).to(x.device)
        length = (t * self.threat.eps).reshape(-1, *[1] * (x.ndim - 1))
        return (x + length * self.threat.steepest(g)).clamp(0, 1), t

    def _noise(self, network: Network, batch: Batch, stored: StoredTargets, generator: torch.Generator) -> Tensor:
        """Of a draw of rivals among the classes that there are targets of, `(B, C)`."""
        noise = network.drawn(lambda like: gumbel(like, self.num_classes, generator), batch.x)
        return barred(noise, batch.labels, stored.classes)

    def _margin_loss(self, margins: Tensor, gradients: Tensor, left: Tensor) -> Tensor:
        """The mean of softplus over margins `(B, k)`, their gradients `(B, k, *)` and what is left of the budget, `(B,)`."""
        sizes = self.threat.dual_size(gradients.flatten(0, 1)).view_as(margins)
        return functional.softplus(left[:, None] * sizes - margins).mean()
