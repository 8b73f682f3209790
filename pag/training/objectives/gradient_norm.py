"""Gradient-norm regularisation: the cross-entropy, and its input-gradient's size in the norm that is dual to a threat's.

    L = L_CE(f_θ(x), y) + w ‖∇_x L_CE(f_θ(x), y)‖_q

To first order w is the ε of adversarial training. Drucker and Le Cun (1992) have the idea; Rodríguez-Muñoz et al. (2024,
arXiv 2409.20139) come near adversarial training with it on ImageNet, with smooth activations, not with ReLU.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pag.attacks.threats import NORMS
from pag.base.vocabulary import NormName
from pag.training.objectives.base import BaseObjective, Batch, Network

__all__ = ["GradientNorm"]


@dataclass(frozen=True)
class GradientNorm(BaseObjective):
    """One forward pass and one double backward pass; alignment on top of it has a forward pass of its own.

    Attributes:
        norm: p, what perturbations are measured in; q is dual to it: L1 for L∞, L2 for L2.
        weight: w ≥ 0.
    """

    norm: NormName
    weight: float

    def parts(
        self, network: Network, batch: Batch, generator: torch.Generator, logits: Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        gradients, own_logits = network.input_gradients(batch.x, batch.labels[:, None], "log_softmax")
        cross_entropy = functional.cross_entropy(own_logits, batch.labels)
        size = NORMS[self.norm].dual_size(gradients[:, 0]).mean()
        return {"loss": cross_entropy + self.weight * size, "cross_entropy": cross_entropy, "gradient_norm": size}

    def forwards(self, shares_logits: bool = False) -> int:
        return 6
