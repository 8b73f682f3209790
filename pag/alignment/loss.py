"""The alignment term of eq. (4) in one call, for a training loop of one's own.

L_total(x, y) = L_CE(f_θ(x), y) + λ Σ_c [1 − cos(∇_x f_θ(x)_c, g(x, c))]

`pag.training.objectives` has the same as one of several objectives, for the loop of this package.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from pag.alignment.differentiable import differentiable_gradients
from pag.alignment.gradients import cosine
from pag.base.errors import InputError
from pag.base.vocabulary import ClassesScale, GradientOf

__all__ = ["AlignmentLoss", "alignment_loss"]


class AlignmentLoss(NamedTuple):
    """What one forward pass gives a step of training.

    Attributes:
        loss: the sum over classes of eq. (4), averaged over the batch: a scalar, to be multiplied by λ.
        logits: `(B, C)` of the same pass, for the cross-entropy.
        cosine: the mean cosine over batch and classes, detached: a scalar in [-1, 1], to be logged.

    The loss and the logits carry a graph to the network's parameters.
    """

    loss: Tensor
    logits: Tensor
    cosine: Tensor


def alignment_loss(
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    classes: Tensor,
    targets: Tensor,
    *,
    of: GradientOf = "log_softmax",
    scale: ClassesScale = "expectation",
) -> AlignmentLoss:
    """`Σ_c [1 − cos(∇_x f_θ(x)_c, g(x, c))]` of eq. (4), over all classes or k of them that were drawn (section 5.2).

    One forward pass, k backward passes to the input, and afterwards one `backward()` of the whole loss, under which
    `DistributedDataParallel` averages as usual. In autocast only the network's passes have its type: the cosine is taken in that of
    `x`, or of the targets where theirs is wider.

    Args:
        network: `(B, *)` to logits `(B, C)`, in the mode that the caller has set; batch norm in training mode mixes examples, see
            `input_gradients`.
        x: inputs `(B, *)`, floating; an image in pixels of [0, 1], normalised inside the network.
        classes: `(B, k)` int64 in [0, C), k ≥ 1: `draw_classes` draws them anew for each step.
        targets: g(x, c) of those classes, `(B, k, *)`, in any unit: the cosine sees no scale.
        of: the function whose gradient is aligned: `"log_softmax"`, what the score ∇ log p(y|x) is, or `"logit"`, eq. (4) as
            written.
        scale: of the sum where k < C: `"expectation"`, C times the mean over the k, or `"drawn"`, their own sum.

    Raises:
        InputError: the shapes of classes or targets do not fit those of `x`.
    """
    if classes.ndim != 2 or len(classes) != len(x) or targets.shape != (*classes.shape, *x.shape[1:]):
        raise InputError(
            f"Targets {tuple(targets.shape)} and classes {tuple(classes.shape)} do not fit inputs {tuple(x.shape)}: they are "
            "(B, k, *) and (B, k) for inputs (B, *)."
        )
    gradients, logits = differentiable_gradients(network, x, classes, of)
    cos = cosine(gradients, targets).mean()
    count = logits.shape[1] if scale == "expectation" else classes.shape[1]
    return AlignmentLoss(count * (1 - cos), logits, cos.detach())
