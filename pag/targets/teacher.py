"""Teacher targets: the input-gradients of a trained classifier's margins, `g(x, c) = ∇_x (f_c − f_y)(x)`, and g(x, y) minus the
mean of those: an oracle, which tells how far any target gradients can carry.

A network that is aligned with those of an adversarially trained one learns from it what its gradients are, and sees no attack. They
are relative to the own class, as `∇ log p(c|x) − ∇ log p(y|x) = ∇ (f_c − f_y)` is.
"""

import torch
from torch import Tensor, nn

from pag.alignment.gradients import input_gradients
from pag.targets.relative import Wanted, relative_to_own_class

__all__ = ["margin_gradients"]

BATCH = 64  # images of a forward pass


def margin_gradients(model: nn.Module, images: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """The gradients of a classifier's margins towards every class.

    Args:
        model: a classifier in evaluation mode.
        images: `(N, ch, H, W)` in [0, 1].
        labels: y, `(N,)` int64.
        num_classes: C ≥ 2.

    Returns:
        `(N, C, ch, H, W)` float32 on the CPU.
    """
    batches = zip(images.split(BATCH), labels.split(BATCH), strict=True)
    return torch.cat([_of_batch(model, x, y, num_classes) for x, y in batches])


def _of_batch(model: nn.Module, x: Tensor, y: Tensor, num_classes: int) -> Tensor:
    device = next(model.parameters()).device
    classes = torch.arange(num_classes).expand(len(x), -1)
    gradients, _ = input_gradients(model, x.to(device), classes.to(device), "logit")
    gradients = gradients.float().cpu()
    return relative_to_own_class(lambda places, of: gradients[places[:, None], of], Wanted(classes, num_classes, x, y))
