"""What a classifier's training minimises: cross-entropy (eq. 2), adversarial training (eq. 3), TRADES, gradient-norm
regularisation, on top of any of them gradient alignment (eqs. 4 and 5; section 6), and the aligned margin.

An objective is a callable `(network, batch, generator) → {"loss": …, further parts to log: …}`, scalars averaged over the batch.
How a `Network` computes its passes (`pag.training.network`), and of which larger batch this one is a part, is not its concern.
"""

from pag.training.objectives.adversarial import AdversarialTraining, Trades
from pag.training.objectives.aligned_margin import AlignedMargin
from pag.training.objectives.alignment import Alignment, Ramp, draw_classes
from pag.training.objectives.base import BaseObjective, Batch, CrossEntropy, Network, Objective, StoredTargets
from pag.training.objectives.gradient_norm import GradientNorm

__all__ = [
    "AdversarialTraining",
    "AlignedMargin",
    "Alignment",
    "BaseObjective",
    "Batch",
    "CrossEntropy",
    "GradientNorm",
    "Network",
    "Objective",
    "Ramp",
    "StoredTargets",
    "Trades",
    "draw_classes",
]
