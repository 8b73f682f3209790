"""Robustness on the validation split, by which hyperparameters are chosen: never on the test set, and never by PGD alone.

PGD can be misled: networks that it finds equally robust may differ by twenty points under AutoAttack. Its targeted APGD (Croce and
Hein, 2020), for fewer iterations and targets, told them apart.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pag.attacks.autoattack import AutoAttack
from pag.attacks.harness import attack_block
from pag.attacks.pgd import PGD, Loss, step_size
from pag.attacks.threats import Threat
from pag.base.randomness import numpy_stream, torch_stream
from pag.base.vocabulary import NormName

__all__ = ["robust_under_apgd_t", "robust_under_pgd"]

LOSSES: tuple[Loss, ...] = ("cross_entropy", "margin")
RELATIVE_STEP = 2.5
BLOCK = 256  # examples that APGD draws for together


def robust_under_pgd(
    model: nn.Module, x: Tensor, labels: Tensor, threats: Mapping[NormName, float], steps: int, seed: int
) -> dict[str, float]:
    """Accuracy under PGD, as `pgd_<norm>`: where neither PGD on the cross-entropy nor PGD on the margin fools the model.

    Args:
        model: in evaluation mode.
        x: images `(B, *)` in [0, 1], on the model's device.
        labels: `(B,)`, there too.
        threats: ε by norm.
        steps: of PGD.
        seed: of the random starts.
    """
    accuracies = {}
    for norm, eps in threats.items():
        robust = torch.ones_like(labels, dtype=torch.bool)
        for loss in LOSSES:
            pgd = PGD(Threat(norm, eps), steps, step_size(RELATIVE_STEP, eps, steps), random_start=True, loss=loss)
            x_adv = pgd(model, x, labels, torch_stream(seed, f"validation {norm} {loss}"))
            with torch.no_grad():
                robust &= model(x_adv).argmax(1) == labels
        accuracies[f"pgd_{norm}"] = float(robust.double().mean())
    return accuracies


def robust_under_apgd_t(
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    threats: Mapping[NormName, float],
    iterations: int,
    targets: int,
    seed: int,
) -> dict[str, float]:
    """Accuracy under AutoAttack's targeted APGD, as `apgd_t_<norm>`; with fewer than 4 classes under what stands in its place.

    Args:
        model, x, labels, threats, seed: as in `robust_under_pgd`.
        iterations: of APGD towards each target.
        targets: how many of the likeliest other classes are tried.
    """
    accuracies = {}
    for norm, eps in threats.items():
        attack, robust = AutoAttack(Threat(norm, eps), ("apgd-t",), iterations, targets), list[Tensor]()
        for block, (images, own) in enumerate(zip(x.split(BLOCK), labels.split(BLOCK), strict=True)):
            stream = numpy_stream(seed, f"validation {norm} apgd-t", block)
            outcome = attack_block(attack, model, images, own, int(stream.integers(2**32)), block * BLOCK)
            robust += outcome.robust.values()
        accuracies[f"apgd_t_{norm}"] = float(torch.cat(robust).double().mean())
    return accuracies
